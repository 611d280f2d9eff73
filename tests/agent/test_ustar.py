"""The tar made by hand, read by three other programs."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.proc.sweep import ERROR, FILE, LINK
from hozen_agent.reading import ustar
from hozen_agent.reading.ustar import tar_stream

ENTRIES = [
    (b"proc/1/stat", FILE, b"1 (x) S", 0),
    (b"proc/1/exe", LINK, b"/usr/bin/x (deleted)", 0),
    (b"proc/1/fd/3", LINK, b"socket:[12345]", 0),
    (b"proc/1/empty", FILE, b"", 0),
    (b"proc/1/cwd", LINK, b"/tmp/" + b"d" * 300, 0),
    (b"proc/1/root", LINK, b"/\xff\xfe" + b"\x80" * 200, 0),
    (b"proc/1/short", LINK, b"/\xff\xfe\n", 0),
    (b"proc/1/" + b"n" * 150, FILE, b"z" * 70_000, 0),
    (b"proc/2/cmdline", ERROR, b"", errno.EACCES),
    (b'odd"\\\xff %', ERROR, b"", 9999),
]


def whole(entries: list[tuple[bytes, str, bytes, int]]) -> bytes:
    return b"".join(tar_stream(entries, seconds=1_700_000_000))


def raw_name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def test_python_reads_every_member_back() -> None:
    with tarfile.open(fileobj=io.BytesIO(whole(ENTRIES))) as tar:
        members = {raw_name(member.name): member for member in tar}
        assert members[b"proc"].isdir()
        assert members[b"proc/1/fd"].isdir()
        assert all(member.mtime == 1_700_000_000 for member in members.values())
        for name, kind, data, _ in ENTRIES:
            if kind == FILE:
                file = tar.extractfile(members[name])
                assert file is not None
                assert file.read() == data
            elif kind == LINK:
                assert raw_name(members[name].linkname) == data


def test_failures_are_the_last_member_one_line_each() -> None:
    with tarfile.open(fileobj=io.BytesIO(whole(ENTRIES))) as tar:
        last = tar.getmembers()[-1]
        assert last.name == "ERRORS.jsonl"
        file = tar.extractfile(last)
        assert file is not None
        lines = [json.loads(line) for line in file.read().splitlines()]
    assert lines == [
        {"name": "proc/2/cmdline", "errno": errno.EACCES, "error": "EACCES"},
        {"name": 'odd"\\%FF%20%25', "errno": 9999, "error": ""},
    ]


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_other_programs_extract_it(program: str, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(whole(ENTRIES))
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [program, "-xf", str(archive), "-C", str(out)],
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    for name, kind, data, _ in ENTRIES:
        path = bytes(out) + b"/" + name
        if kind == FILE:
            assert Path(path.decode()).read_bytes() == data
        elif kind == LINK:
            assert bytes(Path(path.decode()).readlink()) == data


def test_the_same_entries_give_the_same_bytes() -> None:
    assert whole(ENTRIES) == whole(list(ENTRIES))
    assert len(whole(ENTRIES)) % 512 == 0


def test_a_member_beyond_8_gib_gets_its_size_from_a_pax_record() -> None:
    tar = ustar._Tar(0)
    tar._header(b"big", b"0", size=9 << 30)
    with tarfile.open(fileobj=io.BytesIO(tar.take())) as read:
        member = read.next()
        assert member is not None
        assert member.size == 9 << 30


SEGMENT = st.binary(min_size=1, max_size=60).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in {b".", b".."}
)
NAME = st.lists(SEGMENT, min_size=1, max_size=4).map(b"/".join)


@given(
    st.dictionaries(NAME, st.one_of(st.tuples(st.just(FILE), st.binary(max_size=2000)),
        st.tuples(st.just(LINK), st.binary(min_size=1, max_size=300).filter(lambda raw: b"\0" not in raw)))),
)  # fmt: skip
def test_any_names_and_bytes_come_back(found: dict[bytes, tuple[str, bytes]]) -> None:
    entries = [(name, kind, data, 0) for name, (kind, data) in found.items()]
    with tarfile.open(fileobj=io.BytesIO(whole(entries)), errors="surrogateescape") as tar:
        members = {raw_name(m.name): m for m in tar if not m.isdir()}
        for name, (kind, data) in found.items():
            if name.rstrip(b"/") != name or name == b"ERRORS.jsonl":
                continue
            member = members[name]
            if kind == LINK:
                assert raw_name(member.linkname) == data
            else:
                assert member.size == len(data)
