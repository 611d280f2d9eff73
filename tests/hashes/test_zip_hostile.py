"""Containers that no honest writer makes: both readers refuse them, with our own error and within bounds."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes import zipread
from hozen_hashes.errors import BadDataError, FormatError, LimitError
from hozen_hashes.zipread import ZipLimits
from hozen_hashes.zipstream import ZipStream

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = "hz-20261123T050000Z-web01-5f3a9c10/"
MAX = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One member, each field of each header free to lie."""

    name: str | bytes = TOP + "a.txt"
    data: bytes = b"content"
    method: int = 0
    flags: int = 0
    body: bytes | None = None
    local: dict[str, int] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    local_name: str | bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    after: bytes = b""
    before: bytes = b""

    def packed(self) -> bytes:
        if self.body is not None:
            return self.body
        return zlib.compress(self.data, 6, -15) if self.method == 8 else self.data

    def values(self) -> dict[str, int]:
        return {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "compressed": len(self.packed()),
            "size": len(self.data),
            "version": 20,
            "disk": 0,
            "comment": 0,
            "external": 0o100444 << 16,
        }

    def header(self) -> bytes:
        name = raw(self.name if self.local_name is None else self.local_name)
        v = self.values() | self.local
        fixed = struct.pack(
            "<IHHHIIIIHH", v.get("signature", 0x04034B50), v["version"], v["flags"], v["method"],
            0x210000, v["crc"], v["compressed"], v["size"], len(name), len(self.local_extra),
        )  # fmt: skip
        return fixed + name + self.local_extra

    def entry(self, offset: int) -> bytes:
        name = raw(self.name)
        v = self.values() | {"offset": offset} | self.central
        fixed = struct.pack(
            "<IHHHHIIIIHHHHHII", v.get("signature", 0x02014B50), 0x0314, v["version"], v["flags"], v["method"],
            0x210000, v["crc"], v["compressed"], v["size"], len(name), len(self.central_extra),
            v["comment"], v["disk"], 0, v["external"], v["offset"],
        )  # fmt: skip
        return fixed + name + self.central_extra + bytes(v["comment"])


def raw(name: str | bytes) -> bytes:
    return name.encode() if isinstance(name, str) else name


def build(*members: Raw, order: list[int] | None = None, **end: int) -> bytes:
    """Return a container; `end` changes fields of the end record."""
    out, entries = b"", []
    for member in members:
        out += member.before
        entries.append(member.entry(len(out)))
        out += member.header() + member.packed() + member.after
    directory = b"".join(entries[at] for at in order or range(len(entries)))
    v = {"disk": 0, "here": len(entries), "count": len(entries), "size": len(directory)}
    v |= {"offset": len(out), "comment": 0} | end
    record = struct.pack(
        "<IHHHHIIH", 0x06054B50, v["disk"], v["disk"], v["here"], v["count"], v["size"], v["offset"], v["comment"]
    )  # fmt: skip
    return out + directory + record + bytes(v["comment"])


def seek(data: bytes, limits: ZipLimits = ZipLimits()) -> dict[str, bytes]:  # noqa: B008 - frozen
    file = io.BytesIO(data)
    entries = zipread.read_directory(file, limits=limits)
    return {
        entry.name: b"".join(zipread.open_entry(file, entry, limits=limits))
        for entry in entries
        if not entry.directory
    }


def stream(data: bytes, limits: ZipLimits = ZipLimits()) -> dict[str, bytes]:  # noqa: B008 - frozen
    return {
        member.name: b"".join(member.chunks())
        for member in zipread.walk(io.BytesIO(data).read, limits=limits)
    }


READERS = pytest.mark.parametrize("reader", [seek, stream])
GOOD = Raw()
OTHER = Raw(name=TOP + "b.txt", data=b"other content " * 40, method=8)


def zip64(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def descriptor(member: Raw, form: str = "<IIII", **changes: int) -> bytes:
    v = {"signature": 0x08074B50} | member.values() | changes
    return struct.pack(form, v["signature"], v["crc"], v["compressed"], v["size"])


def streamed(form: str = "<IIII", member: Raw = OTHER, **changes: int) -> Raw:
    lied = descriptor(member, form, **changes)
    zeros = {"crc": 0, "compressed": 0, "size": 0}
    return replace(member, flags=8, local=zeros, after=lied)


@READERS
@pytest.mark.parametrize(
    "members",
    [
        (GOOD,),
        (GOOD, OTHER),
        (replace(GOOD, data=b""),),
        (replace(OTHER, data=b""),),
        (replace(GOOD, central={"external": 0}),),
        (replace(GOOD, flags=0x0800),),
        (replace(OTHER, flags=0x0006),),
        (replace(GOOD, local_extra=b"UT\5\0\1abcd", central_extra=b"UT\1\0\1"),),
        (streamed(),),
        (replace(streamed("<IIQQ"), local_extra=zip64(0, 0)),),
        (replace(streamed(), local={"crc": 0, "compressed": 0}),),
        (replace(streamed("<IIII", GOOD), local={"crc": 0, "compressed": 0}), OTHER),
        (streamed("<IIII", replace(GOOD, data=b"")), OTHER),
        (replace(GOOD, local_extra=zip64(7, 7), local={"size": MAX, "compressed": MAX}),),
        (replace(GOOD, central_extra=zip64(7), central={"size": MAX}),),
        (replace(GOOD, central_extra=zip64(7, 7, 0), central={"size": MAX, "compressed": MAX}),),
        (replace(GOOD, central_extra=zip64(0), central={"offset": MAX}),),
        (Raw(name=TOP, data=b"", central={"external": 0o40755 << 16 | 16}), GOOD),
        (Raw(name=TOP + "data/", data=b"", central={"external": 0}),
         Raw(name=TOP + "data/logs/000001.log")),
        (Raw(name=TOP + "data/logs/", data=b"", central={"external": 16}), Raw(name=TOP + "data/logs/000001.log")),
    ],
)  # fmt: skip
def test_what_an_honest_repacker_makes_is_read(
    reader: Callable[[bytes], dict[str, bytes]], members: tuple[Raw, ...]
) -> None:
    files = {str(m.name): m.data for m in members if not str(m.name).endswith("/")}
    assert reader(build(*members)) == files


def lies() -> list[tuple[str, bytes]]:  # noqa: PLR0915 - a table
    """Return a word and the container for each way to lie."""
    good, other = GOOD, OTHER
    whole = build(good, other)
    found: list[tuple[str, bytes]] = []

    def lie(word: str, *members: Raw, order: list[int] | None = None, **end: int) -> None:
        found.append((word, build(*members, order=order, **end)))

    lie("encrypted", replace(good, flags=1))
    lie("strongly-encrypted", replace(good, flags=0x41))
    lie("masked-headers", replace(good, flags=0x2000))
    lie("patched", replace(good, flags=0x20))
    for method in (1, 6, 9, 12, 14, 93, 95, 99):
        lie(f"method-{method}", replace(good, method=method, body=good.data))
    for mode in (0o120777, 0o020666, 0o060660, 0o010666, 0o140777, 0o040755):
        lie(f"mode-{mode:o}", replace(good, central={"external": mode << 16}))
    lie("dos-directory", replace(good, central={"external": 0x10}))
    lie("file-mode-of-a-directory", Raw(name=TOP, data=b""), good)
    lie("version-255", replace(good, local={"version": 255}, central={"version": 255}))
    lie("twice", good, good)
    lie("twice-with-other-content", good, replace(good, data=b"second"))
    lie("case", Raw(name=TOP + "README-VERIFY.txt"), Raw(name=TOP + "readme-verify.txt"))
    lie("file-and-directory", good, Raw(name=TOP + "a.txt/b"))
    lie(
        "directory-without-members",
        good,
        Raw(name=TOP + "empty/", data=b"", central={"external": 0}),
    )
    lie("directory-twice", Raw(name=TOP, data=b"", central={"external": 0}),
        Raw(name=TOP, data=b"", central={"external": 0}), good)  # fmt: skip
    lie("directory-with-content", Raw(name=TOP, central={"external": 0}), good)
    folder = Raw(name=TOP, data=b"", central={"external": 0})
    lie(
        "directory-with-hidden-bytes",
        replace(folder, method=8, body=b"hidden", local={"method": 8}),
        good,
    )
    lie(
        "directory-with-a-crc",
        replace(folder, local={"crc": 1}, central={"external": 0, "crc": 1}),
        good,
    )
    names = (
        "a.txt", "/etc/passwd", TOP + "../x", TOP + "/x", TOP + "A.txt", TOP + ".x", TOP + "a\\b", TOP + "a\x00b",
        TOP + "a\n", TOP + "data/x", TOP + "a" * 81, TOP + "a/" * 90 + "a", "hz-1/a.txt", TOP + "é",
        TOP.replace("web01", "web02") + "c.txt", TOP[:-1],
    )  # fmt: skip
    for name in names:
        lie(f"name-{name[-20:]!r}", good, Raw(name=name))
    lie("no-name", good, Raw(name=""))
    lie("other-name", replace(good, local_name=TOP + "z.txt"))
    lie("other-case", replace(good, local_name=TOP + "A.txt"))
    for key in ("crc", "compressed", "size", "method", "flags"):
        lie(f"central-{key}", replace(other, central={key: other.values()[key] + 8}))
        lie(f"local-{key}", replace(other, local={key: other.values()[key] + 8}))
    for key in ("crc", "compressed", "size"):
        both = {key: other.values()[key] + 1}
        lie(f"both-{key}", replace(other, local=both, central=both), good)
        lie(f"descriptor-{key}", streamed("<IIII", OTHER, **both))
        lie(
            f"descriptor64-{key}",
            replace(streamed("<IIQQ", OTHER, **both), local_extra=zip64(0, 0)),
        )
        lie(f"streamed-central-{key}", replace(streamed(), central=both))
        lie(f"streamed-local-{key}", replace(streamed(), local=both))
        lie(f"all-{key}", replace(streamed("<IIII", OTHER, **both), central=both))
    shorter = {"compressed": len(other.packed()) - 1}
    lie("shorter", replace(other, local=shorter, central=shorter))
    lie("descriptor-of-another-width", streamed("<IIQQ"))
    lie("descriptor-of-another-width-64", replace(streamed("<IIII"), local_extra=zip64(0, 0)))
    lie("descriptor-without-signature", replace(streamed(), after=descriptor(other)[4:]))
    lie("no-descriptor", replace(streamed(), after=b""))
    lie("stored-with-descriptor", streamed("<IIII", good))
    size_less = {"crc": 0, "compressed": 0, "size": len(good.data) - 1}
    lie("stored-with-descriptor-shorter", replace(streamed("<IIII", good), local=size_less))
    size_more = {"crc": 0, "compressed": 0, "size": len(good.data) + 1}
    lie("stored-with-descriptor-longer", replace(streamed("<IIII", good), local=size_more))
    lie("not-deflate", replace(other, body=b"\xff" * 40))
    lie("deflate-with-tail", replace(other, body=other.packed() + b"hidden"))
    lie("deflate-cut", replace(other, body=other.packed()[:-1]))
    lie("stored-two-sizes", replace(good, local={"size": 6}, central={"size": 6}))
    lie("prefix", replace(good, before=b"MZ hidden"))
    lie("gap", good, replace(other, before=b"hidden"))
    lie("gap-before-directory", replace(good, after=b"hidden"))
    lie("gap-of-a-whole-member", replace(good, after=Raw(name=TOP + "h.txt").header() + b"content"))
    lie("out-of-order", good, other, order=[1, 0])
    lie("overlap", good, replace(other, central={"offset": 0}))
    lie("offset-into-another", good, replace(other, central={"offset": 10}))
    lie("offset-beyond", replace(good, central={"offset": 1 << 30}))
    lie("member-comment", replace(good, central={"comment": 5}))
    lie("member-disk", replace(good, central={"disk": 1}))
    lie("torn-extra", replace(good, local_extra=b"UT\x09\0ab", central_extra=b"UT\x09\0ab"))
    lie("torn-extra-header", replace(good, local_extra=b"UT\0", central_extra=b"UT\0"))
    lie("second-name", replace(good, local_extra=b"up\1\0x", central_extra=b"up\1\0x"))
    lie("aes", replace(good, local_extra=b"\x01\x99\1\0x", central_extra=b"\x01\x99\1\0x"))
    lie("huge-extra", replace(good, local_extra=b"UT\xfc\x07" + bytes(2044)))
    lie("zip64-missing", replace(good, central={"size": MAX}))
    lie("zip64-missing-local", replace(good, local={"size": MAX}))
    lie(
        "zip64-short",
        replace(good, central={"size": MAX, "compressed": MAX}, central_extra=zip64(7)),
    )
    lie("zip64-unneeded", replace(good, central_extra=zip64(7)))
    lie("zip64-other", replace(good, central_extra=zip64(7, 8, 0), central={"size": MAX}))
    lie("zip64-four", replace(good, central_extra=zip64(7, 7, 0, 0), central={"size": MAX}))
    lie("zip64-odd", replace(good, central_extra=b"\1\0\7\0" + bytes(7), central={"size": MAX}))
    lie("zip64-twice", replace(good, central_extra=zip64(7) * 2, central={"size": MAX}))
    lie("zip64-huge", replace(good, central_extra=zip64(1 << 63), central={"size": MAX}))
    lie("zip64-local-one", replace(good, local_extra=zip64(7), local={"size": MAX}))
    lie("zip64-local-other", replace(good, local_extra=zip64(8, 7), local={"size": MAX}))
    lie("zip64-local-contradiction", replace(good, local_extra=zip64(8, 8)))
    lie("comment", good, comment=7)
    lie("disk", good, disk=1)
    lie("count-more", good, count=2, here=2)
    lie("count-less", good, other, count=1, here=1)
    lie("count-none", good, count=0, here=0)
    lie("count-here", good, here=0)
    lie("count-65535", good, here=0xFFFF, count=0xFFFF)
    lie("directory-size", good, size=40)
    lie("directory-offset", good, offset=0)
    lie("directory-offset-max", good, offset=MAX)
    lie("directory-size-max", good, size=MAX)
    lie("local-signature", replace(good, local={"signature": 0x08074B50}))
    lie("central-signature", replace(good, central={"signature": 0x05054B50}))
    found += [
        ("trailing-byte", whole + b"\0"),
        ("trailing-zeros", whole + bytes(9000)),
        ("leading-byte", b"\0" + whole),
        ("two-containers", build(good) + build(other)),
        ("nothing", b""),
        ("no-member", build()),
        ("only-an-end-marker", b"PK\5\6"),
        ("no-end", whole[:-22]),
        ("torn-end", whole[:-1]),
        ("a-spanning-marker", b"PK00" + whole),
    ]
    for word, tail in tails64(whole, count=2):
        found.append((word, tail))
    return found


def tails64(whole: bytes, *, count: int) -> list[tuple[str, bytes]]:
    """Return the container with ZIP64 end records that lie."""
    *_, size, offset, _ = struct.unpack("<IHHHHIIH", whole[-22:])
    body = whole[:-22]

    def end64(**v: int) -> bytes:
        v = {
            "rest": 44,
            "disk": 0,
            "count": count,
            "size": size,
            "offset": offset,
            "at": len(body),
            "disks": 1,
        } | v
        tail = bytes(v.get("tail", 0))
        record = struct.pack(
            "<IQHHIIQQQQ", 0x06064B50, v["rest"], 0x032D, 45, v["disk"], v["disk"],
            v.get("here", v["count"]), v["count"], v["size"], v["offset"],
        )  # fmt: skip
        locator = struct.pack("<IIQI", 0x07064B50, 0, v["at"], v["disks"])
        short = v.get("short", count)
        end = struct.pack(
            "<IHHHHIIH", 0x06054B50, 0, 0, short, short, v.get("short_size", size), v.get("short_offset", offset), 0
        )  # fmt: skip
        return body + record + tail + locator + end

    assert stream(end64()) == seek(end64()) == stream(whole)
    assert stream(end64(short=0xFFFF, short_size=MAX, short_offset=MAX)) == stream(whole)
    return [
        ("end64-rest", end64(rest=45)),
        ("end64-tail", end64(rest=50, tail=6)),
        ("end64-hidden-tail", end64(tail=6)),
        ("end64-disk", end64(disk=1)),
        ("end64-disks", end64(disks=2)),
        ("end64-count", end64(count=1)),
        ("end64-count-more", end64(count=3, short=0xFFFF)),
        ("end64-here", end64(here=1)),
        ("end64-size", end64(size=size - 1)),
        ("end64-size-huge", end64(size=1 << 63)),
        ("end64-offset", end64(offset=0)),
        ("end64-at", end64(at=0)),
        ("end64-short-count", end64(short=1)),
        ("end64-short-size", end64(short_size=1)),
        ("end64-short-offset", end64(short_offset=1)),
        ("end64-without-locator", end64()[:-42] + end64()[-22:]),
        ("locator-without-end64", body + end64()[-42:]),
    ]


LIES = lies()


@READERS
@pytest.mark.parametrize("data", [data for _, data in LIES], ids=[word for word, _ in LIES])
def test_a_lie_is_refused(reader: Callable[[bytes], dict[str, bytes]], data: bytes) -> None:
    with pytest.raises((FormatError, LimitError)):
        reader(data)


def sample() -> bytes:
    """Return a small container of our writer with each kind of member."""
    sink = io.BytesIO()
    container = ZipStream(sink.write)
    container.add(TOP + "bagit.txt", b"BagIt-Version: 1.0\n")
    member = container.open(TOP + "data/logs/000001.log")
    for number in range(3):
        member.write(b"line %d of a log\n" % number)
        member.flush()
    member.close()
    container.add(TOP + "data/logs/000002.log", b"a line that comes again\n" * 30)
    container.add(TOP + "hozen/plan.json", b"")
    container.finish()
    return sink.getvalue()


@READERS
def test_any_flipped_bit_is_noticed_or_changes_nothing_that_is_read(
    reader: Callable[[bytes], dict[str, bytes]],
) -> None:
    data = sample()
    expected = reader(data)
    silent = 0
    for at in range(len(data)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            changed = bytearray(data)
            changed[at] ^= mask
            try:
                found = reader(bytes(changed))
            except BadDataError:
                continue
            silent += 1
            assert list(found.items()) == list(expected.items()), (at, mask)
    # Times, versions and attributes only: 4 members, twice 4 + 2 bytes, and some of the attributes.
    assert 4 * 9 * 8 < silent < 4 * 9 * 24


@READERS
def test_every_truncation_is_noticed(reader: Callable[[bytes], dict[str, bytes]]) -> None:
    data = sample()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            reader(data[:length])


def verdict(reader: Callable[[bytes], dict[str, bytes]], data: bytes) -> dict[str, bytes] | None:
    try:
        return reader(data)
    except BadDataError:
        return None


def assert_one_meaning(data: bytes) -> None:
    """No container means two things: what we accept, both readers and the standard library read alike."""
    found = verdict(seek, data)
    assert found == verdict(stream, data)
    if found is not None:
        archive = zipfile.ZipFile(io.BytesIO(data))
        files = [info for info in archive.infolist() if not info.filename.endswith("/")]
        assert found == {info.filename: archive.read(info) for info in files}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_splice_is_refused_or_has_one_meaning(data: st.DataObject) -> None:
    whole = sample()
    a, b = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    middle = data.draw(st.sampled_from([b"", whole[a:b] * 2, whole[:b], bytes(4)]))
    assert_one_meaning(whole[:a] + middle + whole[b:])


NUMBERS = st.sampled_from([0, 1, 6, 7, 8, 9, 20, 45, 0xFFFF, 0x08074B50, MAX - 1, MAX])
FIELDS = st.sampled_from(["flags", "method", "crc", "compressed", "size", "version"])
HONEST = [
    GOOD,
    OTHER,
    replace(streamed(), name=TOP + "c.txt"),
    replace(streamed("<IIQQ"), name=TOP + "d.txt", local_extra=zip64(0, 0)),
    Raw(name=TOP + "e.txt", data=b""),
    Raw(name=TOP + "f.txt", central_extra=zip64(7, 7, 0), central={"size": MAX, "compressed": MAX}),
    Raw(name=TOP + "data/logs/000001.log", data=b"log\n" * 9, method=8),
    Raw(name=TOP, data=b"", central={"external": 0}),
]


@st.composite
def liars(draw: st.DrawFn) -> Raw:
    member = draw(st.sampled_from(HONEST))
    for key, value in draw(st.dictionaries(FIELDS, NUMBERS, max_size=2)).items():
        number = value & 0xFFFF if key in {"flags", "method", "version"} else value
        place = draw(st.sampled_from(["local", "central", "both"]))
        if place != "central":
            member = replace(member, local=member.local | {key: number})
        if place != "local":
            member = replace(member, central=member.central | {key: number})
    extra = draw(st.none() | st.lists(NUMBERS, max_size=4).map(lambda values: zip64(*values)))
    if extra is not None:
        if draw(st.booleans()):
            return replace(member, local_extra=extra)
        return replace(member, central_extra=extra)
    return member


@settings(max_examples=300, deadline=None)
@given(
    st.lists(liars(), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["here", "count", "size", "offset"]), NUMBERS, max_size=1),
)
def test_any_mixture_of_lies_is_refused_or_has_one_meaning(
    members: list[Raw], end: dict[str, int]
) -> None:
    end = {key: value & 0xFFFF if key in {"here", "count"} else value for key, value in end.items()}
    assert_one_meaning(build(*members, order=None, **end))


@READERS
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400).map(lambda tail: b"PK\3\4" + tail) | st.binary(max_size=200))
def test_any_bytes_give_our_own_error(
    reader: Callable[[bytes], dict[str, bytes]], data: bytes
) -> None:
    with pytest.raises(BadDataError):
        reader(data)


@READERS
def test_a_bomb_does_not_inflate_beyond_what_its_header_says(
    reader: Callable[[bytes], dict[str, bytes]],
) -> None:
    bomb = zlib.compress(bytes(64 << 20), 9, -15)
    small = {"size": 1000}
    data = build(Raw(body=bomb, data=bytes(64 << 20), method=8, local=small, central=small))
    tracemalloc.start()
    with pytest.raises(FormatError):
        reader(data)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@READERS
@pytest.mark.parametrize("as_stream", [False, True])
def test_an_honest_bomb_stops_at_the_limit(
    reader: Callable[..., dict[str, bytes]], *, as_stream: bool
) -> None:
    bomb = Raw(data=bytes(4 << 20), method=8)
    data = build(streamed("<IIII", bomb) if as_stream else bomb)
    for limits in (
        ZipLimits(member=1 << 20),
        ZipLimits(tag_file=1 << 20),
        ZipLimits(total=1 << 20),
    ):
        with pytest.raises(LimitError):
            reader(data, limits)
    with pytest.raises(LimitError):
        reader(data, ZipLimits(expansion=100))
    assert reader(data) == {TOP + "a.txt": bytes(4 << 20)}


@READERS
def test_the_number_of_members_and_directories_is_bounded(
    reader: Callable[..., dict[str, bytes]],
) -> None:
    data = build(*(Raw(name=f"{TOP}{n:03d}/a") for n in range(20)))
    assert len(reader(data)) == 20
    for limits in (ZipLimits(members=19), ZipLimits(directories=19)):
        with pytest.raises(LimitError):
            reader(data, limits)


def test_a_count_of_millions_costs_nothing() -> None:
    data = build(GOOD)[:-22]
    offset = data.index(b"PK\1\2")
    record = struct.pack(
        "<IQHHIIQQQQ", 0x06064B50, 44, 0x032D, 45, 0, 0, 1 << 24, 1 << 24, len(data) - offset, offset
    )  # fmt: skip
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(data), 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, MAX, MAX, 0)
    begun = time.perf_counter()
    with pytest.raises(FormatError):
        seek(data + record + locator + end)
    assert time.perf_counter() - begun < 1


def test_deep_directories_do_not_multiply() -> None:
    deep = "/".join(["a"] * 70)
    data = build(*(Raw(name=f"{TOP}{n:03d}/{deep[: 140 - n % 2]}b") for n in range(300)))
    for reader in (seek, stream):
        with pytest.raises(LimitError):
            reader(data, ZipLimits(directories=10_000))
