from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import bag, spool
from hozen_hashes.digest import sha256_hex
from hozen_hashes.errors import BadDataError, CannotWriteError, FormatError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)


def temporary() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile())


@given(st.lists(HASHES, max_size=20), st.data())
def test_a_manifest_cut_anywhere_gives_its_lines(hashes: list[str], data: st.DataObject) -> None:
    spooled = bag.ManifestSpool()
    lines = [(f"data/logs/{n:06d}.log", sha) for n, sha in enumerate(hashes)]
    for path, sha in lines:
        spooled.add(path, sha)
    text = b"".join(spooled.chunks())
    assert spooled.size == len(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(bag.parse_manifest(pieces)) == lines


@given(st.lists(st.binary(max_size=90)))
def test_any_bytes_are_a_manifest_or_our_own_error(chunks: list[bytes]) -> None:
    try:
        found = list(bag.parse_manifest(chunks))
    except BadDataError:
        return
    assert b"".join(bag.manifest_line(sha, path) for path, sha in found) == b"".join(chunks)


@pytest.mark.parametrize(
    "text",
    [
        "A" * 64 + "  bagit.txt\n",
        "a" * 63 + "  bagit.txt\n",
        "a" * 64 + " bagit.txt\n",
        "a" * 64 + " *bagit.txt\n",
        "a" * 64 + "   bagit.txt\n",
        "a" * 64 + "  bagit.txt",
        "a" * 64 + "  bagit.txt\r\n",
        "a" * 64 + "  ../x\n",
        "a" * 64 + "  data/x\n",
        "a" * 64 + "  bagit.txt\n\n",
        "\ufeff" + "a" * 64 + "  bagit.txt\n",
        ("a" * 64 + "  bagit.txt\n") * 2,
        "a" * 64 + "  readme-verify.txt\n" + "a" * 64 + "  README-VERIFY.txt\n",
        "\\" + "a" * 64 + "  bagit.txt\n",
    ],
)
def test_a_line_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        list(bag.parse_manifest([text.encode()]))


def test_a_line_without_end_is_not_gathered_for_ever() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"a" * 100

    with pytest.raises(FormatError, match="more than 512"):
        list(bag.parse_manifest(endless()))


def test_sha256sum_and_bagit_accept_what_is_written(tmp_path: Path) -> None:
    payload = b"line\n" * 99
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data/logs/000001.log").write_bytes(payload)
    manifest = bag.manifest_line(sha256_hex(payload), "data/logs/000001.log")
    info = bag.bag_info([("Bagging-Date", "2026-11-23"), ("Payload-Oxum", f"{len(payload)}.1")])
    for name, content in (
        ("bagit.txt", bag.BAGIT_TXT),
        ("manifest-sha256.txt", manifest),
        ("bag-info.txt", info),
    ):
        (tmp_path / name).write_bytes(content)
    subprocess.run(["sha256sum", "-c", "--strict", "manifest-sha256.txt"], cwd=tmp_path, check=True)
    assert bagit.Bag(str(tmp_path)).validate()


def test_no_value_of_bag_info_can_become_another_field() -> None:
    fields = [("Contact", "A\nSource: B\r\n\u2028 C"), ("Purpose", " 保全 \udcff ")]
    data = bag.bag_info(fields)
    assert data == "Contact: A Source: B  C\nPurpose: 保全 \\udcff\n".encode()
    assert [label for label, _ in bag.parse_bag_info(data)] == ["Contact", "Purpose"]


@given(st.lists(st.tuples(st.just("Label-1"), st.text())))
def test_bag_info_comes_back_line_for_line(fields: list[tuple[str, str]]) -> None:
    assert len(bag.parse_bag_info(bag.bag_info(fields))) == len(fields)


@pytest.mark.parametrize("label", ["", "a b", "a:", "1a", "é"])
def test_a_label_that_is_no_word_is_our_own_fault(label: str) -> None:
    with pytest.raises(InternalError):
        bag.bag_info([(label, "x")])


@pytest.mark.parametrize("data", [b"a", b"a:b\n", b" folded\n", b"A: \xff\n", b"\n", b"A: x"])
def test_another_form_of_bag_info_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        bag.parse_bag_info(data)


def test_a_long_manifest_leaves_memory_and_comes_back_twice() -> None:
    opened: list[BinaryIO] = []

    def spill() -> BinaryIO:
        opened.append(temporary())
        return opened[-1]

    spooled = bag.ManifestSpool(spill=spill)
    expected = bytearray()
    for number in range(60_000):
        spooled.add(f"data/logs/{number:06d}.log", "ab" * 32)
        expected += bag.manifest_line("ab" * 32, f"data/logs/{number:06d}.log")
    assert len(opened) == 1
    assert b"".join(spooled.chunks()) == bytes(expected)
    spooled.add("data/logs/060000.log", "cd" * 32)
    expected += bag.manifest_line("cd" * 32, "data/logs/060000.log")
    assert b"".join(spooled.chunks()) == bytes(expected)
    spooled.close()
    assert opened[0].closed


def test_a_temporary_file_that_is_full_is_our_own_error() -> None:
    with open("/dev/full", "r+b", buffering=0) as full:
        spooled = spool.Spool(lambda: cast("BinaryIO", full))
        with pytest.raises(CannotWriteError):
            spooled.append(bytes(spool.IN_MEMORY + 1))
