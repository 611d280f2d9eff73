"""What the format pages show is what the code reads."""

from __future__ import annotations

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
