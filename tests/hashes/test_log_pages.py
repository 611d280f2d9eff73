"""What the format pages show is what the code reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hozen_hashes import checkpoint, merkle
from hozen_hashes.note import parse_vkey
from hozen_hashes.statement import EVENTS, parse_statement

PAGES = Path(__file__).parents[2] / "docs" / "format"
LOG = (PAGES / "log-v1.md").read_text()
RECEIPT = (PAGES / "receipt-v1.md").read_text()


def _block(page: str, start: str) -> bytes:
    found = re.search(rf"```\n({re.escape(start)}.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1].encode()


def test_the_checkpoint_on_the_page_holds_for_its_key_and_leaves() -> None:
    key = parse_vkey(_block(LOG, "collector.example/log+"))
    signed = checkpoint.verify_checkpoint(_block(LOG, "collector.example/log\n3\n"), [key])
    leaves = [merkle.leaf_hash(text) for text in (b"first\n", b"second\n", b"third\n")]
    root = merkle.tree_root(3, merkle.reader_of_leaves(leaves))
    assert (signed.checkpoint.size, signed.checkpoint.root) == (3, root)
    assert f"log-key-sha256 {key.sha256}" in RECEIPT


def test_the_statement_on_the_page_is_one() -> None:
    text = _block(RECEIPT, "hozen-receipt/1\n").decode()
    full = re.sub("([0-9a-f]{4})…([0-9a-f]{2})", lambda m: m[1] + "0" * 58 + m[2], text)
    statement = parse_statement(full.encode())
    assert statement.event == "ingest"
    assert statement.signer == "web01 evidence"


def test_every_event_is_described() -> None:
    section = RECEIPT.split("## 4. Events")[1].split("\n## ")[0]
    assert set(re.findall(r"`([a-z]+)`", section)) >= set(EVENTS)


def test_the_custody_page_names_every_type_and_key_that_is_written() -> None:
    page = (PAGES / "custody-v1.md").read_text()
    source = (PAGES.parents[1] / "agent" / "hozen_agent" / "custody.py").read_text()
    types = re.findall(r'"([A-Z_]{3,})"', source.split("TYPES: Final = (")[1].split(")")[0])
    assert len(types) == 22
    assert set(types) <= set(re.findall(r"`([A-Z_]+)`", page))
    example = json.loads(_block(page, '{"format":"hozen-custody/1"'))
    assert set(example) == set(re.findall(r'^        "([a-z_]+)": ', source, re.MULTILINE)) - {
        "sha256", "size", "name", "media",
    } | {"type", "text", "by", "items", "handed_from", "handed_to", "place", "reason", "authority"} | {
        "method", "seal_before", "seal_after", "condition", "corrects",
    }  # fmt: skip
