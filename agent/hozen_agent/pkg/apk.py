"""The database of Alpine's apk: /lib/apk/db/installed (apk-tools, `APKINDEX` fields and file lists)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from hozen_agent.pkg.model import Claim, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

# The letter after Q and how many bytes its digest has.
_ALGORITHMS: Final = {b"Q1": ("sha1", 20), b"Q2": ("sha256", 32)}


def entries(text: bytes) -> Iterator[Package | Claim]:
    """Yield each package, then a claim for each of its files; lines in another form are passed over."""
    for paragraph in text.split(b"\n\n"):
        head = dict(line.split(b":", 1) for line in paragraph.split(b"\n") if line[1:2] == b":")
        if not head.get(b"P"):
            continue
        yield Package("apk", head[b"P"], head.get(b"V", b""), head.get(b"A", b""))
        yield from _files(paragraph, head[b"P"])


def _files(paragraph: bytes, package: bytes) -> Iterator[Claim]:
    directory, name, digest = b"", b"", ("", "")
    for line in (*paragraph.split(b"\n"), b"R:"):
        key, value = line[:2], line[2:]
        if key in {b"F:", b"R:"}:
            if name:
                folder = b"/" + directory + (b"/" if directory else b"")
                yield Claim(folder + name, package, *digest)
            name, digest = b"", ("", "")
        if key == b"F:":
            directory = value.strip(b"/")
        elif key == b"R:":
            name = value
        elif key == b"Z:" and name:
            digest = _digest(value)


def _digest(value: bytes) -> tuple[str, str]:
    algorithm, size = _ALGORITHMS.get(value[:2], ("", 0))
    try:
        raw = base64.b64decode(value[2:], validate=True)
    except binascii.Error:
        return "", ""
    return (algorithm, raw.hex()) if size and len(raw) == size else ("", "")
