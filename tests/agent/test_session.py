"""A whole session on a directory, with families of evidence that fail, dawdle, or are waited for."""

from __future__ import annotations

import json
import os
import time
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hozen_agent import host
from hozen_agent.artifacts.registry import Artifact
from hozen_agent.destination import open_destination
from hozen_agent.guard import Guard
from hozen_agent.items import Attempt
from hozen_agent.medium import Medium
from hozen_agent.opening import SweepMark
from hozen_agent.planning import Plan
from hozen_agent.session import Request, Session
from hozen_config.casefile import CaseFile
from hozen_config.profile import ArtifactLimits, ProfileArtifact, load_profile
from hozen_hashes.errors import FormatError
from hozen_hashes.identity import new_one_capture
from hozen_hashes.writer import EpochLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "hz-20261123T050000Z-web01-5f3a9c10"
SIGNER = new_one_capture("test")
CASE = CaseFile(
    case="x", operator="x", organisation="x", contact="x", authority="x", purpose="x", owner="x"
)
STANDARD, DIGEST = load_profile("standard")


class Quiet:
    def step(self, number: int, total: int, name: str) -> None:
        """Nobody looks."""

    def moved(self, items: int, size: int) -> None:
        """Nobody looks."""


def family(name: str, collect: Callable[[Any], Iterator[Attempt]]) -> Artifact:
    return Artifact(
        name=name, rank=10, personal="none", en="x", ja="x", reads=("/x",), needs_root=False,
        platforms=("linux",), collect=collect,
    )  # fmt: skip


def attempt(name: str, data: bytes) -> Attempt:
    return Attempt(artifact=name, source=b"/x", method="read", data=[data])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(host, "host_facts", dict)
    monkeypatch.setattr(host, "capabilities", lambda: None)

    def go(*steps: Artifact, limits: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
        known = tuple(
            ProfileArtifact(name=s.name, limits=ArtifactLimits(deadline=(limits or {}).get(s.name)))
            for s in steps
        )
        guard = Guard(
            profile=replace(STANDARD, artifacts=known), floor=0, free_bytes=lambda: 1 << 40
        )
        destination = open_destination(tmp_path, allow_local=True, volume_size=None, floor=0)
        request = Request(
            bundle_id=ID,
            case=more.pop("case", CASE),
            complete_case=more.pop("complete_case", lambda _go_on: CaseFile(case="x")),
            plan=Plan(profile="p", profile_sha256=DIGEST, steps=steps),
            sweep=SweepMark(sha256="0" * 64, size=0, started=(0, 0), ended=(0, 0)),
            argv=["hozen"],
            epoch=EpochLimits(seconds=0.1),
        )  # fmt: skip
        session = Session(
            request, medium=Medium(destination, ID), signer=SIGNER, guard=guard, collector=None,
            progress=Quiet(),
        )  # fmt: skip
        session.open()
        session.collect(None)  # type: ignore[arg-type]  # the families here read nothing
        result = session.seal({})
        os.close(destination.fd)
        return read(tmp_path / result.files[0])

    return go


def read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist())
        return {
            "files": [
                json.loads(line)
                for name in names
                if "/hozen/files/" in name
                for line in archive.read(name).splitlines()
            ],
            "journal": [
                json.loads(line)
                for name in names
                if "/hozen/journal/" in name and name.endswith("jsonl")
                for line in archive.read(name).splitlines()
            ],
            "bundle": json.loads(archive.read(f"{ID}/hozen/bundle.json")),
        }


def test_a_family_that_meets_a_bad_format_is_recorded_and_the_next_one_is_read(
    run: Callable[..., dict[str, Any]],
) -> None:
    def broken(_ctx: object) -> Iterator[Attempt]:
        yield attempt("one", b"a")
        raise FormatError("a time outside the years 1 to 9999")

    made = run(family("one", broken), family("two", lambda _: iter([attempt("two", b"b")])))
    assert [(f["artifact"], f["outcome"]) for f in made["files"]] == [
        ("one", "captured"),
        ("one", "failed"),
        ("two", "captured"),
    ]
    assert made["bundle"]["journal"]["reason"] == "complete"


def test_a_family_that_uses_up_its_own_time_says_so_and_the_next_one_is_read(
    run: Callable[..., dict[str, Any]],
) -> None:
    def slow(_ctx: object) -> Iterator[Attempt]:
        for _ in range(50):
            time.sleep(0.02)
            yield attempt("one", b"a")

    made = run(
        family("one", slow),
        family("two", lambda _: iter([attempt("two", b"b")])),
        limits={"one": 0.1},
    )
    *_, last_of_one, two = made["files"]
    assert (last_of_one["outcome"], two["outcome"]) == ("timed_out", "captured")
    assert "0.1 s for this kind" in last_of_one["reason"]
    own = made["bundle"]["limits"]["artifacts"]
    assert own == {"one": {"item_bytes": None, "family_bytes": None, "deadline_seconds": 0.1}}
    assert len(made["files"]) < 20


def test_epochs_close_in_time_while_a_person_types(run: Callable[..., dict[str, Any]]) -> None:
    def typing(go_on: Callable[[], bool]) -> CaseFile:
        for _ in range(20):
            assert go_on()
            time.sleep(0.02)
        return CaseFile(case="C-1")

    made = run(
        family("one", lambda _: iter([attempt("one", b"a")])),
        case=CaseFile(),
        complete_case=typing,
    )
    [item] = [at for at, r in enumerate(made["journal"]) if r["type"] == "item"]
    [case] = [at for at, r in enumerate(made["journal"]) if r["type"] == "case"]
    between = [r["type"] for r in made["journal"][item:case]]
    assert "next" in between, "the item's epoch was closed before the person had answered"


def test_a_signal_while_sealing_does_not_make_journal_and_bundle_differ(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Guard.ending

    def then_interrupted(guard: Guard) -> tuple[str, str]:
        answer = told(guard)
        guard.interrupt("stopped by SIGINT")
        return answer

    monkeypatch.setattr(Guard, "ending", then_interrupted)
    made = run(family("one", lambda _: iter([attempt("one", b"a")])))
    assert made["journal"][-1]["reason"] == "complete"
    assert made["bundle"]["journal"]["reason"] == "complete"
