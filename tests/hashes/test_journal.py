"""The journal is checked with openssl and a few lines of its own, not with the library's checker."""

from __future__ import annotations

import gc
import json
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from hozen_hashes.errors import InternalError
from hozen_hashes.journal import EpochKey, Journal, Segment

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"


def _now() -> tuple[int, int]:
    return 1_795_410_533_779_792_931, 77


def _openssl_accepts(folder: Path, segment: Segment) -> bool:
    for ending, data in (
        ("jsonl", segment.text),
        ("sig", segment.signature),
        ("pub", segment.public),
    ):
        (folder / f"s.{ending}").write_bytes(data)
    run = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "s.pub", "-signature", "s.sig", "s.jsonl"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return run.returncode == 0


def _records(segment: Segment) -> list[dict[str, object]]:
    return [json.loads(line) for line in segment.text.splitlines()]


def test_every_segment_verifies_with_openssl_and_names_its_neighbours(tmp_path: Path) -> None:
    journal = Journal(BUNDLE, now=_now)
    segments = []
    for number in range(4):
        journal.add({"type": "note", "text": f"number {number}"})
        segments.append(journal.close_epoch())
    segments.append(journal.end(reason="complete", items=0))
    previous, key = None, journal.first_key_sha256
    last: dict[str, object] = {}
    for number, segment in enumerate(segments):
        assert _openssl_accepts(tmp_path, segment)
        head, *_, last = _records(segment)
        assert (head["epoch"], head["bundle"], head["previous"], head["key"]) == (
            number,
            BUNDLE,
            previous,
            key,
        )
        assert sha256(segment.public).hexdigest() == key
        previous, key = sha256(segment.text).hexdigest(), str(last.get("key"))
    assert last["type"] == "end"
    assert last["reason"] == "complete"


def test_a_changed_segment_is_refused_by_openssl(tmp_path: Path) -> None:
    journal = Journal(BUNDLE, now=_now)
    journal.add({"type": "note", "text": "a"})
    good = journal.close_epoch()
    bad = Segment(good.epoch, good.text.replace(b'"a"', b'"b"'), good.signature, good.public)
    assert not _openssl_accepts(tmp_path, bad)


def test_a_key_signs_once_and_is_gone_from_memory() -> None:
    key = EpochKey()
    private = key._private
    assert private is not None
    scalar = private.private_numbers().private_value.to_bytes(32, "big")
    del private
    key.sign_and_drop(b"x")
    gc.collect()
    with pytest.raises(InternalError):
        key.sign_and_drop(b"y")
    copies = _count_in_memory(scalar)
    assert copies <= 1, "only the test's own copy may remain"


def _count_in_memory(needle: bytes) -> int:
    found = 0
    with (
        open("/proc/self/maps", encoding="ascii") as maps,
        open("/proc/self/mem", "rb", 0) as memory,
    ):
        for line in maps:
            span, mode = line.split(maxsplit=2)[:2]
            if not mode.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            try:
                memory.seek(start)
                found += memory.read(end - start).count(needle)
            except (OSError, ValueError, OverflowError):
                continue
    return found


def test_nothing_is_written_after_the_end() -> None:
    journal = Journal(BUNDLE, now=_now)
    journal.end(reason="interrupted", items=3, detail="stopped by SIGINT")
    with pytest.raises(InternalError):
        journal.add({"type": "note", "text": "late"})
