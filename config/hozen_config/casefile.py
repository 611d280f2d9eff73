"""The identification fields of a case (law M11): from a file, the environment, or the command line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_config import bind as b
from hozen_config.loader import Place, Scalar, load_mapping
from hozen_config.profile import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUIRED = ("case", "operator", "organisation", "contact", "authority", "purpose", "owner")
_PREFIX = "HOZEN_"
_VARIABLES = {"name": "CASE_NAME"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """What is known of the case; None where nobody said anything yet, `unknown` where somebody said so."""

    case: str | None = b.key(b.text(limit=200), "case number", default=None)
    name: str | None = b.key(b.text(), "name of the case", default=None)
    exhibit: str | None = b.key(b.text(limit=200), "item number in the register", default=None)
    operator: str | None = b.key(b.text(), "who does the work", default=None)
    organisation: str | None = b.key(b.text(), "the operator's organisation", default=None)
    contact: str | None = b.key(b.text(), "how to reach the operator", default=None)
    authority: str | None = b.key(b.text(), "who allowed the work, and on what basis", default=None)
    purpose: str | None = b.key(b.text(), "what the work is for", default=None)
    owner: str | None = b.key(b.text(), "who owns or administers the target", default=None)
    drill: bool = b.key(b.flag(), "an exercise; everything made from it says so", default=False)
    recipients: tuple[str, ...] | None = b.key(
        b.listing(b.text(limit=200), limit=20),
        "who may open the bundle: age1… or SHA-256 of a certificate; others are refused",
        default=None,
    )

    def missing(self) -> tuple[str, ...]:
        """Return the required fields that nobody gave; `unknown` counts as given (law M11)."""
        return tuple(name for name in REQUIRED if getattr(self, name) is None)

    def over(self, other: CaseFile) -> CaseFile:
        """Return these fields, with the other's where these say nothing."""
        values = {
            field.name: getattr(self, field.name)
            if getattr(self, field.name) is not None
            else getattr(other, field.name)
            for field in dataclasses.fields(self)
        }
        return CaseFile(**{**values, "drill": self.drill or other.drill})


def load_case_file(path: str) -> CaseFile:
    """Return the fields of a case file.

    Raises:
        UsageError: the file cannot be read or is not a case file; with file, line and key.
    """
    return b.bind(CaseFile, load_mapping(read_file(Path(path)), file=path))


def case_from_environment(env: Mapping[str, str]) -> CaseFile:
    """Return the fields from HOZEN_CASE, HOZEN_CASE_NAME, HOZEN_OPERATOR, HOZEN_AUTHORITY and so on.

    Raises:
        UsageError: a value is not one line of printable text.
    """
    names = {
        field.name: _PREFIX + _VARIABLES.get(field.name, field.name.upper())
        for field in dataclasses.fields(CaseFile)
        if field.name != "recipients"  # a list belongs into a file that somebody can compare
    }
    return _case_of("environment", names, env)


def case_from_options(given: Mapping[str, str | None]) -> CaseFile:
    """Return the fields as given on the command line, by field name; an empty one counts as not given.

    Raises:
        UsageError: a value is not one line of printable text, or is too long.
    """
    names = {name: f"--{name}" for name in REQUIRED}
    return _case_of("command line", names, {f"--{name}": given.get(name) for name in REQUIRED})


def _case_of(origin: str, names: Mapping[str, str], given: Mapping[str, str | None]) -> CaseFile:
    kinds = {field.name: field.metadata["kind"] for field in dataclasses.fields(CaseFile)}
    place = Place(origin, 1, 1)
    values = {
        name: kinds[name].read(Scalar(place, value, absent=False), word)
        for name, word in names.items()
        if (value := given.get(word))
    }
    return CaseFile(**values)
