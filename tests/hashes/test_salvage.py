"""What a torn capture proves is exactly what was sealed before the tear, and nothing that was changed."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes.salvage import PREFIX, WHOLE, SalvageReport, salvage

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "vectors" / "data"
BUNDLE = json.loads((DATA / "expected.json").read_text())["bundle_id"]
PARTIAL = DATA / "partial" / f"{BUNDLE}.zip.partial"
JOURNAL = DATA / "partial" / f"{BUNDLE}.journal"
GOOD = (DATA / "good.zip").read_bytes()
STORED = (DATA / "good-stored.zip").read_bytes()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


CONTENT = members(GOOD)


def beside(**changed: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    for path in sorted(JOURNAL.iterdir()):
        yield path.name, iter([changed.get(path.name, path.read_bytes())])


def prove(container: bytes | None = None, *, sidecar: bool = True) -> SalvageReport:
    read = None if container is None else io.BytesIO(container).read
    return salvage(sidecar=beside() if sidecar else (), container=read)


def payload(report: SalvageReport) -> list[str]:
    return [one.path for one in report.proved if one.path.startswith("data/")]


def test_a_killed_capture_proves_every_closed_epoch() -> None:
    report = prove(PARTIAL.read_bytes())
    assert report.journal.proved == 2
    assert report.start is not None
    assert payload(report) == [
        "data/processes/000001.tar", "data/linux_logs/000002.log", "data/linux_logs/000003.log",
    ]  # fmt: skip
    assert [(one.path, one.reason) for one in report.unproved] == [
        ("data/histories/000005.txt", "torn")
    ]
    assert not report.complete
    assert report.damage


def test_the_container_alone_proves_the_same() -> None:
    assert payload(prove(PARTIAL.read_bytes(), sidecar=False)) == payload(
        prove(PARTIAL.read_bytes())
    )


def test_the_journal_alone_names_what_is_lost() -> None:
    report = prove()
    assert [one.path for one in report.proved] == ["hozen/files/000001.jsonl"]
    assert "data/linux_logs/000002.log" in {
        one.path for one in report.unproved if one.reason == "lost"
    }


def test_a_whole_container_is_told_so_and_proved_completely() -> None:
    report = prove(GOOD, sidecar=False)
    outside = {"hozen/bundle.json", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"}
    assert report.complete
    assert report.journal.end is not None
    assert {one.path for one in report.unproved} == {*outside, "signatures/agent.p7s"}


def test_a_changed_file_contradicts_its_proved_record() -> None:
    data = bytearray(STORED)
    at = STORED.index(CONTENT["data/linux_logs/000002.log"])
    data[at] ^= 1
    torn = bytes(data[: at + 4000])  # the CRC tells that the member is damaged
    assert "data/linux_logs/000002.log" not in payload(prove(torn))
    report = prove((DATA / "evidence-flipped.zip").read_bytes(), sidecar=False)
    assert [one.path for one in report.contradictions] == ["data/linux_logs/000002.log"]


@pytest.mark.parametrize(
    "name", ["resealed-journal", "resealed-journal-own-key", "journal-flipped"]
)
def test_an_altered_segment_proves_nothing_from_there_on(name: str) -> None:
    report = prove((DATA / f"{name}.zip").read_bytes(), sidecar=False)
    assert report.journal.proved == 1
    assert payload(report) == []


def test_a_foreign_signature_over_the_start_binds_nothing() -> None:
    forged = CONTENT["signatures/agent.p7s"]
    report = salvage(sidecar=beside(**{"start.p7s": forged}))
    assert report.start is None
    assert report.journal.proved == 2


def test_a_sidecar_that_differs_from_the_container_is_not_mixed_with_it() -> None:
    other = members((DATA / "remade.zip").read_bytes())
    forged = {
        f"00000{n}.{end}": other[f"hozen/journal/00000{n}.{end}"]
        for n in range(2)
        for end in ("jsonl", "sig", "pub")
    }
    report = salvage(sidecar=beside(**forged), container=io.BytesIO(GOOD).read)
    assert {one.path for one in report.contradictions} == {"000000", "000001"}
    assert report.journal.proved == 3
    assert report.start is not None


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(STORED)), with_journal=st.booleans())
def test_a_cut_at_any_byte_proves_only_true_bytes(cut: int, with_journal: bool) -> None:
    report = prove(STORED[:cut], sidecar=with_journal)
    for one in report.proved:
        data = CONTENT[one.path]
        whole = data if one.extent == WHOLE else data[: one.size]
        assert (len(whole), sha256(whole).hexdigest()) == (one.size, one.sha256)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_proves_other_bytes(at: int, bit: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= 1 << bit
    for one in prove(bytes(data), sidecar=False).proved:
        assert sha256(CONTENT[one.path][: one.size]).hexdigest() == one.sha256
    assert PREFIX != WHOLE


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(["000000.jsonl", "000001.jsonl", "000001.sig", "000001.pub", "start.p7s"]),
    junk=st.binary(max_size=200),
)
def test_junk_beside_the_container_is_never_an_error(name: str, junk: bytes) -> None:
    report = salvage(
        sidecar=beside(**{name: junk}), container=io.BytesIO(PARTIAL.read_bytes()).read
    )
    assert report.journal.proved == 2  # the container's own journal proves as much
