"""Every error that reaches a user, each with its exit code (docs/reference/exit-codes.md).

HozenError
├── UsageError 64          the call's words are off
├── BadDataError 65        foreign bytes that break a rule of the format
│   ├── FormatError        a container, manifest, journal or record that is not what the format says
│   ├── LimitError         a bound on size, depth, count or time was reached
│   └── SignatureError     a signature, certificate or proof that does not hold
├── MismatchError 1        what was checked differs from what was sealed
├── NotVerifiableError 2   a check could not be made
├── CannotWriteError 73    the destination refuses, is full, or is gone
├── TryAgainError 75       the other side is busy or out of reach
├── DeniedError 77         not allowed
└── InternalError 70       our own fault
"""

from __future__ import annotations


class HozenError(Exception):
    """Base of all errors a user may see: one sentence what is wrong, one hint what to do.

    Attributes:
        exit_code: what the command line ends with.
        hint: one sentence that says what to do, or an empty string.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(HozenError):
    """The command, option or configuration is not usable as written."""

    exit_code = 64


class BadDataError(HozenError):
    """Foreign bytes broke a rule."""

    exit_code = 65


class FormatError(BadDataError):
    """A container, manifest, journal, record or proof is not in the documented form."""


class LimitError(BadDataError):
    """A documented bound was reached; nothing beyond it was read."""


class SignatureError(BadDataError):
    """A signature, certificate chain or proof does not hold."""


class MismatchError(HozenError):
    """不一致: what was checked differs from what was sealed."""

    exit_code = 1


class NotVerifiableError(HozenError):
    """検証不能: the check could not be made, for the stated reason."""

    exit_code = 2


class CannotWriteError(HozenError):
    """The destination refused a write, is full, or is gone."""

    exit_code = 73


class TryAgainError(HozenError):
    """The other side is busy or out of reach; the same call may go through later."""

    exit_code = 75


class DeniedError(HozenError):
    """The other side, or the operating system, does not allow it."""

    exit_code = 77


class InternalError(HozenError):
    """A state that our own code must not reach."""
