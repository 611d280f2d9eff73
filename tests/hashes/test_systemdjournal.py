"""Journal files of systemd: what journalctl says of them, byte for byte, and damage that is found."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import exported, make

from hozen_hashes.errors import BadDataError, FormatError
from hozen_hashes.systemdjournal import checking, exporting, reading
from hozen_hashes.systemdjournal.header import read_header
from hozen_hashes.systemdjournal.reading import JournalFile
from hozen_hashes.systemdjournal.siphash import siphash24

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("journal"))


@pytest.fixture(scope="module")
def used(made: Path) -> bytes:
    """The file up to the end of its last object: the rest is preallocated."""
    data = made.read_bytes()
    header = read_header(data)
    (size,) = struct.unpack_from("<Q", data, header.tail_object + 8)
    end = (header.tail_object + size + 7) & ~7
    return data[:96] + struct.pack("<Q", end - header.header_size) + data[104:end]


def test_the_export_is_that_of_journalctl(made: Path) -> None:
    with made.open("rb") as file:
        export = exporting.Export(JournalFile(file))
        assert b"".join(export.entries()) == exported(made)
    assert export.left_out == 0


def test_a_whole_file_has_no_findings(made: Path) -> None:
    with made.open("rb") as file:
        journal = JournalFile(file)
        found = checking.check(journal)
    assert found.findings == []
    assert found.entries == journal.header.entries == 200
    assert found.hashed > 0
    assert journal.header.as_record()["state"] in {"offline", "archived"}


def test_compressed_fields_are_counted_where_they_cannot_be_opened(tmp_path: Path) -> None:
    path = make(tmp_path, compress=True)
    with path.open("rb") as file:
        journal = JournalFile(file)
        found = checking.check(journal)
        export = exporting.Export(journal)
        text = b"".join(export.entries())
    assert found.findings == []
    assert (found.unopened > 0) == (export.left_out > 0)
    if export.left_out == 0:
        assert text == exported(path)


def test_a_changed_message_is_found(used: bytes) -> None:
    at = used.index(b"MESSAGE=message 77")
    changed = used[:at] + b"MESSAGE=message 99" + used[at + 18 :]
    found = checking.check(JournalFile(io.BytesIO(changed)))
    assert any("its hash does not hold" in text for text in found.findings)


def test_a_removed_entry_is_found(used: bytes) -> None:
    journal = JournalFile(io.BytesIO(used))
    following, offsets = journal.array_at(journal.header.entry_array)
    del following
    form, size = ("<I", 4) if journal.header.compact else ("<Q", 8)
    changed = bytearray(used)
    at = journal.header.entry_array + 24
    changed[at : at + size] = struct.pack(form, offsets[1])
    found = checking.check(JournalFile(io.BytesIO(bytes(changed))))
    assert found.findings


def test_a_cut_file_is_refused_or_has_findings(used: bytes) -> None:
    with pytest.raises(FormatError):
        JournalFile(io.BytesIO(used[:-64]))
    with pytest.raises(FormatError):
        JournalFile(io.BytesIO(b"LPKSHHRH"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)  # fmt: skip
@given(where=st.integers(0, 100_000), value=st.binary(min_size=1, max_size=8))
def test_any_changed_bytes_end_in_findings_or_nothing_worse(used: bytes, where: int, value: bytes) -> None:  # fmt: skip
    data = bytearray(used)
    at = where % len(data)
    data[at : at + len(value)] = value
    try:
        journal = JournalFile(io.BytesIO(bytes(data)))
        checking.check(journal, hashes=False)
        for _ in exporting.Export(journal).entries():
            pass
    except BadDataError:
        pass


@given(st.binary(max_size=400))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        read_header(b"LPKSHHRH" + data).as_record()
    except FormatError:
        assert len(data) < 200


@given(st.binary(max_size=60))
def test_any_lz4_block_is_opened_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadDataError):
        reading._lz4((16).to_bytes(8, "little") + data, 0)


def test_lz4_and_siphash_agree_with_published_examples() -> None:
    assert reading._lz4((12).to_bytes(8, "little") + b"\x16a\x01\x00\x10b", 0) == b"a" * 11 + b"b"
    # The test vector of the SipHash paper, appendix A.
    assert siphash24(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5
