from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_agent.items import Outcome
from hozen_agent.reading import sparse

if TYPE_CHECKING:
    from pathlib import Path

    Evidence = Any
MB = 1 << 20


def plant(place: Path, size: int, pieces: dict[int, bytes]) -> None:
    with place.open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)


def restore(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "got.tar").write_bytes(data)
    subprocess.run(["tar", "-xSf", "got.tar"], cwd=tmp_path, check=True)
    return tmp_path / "content"


def test_a_terabyte_with_a_megabyte_of_data_costs_milliseconds(
    evidence: Evidence, tmp_path: Path
) -> None:
    pieces = {292 * 1000: b"lastlog" * 20_000, 512 << 30: os.urandom(MB)}
    plant(evidence.root / "lastlog", 1 << 40, pieces)
    evidence.read(b"/lastlog")  # the worker exists
    begun = time.process_time()
    [(attempt, data, failure)] = evidence.read(b"/lastlog")
    assert time.process_time() - begun < 0.5
    assert failure is None
    assert (attempt.method, attempt.ext, attempt.holes) == ("sparse", "sparse.tar", True)
    assert attempt.logical_size == 1 << 40
    assert len(data) < 4 * MB
    restored = restore(tmp_path, data)
    assert restored.stat().st_size == 1 << 40
    assert restored.stat().st_blocks * 512 < 4 * MB
    with restored.open("rb") as file:
        for offset, expected in pieces.items():
            file.seek(offset)
            assert file.read(len(expected)) == expected


def test_a_file_that_is_only_a_hole_is_restored(evidence: Evidence, tmp_path: Path) -> None:
    plant(evidence.root / "hole", 3 * MB + 5, {})
    [(attempt, data, _)] = evidence.read(b"/hole")
    assert attempt.holes
    assert restore(tmp_path, data).read_bytes() == bytes(3 * MB + 5)


def test_python_reads_the_same_member(evidence: Evidence) -> None:
    plant(evidence.root / "s", 8 * MB, {MB: b"abc" * 1000, 5 * MB: b"end"})
    [(_, data, _)] = evidence.read(b"/s")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        [member] = tar.getmembers()
        assert member.size == 8 * MB
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == (evidence.root / "s").read_bytes()


def test_a_limit_on_the_data_truncates_and_says_where(evidence: Evidence, tmp_path: Path) -> None:
    plant(evidence.root / "s", 64 * MB, {0: b"a" * MB, 32 * MB: b"b" * MB})
    [(_, data, failure)] = evidence.read(b"/s", max_bytes=MB + 4096)
    assert failure.outcome is Outcome.TRUNCATED
    assert f"data beyond byte {32 * MB + 4096} of {64 * MB}" in failure.reason
    content = restore(tmp_path, data).read_bytes()
    assert content[:MB] == b"a" * MB
    assert content[32 * MB : 33 * MB] == b"b" * 4096 + bytes(MB - 4096)


def test_a_dense_file_is_stored_plainly(evidence: Evidence) -> None:
    evidence.write("/dense", b"d" * (2 * MB))
    [(attempt, data, _)] = evidence.read(b"/dense")
    assert (attempt.method, attempt.ext, len(data)) == ("read", "bin", 2 * MB)


def test_a_key_at_the_head_of_a_sparse_file_is_withheld(evidence: Evidence) -> None:
    plant(evidence.root / "k", 64 * MB, {0: b"-----BEGIN PRIVATE KEY-----\nsecret"})
    [(attempt, data, _)] = evidence.read(b"/k")
    assert (attempt.withheld, data) == ("private_key", b"")


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    blocks=st.lists(st.integers(0, 400), max_size=6, unique=True),
    tail=st.integers(0, 5000),
)
def test_any_layout_is_restored_byte_for_byte(
    evidence: Evidence, blocks: list[int], tail: int
) -> None:
    place = evidence.root / "any"
    place.unlink(missing_ok=True)
    plant(place, 2 * MB + tail, {n * 4096: bytes([n % 255 + 1]) * 4000 for n in sorted(blocks)})
    [(attempt, data, _)] = evidence.read(b"/any")
    if not attempt.holes:
        assert data == place.read_bytes()
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        content = tar.extractfile(tar.getmembers()[0])
        assert content is not None
        assert content.read() == place.read_bytes()


@given(
    st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 1 << 20)), max_size=20),
    st.integers(0, 1 << 22),
)
def test_a_cut_map_never_holds_more_than_its_limit(
    found: list[tuple[int, int]], limit: int
) -> None:
    kept = sparse.within(found, limit)
    assert sum(length for _, length in kept) == min(limit, sum(length for _, length in found))


def test_a_length_record_counts_itself_at_every_digit_boundary() -> None:
    for size in (1, 80, 90, 95, 96, 97, 98, 990, 991, 992, 993, 9990):
        record = sparse._record("k", "v" * size)
        assert int(record.split(b" ")[0]) == len(record)
