"""Steps 1 to 6 of bundle-v1 §11: the container, the bag, the seal, and every file against the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes import bag
from hozen_hashes.errors import FormatError, LimitError
from hozen_hashes.fields import Fields
from hozen_hashes.jsonl import parse_object
from hozen_hashes.verify.reading import BUNDLE_JSON, MANIFEST, SEALED
from hozen_hashes.verify.report import MAX_SHOWN, Difference, Note, Result, StepResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_hashes.verify.ledger import Comparison
    from hozen_hashes.verify.reading import Reading

FORMAT = "hozen-bundle/"
MAJOR = 1
UNDERSTOOD: frozenset[str] = frozenset()
"""Keys that `critical` may list (bundle-v1 §2); version 1 has none."""


def step(
    number: int,
    notes: Sequence[Note],
    differences: Sequence[Difference] = (),
    *,
    otherwise: Result = Result.MATCH,
) -> StepResult:
    """Return a mismatch with these notes and differences, or `otherwise` when there are none."""
    if not notes and not differences:
        return StepResult(number, otherwise)
    return StepResult(
        number, Result.MISMATCH, tuple(notes), tuple(differences[:MAX_SHOWN]), len(differences)
    )


def container(reading: Reading, differences: Sequence[Difference]) -> StepResult:
    """Step 1: the container keeps every rule of §4 and every member can be read."""
    notes = [Note("container", {"reason": reason}) for reason in reading.container[:20]]
    unreadable = [one for one in differences if one.kind == "unreadable"]
    if notes:
        return step(1, notes, unreadable)
    if reading.limited:
        stopped = tuple(Note("not-read", {"reason": reason}) for reason in reading.limited[:20])
        return StepResult(1, Result.NOT_VERIFIABLE, stopped, tuple(unreadable), len(unreadable))
    return StepResult(1, Result.MATCH)


def structure(reading: Reading) -> StepResult:
    """Step 2: a bag of a version that this program knows, with the files that every bundle has."""
    notes = [Note("malformed", {"reason": text}) for text in reading.malformed.values()]
    if "bagit.txt" not in reading.kept:
        notes.append(Note("absent", {"path": "bagit.txt"}))
    elif reading.kept["bagit.txt"] != bag.BAGIT_TXT:
        notes.append(Note("bag-version"))
    notes.extend(
        Note("absent", {"path": path}) for path in (MANIFEST, SEALED) if path not in reading.hashes
    )
    unknown: list[Note] = []
    try:
        unknown = _bundle_json(reading)
    except (FormatError, LimitError) as error:
        notes.append(Note("malformed", {"reason": str(error)}))
    if not notes and unknown:
        return StepResult(2, Result.NOT_VERIFIABLE, tuple(unknown))
    return step(2, notes)


def _bundle_json(reading: Reading) -> list[Note]:
    """Return what this program does not know; FormatError for what contradicts the format."""
    if BUNDLE_JSON not in reading.kept:
        raise FormatError(f"{BUNDLE_JSON} is absent")
    found = Fields(parse_object(reading.kept[BUNDLE_JSON], what=BUNDLE_JSON), what=BUNDLE_JSON)
    version = found.text("format")
    major = version.removeprefix(FORMAT)
    if not version.startswith(FORMAT) or not (major.isascii() and major.isdecimal()):
        raise FormatError(f"{BUNDLE_JSON}: `format` is not the name of a bundle format")
    if major != str(MAJOR):
        return [Note("version-unknown", {"version": version[:80]})]
    if reading.bundle_id is not None and found.text("bundle_id") != reading.bundle_id:
        raise FormatError(f"{BUNDLE_JSON}: names another bundle than the top directory")
    strange = [one for one in found.texts("critical") if one not in UNDERSTOOD]
    return [Note("critical-unknown", {"key": one[:80]}) for one in strange]


def sealed_text(reading: Reading, given: str | None) -> StepResult:
    """Step 3: the seal, compared with the one that was kept outside."""
    seal = reading.hashes.get(SEALED)
    if seal is None:
        return step(3, [Note("absent", {"path": SEALED})])
    if given is None:
        return StepResult(3, Result.MATCH, (Note("seal-computed"),))
    if given != seal:
        return step(3, [Note("seal-differs", {"given": given})])
    return StepResult(3, Result.MATCH, (Note("seal-matches"),))


def against_manifest(
    number: int, compared: Comparison, manifest: str, reading: Reading
) -> StepResult:
    """Steps 4 and 5: the files against the manifest that lists them."""
    notes = []
    if manifest not in reading.hashes:
        notes.append(Note("absent", {"path": manifest}))
    elif manifest in reading.malformed:
        notes.append(Note("malformed", {"reason": reading.malformed[manifest]}))
    found = step(number, notes, compared.differences)
    only_unread = all(one.kind == "unreadable" for one in found.differences)
    if found.result is Result.MISMATCH and not notes and only_unread and not reading.container:
        reason = (Note("not-read", {"reason": reading.limited[0]}),)
        return StepResult(number, Result.NOT_VERIFIABLE, reason, found.differences, found.count)
    return found


def nothing_else(reading: Reading, *compared: Comparison) -> StepResult:
    """Step 6: no file outside both manifests and the signature."""
    extra = [one for side in compared for one in side.extra]
    odd = [Difference("extra", name, reason) for name, reason in reading.odd]
    return step(6, [], [*extra, *odd])
