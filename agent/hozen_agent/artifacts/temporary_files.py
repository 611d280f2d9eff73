"""What lies in the directories that everybody may write: tools, loot and leftovers end there."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hozen_agent import files
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

_NAME: Final = "temporary_files"
# One long file must not take the place of a thousand short ones.
_ITEM_MAX: Final = 256 << 20
_PATTERNS: Final = (b"/dev/shm/**8", b"/tmp/**16", b"/var/tmp/**16", b"/run/user/*/**8")


@artifact(
    name=_NAME,
    rank=58,
    personal="personal",
    en="Files in /tmp, /var/tmp, /dev/shm and /run/user, the newest first: proves what lay there; not who put it "
    "there, and not what was removed before. Keys, tickets, tokens and sockets are told without their content.",
    ja="一時ディレクトリ（/tmp、/var/tmp、/dev/shm、/run/user）にあるファイルの内容（新しい順）。"
    "存在を示します。置いた者や既に消されたものは示しません。鍵、チケット、トークン及びソケットは存在のみ記録します。",
    reads=tuple(pattern.decode() for pattern in _PATTERNS),
    needs_root=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield an attempt for every file but our own output, the newest first; of a file beyond the cap its beginning."""
    ours = _open_files(ctx.proc)
    yield from ctx.files(
        FileRequest(
            artifact=_NAME,
            path=path,
            personal="personal",
            ext=files.extension(path),
            max_bytes=min(ctx.room(_NAME), _ITEM_MAX),
        )
        for path in files.found(ctx, _PATTERNS, newest=True)
        if path not in ours
    )


def _open_files(proc: int) -> frozenset[bytes]:
    """Return what this process itself has open: a bundle that is written to /tmp must not contain itself."""
    try:
        fd = os.open(b"self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return frozenset()
    found = set()
    try:
        for name in os.listdir(fd):
            with suppress(OSError):  # closed meanwhile
                found.add(os.readlink(os.fsencode(name), dir_fd=fd))
    finally:
        os.close(fd)
    return frozenset(found)
