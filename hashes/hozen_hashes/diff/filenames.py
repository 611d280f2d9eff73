r"""Whether a bundle's list of file names (`filesystem:bodyfile`) holds a path: a new file or one not hashed before.

Names in it are written with exactly four escapes: `%25`, `%7C`, `\\` and `\xNN` (docs/format/records/filesystem.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.diff.gather import lines_of
from hozen_hashes.errors import BadDataError
from hozen_hashes.names import percent_decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hozen_hashes.diff.gather import Gathered, Opening

_ESCAPE: Final = re.compile(rb"%25|%7C|\\\\|\\x([0-9a-f]{2})")
_PLAIN: Final = {b"%25": b"%", b"%7C": b"|", b"\\\\": b"\\"}


def raw_name(name: bytes) -> bytes:
    """Return the bytes of a name as the body file writes it."""
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else _PLAIN[m[0]], name)


def listed(bundle: Gathered, opening: Opening, paths: Iterable[str]) -> frozenset[str] | None:
    """Return which of the paths (percent-encoded) were there, or None when the bundle has no whole list.

    Raises:
        FormatError: the bundle is damaged.
    """
    if bundle.names is None or bundle.names.stored.path is None:
        return None
    wanted = {raw: path for path in paths if (raw := _decoded(path)) is not None}
    found = set()
    for _, lines in lines_of(opening, {bundle.names.stored.path: bundle.names}):
        for line in lines:
            fields = line.split(b"|", 2)
            name = fields[1] if len(fields) > 1 else b""
            for one in (name, name.partition(b" -> ")[0]):
                if (path := wanted.get(raw_name(one))) is not None:
                    found.add(path)
    return frozenset(found)


def _decoded(path: str) -> bytes | None:
    try:
        return percent_decode(path)
    except BadDataError:
        return None
