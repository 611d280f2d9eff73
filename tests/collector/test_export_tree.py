"""The tree for tools: what of it lies where, what is repaired, and what a hostile host cannot make of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from exporting import export
from hypothesis import given
from hypothesis import strategies as st
from sealed_items import STAT, Item, lines, seal, snapshot

from hozen_collector.export.uac import sparse
from hozen_collector.export.uac.names import Taken, below_root
from hozen_collector.export.uac.repairs import HEADERS, parent_of, repaired, stub
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

STATE = b"%d (%s) S %d 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0" + b" 0" * 30 + b"\n"
SWEEP: dict[str, bytes | str] = {
    "proc/uptime": b"100.50 1.00\n",
    "proc/stat": b"cpu 1 2 3\nbtime 1795410000\n",
    "proc/self": "9",
    "proc/1/stat": STATE % (1, b"init", 0, 5),
    "proc/9/stat": STATE % (9, b"odd ) R (\xff\n", 1, 7),
    "proc/9/cmdline": b"sleep\xff\0\xe6\x97\xa5\0",
    "proc/12/stat": STATE % (12, b"orphan", 11, 8),
    "proc/13/cmdline": b"no stat\0",
    "proc/9/net/tcp": HEADERS[b"tcp"],
    "proc/9/net/unix": HEADERS[b"unix"]
    + b"0: 00000002 00000000 00010000 0001 01 77 @a b\xff\n"
    + b"0: 00000002 00000000 00010000 0001 02 78 /run/connecting\n"
    + b"cut off\n",
}


def tree_of(bundle: Path, *more: str) -> tuple[tarfile.TarFile, list[dict[str, Any]]]:
    ran = export(bundle, "uac", "-", *more)
    assert ran.returncode == 0, ran.stderr.decode()
    tar = opened(ran.stdout)
    links = [json.loads(line) for line in content(tar, "hozen/links.jsonl").splitlines()]
    return tar, links


def opened(data: bytes) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape")


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    later: dict[str, bytes | str] = {
        "proc/9/stat": STATE % (9, b"another", 1, 99),
        "proc/9/environ": b"A=1\0",
        "proc/1/exe": "/sbin/init",
    }
    return seal(
        tmp_path,
        [
            Item("processes", b"/proc", snapshot(SWEEP), "tar", "snapshot"),
            Item("processes", b"/proc", snapshot(later), "tar", "snapshot"),
            Item("processes", b"/proc", lines({"pid": 1, "name": "init"}), "jsonl", "record"),
        ],
    )


def test_a_parent_that_was_gone_is_stood_for_by_a_marked_stub(swept: Path) -> None:
    tar, links = tree_of(swept)
    assert content(tar, "[root]/proc/11/stat").startswith(b"11 (hozen-stub) X 0 ")
    (line,) = [one for one in links if one["path"] == "[root]/proc/11/stat"]
    assert line["repair"] == "stands for a parent that was gone"
    assert "items" not in line, "no sealed item says anything of it"


def test_a_process_without_a_whole_stat_is_not_in_the_tree_but_beside_it(swept: Path) -> None:
    tar, _ = tree_of(swept)
    assert "[root]/proc/13/cmdline" not in tar.getnames()
    beside = opened(content(tar, "hozen/data/processes/000001.tar"))
    assert content(beside, "proc/13/cmdline") == b"no stat\0"


def test_tables_that_the_host_does_not_have_are_there_with_their_header_alone(swept: Path) -> None:
    tar, _ = tree_of(swept)
    for table in ("tcp6", "udp6", "raw6", "packet"):
        assert content(tar, f"[root]/proc/net/{table}") == HEADERS[table.encode()]


def test_bytes_that_end_the_listing_of_a_tool_are_text_in_the_tree_and_bytes_beside_it(
    swept: Path,
) -> None:
    tar, links = tree_of(swept)
    assert content(tar, "[root]/proc/9/cmdline") == b"sleep\\xff\0\xe6\x97\xa5\0"
    assert content(tar, "[root]/proc/9/stat").startswith(b"9 (odd ) R (\\xff\\x0a) S 1 ")
    rows = content(tar, "[root]/proc/net/unix").splitlines()
    assert rows[1:] == [b"0: 00000002 00000000 00010000 0001 01 77 @a\\x20b\\xff"]
    repairs = {one["path"]: one["repair"] for one in links if "repair" in one}
    assert "2 lines left out" in repairs["[root]/proc/net/unix"]
    assert "no UTF-8" in repairs["[root]/proc/9/cmdline"]


def test_a_number_that_went_to_another_process_keeps_the_files_of_the_first(swept: Path) -> None:
    tar, _ = tree_of(swept)
    assert "[root]/proc/9/environ" not in tar.getnames()
    assert tar.getmember("[root]/proc/1/exe").linkname == "/sbin/init"


def test_the_same_bundle_gives_the_same_bytes_compressed_or_not(
    swept: Path, tmp_path: Path
) -> None:
    plain = export(swept, "uac", "-").stdout
    assert export(swept, "uac", "-").stdout == plain
    for name in ("one.tar.gz", "two.tgz"):
        assert export(swept, "uac", tmp_path / name).returncode == 0
    assert gzip.decompress((tmp_path / "one.tar.gz").read_bytes()) == plain
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tgz").read_bytes()


def test_names_that_would_leave_the_tree_lie_under_their_sealed_name_alone(tmp_path: Path) -> None:
    hostile = [
        b"/../../etc/cron.d/x",
        b"/a/./b",
        b"relative",
        b"/a//b",
        b"/nul\0",
        b"/" + b"x" * 300,
    ]
    bundle = seal(tmp_path, [Item("linux_logs", one, b"evil", stat=STAT) for one in hostile])
    tar, _ = tree_of(bundle)
    names = [name for name in tar.getnames() if name.startswith("[root]")]
    assert names == []
    for number in range(1, len(hostile) + 1):
        assert content(tar, f"hozen/data/linux_logs/{number:06d}.bin") == b"evil"


def test_nothing_is_written_through_a_link_of_the_tree(tmp_path: Path) -> None:
    items = [
        Item("linux_logs", b"/var/log/a", b"/etc/cron.d", "link", "link", stat=STAT),
        Item("linux_logs", b"/var/log/a/x", b"evil", stat=STAT),
        Item("linux_logs", b"/srv/file", b"a file", stat=STAT),
        Item("linux_logs", b"/srv/file/below", b"evil", stat=STAT),
        Item(
            "kernel", b"/proc", snapshot({"sys/a": "/etc", "sys/a/b": b"evil"}), "tar", "snapshot"
        ),
    ]
    tar, _ = tree_of(seal(tmp_path, items))
    names = {one.name for one in tar if not one.isdir()}
    assert {"[root]/var/log/a", "[root]/srv/file", "[root]/sys/a"} <= names
    assert not {"[root]/var/log/a/x", "[root]/srv/file/below", "[root]/sys/a/b"} & names


def test_a_file_that_two_families_captured_alike_is_there_once(tmp_path: Path) -> None:
    items = [
        Item("sessions", b"/var/log/wtmp", b"logins", stat=STAT),
        Item("linux_logs", b"/var/log/wtmp", b"logins", stat=STAT),
        Item("machine", b"/var/log/wtmp", b"logins and one more", stat=STAT),
    ]
    tar, links = tree_of(seal(tmp_path, items))
    (line,) = [one for one in links if one["path"] == "[root]/var/log/wtmp"]
    assert line["items"] == [1, 2]
    assert "hozen/data/linux_logs/000002.bin" not in tar.getnames(), "a tool would count it twice"
    assert content(tar, "hozen/data/machine/000003.bin") == b"logins and one more"


def test_owner_mode_times_and_every_kind_of_name_are_kept(tmp_path: Path) -> None:
    names = [
        b"/t/Evil.sh",
        b"/t/evil.sh",
        b"/t/\xff",
        b"/t/two\nlines",
        "/t/日本".encode(),
        b"/t/" + b"n" * 200,
    ]
    stat = {**STAT, "mode": "0104755", "uid": 4_000_000_000, "gid": 50}
    tar, _ = tree_of(seal(tmp_path, [Item("linux_logs", n, n, stat=stat) for n in names]))
    for name in names:
        member = tar.getmember("[root]" + name.decode("utf-8", "surrogateescape"))
        assert (member.mode, member.uid, member.gid) == (0o4755, 4_000_000_000, 50)
        assert member.pax_headers["mtime"] == "1795410000.123456789"
        assert content(tar, member.name) == name
    directories = {one.name for one in tar if one.isdir()}
    assert {"[root]", "[root]/t", "hozen"} <= directories, "tools want each directory by name"


def sparse_tar(extents: list[tuple[int, bytes]], size: int) -> bytes:
    """A sparse member as GNU tar writes it, made by GNU tar itself of a file with holes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "holes")
        with open(path, "wb") as file:
            file.truncate(size)
            for offset, data in extents:
                file.seek(offset)
                file.write(data)
        command = [
            "tar",
            "--format=pax",
            "--sparse-version=1.0",
            "--hole-detection=seek",
            "-S",
            "-C",
            folder,
        ]
        return subprocess.run(
            [*command, "-cf", "-", "holes"], capture_output=True, check=True
        ).stdout


@given(st.integers(1, 4096))
def test_holes_are_filled_whatever_the_chunks(step: int) -> None:
    want = bytes(8 << 20) + b"login" + bytes((4 << 20) - 5)
    made = HOLES
    chunks = (made[at : at + step * 7] for at in range(0, len(made), step * 7))
    assert b"".join(sparse.expanded(chunks, len(want))) == want


HOLES = sparse_tar([(8 << 20, b"login")], 12 << 20)


@given(st.integers(0, len(HOLES) - 1))
def test_a_cut_sparse_file_is_refused_and_never_read_for_ever(length: int) -> None:
    cut = HOLES[:length]
    with_holes = iter([cut])
    try:
        whole = b"".join(sparse.expanded(with_holes, 12 << 20))
    except FormatError:
        return
    assert whole[8 << 20 :][:5] == b"login", "only the padding behind the data may be missing"


@given(st.binary(max_size=2048))
def test_any_bytes_as_a_sparse_file_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        list(sparse.expanded(iter([data]), 1000))


@given(
    st.sampled_from(
        [
            b"proc/1/stat",
            b"proc/1/net/unix",
            b"proc/1/net/packet",
            b"proc/1/net/tcp6",
            b"proc/1/environ",
        ]
    ),
    st.binary(),
)
def test_whatever_the_bytes_the_repaired_form_is_text(name: bytes, data: bytes) -> None:
    fixed, reason = repaired(name, data)
    fixed.decode("utf-8")
    assert reason or fixed == data


@given(st.binary(max_size=40))
def test_a_name_below_the_root_never_leaves_it(path: bytes) -> None:
    name = below_root(b"/" + path)
    if name is not None:
        assert b".." not in name.split(b"/")
        assert name.startswith(b"[root]/")


@given(st.lists(st.text("ab/", min_size=1, max_size=5)))
def test_what_is_a_directory_is_never_a_file(names: list[str]) -> None:
    taken = Taken()
    given_out = [name for name in names if taken.add(name.strip("/").encode() or b"a")]
    leaves = {name.strip("/") or "a" for name in given_out}
    assert not any(one.startswith(other + "/") for one in leaves for other in leaves)


def test_the_stub_reads_as_a_stat() -> None:
    assert parent_of(stub(11)) == (0, "0")
    assert parent_of(b"11 (cut") is None
