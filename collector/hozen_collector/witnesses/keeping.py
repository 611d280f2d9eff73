"""Cosignatures on disk, each kept once and never altered; and receipts and checkpoints that carry them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from hozen_collector import faults
from hozen_collector.clock import now_ns
from hozen_collector.index.models import Cosignature, Witness
from hozen_hashes.checkpoint import read_checkpoint
from hozen_hashes.cosignature import parse_witness_vkey
from hozen_hashes.errors import UsageError
from hozen_hashes.note import parse_note

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_collector.log import TransparencyLog
    from hozen_config.settings import CollectorSettings
    from hozen_hashes.cosignature import WitnessKey
    from hozen_hashes.note import NoteSignature


@dataclass(frozen=True, slots=True)
class Asked:
    """A witness of the settings."""

    url: str
    key: WitnessKey

    @property
    def id(self) -> str:
        """What counts as one witness: its public key."""
        return self.key.public_bytes.hex()


def witnesses_of(settings: CollectorSettings) -> tuple[Asked, ...]:
    """Return the witnesses of the settings.

    Raises:
        UsageError: a key is there twice, or more are required than there are.
    """
    words = settings.witnesses
    found = tuple(Asked(one.url, parse_witness_vkey(one.key.encode())) for one in words.ask)
    if len({one.id for one in found}) != len(found):
        raise UsageError("two witnesses under `witnesses` have the same key")
    if found and words.required > len(found):
        raise UsageError(f"`witnesses` requires {words.required} and names {len(found)}")
    return found


class Cosignatures:
    """What the witnesses of one collector have cosigned. Methods block and may be called from any thread."""

    def __init__(self, index: Index, log: TransparencyLog, settings: CollectorSettings) -> None:
        self._index = index
        self._log = log
        self._policy = settings.witnesses
        self.asked = witnesses_of(settings)
        self._news = threading.Condition()
        self._failing: set[str] = set()
        self._closed = False

    def begin(self) -> None:
        """Note for `collector status` who is asked now."""
        with self._index.write() as session:
            for row in session.scalars(select(Witness)):
                row.asked = False
            session.flush()
            for one in self.asked:
                row = session.get(Witness, one.id) or Witness(key=one.id, failures=0, error="")
                row.name, row.url, row.asked = one.key.name, one.url, True
                session.merge(row)

    def last(self, witness: Asked) -> int:
        """Give the largest size that the witness cosigned, 0 before the first."""
        query = select(func.max(Cosignature.size)).where(Cosignature.key == witness.id)
        with self._index.read() as session:
            return session.scalar(query) or 0

    def keep(
        self, witness: Asked, size: int, note: bytes, line: NoteSignature, seconds: int
    ) -> None:
        """Make a cosignature durable; the first one of a witness for a size stays."""
        same = select(Cosignature.id).where(Cosignature.size == size, Cosignature.key == witness.id)
        with self._index.write() as session:
            if session.scalar(same) is None:
                words = {"size": size, "note": note, "key": witness.id, "line": line.line}
                session.add(Cosignature(**words, stated=seconds, arrived=now_ns()))
            row = session.get(Witness, witness.id)
            if row is not None:
                row.failures, row.error = 0, ""
        faults.reach("cosignature-kept")
        with self._news:
            self._failing.discard(witness.id)
            self._news.notify_all()

    def failed(self, witness: Asked, why: str) -> None:
        """Note why a witness did not cosign; receipts do not wait for it until it does."""
        with self._news:
            self._failing.add(witness.id)
            self._news.notify_all()
        with self._index.write() as session:
            row = session.get(Witness, witness.id)
            if row is not None:
                row.failures, row.error, row.failed = row.failures + 1, why[:500], now_ns()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def wait(self, position: int) -> None:
        """Return when a leaf is under enough cosignatures, when that cannot be soon, or after the configured time."""
        deadline = time.monotonic() + self._policy.wait
        with self._news:
            while self._hopeful() and not self._enough(position):
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    return

    def proof(self, position: int) -> bytes | None:
        """Give the proof of a leaf to the first checkpoint that enough witnesses cosigned, else to that with the most.

        None where nobody cosigned a checkpoint with this leaf.
        """
        with self._index.read() as session:
            size = session.scalar(self._sizes(position).order_by(Cosignature.size).limit(1))
            if size is None:
                most = self._sizes(position, required=1)
                order = (func.count(distinct(Cosignature.key)).desc(), Cosignature.size)
                size = session.scalar(most.order_by(*order).limit(1))
            note = None if size is None else self._lines(session, size)
        return (
            None if note is None else self._log.proof_to(position, read_checkpoint(note)[0], note)
        )

    def cosigned(self, size: int, note: bytes) -> bytes:
        """Give the checkpoint of this size with the cosignatures that are there."""
        if not self.asked:
            return note
        with self._index.read() as session:
            return self._lines(session, size) or note

    def _hopeful(self) -> bool:
        able = sum(one.id not in self._failing for one in self.asked)
        return bool(self.asked) and not self._closed and able >= self._policy.required

    def _enough(self, position: int) -> bool:
        with self._index.read() as session:
            return session.scalar(self._sizes(position).limit(1)) is not None

    def _sizes(self, position: int, required: int | None = None) -> Select[Any]:
        """Select the sizes of checkpoints with this leaf that so many of the witnesses cosigned."""
        query = select(Cosignature.size).where(Cosignature.size > position)
        if self.asked:
            query = query.where(Cosignature.key.in_([one.id for one in self.asked]))
        wanted = self._policy.required if required is None else required
        return query.group_by(Cosignature.size).having(
            func.count(distinct(Cosignature.key)) >= wanted
        )

    def _lines(self, session: Session, size: int) -> bytes | None:
        query = select(Cosignature).where(Cosignature.size == size).order_by(Cosignature.id)
        rows = session.scalars(query.limit(32)).all()
        if not rows:
            return None
        whole = rows[0].note + "".join(row.line for row in rows).encode()
        return parse_note(whole).encode()
