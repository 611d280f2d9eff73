"""The identification fields of law M11 in a capture: completed while the reading goes on, never left blank."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_config.casefile import CaseFile

UNKNOWN = "unknown"
PATIENCE = 900.0  # seconds for a person, after everything was read
_SLICE = 0.25
LABELS = {
    "case": ("Case number", "案件番号"),
    "operator": ("Operator (name)", "作業者(氏名)"),
    "organisation": ("Operator's organisation", "作業者の所属"),
    "contact": ("Operator's contact", "作業者の連絡先"),
    "authority": ("Authority: who allowed this, on what basis", "作業の権限(許可者・根拠)"),
    "purpose": ("Purpose", "目的"),
    "owner": ("Owner or administrator of the target", "対象機器の所有者・管理者"),
}


def case_json(case: CaseFile) -> dict[str, object]:
    """Return the record form of bundle-v1 §12; a field that nobody gave is null."""
    values = asdict(case)
    del values["recipients"]  # the journal says whether they were confirmed
    return {"id": values.pop("case"), **values}


def refuse(missing: tuple[str, ...]) -> UsageError:
    """Return the error for a run without a terminal that lacks fields (law M11)."""
    options = ", ".join(f"--{name}" for name in missing)
    return UsageError(
        f"these identification fields are missing: {options}",
        hint="give them as options, in --case-file or as HOZEN_… in the environment; the word 'unknown' is accepted",
    )


class Asker:
    """Asks for the missing fields in a thread of its own, so that the reading never waits for a person."""

    def __init__(self, case: CaseFile, ask: Callable[[str], str]) -> None:
        """Begin to ask; `ask` gets a field's name and returns the answer, or raises OSError when nobody is there."""
        self._case = case
        self._ask = ask
        self._thread = threading.Thread(target=self._run, name="case", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether every question has its answer."""
        return not self._thread.is_alive()

    def wait(
        self, go_on: Callable[[], bool] = lambda: True, *, patience: float = PATIENCE
    ) -> CaseFile:
        """Return the completed case; what is not answered `patience` seconds from now is `unknown`.

        `go_on` is asked several times a second; waiting ends when it returns False.
        """
        until = time.monotonic() + patience
        while self._thread.is_alive() and go_on() and time.monotonic() < until:
            self._thread.join(_SLICE)
        case = self._case
        return replace(case, **dict.fromkeys(case.missing(), UNKNOWN))  # type: ignore[arg-type]  # all are texts

    def _run(self) -> None:
        for name in self._case.missing():
            try:
                answer = self._ask(name).strip()
            except (OSError, EOFError):
                answer = ""
            self._case = replace(self._case, **{name: answer or UNKNOWN})  # type: ignore[arg-type]  # all are texts
