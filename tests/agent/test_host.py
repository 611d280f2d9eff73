"""What a bundle says of the host and of ourselves, where the host gives odd names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_agent import host
from hozen_hashes.jsonl import dump_line, parse_object

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_host_name_that_is_no_text_does_not_keep_a_bundle_from_being_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "read_small", lambda _path: "")
    monkeypatch.setattr(host, "_addresses", lambda: None)
    odd = os.uname_result(("Linux", os.fsdecode(b"web\xff"), "6", "1", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: odd)
    facts = parse_object(dump_line(host.host_facts()), what="facts")
    assert facts["hostname"] == r"web\xff"
    assert "addresses" not in facts, "not asked is not the same as none"


def test_a_program_file_that_cannot_be_read_does_not_cost_the_capture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert len(host.self_sha256() or "") == 64
    monkeypatch.setattr(host, "_own_files", lambda: iter([("a", tmp_path / "gone")]))
    assert host.self_sha256() is None
