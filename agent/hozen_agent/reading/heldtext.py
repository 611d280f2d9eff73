"""A text of /proc/PID that may hang whoever reads it: a worker does, and may be given up."""

from __future__ import annotations

from errno import EACCES, EBUSY, EFBIG, EIO, ESRCH
from typing import TYPE_CHECKING, Final

from hozen_agent.context import FileRequest, Through
from hozen_agent.items import AttemptFailed, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_agent.items import Attempt

    Reader = Callable[[Iterable[FileRequest]], Iterator[Attempt]]

_NUMBERS: Final = {
    Outcome.TIMED_OUT: EBUSY,
    Outcome.MISSING: ESRCH,
    Outcome.DENIED: EACCES,
    Outcome.TRUNCATED: EFBIG,
}


def held_text(read: Reader, name: bytes, start_ticks: int, most: int) -> tuple[bytes, int]:
    """Return the bytes and 0, or what there was and the errno that stands for the reason; EBUSY when it hung.

    Args:
        read: the capture's reader.
        name: as in `proc/812/environ`.
        start_ticks: of the process.
        most: bytes; beyond, the text is cut (EFBIG).
    """
    request = FileRequest(
        artifact="processes",
        path=b"/" + name,
        max_bytes=most,
        through=Through(pid=int(name.split(b"/")[1]), start_ticks=start_ticks),
    )
    data, number = b"", EBUSY
    for attempt in read([request]):
        number = (
            0 if attempt.data is not None else _NUMBERS.get(attempt.outcome or Outcome.FAILED, EIO)
        )
        try:
            data = b"".join(bytes(piece) for piece in attempt.data or ())
        except AttemptFailed as failed:
            number = _NUMBERS.get(failed.outcome, EIO)
    return data, number
