"""DER written and read: only definite, minimal lengths, and every bound checked (X.690 §10, §11).

The writer makes the few types that CMS and PKCS #8 need. The reader never builds a tree: a `Cursor` stands before
an element, `take` checks its tag and steps over it, `open` steps inside. Nothing is read twice and nothing is skipped
without a name, so a trailing byte anywhere is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hozen_hashes.errors import FormatError, LimitError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

MAX_DEPTH = 16
MAX_ELEMENTS = 64  # of one SET OF or SEQUENCE OF

_CONSTRUCTED = 0x20
_HIGH_TAG = 0x1F
_LAST_UTC_YEAR = 2049  # RFC 5652 §11.3: UTCTime through 2049, GeneralizedTime after
_UTC_LENGTH = 13
_GENERALIZED_LENGTH = 15


def context(number: int, *, constructed: bool = True) -> int:
    """Return the tag byte of context-specific `[number]`, 0 to 30."""
    return 0x80 | (_CONSTRUCTED if constructed else 0) | number


# --- writing ----------------------------------------------------------------------------------------------------------


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one element: tag, minimal definite length, and the parts joined as content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - X.690 §8.1.3.4, the short form
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of the given elements."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes, tag: int = SET) -> bytes:
    """Return a SET OF with its elements in DER order (X.690 §11.6), under an implicit `tag` if given."""
    return tlv(tag, *sorted(parts))


def octets(value: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def null() -> bytes:
    """Return NULL."""
    return tlv(NULL)


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER with the fewest bytes."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    return tlv(OBJECT_IDENTIFIER, b"".join(_base128(arc) for arc in (first * 40 + second, *rest)))


def time(when: datetime) -> bytes:
    """Return the time in whole seconds of UTC, as RFC 5652 §11.3 wants it."""
    text = when.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").rjust(_GENERALIZED_LENGTH, "0")
    if 1950 <= when.astimezone(UTC).year <= _LAST_UTC_YEAR:  # noqa: PLR2004 - RFC 5652 §11.3
        return tlv(UTC_TIME, text[2:].encode())
    return tlv(GENERALIZED_TIME, text.encode())


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(0x80 | arc & 0x7F)
    return bytes(reversed(digits))


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it lay in the bytes.

    Attributes:
        tag: the tag byte.
        content: the bytes of the content.
        whole: tag, length and content.
        depth: how many elements it is in.
    """

    tag: int
    content: bytes
    whole: bytes
    depth: int

    def open(self) -> Cursor:
        """Return a cursor before the first element inside.

        Raises:
            FormatError: the element is primitive.
            LimitError: deeper than MAX_DEPTH.
        """
        if not self.tag & _CONSTRUCTED:
            raise FormatError(f"DER: element {self.tag:#04x} has no elements inside")
        if self.depth >= MAX_DEPTH:
            raise LimitError(f"DER: nested deeper than {MAX_DEPTH}")
        return Cursor(self.content, depth=self.depth + 1)


class Cursor:
    """A place in a run of DER elements; moves only forward.

    Args:
        data: the run.
        depth: how many elements it is in.
    """

    __slots__ = ("_at", "_data", "_depth")

    def __init__(self, data: bytes, *, depth: int = 0) -> None:
        self._data = data
        self._depth = depth
        self._at = 0

    @property
    def tag(self) -> int | None:
        """The tag byte of the next element, or None at the end."""
        return self._data[self._at] if self._at < len(self._data) else None

    def take(self, tag: int, what: str) -> Element:
        """Return the next element and stand behind it.

        Raises:
            FormatError: the end, another tag, or a length that is not definite, minimal and inside the run.
        """
        if self.tag != tag:
            found = "the end" if self.tag is None else f"{self.tag:#04x}"
            raise FormatError(f"DER: {what}: expected {tag:#04x}, found {found}")
        start, (body, end) = self._at, self._extent(what)
        self._at = end
        return Element(tag, self._data[body:end], self._data[start:end], self._depth)

    def take_any(self, what: str) -> Element:
        """Return the next element whatever its tag; raises as `take`."""
        return self.take(-1 if self.tag is None else self.tag, what)

    def optional(self, tag: int, what: str) -> Element | None:
        """Return the next element if it has this tag, else None; raises as `take`."""
        return self.take(tag, what) if self.tag == tag else None

    def rest(self, tag: int, what: str) -> list[Element]:
        """Return all remaining elements, which must have this tag.

        Raises:
            FormatError: as `take`.
            LimitError: more than MAX_ELEMENTS.
        """
        found: list[Element] = []
        while self.tag is not None:
            if len(found) == MAX_ELEMENTS:
                raise LimitError(f"DER: {what}: more than {MAX_ELEMENTS} elements")
            found.append(self.take(tag, what))
        return found

    def end(self, what: str) -> None:
        """Check that nothing is left; raises FormatError."""
        if self.tag is not None:
            raise FormatError(
                f"DER: {what}: {len(self._data) - self._at} bytes more than the format has"
            )

    def _extent(self, what: str) -> tuple[int, int]:
        if self._data[self._at] & _HIGH_TAG == _HIGH_TAG:
            raise FormatError(f"DER: {what}: a tag of more than one byte")
        body, size = self._length(what)
        if size > len(self._data) - body:
            raise FormatError(f"DER: {what}: its length goes beyond the end")
        return body, body + size

    def _length(self, what: str) -> tuple[int, int]:
        head = self._data[self._at + 1 : self._at + 2]
        if not head:
            raise FormatError(f"DER: {what}: ends within its length")
        if head[0] < 0x80:  # noqa: PLR2004 - X.690 §8.1.3.4
            return self._at + 2, head[0]
        count = head[0] & 0x7F
        digits = self._data[self._at + 2 : self._at + 2 + count]
        size = int.from_bytes(digits, "big")
        # Minimal: no leading zero, and not a value that the short form could hold; four bytes are more than any limit.
        if not 1 <= count <= 4 or len(digits) < count or digits[0] == 0 or size < 0x80:  # noqa: PLR2004
            raise FormatError(f"DER: {what}: its length is not definite and minimal")
        return self._at + 2 + count, size


def read(data: bytes, tag: int, what: str, *, max_bytes: int) -> Element:
    """Return the one element that `data` is.

    Raises:
        FormatError: not exactly one element with this tag.
        LimitError: more than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise LimitError(f"DER: {what}: {len(data)} bytes, the limit is {max_bytes}")
    cursor = Cursor(data)
    element = cursor.take(tag, what)
    cursor.end(what)
    return element


def read_integer(element: Element) -> int:
    """Return the value of a minimal, non-negative INTEGER; raises FormatError for any other."""
    body = element.content
    if not body or body[0] & 0x80:
        raise FormatError("DER: an INTEGER that is empty or negative")
    if len(body) > 1 and body[0] == 0 and not body[1] & 0x80:
        raise FormatError("DER: an INTEGER that is not minimal")
    return int.from_bytes(body, "big")


def read_time(element: Element) -> datetime:
    """Return the time of a UTCTime or GeneralizedTime of whole seconds in UTC (RFC 5652 §11.3); else FormatError."""
    body = element.content
    if element.tag not in (UTC_TIME, GENERALIZED_TIME):
        raise FormatError(f"DER: a time under tag {element.tag:#04x}")
    long = element.tag == GENERALIZED_TIME
    if (
        len(body) != (_GENERALIZED_LENGTH if long else _UTC_LENGTH)
        or body[-1:] != b"Z"
        or not body[:-1].isdigit()
    ):
        raise FormatError("DER: a time that is not whole seconds of UTC")
    digits = body[:-1].decode()
    if not long:
        digits = ("20" if digits < "5" else "19") + digits
    pairs = [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    try:
        when = datetime(int(digits[:4]), *pairs, tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        raise FormatError("DER: a time that no calendar has") from None
    if long and 1950 <= when.year <= _LAST_UTC_YEAR:  # noqa: PLR2004 - RFC 5652 §11.3
        raise FormatError("DER: a GeneralizedTime where UTCTime is due")
    return when


def dotted(element: Element) -> str:
    """Return an OBJECT IDENTIFIER in dotted form, for a message; raises FormatError if it is not one."""
    arcs: list[int] = []
    value, begun = 0, False
    for byte in element.content[:64]:
        if not begun and byte == 0x80:  # noqa: PLR2004 - a leading zero digit, X.690 §8.19.2
            raise FormatError("DER: an OBJECT IDENTIFIER that is not minimal")
        value, begun = value << 7 | byte & 0x7F, bool(byte & 0x80)
        if not begun:
            arcs.append(value)
            value = 0
    if begun or not arcs:
        raise FormatError("DER: an OBJECT IDENTIFIER that is not whole")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - first * 40, *arcs[1:]))
