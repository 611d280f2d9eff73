"""What every artifact that consists of files does: definition → patterns → paths → requests → attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.context import FileRequest
from hozen_agent.filetree.finder import Finder
from hozen_agent.items import AttemptFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

PASSWD_MAX: Final = 16 << 20
FILE_MAX: Final = 4 << 30
_EXTENSIONS: Final = frozenset(
    b"bz2 cfg conf csv db gz htm html ini journal json list log md pub py rules service sh socket sqlite target timer"
    b" txt xml xz yaml yml zst".split()
)  # fmt: skip


def extension(path: bytes) -> str:
    """Return the payload extension for a path: its own when it is a common one, else `bin` (bundle-v1 §3)."""
    _, dot, last = path[path.rfind(b"/") + 1 :].rpartition(b".")
    return last.lower().decode() if dot and last.lower() in _EXTENSIONS else "bin"


def homes(ctx: Context) -> tuple[bytes, ...]:
    """Return the home directories that /etc/passwd names beyond the generic places; none when it cannot be read."""
    request = FileRequest(artifact="homes", path=b"/etc/passwd", max_bytes=PASSWD_MAX)
    return definitions.homes_in(content(ctx, request))


def content(ctx: Context, request: FileRequest) -> bytes:
    """Return the content of a file that is only looked at; nothing of it is recorded."""
    parts = []
    for attempt in ctx.files([request]):
        data, failure = whole(attempt)
        parts.append(data)
        if failure is not None:
            ctx.note(
                f"{request.artifact}: {ascii(request.path)[2:-1]} read in part: {failure.reason}"
            )
    return b"".join(parts)


def whole(attempt: Attempt) -> tuple[bytes, AttemptFailed | None]:
    """Return the bytes of a small file, and what ended them early."""
    parts: list[bytes] = []
    try:
        parts.extend(bytes(piece) for piece in attempt.data or ())
    except AttemptFailed as failure:
        return b"".join(parts), failure
    return b"".join(parts), None


def again(data: bytes, failure: AttemptFailed | None) -> Iterator[bytes]:
    """Yield what `whole` returned as the attempt's own data would.

    Raises:
        AttemptFailed: the one that ended the reading.
    """
    yield data
    if failure is not None:
        raise failure


def found(ctx: Context, patterns: Iterable[bytes], *, newest: bool = False) -> Iterator[bytes]:
    """Yield the paths that the patterns name, the newest first where the walk can tell."""
    if newest and isinstance(ctx.match, Finder):
        return ctx.match(patterns, newest=True)
    return ctx.match(patterns)


def capture(
    ctx: Context, *, artifact: str, definition: str, personal: str, expected: tuple[bytes, ...] = (),
    newest: bool = False, passed_over: tuple[bytes, ...] = (),
) -> Iterator[Attempt]:  # fmt: skip
    """Yield an attempt for every file of one of Hozen's definitions; the rest as `capture_patterns`."""
    yield from capture_patterns(
        ctx,
        artifact=artifact,
        patterns=definitions.own(definition),
        personal=personal,
        expected=expected,
        newest=newest,
        passed_over=passed_over,
    )


def capture_patterns(
    ctx: Context, *, artifact: str, patterns: Iterable[str], personal: str, expected: tuple[bytes, ...] = (),
    newest: bool = False, passed_over: tuple[bytes, ...] = (),
) -> Iterator[Attempt]:  # fmt: skip
    """Yield an attempt for every file that the patterns name, and for each expected one even if it is missing.

    Args:
        ctx: the surroundings.
        artifact: in whose name.
        patterns: as in a definition, with %%users.homedir%%.
        personal: class of the content.
        expected: paths whose absence is a finding of its own.
        newest: newest files first, and the end of a file that is too long.
        passed_over: prefixes that another artifact captures.
    """
    wanted = definitions.expand(patterns, homes(ctx))
    left = dict.fromkeys(expected)

    def paths() -> Iterator[bytes]:
        for path in found(ctx, (*wanted, *expected), newest=newest):
            left.pop(path, None)
            # A directory that may not be entered is met as itself, without the `/` of what is in it.
            if not path.startswith(passed_over) and path + b"/" not in passed_over:
                yield path
        yield from left

    limit = getattr(ctx, "room", None)
    room = limit(artifact) if callable(limit) else None
    yield from ctx.files(
        FileRequest(
            artifact=artifact,
            path=path,
            personal=personal,
            ext=extension(path),
            newest=newest,
            max_bytes=room if isinstance(room, int) else FILE_MAX,
        )
        for path in paths()
    )
