"""The console script `hozen`: reads volatile evidence first, then finds and runs the command.

Only `os` and `sys` are imported before stage 0, because each further import delays the first volatile record
(design §5; the command line library alone costs more than the whole first sweep).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CAPTURING = ("capture", "baseline")
_TAKES_VALUE = ("--lang",)
_READER_WENT_AWAY = 141
_EIO = 5  # what a terminal that went away answers; the module errno is not imported for this


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (docs/reference/exit-codes.md), never a bare stack trace."""
    args = list(sys.argv[1:] if argv is None else argv)
    if _command_of(args) in CAPTURING and not {"--help", "-h"} & set(args):
        _stage_0()
    _forgiving_streams()
    from hozen_hashes import report

    try:
        code = report.guarded(_dispatch, args)
    except BrokenPipeError:
        code = _READER_WENT_AWAY
    _let_go()
    return code


def _command_of(args: Sequence[str]) -> str:
    """Return the first word that is no global option, without importing a parser."""
    skip = False
    for word in args:
        if skip:
            skip = False
        elif word in _TAKES_VALUE:
            skip = True
        elif not word.startswith("-"):
            return word
    return ""


def _stage_0() -> None:
    # Not an import statement: the wall between hashes and agent holds for everything but this one call,
    # and an installation without the agent reports the missing part later, in words.
    try:
        stage0 = __import__("hozen_agent.stage0", fromlist=["early"])
    except ImportError:
        return
    stage0.early()


def _forgiving_streams() -> None:
    """Make output total: what the terminal's encoding lacks is escaped instead of raised."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            try:
                reconfigure(errors="backslashreplace")
            except OSError:
                continue  # a terminal that went away: nobody reads what would be written


def _dispatch(args: list[str]) -> int:
    from hozen_hashes.group import run

    code = run(args)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.errno != _EIO:
            raise
        raise BrokenPipeError from error
    return code


def _let_go() -> None:
    """What cannot be said any more is dropped: the interpreter would end with its own code, 120, for it."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - pathlib is not imported for this
                os.dup2(nowhere.fileno(), number)


if __name__ == "__main__":
    sys.exit(main())
