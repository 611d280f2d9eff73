"""Whom a drill is for: recipients given by hand, and those that a case file or a profile names.

Of the YAML only the two lists are read, from the event stream: nothing is built, no alias or tag is obeyed. Whether the
file is right in all its parts is asked when it is used for a capture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes.agekeys import Recipient, parse_recipient
from hozen_hashes.errors import FormatError, LimitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cryptography import x509
    from yaml.events import Event

MAX_FILE: Final = 1 << 20
MAX_EVENTS: Final = 40_000
MAX_RECIPIENTS: Final = 128
_LISTS: Final = frozenset({"recipients", "recovery_recipients"})
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One recipient: `name` is `age1…` or `sha256:` and the fingerprint of the certificate."""

    name: str
    recipient: Recipient | None = None
    certificate: x509.Certificate | None = None


def age(text: str) -> Asked:
    """Return the recipient of an `age1…` text; raises UsageError for any other."""
    found = parse_recipient(text)
    return Asked(str(found), recipient=found)


def holder(certificate: x509.Certificate) -> Asked:
    """Return the holder of a certificate."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - rarely needed

    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return Asked(f"sha256:{digest}", certificate=certificate)


def resolve(given: Sequence[Asked], names: Sequence[str]) -> list[Asked]:
    """Return everybody once: those given, and those that files name.

    Raises:
        UsageError: a name that is no recipient, or a certificate that was not given; nobody, or more than 128.
    """
    found: dict[str, Asked] = {one.name: one for one in given}
    for name in names:
        wanted = canonical(name)
        if wanted not in found:
            found[wanted] = _made(wanted, found)
    if not 1 <= len(found) <= MAX_RECIPIENTS:
        raise UsageError(
            f"{len(found)} recipients; a drill is for 1 to {MAX_RECIPIENTS}",
            hint="Give --recipient, or a --case or --profile file that names them.",
        )
    return list(found.values())


def canonical(name: str) -> str:
    """Return a name from a file in its one spelling; raises UsageError when it is none."""
    if _FINGERPRINT.fullmatch(name.strip()):
        return f"sha256:{name.strip().replace(':', '').lower()}"
    return str(parse_recipient(name))


def _made(name: str, given: Mapping[str, Asked]) -> Asked:
    if name.startswith("sha256:"):
        raise UsageError(
            f"the certificate {name.removeprefix('sha256:')} is named, and was not given",
            hint=f"Give its PEM file with --recipient; {len(given)} recipients are known so far.",
        )
    return age(name)


def names_in(data: bytes, *, file: str) -> list[str]:
    """Return what the lists `recipients` and `recovery_recipients` of a YAML file hold.

    Raises:
        FormatError: no YAML, or one of the lists is no list of words.
        LimitError: larger than 1 MiB, or of more parts than such a file has.
    """
    import yaml  # noqa: PLC0415 - rarely needed

    if len(data) > MAX_FILE:
        raise LimitError(f"{file}: larger than {MAX_FILE} bytes")
    try:
        return list(
            _listed(_bounded(yaml.parse(data.decode(), Loader=yaml.SafeLoader), file), file)
        )
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FormatError(f"{file}: not readable as YAML: {type(error).__name__}") from None


def _bounded(events: Iterator[Event], file: str) -> Iterator[Event]:
    for count, event in enumerate(events):
        if count == MAX_EVENTS:
            raise LimitError(f"{file}: more parts than such a file has")
        yield event


def _listed(events: Iterator[Event], file: str) -> Iterator[str]:
    """Yield the words of the wanted lists: values of the outermost mapping."""
    from yaml import events as kinds  # noqa: PLC0415 - rarely needed

    depth, key, wanted = 0, True, False
    for event in events:
        if isinstance(event, kinds.AliasEvent):
            raise FormatError(f"{file}: an alias")
        if isinstance(event, kinds.ScalarEvent) and depth == 1:
            if wanted:
                raise FormatError(f"{file}: recipients is no list")
            wanted, key = key and event.value in _LISTS, not key
        elif isinstance(event, kinds.ScalarEvent) and wanted and depth == 2:  # noqa: PLR2004 - in the list
            yield event.value
        elif isinstance(event, kinds.MappingStartEvent | kinds.SequenceStartEvent):
            if depth == 0 and isinstance(event, kinds.SequenceStartEvent):
                raise FormatError(f"{file}: no settings, but a list")
            if wanted and (depth > 1 or isinstance(event, kinds.MappingStartEvent)):
                raise FormatError(f"{file}: recipients is no list of words")
            depth += 1
        elif isinstance(event, kinds.MappingEndEvent | kinds.SequenceEndEvent):
            depth -= 1
            if depth == 1:
                key, wanted = True, False
