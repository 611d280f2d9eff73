from __future__ import annotations

import io
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes import zipread
from hozen_hashes.errors import FormatError, InternalError
from hozen_hashes.zipstream import ZipStream
from hozen_hashes.zipwalk import walk

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = "hz-20261123T050000Z-web01-5f3a9c10/"
LINES = [b"line %d of a log that is being written\n" % number for number in range(6)]
FILES = {
    TOP + "bagit.txt": b"BagIt-Version: 1.0\n",
    TOP + "data/logs/000001.log": b"".join(LINES),
    TOP + "data/logs/000002.bin": os.urandom(500),
    TOP + "data/logs/000003.log": b"a line that comes again\n" * 40,
    TOP + "hozen/plan.json": b"",
}


def sample() -> tuple[bytes, list[int]]:
    """Return a container, and after which byte each line of the flushed member is decodable."""
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    flushed = []
    for name, data in FILES.items():
        if name.endswith("000001.log"):
            member = container.open(name)
            for line in LINES:
                member.write(line)
                member.flush()
                flushed.append(container.offset)
            member.close()
        else:
            container.add(name, data)
    container.finish()
    return sink.getvalue(), flushed


DATA, FLUSHED = sample()
ENTRIES = zipread.read_directory(io.BytesIO(DATA))
ENDS = [entry.offset for entry in ENTRIES[1:]] + [DATA.index(b"PK\1\2")]


def salvaged(data: bytes) -> tuple[dict[str, bytes], dict[str, bytes], str]:
    """Return whole members, torn members and the damage."""
    whole: dict[str, bytes] = {}
    torn: dict[str, bytes] = {}
    walked = walk(io.BytesIO(data).read, recover=True)
    for member in walked:
        content = b"".join(member.chunks())
        (whole if member.whole else torn)[member.name] = content
    assert walked.complete is not bool(walked.damage)
    return whole, torn, walked.damage


def test_members_come_out_of_a_pipe_in_order() -> None:
    inlet, outlet = os.pipe()
    with open(outlet, "wb", buffering=0) as sink, open(inlet, "rb", buffering=0) as source:

        def write() -> None:
            sink.writelines(DATA[at : at + 7] for at in range(0, len(DATA), 7))
            sink.close()

        writer = threading.Thread(target=write)
        writer.start()
        walked = walk(source.read)
        assert {member.name: b"".join(member.chunks()) for member in walked} == FILES
        writer.join()
    assert walked.complete
    assert walked.position == len(DATA)
    assert walked.bundle_id == TOP[:-1]


@given(st.lists(st.integers(1, 99), min_size=1, max_size=9))
def test_reads_of_any_length_give_the_same(lengths: list[int]) -> None:
    source, number = io.BytesIO(DATA), 0

    def read(limit: int) -> bytes:
        nonlocal number
        number += 1
        return source.read(min(limit, lengths[number % len(lengths)]))

    assert {member.name: b"".join(member.chunks()) for member in walk(read)} == FILES


def test_what_is_known_of_a_member_is_known_after_its_content() -> None:
    walked = walk(io.BytesIO(DATA).read)
    seen: list[object] = []
    for member in walked:
        before = [(member.whole, member.entry)]
        before += [(member.whole, member.entry) for _ in member.chunks()]
        assert set(before) == {(False, None)}
        assert member.whole
        seen.append(member.entry)
    assert seen == ENTRIES


def test_content_that_nobody_reads_is_checked_all_the_same() -> None:
    assert [member.path for member in walk(io.BytesIO(DATA).read)] == [e.path for e in ENTRIES]
    damaged = bytearray(DATA)
    damaged[ENTRIES[2].start] ^= 1
    with pytest.raises(FormatError, match=r"000002\.bin"):
        list(walk(io.BytesIO(bytes(damaged)).read))


def test_content_that_is_left_half_read_is_read_to_its_end() -> None:
    walked = walk(io.BytesIO(DATA).read)
    for member in walked:
        next(member.chunks(), None)
    assert walked.complete


def test_content_that_was_closed_is_our_own_fault() -> None:
    walked = walk(io.BytesIO(DATA).read)
    content = next(walked).chunks()
    next(content)
    content.close()  # type: ignore[attr-defined]
    with pytest.raises(InternalError):
        next(walked)


def test_a_whole_container_is_salvaged_as_it_is() -> None:
    assert salvaged(DATA) == (FILES, {}, "")


def test_truncated_anywhere_exactly_the_intact_members_come_back() -> None:
    log = TOP + "data/logs/000001.log"
    for length in range(len(DATA)):
        whole, torn, damage = salvaged(DATA[:length])
        intact = [entry.name for entry, end in zip(ENTRIES, ENDS, strict=True) if end <= length]
        assert list(whole) == intact, length
        assert all(whole[name] == FILES[name] for name in whole)
        assert len(torn) <= 1
        assert all(FILES[name].startswith(content) for name, content in torn.items())
        lines = sum(end <= length for end in FLUSHED)
        assert (whole | torn).get(log, b"").startswith(b"".join(LINES[:lines])), length
        assert "byte" in damage


def test_a_torn_stored_member_gives_every_byte_that_is_there() -> None:
    noise = ENTRIES[2]
    _, torn, _ = salvaged(DATA[: noise.start + 100])
    assert torn == {noise.name: FILES[noise.name][:100]}


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\x55"])
def test_blocks_that_never_reached_the_disk_end_the_salvage(filler: bytes) -> None:
    """After a power failure a file can have its length but not its last blocks."""
    for length in range(0, len(DATA), 3):
        whole, torn, _ = salvaged(DATA[:length] + filler * (len(DATA) - length))
        intact = [entry.name for entry, end in zip(ENTRIES, ENDS, strict=True) if end <= length]
        assert list(whole)[: len(intact)] == intact
        assert all(content == FILES[name] for name, content in whole.items())
        for name, content in torn.items():
            entry = next(entry for entry in ENTRIES if entry.name == name)
            if entry.method == 0:
                assert (
                    content[: max(0, length - entry.start)]
                    == FILES[name][: max(0, length - entry.start)]
                )
        lines = sum(end <= length for end in FLUSHED)
        assert (
            (whole | torn)
            .get(TOP + "data/logs/000001.log", b"")
            .startswith(b"".join(LINES[:lines]))
        )


def test_damage_inside_a_long_deflate_stream_leaves_everything_before_it() -> None:
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    lines = b"".join(b"%d: a line of a long log\n" % number for number in range(300_000))
    member = container.open(TOP + "data/logs/000001.log")
    member.write(lines[: 5 << 20])
    member.flush()
    safe = container.offset
    member.write(lines[5 << 20 :])
    member.close()
    container.finish()
    data = sink.getvalue()
    _, torn, damage = salvaged(data[:safe] + b"\xff" * 5000)
    (content,) = torn.values()
    assert content == lines[: 5 << 20]
    assert "deflate" in damage


def test_any_flipped_bit_leaves_only_true_members_whole() -> None:
    for at in range(len(DATA)):
        for mask in (1, 4, 16, 32, 128):
            changed = bytearray(DATA)
            changed[at] ^= mask
            whole, torn, _ = salvaged(bytes(changed))
            assert len(torn) <= 1
            for name, content in whole.items():
                # A flipped name cannot be told from another name before the central directory.
                assert content == FILES.get(name, content)
            if not torn and len(whole) == len(FILES):
                assert list(whole.values()) == list(FILES.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300).map(lambda tail: b"PK\3\4" + tail) | st.binary(max_size=200))
def test_salvage_of_any_bytes_ends_with_a_word_on_the_damage(data: bytes) -> None:
    whole, _, damage = salvaged(data)
    assert damage
    assert not whole or data.startswith(b"PK")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda data: data[: ENDS[0]], "without a central directory"),
        (lambda data: data[: ENDS[-1] + 20], "in the middle of a record"),
        (lambda data: data[:50], "in the middle of a record"),
        (lambda data: data[: ENTRIES[2].start + 9], r"inside .*000002\.bin"),
        (lambda data: data + b"x", "after the end"),
        (lambda _: b"", "without a central directory"),
    ],
)
def test_the_damage_says_what_and_where(change: Callable[[bytes], bytes], word: str) -> None:
    _, _, damage = salvaged(change(DATA))
    assert re.search(word, damage), damage
    with pytest.raises(FormatError, match=word):
        list(walk(io.BytesIO(change(DATA)).read))
