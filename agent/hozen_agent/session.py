"""One capture from the first signature to the sealed, re-read bundle (design §5)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from hozen_agent import closing, host, opening
from hozen_agent.artifacts.registry import FILES_FROM_RANK
from hozen_agent.case import case_json
from hozen_agent.clock import now, utc_now
from hozen_agent.items import Attempt, Outcome
from hozen_agent.kernel import timex
from hozen_agent.recorder import Recorder, fault
from hozen_agent.redaction import originals
from hozen_hashes import readme_verify
from hozen_hashes.errors import CannotWriteError, HozenError
from hozen_hashes.writer import BundleWriter, EpochLimits, Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hozen_agent.artifacts.registry import Artifact
    from hozen_agent.context import Context
    from hozen_agent.guard import Guard
    from hozen_agent.medium import Medium
    from hozen_agent.opening import CollectorPort, SweepMark
    from hozen_agent.planning import Plan
    from hozen_config.casefile import CaseFile
    from hozen_hashes.age import Recipient
    from hozen_hashes.identity import Signer

_UNHURRIED_RANK = (
    18  # processes, sockets, sessions and clock are read; a second of full speed is enough
)
_OUTCOME_WHEN_STOPPED = {"deadline": Outcome.TIMED_OUT}


class Progress(Protocol):
    """Told what the capture is doing; must never raise."""

    def step(self, number: int, total: int, name: str) -> None:
        """Artifact `name` begins."""

    def moved(self, items: int, size: int) -> None:
        """So many attempts and bytes are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a capture is asked to do.

    Attributes:
        case: may lack fields while `complete_case` still waits for answers, as long as its argument returns True.
        argv: our own command line, redacted.
        remarks: observations made before the journal existed.
        redaction: whether it was on, and the rules' hash.
        originals: recipients of a second, unredacted form of what is redacted.
        isolation: seconds for the volatile part, when the computer is to be cut off after it.
    """

    bundle_id: str
    case: CaseFile
    complete_case: Callable[[Callable[[], bool]], CaseFile]
    plan: Plan
    sweep: SweepMark
    argv: list[str]
    epoch: EpochLimits = field(default_factory=EpochLimits)
    remarks: tuple[str, ...] = ()
    redaction: Mapping[str, object] = field(default_factory=dict)
    originals: tuple[Recipient, ...] = ()
    not_reached: str = ""
    isolation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out.

    Attributes:
        files: names of the container's files in the destination.
        reason: `complete`, or why the capture ended early.
        outcomes: attempts by outcome.
        leftovers: what stayed beside the bundle although it is finished, one sentence each.
    """

    bundle_id: str
    files: list[str]
    sealed: Sealed
    container_sha256: str
    container_size: int
    reason: str
    detail: str
    outcomes: Mapping[str, int]
    not_obtained: int
    case: CaseFile
    signer_kind: str
    signer_sha256: str
    leftovers: tuple[str, ...] = ()


class Session:
    """Runs one capture; every attempt ends in a recorded outcome, whatever happens in between."""

    def __init__(
        self,
        request: Request,
        *,
        medium: Medium,
        signer: Signer,
        guard: Guard,
        collector: CollectorPort | None,
        progress: Progress,
        between: Callable[[Session, Context, tuple[str, ...]], None] = lambda *_: None,
        readers: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        """Take what the command prepared; nothing is written yet.

        Args:
            request: what to do.
            medium: where to.
            signer: signs start and seal.
            guard: bounds it.
            collector: dates the start, if there is one.
            progress: told what happens.
            between: called once, when the volatile part is durable; gets what of it was put off.
            readers: process ids of the helpers, whose priority is lowered and whose CPU time counts.
        """
        self._request = request
        self._medium = medium
        self._signer = signer
        self._guard = guard
        self._collector = collector
        self._progress = progress
        self._between = between
        self._readers = readers
        self.begun = False
        self._stepped_back = False
        self._agent = host.agent_facts(request.argv)
        self._host: Mapping[str, object] = {}
        self._started = now()
        self._offset: tuple[float, float] | None = None
        self._offset_missing = "no collector was named"
        self._checkpoint: Mapping[str, object] = {}
        self.writer = BundleWriter(
            request.bundle_id,
            sink=medium.sink,
            sidecar=medium.sidecar,
            now=now,
            epoch=request.epoch,
            spill=medium.spill,
        )
        self.recorder = Recorder(
            self.writer,
            now=now,
            room=guard.room,
            stopped=self.stopped,
        )

    @property
    def offset(self) -> tuple[float, float] | None:
        """Host clock minus collector clock and its uncertainty in milliseconds, once measured."""
        return self._offset

    def room(self, artifact: str) -> int:
        """Return how many bytes the next item of `artifact` may still take."""
        return self._guard.room(artifact)

    def stopped(self) -> bool:
        """Return whether the capture, or what it reads at the moment, is to end."""
        self._guard.keep_pace(
            self._readers, lambda: None
        )  # a payload is open: no epoch closes here
        return self._guard.stopped_within() or bool(self._guard.late())

    def note(self, text: str) -> None:
        """Enter an observation about the capture itself in the journal."""
        self.writer.note({"type": "note", "text": host.legible(text)})

    def open(self) -> None:
        """Sign, durably, what is about to be done; only after this may anything else be read."""
        request = self._request
        self._checkpoint = opening.not_before(self._collector, reason=request.not_reached)
        record = opening.start_record(
            agent=self._agent,
            plan=request.plan,
            sweep=request.sweep,
            checkpoint=self._checkpoint,
            signer=self._signer,
            case=request.case,
        )
        start_p7s = self.writer.begin(
            record,
            readme=readme_verify.render(request.bundle_id),
            plan=request.plan.to_json(),
            signer=self._signer,
            signing_time=utc_now(),
        )
        self.begun = True
        self._host = host.host_facts()
        for remark in request.remarks:
            self.note(remark)
        if self._collector is not None:
            self.writer.close_epoch()  # a slow collector must not keep one open
            self._announce(self._collector, start_p7s)

    @property
    def plan(self) -> Plan:
        """What is to be read."""
        return self._request.plan

    @property
    def host(self) -> Mapping[str, object]:
        """What the examined host says of itself; known once the start is signed."""
        return self._host

    def collect(self, context: Context) -> None:
        """Attempt every step of the plan, most volatile first."""
        steps = list(enumerate(self._request.plan.steps, 1))
        last = max((n for n, step in steps if step.rank < FILES_FROM_RANK), default=0)
        put_off: list[tuple[int, Artifact]] = []
        if self._request.isolation is not None:
            self._guard.stage(self._request.isolation)
        for number, step in steps[:last]:
            if step.rank >= _UNHURRIED_RANK and self._request.isolation is None:
                self._step_back()
            if self._guard.stage_over():
                put_off.append((number, step))
            else:
                self._step(number, step, context)
        self._guard.end_stage()
        self.writer.close_epoch()
        self._between(self, context, tuple(step.name for _, step in put_off))
        for number, step in put_off:
            self.note(f"{step.name} was not begun within the volatile part and is read after it")
            self._step(number, step, context)
        self._step_back()
        for number, step in steps[last:]:
            self._step(number, step, context)

    def _step_back(self) -> None:
        """From now on the host's own work comes first."""
        if not self._stepped_back:
            self._stepped_back = True
            for problem in self._guard.step_back(self._readers()):
                self.note(problem)

    def _step(self, number: int, step: Artifact, context: Context) -> None:
        self._progress.step(number, len(self._request.plan.steps), step.name)
        self._collect_one(step, context)

    def seal(self, footprint: Mapping[str, object]) -> Result:
        """End the journal, seal, re-read the medium, and give the bundle its name.

        Raises:
            CannotWriteError: the medium refused, or gave back other bytes than were written; the partial stays.
        """
        case = self._request.complete_case(self._may_wait)
        if self._request.case.missing():
            self.writer.note({"type": "case", **case_json(case)})
        # Asked once: a Ctrl-C while sealing must not make journal and bundle.json differ.
        reason, detail = self._guard.ending()
        facts = self._facts(case, footprint, reason=reason)
        sealed = self.writer.finish(
            reason=reason,
            detail=detail,
            bundle_json=lambda writer: closing.bundle_json(facts, writer),
            bag_info=closing.bag_info(facts, self._request.bundle_id),
            signer=self._signer,
            signing_time=utc_now(),
        )
        files = self._medium.complete(self._signer, sealed, bundle_id=self._request.bundle_id)
        tally = self.recorder.tally
        return Result(
            bundle_id=self._request.bundle_id,
            files=files,
            sealed=sealed,
            container_sha256=self._medium.container.sha256,
            container_size=self._medium.container.size,
            reason=reason,
            detail=detail,
            outcomes=dict(tally.outcomes),
            not_obtained=tally.not_obtained,
            case=case,
            signer_kind=self._signer.kind,
            signer_sha256=str(opening.identity_facts(self._signer)["certificate_sha256"]),
            leftovers=tuple(self._medium.leftovers),
        )

    # -- inside ---------------------------------------------------------------------------------------------------

    def _announce(self, collector: CollectorPort, start_p7s: bytes) -> None:
        try:
            leaf = collector.announce_start(
                bundle=self._request.bundle_id,
                segment=self.writer.first_segment,
                start_p7s=start_p7s,
                first_key_sha256=self.writer.journal.first_key_sha256,
            )
            self.note(f"the collector logged the start as leaf {leaf}")
        except HozenError as error:
            self.note(f"the collector did not log the start: {error}")
        try:
            self._offset = collector.measure_offset()
        except HozenError as error:
            self._offset_missing = str(error)

    def _collect_one(self, step: Artifact, context: Context) -> None:
        attempts, late = 0, ""
        self._guard.begin(step.name)
        try:
            if not self._guard.stopped():
                for attempt in step.collect(context):
                    self._record(attempt)
                    attempts += 1
                    self._guard.keep_pace(self._readers, self.writer.tick)
                    if self._guard.stopped() or (late := self._guard.late()):
                        break
        except CannotWriteError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one family must not cost the others; it is recorded
            self._record(self._unread(step, Outcome.FAILED, fault(error)))
            attempts += 1
        if self._guard.stop_reason:
            outcome = _OUTCOME_WHEN_STOPPED.get(self._guard.stop_reason, Outcome.FAILED)
            what = "not read" if not attempts else "the rest was not read"
            self._record(self._unread(step, outcome, f"{what}: {self._guard.detail}"))
        elif late:
            self._record(self._unread(step, Outcome.TIMED_OUT, f"the rest was not read: {late}"))
        elif not attempts:
            self._record(
                self._unread(step, Outcome.MISSING, "nothing of this kind exists on this host")
            )

    def _record(self, attempt: Attempt) -> None:
        if attempt.unredacted is not None and self._request.originals:
            original = originals.sealed_original(attempt, self._request.originals)
            self._record(original)
            attempt = replace(attempt, original=original.tag)
        record = self.recorder.record(attempt)
        self._guard.took(record.artifact, record.size or 0)
        self._progress.moved(self.writer.items, self.writer.payload_bytes)

    @staticmethod
    def _unread(step: Artifact, outcome: Outcome, reason: str) -> Attempt:
        return Attempt(
            artifact=step.name,
            source=" ".join(step.reads).encode(),
            method="read",
            personal=step.personal,
            outcome=outcome,
            reason=reason,
        )

    def _may_wait(self) -> bool:
        """Keep the epochs short while a person types; return whether to wait on."""
        self.writer.tick()
        return self._guard.stop_reason != "interrupted"

    def _facts(
        self, case: CaseFile, footprint: Mapping[str, object], *, reason: str
    ) -> closing.Facts:
        return closing.Facts(
            case=case,
            agent=self._agent,
            host=self._host,
            plan=self._request.plan,
            started=self._request.sweep.started,
            ended=now(),
            clock=self._clock(),
            checkpoint=self._checkpoint,
            tally=self.recorder.tally,
            reason=reason,
            signature=opening.algorithm_of(self._signer),
            redaction=self._request.redaction,
            written=self._medium.written,
            guard=self._guard,
            footprint={"temporary_files": list(self._medium.temporary), **footprint},
            encryption=self._medium.encryption(),
            destination=self._medium.facts(),
        )

    def _clock(self) -> dict[str, object]:
        kept = timex.kept_in_step()
        if self._offset is None:
            return {
                **kept,
                "offset_to_collector_ms": None,
                "uncertainty_ms": None,
                "reason": self._offset_missing,
            }
        return {
            **kept,
            "offset_to_collector_ms": self._offset[0],
            "uncertainty_ms": self._offset[1],
            "reason": None,
        }


__all__ = ["CannotWriteError", "Progress", "Request", "Result", "Session"]
