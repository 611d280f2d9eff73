"""The unredacted form of a redacted item, readable by the recipients alone (bundle-v1 §8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.items import Attempt
from hozen_hashes.age import AgeWriter
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hozen_agent.items import Buffer
    from hozen_hashes.age import Recipient


def sealed_original(attempt: Attempt, recipients: Sequence[Recipient]) -> Attempt:
    """Return the attempt that stores the unredacted bytes of `attempt`, encrypted; its tag is to be its `original`.

    Raises:
        InternalError: the attempt has no unredacted form.
    """
    if attempt.unredacted is None:
        raise InternalError("there is no unredacted form")
    return Attempt(
        artifact=attempt.artifact,
        source=attempt.source,
        method=attempt.method,
        kind=attempt.kind,
        personal="sensitive",
        ext="age",
        data=_encrypted(attempt.unredacted(), recipients),
        tag=f"original of {attempt.artifact} {attempt.tag or attempt.source!r}",
    )


def _encrypted(clear: Iterable[Buffer], recipients: Sequence[Recipient]) -> Iterator[bytes]:
    out = bytearray()
    writer = AgeWriter(out.extend, recipients)
    for piece in clear:
        writer.write(piece)
        if out:
            yield bytes(out)
            out.clear()
    writer.close()
    yield bytes(out)
