"""Entries in, a deterministic tar out: ustar headers made by hand, PAX only where ustar cannot say it.

The same entries and time give the same bytes. Read by GNU tar, bsdtar and Python's tarfile. Format: POSIX.1-2017,
pax, "ustar Interchange Format".
"""

from __future__ import annotations

from errno import errorcode

from hozen_agent.proc.sweep import ERROR, FILE, LINK

TYPE_CHECKING = False  # stage 0 may need this before `typing` is loaded
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.proc.sweep import Entry

ERRORS = b"ERRORS.jsonl"

_FIELD = 100  # bytes of the name and link fields
_BLOCK = 512
_CHUNK = 64 << 10
_MAX_OCTAL = 0o77777777777
_OWNER = b"0000000\x000000000\x00"
_TAIL = b"ustar\x0000" + bytes(80) + bytes(155) + bytes(12)
_MODES = {b"0": b"0000444\x00", b"2": b"0000777\x00", b"5": b"0000555\x00", b"x": b"0000444\x00"}
_BASE = {kind: sum(mode + _OWNER + _TAIL + b"        " + kind) for kind, mode in _MODES.items()}
_NULLS = tuple(bytes(n) for n in range(_FIELD + 1))


def tar_stream(entries: Iterable[Entry], *, seconds: int) -> Iterator[bytes]:
    """Yield the archive in pieces of about 64 KiB.

    Directories are members of their own, links are symbolic links, failures are the lines of a last
    member `ERRORS.jsonl` (name percent-encoded as bundle-v1 §2, errno, its symbol).

    Args:
        entries: as `sweep.Sweep.entries`; names are relative, without empty, `.` or `..` segments.
        seconds: modification time of every member (Unix, not negative).
    """
    tar = _Tar(seconds)
    failures: list[bytes] = []
    for name, kind, data, number in entries:
        if kind == ERROR:
            failures.append(_failure(name, number))
            continue
        tar.member(name, kind, data)
        if tar.size >= _CHUNK:
            yield tar.take()
    tar.member(ERRORS, FILE, b"".join(failures))
    tar.parts.append(bytes(2 * _BLOCK))
    yield tar.take()


class _Tar:
    """The archive as it grows; `take` hands over what is there."""

    __slots__ = ("_known", "_mtime", "_stamp", "parts", "size")

    def __init__(self, seconds: int) -> None:
        self._mtime = b"%011o\x00" % min(max(seconds, 0), _MAX_OCTAL)
        self._stamp = sum(self._mtime)
        self._known = {b""}
        self.parts: list[bytes] = []
        self.size = 0

    def take(self) -> bytes:
        piece = b"".join(self.parts)
        self.parts.clear()
        self.size = 0
        return piece

    def member(self, name: bytes, kind: str, data: bytes) -> None:
        parent = name[: name.rfind(b"/") + 1]
        if parent not in self._known:
            self._directories(parent)
        self.size += _BLOCK + len(data)
        if kind == LINK:
            self._header(name, b"2", target=data)
            return
        self._header(name, b"0", size=len(data))
        self.parts += (data, bytes(-len(data) % _BLOCK))

    def _directories(self, path: bytes) -> None:
        end = -1
        while (end := path.find(b"/", end + 1)) >= 0:
            name = path[: end + 1]
            if name not in self._known:
                self._known.add(name)
                self._header(name, b"5")

    def _header(self, name: bytes, kind: bytes, *, size: int = 0, target: bytes = b"") -> None:
        """Append the header block, with a PAX header in front when a field is too small.

        The checksum is summed over the parts that vary: all 512 bytes would cost most of the time.
        """
        if len(name) > _FIELD or len(target) > _FIELD or size > _MAX_OCTAL:
            self._pax(name, size, target)
            name, target, size = name[:_FIELD], target[:_FIELD], min(size, _MAX_OCTAL)
        length = b"%011o\x00" % size
        total = _BASE[kind] + self._stamp + sum(name) + sum(length) + sum(target)
        self.parts += (
            name,
            _NULLS[_FIELD - len(name)],
            _MODES[kind],
            _OWNER,
            length,
            self._mtime,
            b"%06o\x00 " % total,
            kind,
            target,
            _NULLS[_FIELD - len(target)],
            _TAIL,
        )

    def _pax(self, name: bytes, size: int, target: bytes) -> None:
        fields = []
        if len(name) > _FIELD:
            fields.append((b"path", name))
        if len(target) > _FIELD:
            fields.append((b"linkpath", target))
        if size > _MAX_OCTAL:
            fields.append((b"size", b"%d" % size))
        if not all(_is_utf8(value) for _, value in fields):
            fields.insert(0, (b"hdrcharset", b"BINARY"))  # these names are bytes, not UTF-8
        data = b"".join(_record(key, value) for key, value in fields)
        self._header(b"PaxHeader", b"x", size=len(data))
        self.parts += (data, bytes(-len(data) % _BLOCK))


def _record(key: bytes, value: bytes) -> bytes:
    """Return `length key=value LF`, where length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _failure(name: bytes, number: int) -> bytes:
    spelled = b"".join(
        b"%c" % byte if 0x21 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte  # noqa: PLR2004
        for byte in name
    )
    spelled = spelled.replace(b"\\", b"\\\\").replace(b'"', b'\\"')  # JSON, around §2's encoding
    symbol = errorcode.get(number, "").encode()
    return b'{"name":"%b","errno":%d,"error":"%b"}\n' % (spelled, number, symbol)
