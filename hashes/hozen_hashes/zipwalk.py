"""Reads a container front to back, as it comes out of a pipe (bundle-v1 §4; for `salvage` §6)."""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING

from hozen_hashes.errors import BadDataError, FormatError, InternalError
from hozen_hashes.zipdata import Content, Feed
from hozen_hashes.zipend import TAIL64, Extent, check_end
from hozen_hashes.zipformat import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    END,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCAL,
    LOCAL_SIGNATURE,
    STORED,
)
from hozen_hashes.zipheaders import (
    Central,
    Local,
    check_descriptor,
    descriptor_length,
    parse_central,
    parse_local,
)
from hozen_hashes.ziprules import Entry, Roster, ZipLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

_DEFAULT = ZipLimits()
_WORD = 4
_SEEN = Struct("<HHIQQQ")


def walk(
    read: Callable[[int], bytes], *, limits: ZipLimits = _DEFAULT, recover: bool = False
) -> Walk:
    """Return an iterator over the members of a container, in their order.

    Args:
        read: gives at most so many bytes, none only at the end (a pipe's `read`).
        limits: bounds of bundle-v1 §4.
        recover: end at the first damage instead of raising; `Walk.damage` says what it was.
    """
    return Walk(Feed(read), limits, recover=recover)


class StreamMember:
    """One member as it goes by; directory entries are checked but not shown.

    Attributes:
        name: `<bundle id>/<path>`.
        whole: the content came out completely and is what the headers say.
        entry: what is known of it then; None before.
    """

    __slots__ = ("_chunks", "entry", "name", "whole")

    def __init__(self, name: str) -> None:
        self._chunks: Iterator[bytes] = iter(())
        self.name = name
        self.whole = False
        self.entry: Entry | None = None

    @property
    def path(self) -> str:
        """The name without the bundle id."""
        return self.name.partition("/")[2]

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 256 KiB; only once.

        With `recover`, a torn member gives all that can be known of it and then ends; `whole` stays
        false. Otherwise:

        Raises:
            FormatError: the content is torn, or not what the headers say.
            LimitError: it is longer than allowed.
        """
        return self._chunks


class Walk:
    """The members of a container one after another.

    What was not read of a member is read and checked when the next is asked for. The iteration ends
    without an error only when the central directory has been compared with all members.

    Attributes:
        damage: with `recover`: what is wrong, and at which byte; empty if nothing.
        complete: the container was whole, to its last byte.
    """

    __slots__ = (
        "_current",
        "_feed",
        "_limits",
        "_recover",
        "_roster",
        "_seen",
        "complete",
        "damage",
    )

    def __init__(self, feed: Feed, limits: ZipLimits, *, recover: bool) -> None:
        self._feed = feed
        self._limits = limits
        self._recover = recover
        self._roster = Roster(limits)
        # One SHA-256 a member, to be compared with its entry in the central directory.
        self._seen = bytearray()
        self._current: StreamMember | None = None
        self.complete = False
        self.damage = ""

    @property
    def position(self) -> int:
        """Container bytes read so far."""
        return self._feed.position

    @property
    def bundle_id(self) -> str:
        """The top directory, once a member was seen; empty before."""
        return self._roster.bundle_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamMember:
        """Return the next member.

        Raises:
            FormatError: damage, or anything that bundle-v1 §4 refuses (without `recover`).
            LimitError: more or larger members than allowed (without `recover`).
        """
        self._drain()
        if self.complete or self.damage:
            raise StopIteration
        start = self._feed.position
        try:
            member = self._next()
        except BadDataError as error:
            if not self._recover:
                raise
            self._damaged(error, start)
            member = None
        self._current = member
        if member is None:
            raise StopIteration
        return member

    def _next(self) -> StreamMember | None:
        """Return the next file; None after the last, when the end is as it must be."""
        while True:
            start = self._feed.position
            word = self._feed.some(_WORD)
            if not word:
                raise FormatError("the container ends without a central directory")
            word += self._feed.take(_WORD - len(word))
            if int.from_bytes(word, "little") != LOCAL_SIGNATURE:
                self._end(start, word)
                return None
            local = parse_local(word + self._feed.take(LOCAL.size - _WORD), self._feed.take)
            directory = self._roster.admit(local.name)
            member = StreamMember(local.name)
            chunks = self._content(local, member, start)
            if not directory:
                member._chunks = self._guarded(chunks, start) if self._recover else chunks  # noqa: SLF001
                return member
            for _ in chunks:
                pass

    def _content(self, local: Local, member: StreamMember, offset: int) -> Iterator[bytes]:
        length: int | None = None
        bound = self._roster.bound(local.name)
        if not local.streamed:
            self._roster.measure(local.name, local.method, local.compressed, local.size)
            length, bound = local.compressed, local.size
        elif local.method == STORED:
            length = local.size
        content = Content(
            self._feed.some,
            name=local.name,
            method=local.method,
            length=length,
            bound=bound,
            exact=self._recover,
        )
        yield from content.chunks()
        crc, compressed, size = content.crc, content.compressed, content.size
        if local.streamed:
            self._feed.unread(content.rest)
            self._roster.measure(local.name, local.method, compressed, size)
            raw = self._feed.take(descriptor_length(local, compressed, size))
            check_descriptor(raw, local.name, crc, compressed, size)
        if local.contradicts(crc, compressed, size):
            raise FormatError(f"size or CRC-32 of the content differs: {local.name}")
        start = offset + local.length
        directory = local.name.endswith("/")
        self._seen += _fingerprint(
            Central(local.name, local.flags, local.method, crc, compressed, size, offset)
        )
        member.entry = Entry(
            local.name, local.method, size, compressed, crc, offset, directory, start
        )
        member.whole = True

    def _guarded(self, chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
        try:
            yield from chunks
        except BadDataError as error:
            self._damaged(error, start)

    def _drain(self) -> None:
        member, self._current = self._current, None
        if member is None:
            return
        for _ in member.chunks():
            pass
        if not member.whole and not self.damage:
            raise InternalError(f"the content of {member.name} was left in the middle")

    def _damaged(self, error: BadDataError, start: int) -> None:
        self.damage = f"{error} (after byte {start})"

    def _end(self, start: int, word: bytes) -> None:
        """Compare the central directory with what went by, and the end records with both."""
        take = self._feed.take
        for place in range(self._roster.count):
            if int.from_bytes(word, "little") != CENTRAL_SIGNATURE:
                raise FormatError("neither a member nor its entry in the central directory")
            central = parse_central(word + take(CENTRAL.size - _WORD), take)
            if _fingerprint(central) != self._seen[place * 32 : place * 32 + 32]:
                raise FormatError(
                    f"entry {place + 1} of the central directory is not what went by: {central.name}"
                )
            word = take(_WORD)
        extent = Extent(self._roster.count, self._feed.position - _WORD - start, start)
        signature = int.from_bytes(word, "little")
        if signature not in {END_SIGNATURE, END64_SIGNATURE}:
            raise FormatError("neither a member nor the end of the container where one should be")
        large = signature == END64_SIGNATURE
        check_end(word + take(END.size - _WORD + (TAIL64 if large else 0)), extent)
        if self._feed.some(1):
            raise FormatError("bytes after the end of the container")
        self._roster.close()
        self.complete = True


def _fingerprint(member: Central) -> bytes:
    numbers = _SEEN.pack(
        *(member.flags, member.method, member.crc),
        *(member.compressed, member.size, member.offset),
    )
    return hashlib.sha256(numbers + member.name.encode("ascii")).digest()
