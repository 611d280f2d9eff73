"""Whose case this is, who works on it, and who allowed it (law M11): given, or asked while the reading goes on."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The identification fields; an empty one was not given. `unknown` is an answer, and may be corrected later."""

    id: str = ""
    name: str = ""
    exhibit: str = ""
    operator: str = ""
    organisation: str = ""
    contact: str = ""
    authority: str = ""
    purpose: str = ""
    owner: str = ""
    drill: bool = False

    def missing(self) -> list[str]:
        """Return the names of the required fields that are still empty."""
        return [name for name in REQUIRED if not getattr(self, name)]

    def as_json(self) -> dict[str, object]:
        """Return the record form of bundle-v1 §12."""
        return asdict(self)


REQUIRED = ("id", "operator", "organisation", "contact", "authority", "purpose", "owner")
OPTION_OF = {name: "case" if name == "id" else name for name in REQUIRED}
LABELS = {
    "id": ("Case number", "案件番号"),
    "operator": ("Operator (name)", "作業者(氏名)"),
    "organisation": ("Operator's organisation", "作業者の所属"),
    "contact": ("Operator's contact", "作業者の連絡先"),
    "authority": ("Authority: who allowed this, on what basis", "作業の権限(許可者・根拠)"),
    "purpose": ("Purpose", "目的"),
    "owner": ("Owner or administrator of the target", "対象機器の所有者・管理者"),
}


def gather(given: Mapping[str, object], *, environment: Mapping[str, str] | None = None) -> Case:
    """Return the case from options first, then `HOZEN_CASE`, `HOZEN_OPERATOR`, … of the environment.

    Raises:
        UsageError: a value is longer than 500 characters or has control characters.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for item in fields(Case):
        name = OPTION_OF.get(item.name, item.name)
        value = given.get(name) or environment.get(f"HOZEN_{name.upper()}", "")
        if item.name == "drill":
            values[item.name] = bool(value)
            continue
        values[item.name] = checked(name, str(value))
    return Case(**values)  # type: ignore[arg-type]  # names and types are those of the fields


def checked(name: str, value: str) -> str:
    """Return the value without blanks around it; UsageError when it is too long or not plain text."""
    value = value.strip()
    if len(value) > _LONGEST or not value.isprintable():
        raise UsageError(
            f"the value of {name} is longer than {_LONGEST} characters or has control characters",
            hint="one line of plain text; put the rest into 'hozen note'",
        )
    return value


def refuse(missing: list[str]) -> UsageError:
    """Return the error for a run without a terminal that lacks fields."""
    options = ", ".join(f"--{OPTION_OF[name]}" for name in missing)
    return UsageError(
        f"these identification fields are missing: {options}",
        hint="give them as options, in --case-file or as HOZEN_… in the environment; the word 'unknown' is accepted",
    )


class Asker:
    """Asks for the missing fields in a thread of its own, so that the reading never waits for a person."""

    def __init__(self, case: Case, ask: Callable[[str], str]) -> None:
        """Begin to ask; `ask` gets a field's name and returns the answer, or raises OSError when nobody is there."""
        self._case = case
        self._ask = ask
        self._thread = threading.Thread(target=self._run, name="case", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether every question has its answer."""
        return not self._thread.is_alive()

    def wait(self) -> Case:
        """Return the completed case; blocks while the person is typing."""
        self._thread.join()
        return self._case

    def _run(self) -> None:
        for name in self._case.missing():
            try:
                answer = self._ask(name)
            except (OSError, EOFError):
                answer = ""
            self._case = replace(self._case, **{name: answer or "unknown"})  # type: ignore[arg-type]  # REQUIRED are texts
