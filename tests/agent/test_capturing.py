"""Signals during a capture: the first one seals, the second one aborts, whatever else ended the capture."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hozen_agent.capturing import _install_signals
from hozen_agent.guard import Guard
from hozen_config.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator


class AbortedError(Exception):
    """Stands for os._exit."""


@dataclass
class Talk:
    said: list[str] = field(default_factory=list)

    def interrupted(self) -> None:
        self.said.append("stopping")


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    def aborted(code: int) -> None:
        raise AbortedError(code)

    monkeypatch.setattr(os, "_exit", aborted)
    before = [(one, signal.getsignal(one)) for one in (signal.SIGINT, signal.SIGTERM)]
    made = Guard(profile=load_profile("standard")[0], floor=0, free_bytes=lambda: 1)
    _install_signals(made, Talk())  # type: ignore[arg-type]  # only what a signal needs
    yield made
    for number, handler in before:
        signal.signal(number, handler)


def test_the_first_signal_seals_and_the_second_aborts(guard: Guard) -> None:
    signal.raise_signal(signal.SIGINT)
    assert guard.ending() == ("interrupted", "stopped by SIGINT")
    with pytest.raises(AbortedError):
        signal.raise_signal(signal.SIGTERM)


def test_twice_aborts_also_when_the_deadline_had_ended_the_capture(guard: Guard) -> None:
    guard.stop_reason, guard.detail = "deadline", "the time limit was reached"
    signal.raise_signal(signal.SIGINT)
    assert guard.ending() == ("deadline", "the time limit was reached")
    with pytest.raises(AbortedError):
        signal.raise_signal(signal.SIGINT)


def test_an_ending_that_nothing_brought_about_is_complete(guard: Guard) -> None:
    assert guard.ending() == ("complete", "")
