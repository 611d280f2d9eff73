"""The threat model names its evidence: each named test exists, and each row names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "threat-model.md"
_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows() -> list[list[str]]:
    """Return the cells of the table `who, can do, is detected by, remains`, without its head."""
    text = PAGE.read_text(encoding="utf-8").partition("| who | could do |")[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()[2:]
    ]


def test_each_test_that_is_named_exists() -> None:
    named = _NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_each_row_names_a_test_and_what_remains() -> None:
    assert len(rows()) > 12
    for cells in rows():
        assert len(cells) == 4, cells
        assert _NAMED.search(cells[2]) or cells[2].startswith("nothing"), cells[0]
        assert cells[3], cells[0]
