"""Turns whatever ends a command into one error line, one hint line and the documented exit code."""

from __future__ import annotations

import errno
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from hozen_hashes import cli
from hozen_hashes.errors import HozenError

if TYPE_CHECKING:
    from collections.abc import Callable

USAGE, INTERNAL, CANNOT_WRITE, DENIED, INTERRUPTED = 64, 70, 73, 77, 130
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})


def guarded(command: Callable[[list[str]], int], args: list[str]) -> int:
    """Return what `command` returned, or the exit code of the error it ended with.

    Raises:
        BrokenPipeError: nobody reads standard output any more; the caller ends quietly.
    """
    try:
        return command(args)
    except BrokenPipeError:
        raise
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, EOFError, click.Abort) as stop:
        return _stopped(stop)
    except Exception as error:  # noqa: BLE001 - the last line of defence: nothing passes unreported
        return _reported(error)


def _reported(error: Exception) -> int:
    if isinstance(error, HozenError):
        cli.error(str(error), hint=error.hint)
        return error.exit_code
    if isinstance(error, click.ClickException):
        return _misused(error)
    if isinstance(error, OSError):
        return _refused(error)
    return _unexpected(error)


def _stopped(stop: BaseException) -> int:
    if isinstance(stop, EOFError) or isinstance(stop.__cause__, EOFError):
        cli.error("the input ended before the question was answered")
        return USAGE
    cli.error("interrupted")
    return INTERRUPTED


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "hozen"
    cli.error(error.format_message(), hint=f"see `{path} --help`")
    return USAGE


def _refused(error: OSError) -> int:
    """Report the operating system's refusal that no command put into its own words."""
    where = f"{error.filename}: " if error.filename is not None else ""
    if error.errno in _ABSENT:
        cli.error(f"{where}{error.strerror}", hint="check the path")
        return USAGE
    if error.errno in _UNWRITABLE:
        cli.error(f"{where}{error.strerror}", hint="check the medium and its free space")
        return CANNOT_WRITE
    if isinstance(error, PermissionError):
        cli.error(
            f"{where}{error.strerror}", hint="check the owner and mode, or run with more privileges"
        )
        return DENIED
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Report a fault of our own in one line; the trace is shown on request and never put on a disk."""
    place = " < ".join(
        f"{PurePath(frame.filename).name}:{frame.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)[-3:])
    )
    cli.error(f"unexpected {type(error).__name__}: {error} (at {place})")
    if cli.settings.verbosity > 0:
        for line in traceback.format_exception(error):
            cli.detail(line.rstrip("\n"))
    else:
        cli.hint(
            "this is a fault of hozen; the same call with -v shows the trace (no file was written)"
        )
    return INTERNAL
