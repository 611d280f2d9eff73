"""What the lines of the host's own files say: accounts, groups, password states, authorized keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import BadDataError
from hozen_hashes.names import percent_decode, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.diff.records import Found

_BY_NAME: Final = {"/etc/passwd": "account", "/etc/group": "group", "/etc/shadow": "password_state"}
_KEYS: Final = ("/authorized_keys", "/authorized_keys2")


def is_read(artifact: str, source: str) -> bool:
    """Return whether the lines of this file are facts of their own, so that its hash is not."""
    return (artifact == "accounts" and source in _BY_NAME) or source.endswith(_KEYS)


def of_line(source: str, line: bytes) -> Iterator[Found]:
    """Yield what one line of such a file says; comments and empty lines say nothing."""
    line = line.strip(b"\r\n")
    if not line.strip() or line.lstrip().startswith(b"#"):
        return
    if source in _BY_NAME:
        name, _, rest = line.partition(b":")
        yield _BY_NAME[source], readable(name), readable(rest), ""
        return
    yield "ssh_key", f"{_path(source)}: {readable(line)}", "registered", ""


def _path(source: str) -> str:
    try:
        return readable(percent_decode(source))
    except BadDataError:
        return source
