"""Every spelling rule of a bundle: its id, its member names, bytes as text, times (bundle-v1 §2, §3, §7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hozen_hashes.errors import FormatError

BUNDLE_ID = re.compile(r"hz-[0-9]{8}T[0-9]{6}Z-[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?-[0-9a-f]{8}\Z")
"""bundle-v1 §3; anchored at the end, to be used with `match` or `fullmatch`."""

MAX_MEMBER_NAME = 200
"""Bytes of `<bundle id>/<path>`."""

_SEGMENT = r"[a-z0-9_-][a-z0-9._-]{0,79}"
_PAYLOAD = r"data/[a-z][a-z0-9_]{0,47}/(?:[0-9]{6}|[1-9][0-9]{6,9})(?:\.[a-z0-9]{1,8}){1,2}"
_PATH = re.compile(rf"{_PAYLOAD}|README-VERIFY\.txt|(?!data(?:/|\Z)){_SEGMENT}(?:/{_SEGMENT})*")
_DIRECTORY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_HOST_MAX = 32


def check_bundle_id(text: str) -> str:
    """Return `text` when it is a bundle id.

    Raises:
        FormatError: it is not (bundle-v1 §3).
    """
    if not BUNDLE_ID.match(text):
        raise FormatError(f"not a bundle id: {text[:80]!r}")
    return text


def new_bundle_id(host: str, when_ns: int, random8: str) -> str:
    """Return the id of a new bundle.

    Args:
        host: the host name as the system gives it.
        when_ns: UTC, nanoseconds since 1970; seconds are kept.
        random8: eight lower-case hexadecimal digits.

    Raises:
        FormatError: `random8` or the time does not fit the form.
    """
    when = re.sub("[-:]", "", rfc3339(when_ns)[:19])
    return check_bundle_id(f"hz-{when}Z-{slug(host)}-{random8}")


def slug(host: str) -> str:
    """Return the host name in the letters of a bundle id: 1 to 32 of `[a-z0-9-]`."""
    letters = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
    return letters[:_HOST_MAX].strip("-") or "host"


def check_member_path(path: str) -> str:
    """Return `path`, a member name without the bundle id, when bundle-v1 §3 allows it.

    Raises:
        FormatError: it does not; such a name could leave the directory or change when unpacked.
    """
    if len(path) > MAX_MEMBER_NAME or not _PATH.fullmatch(path):
        raise FormatError(f"not a member path of a bundle: {path[:80]!r}")
    return path


def check_directory_path(path: str) -> str:
    """Return `path`, a directory without the bundle id and the last `/`, when it may be one.

    Raises:
        FormatError: a segment is outside bundle-v1 §3.
    """
    if len(path) > MAX_MEMBER_NAME or not _DIRECTORY.fullmatch(path):
        raise FormatError(f"not a directory of a bundle: {path[:80]!r}")
    return path


def split_member_name(name: str) -> tuple[str, str]:
    """Return the bundle id and the path of a member name.

    Raises:
        FormatError: the name is outside bundle-v1 §3 or longer than 200 bytes.
    """
    bundle_id, slash, path = name.partition("/")
    if not slash or len(name) > MAX_MEMBER_NAME:
        raise FormatError(f"not a member name of a bundle: {name[:80]!r}")
    return check_bundle_id(bundle_id), check_member_path(path)


_CLEAR = re.compile(rb"[!-$&-~]*")
_PERCENT = [chr(b) if 0x21 <= b <= 0x7E and b != 0x25 else f"%{b:02X}" for b in range(256)]  # noqa: PLR2004
_PERCENT_TEXT = re.compile(r"(?:[!-$&-~]|%[0-9A-F]{2})*")


def percent_encode(raw: bytes) -> str:
    """Return the one spelling of `raw` as printable ASCII (bundle-v1 §2)."""
    if _CLEAR.fullmatch(raw):
        return raw.decode("ascii")
    return "".join(map(_PERCENT.__getitem__, raw))


def percent_decode(text: str) -> bytes:
    """Return the bytes that `percent_encode` spells as `text`.

    Raises:
        FormatError: no bytes are spelled so; `%41` for `A` and `%ff` for `%FF` are refused too.
    """
    if not _PERCENT_TEXT.fullmatch(text):
        raise FormatError(f"not percent-encoded: {text[:80]!r}")
    head, *rest = text.encode("ascii").split(b"%")
    raw = head + b"".join(bytes((int(part[:2], 16),)) + part[2:] for part in rest)
    if percent_encode(raw) != text:
        raise FormatError(f"percent-encoded without need: {text[:80]!r}")
    return raw


_PLAIN = re.compile(rb"[ -[\]-~]*")
# Cc, and the characters that reorder or break a line on a screen: a name must not look like another.
_HIDDEN = re.compile(
    "[\\\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def readable(raw: bytes) -> str:
    r"""Return `raw` for a person and a spreadsheet (bundle-v1 §7, the CSV form of `source`).

    Valid UTF-8 stays; other bytes, control characters and the characters that turn the direction
    of writing become `\xNN` (of each byte), `\` is doubled, and text that a spreadsheet would take
    for a formula gets a `'`. Not reversible; `percent_encode` is.
    """
    if _PLAIN.fullmatch(raw) and not raw.startswith((b"=", b"+", b"-", b"@")):
        return raw.decode("ascii")
    text = _HIDDEN.sub(_escape, raw.decode("utf-8", "surrogateescape"))
    return "'" + text if text.startswith(_FORMULA) else text


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
_SECOND = 1_000_000_000


def rfc3339(ns: int) -> str:
    """Return nanoseconds since 1970 (UTC) as `2026-11-23T05:00:00.123456789Z`.

    Raises:
        FormatError: the year is not 1 to 9999.
    """
    seconds, fraction = divmod(ns, _SECOND)
    return f"{_to_the_second(seconds)}.{fraction:09d}Z"


@lru_cache(maxsize=64)  # thousands of records are made in the same second
def _to_the_second(seconds: int) -> str:
    return _moment(seconds).replace(tzinfo=None).isoformat()


def parse_rfc3339(text: str) -> int:
    """Return nanoseconds since 1970 (UTC) of a time in exactly the form of `rfc3339`.

    Raises:
        FormatError: any other form, or a day or hour that does not exist.
    """
    if not _RFC3339.fullmatch(text):
        raise FormatError(f"not a time with nine fractional digits and Z: {text[:40]!r}")
    try:
        moment = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError(f"no such time: {text}") from error
    whole = moment - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * _SECOND + int(text[20:29])


def _moment(seconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise FormatError(f"a time outside the years 1 to 9999: {seconds} s") from error
