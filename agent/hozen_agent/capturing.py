"""Prepares one capture and runs it: the order of preparation is part of the proof (design §5).

First sweep in memory → destination probed → read-only view → reading helpers forked → hardening → key → journal.
No process that holds a key forks; nothing but the sweep is read before the start is signed.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hozen_agent import addressees, choice, hardening, planning
from hozen_agent.artifacts.registry import CATALOGUE
from hozen_agent.case import Asker, refuse
from hozen_agent.circumstances import Between, point_out_reboot
from hozen_agent.destination import Destination, open_destination
from hozen_agent.guard import Guard, floor_of, hold_memory
from hozen_agent.medium import Medium
from hozen_agent.session import Progress, Request, Session
from hozen_agent.signers import choose_signer
from hozen_agent.surroundings import Surroundings
from hozen_config.profile import load_profile
from hozen_config.quantities import parse_size
from hozen_hashes.errors import HozenError, UsageError
from hozen_hashes.names import new_bundle_id
from hozen_hashes.writer import EpochLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hozen_agent.addressees import Addressees
    from hozen_agent.opening import CollectorPort
    from hozen_agent.proc.sweep import Sweep
    from hozen_agent.reading.window import Window
    from hozen_agent.session import Result
    from hozen_config.casefile import CaseFile
    from hozen_config.profile import Profile
    from hozen_hashes.identity import Signer

_ABORTED = 130
_RECIPIENT = "add --recipient age1… ('hozen key new --age' makes one)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person asked for; texts as typed.

    Attributes:
        packets: seconds of a window on the network's packets, whatever the profile has.
        memory: also take the main memory.
        memory_of: processes whose memory is wanted, as numbers or name patterns.
        added, removed: artifacts chosen otherwise than the profile.
        window: the span of time that is asked for.
        shown: what was shown to the person before the start, for the journal.
    """

    case: CaseFile
    profile: str
    out: Path
    argv: list[str]
    reason: str = ""
    allow_local: bool = False
    volume_size: str | None = None
    recipients: tuple[str, ...] = ()
    keep_originals: bool = False
    identity: str | None = None
    packets: float | None = None
    memory: bool = False
    memory_of: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    window: Window | None = None
    shown: tuple[str, ...] = ()

    def choice(self) -> planning.Choice:
        """Return what is asked for beside the profile."""
        wanted = (
            (self.packets is not None, choice.PACKETS),
            (self.memory, choice.MEMORY),
            (bool(self.memory_of), "process_memory"),
        )
        more = tuple(name for is_wanted, name in wanted if is_wanted)
        return planning.Choice(
            added=tuple(dict.fromkeys((*self.added, *more))),
            removed=self.removed,
            window=self.window,
        )


class Talk(Progress, Protocol):
    """The person, or nobody."""

    @property
    def interactive(self) -> bool:
        """Whether somebody can answer."""

    def ask(self, field: str) -> str:
        """Return the answer for a case field."""

    def say(self, text: str) -> None:
        """Tell something about the work."""

    def point_out(self, *, en: str, ja: str) -> None:
        """Say it in the person's language, as a warning."""

    def interrupted(self) -> None:
        """Tell that the capture is being sealed; called from a signal handler."""

    def secret(self, what: str) -> bytes | None:
        """Return the passphrase or PIN of the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Options that were checked."""

    profile: Profile
    plan: planning.Plan
    addressees: Addressees
    volume_size: int | None


def prepare(options: Options, *, interactive: bool) -> Prepared:
    """Return the checked options.

    Raises:
        UsageError: a profile, recipient or size is not usable, something required is missing.
    """
    planning.load_families()
    profile, digest = load_profile(options.profile, known=CATALOGUE)
    plan = planning.make_plan(profile, profile_sha256=digest, choice=options.choice())
    _check_consent(profile, plan, options)
    missing = options.case.missing()
    if missing and not interactive:
        raise refuse(missing)
    return Prepared(
        profile=profile,
        plan=plan,
        addressees=addressees.resolve(
            options.recipients,
            listed=options.case.recipients,
            recovery=profile.recovery_recipients,
        ),
        volume_size=parse_size(options.volume_size) if options.volume_size else None,
    )


def _check_consent(profile: Profile, plan: planning.Plan, options: Options) -> None:
    """What goes deep into people's data is only taken with a reason, and for a recipient (law P04, S13).

    Raises:
        UsageError: a reason or a recipient is missing.
    """
    deep = [n for n in plan.sensitive if n != choice.PACKETS or profile.packets.payload]
    what = f"profile {profile.name}" if not deep else f"{', '.join(deep)}"
    if (profile.requires_reason or deep) and not options.reason:
        raise UsageError(f"{what}: a written reason is needed", hint="add --reason TEXT")
    if options.recipients:
        return
    if profile.requires_encryption or deep:
        raise UsageError(f"{what}: only taken encrypted", hint=_RECIPIENT)
    if not profile.redaction:
        raise UsageError(
            f"profile {profile.name} switches redaction off and is only taken encrypted",
            hint=_RECIPIENT,
        )
    if options.keep_originals:
        raise UsageError("originals are kept for a recipient only", hint="add --recipient age1…")


def capture_host(
    options: Options,
    *,
    proc: int,
    sweep: Sweep,
    talk: Talk,
    connect: Callable[[], CollectorPort | None],
    enrolled: Callable[[], Signer | None],
) -> Result:
    """Capture this host into one sealed bundle at the destination.

    `proc` and `sweep` are from stage 0; `connect` gives the collector, or None when none was named;
    `enrolled` gives the enrolled identity, or None.

    Raises:
        UsageError: as prepare(); the destination lies on this host's own disks.
        CannotWriteError: the destination refuses, is full, or gave back other bytes; a provable
            partial remains.
        SignatureError: the identity cannot be used.
    """
    hardening.return_memory()
    ready = prepare(options, interactive=talk.interactive)
    destination = _destination(options, ready)
    hardening.survive_hangups()
    _warn(ready, talk)
    granted: dict[str, object] = {}
    problems = hold_memory(ready.profile, granted)
    with _surroundings(options, ready, proc=proc, sweep=sweep) as around:
        remarks = [*around.notes, *problems, *hardening.harden(), *options.shown]
        signer = choose_signer(options.identity, ask=talk.secret, enrolled=enrolled)
        asker = Asker(options.case, talk.ask) if options.case.missing() else None
        collector, not_reached = _reach(connect)
        bundle_id = new_bundle_id(os.uname().nodename, sweep.started[0], os.urandom(4).hex())
        medium = Medium(destination, bundle_id, addressees=ready.addressees)
        guard = _guard(ready.profile, medium, destination)
        guard.obtained.update(granted)
        guard.autogroup = around.autogroup
        _install_signals(guard, talk)
        between = Between(ready.profile, destination, talk=talk, case=options.case, began=guard.began)  # fmt: skip
        session = Session(
            _request(
                options,
                ready,
                around,
                bundle_id=bundle_id,
                asker=asker,
                remarks=remarks,
                not_reached=not_reached,
            ),
            medium=medium,
            signer=signer,
            guard=guard,
            collector=collector,
            progress=talk,
            between=between,
            readers=lambda: around.pids,
        )
        comments = choice.comments(bundle_id, ready.plan, options.case)
        return _run(session, around, medium, options=options, comments=comments, talk=talk)


def _surroundings(options: Options, ready: Prepared, *, proc: int, sweep: Sweep) -> Surroundings:
    window = choice.window(ready.profile, ready.plan, seconds=options.packets)
    return Surroundings(proc=proc, sweep=sweep, redact=ready.profile.redaction, window=window)


def _run(
    session: Session, around: Surroundings, medium: Medium, *, options: Options, comments: list[str], talk: Talk
) -> Result:  # fmt: skip
    """Start, read, seal."""
    _begin(session, medium)
    point_out_reboot(session.host, talk=talk, note=session.note)
    around.watch(comments)
    session.collect(around.context(session, memory_of=options.memory_of, output=medium.output()))
    around.rest()
    return session.seal(around.footprint())


def _begin(session: Session, medium: Medium) -> None:
    """Open the session; when that fails, no empty files stay on the medium."""
    try:
        session.open()
    except BaseException:
        if not session.begun:
            medium.withdraw()
        raise


def _destination(options: Options, ready: Prepared) -> Destination:
    return open_destination(
        options.out,
        allow_local=options.allow_local,
        volume_size=ready.volume_size,
        floor=ready.profile.limits.free_space_floor,
    )


def _warn(ready: Prepared, talk: Talk) -> None:
    """Say what a profile of somebody's own gives up, and what the choice of recipients does."""
    for en, ja in ready.addressees.warnings:
        talk.point_out(en=en, ja=ja)
    if not ready.profile.redaction:
        talk.say(
            "warning: the profile switches redaction off: secrets on command lines are stored as they are"
        )


def _guard(profile: Profile, medium: Medium, destination: Destination) -> Guard:
    """Return the guard over this medium's free space."""
    floor = floor_of(profile, destination.size)
    return Guard(profile=profile, floor=floor, free_bytes=medium.container.free_bytes)


def _request(
    options: Options,
    ready: Prepared,
    around: Surroundings,
    *,
    bundle_id: str,
    asker: Asker | None,
    remarks: list[str],
    not_reached: str,
) -> Request:
    """Return what the session is to do, with everything that must be remarked in the journal."""
    reason = [f"reason for the profile: {options.reason}"] if options.reason else []
    if not ready.profile.redaction:
        reason.append(
            "redaction is switched off by the profile: command lines and environments are stored in clear"
        )
    reason += [*ready.addressees.remarks, *(en for en, _ in ready.addressees.warnings)]
    return Request(
        bundle_id=bundle_id,
        case=options.case,
        complete_case=asker.wait if asker else (lambda _go_on: options.case),
        plan=ready.plan,
        sweep=around.sweep_mark(),
        argv=around.redactor.argv(options.argv),
        epoch=EpochLimits(seconds=ready.profile.epoch.seconds, payload=ready.profile.epoch.bytes),
        remarks=tuple(remarks + reason),
        redaction=around.redaction(),
        originals=ready.addressees.recipients if options.keep_originals else (),
        not_reached=not_reached,
        isolation=ready.profile.isolation,
    )


def _reach(connect: Callable[[], CollectorPort | None]) -> tuple[CollectorPort | None, str]:
    try:
        return connect(), ""
    except HozenError as error:
        return None, str(error)


def _install_signals(guard: Guard, talk: Talk) -> None:
    """Make the first Ctrl-C or TERM seal what there is, and the second abort."""
    asked: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        if asked:
            guard.leave()
            os._exit(_ABORTED)  # the partial stays provable; nothing may run any more
        asked.append(number)
        guard.interrupt(f"stopped by {signal.Signals(number).name}")
        talk.interrupted()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
