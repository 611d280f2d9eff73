"""The threat model names its evidence: each named test exists, and each row names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "threat-model.md"
JAPANESE = ROOT / "docs" / "ja" / "threat-model.md"
_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows(page: Path = PAGE, head: str = "| who | could do |") -> list[list[str]]:
    """Return the cells of the table `who, can do, is detected by, remains`, without its head."""
    text = page.read_text(encoding="utf-8").partition(head)[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()[2:]
    ]


def test_each_test_that_is_named_exists() -> None:
    keys = ROOT / "docs" / "keys-over-years.md"
    named = [
        one for page in (PAGE, keys) for one in _NAMED.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_each_row_names_a_test_and_what_remains() -> None:
    assert len(rows()) > 12
    for cells in rows():
        assert len(cells) == 4, cells
        assert _NAMED.search(cells[2]) or cells[2].startswith("nothing"), cells[0]
        assert cells[3], cells[0]


def test_the_japanese_page_has_the_same_rows_with_the_same_tests() -> None:
    japanese = rows(JAPANESE, "| だれが | できること |")
    assert all(len(cells) == 4 and cells[3] for cells in japanese)
    found = [[_NAMED.findall(cells[2]) for cells in page] for page in (rows(), japanese)]
    assert found[0] == found[1]


def test_both_pages_say_what_a_cut_journal_is_called() -> None:
    for page in (PAGE, JAPANESE):
        text = page.read_text(encoding="utf-8")
        assert "The cut journal" in text or "切り詰められた記録" in text
        assert len(re.findall(r"^#", text, re.MULTILINE)) >= 6
