"""A comparison as lines for a terminal and as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_hashes.diff.compare import State
from hozen_hashes.diff.groups import GROUPS
from hozen_hashes.diff.notes import NOTES
from hozen_hashes.terminal import Lang, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.diff.compare import Difference, Side
    from hozen_hashes.diff.gather import Gathered
    from hozen_hashes.diff.run import Comparison

FORMAT: Final = "hozen-diff/1"
STATES: Final[dict[State, tuple[str, str]]] = {
    State.NEW: ("new", "新規"),
    State.GONE: ("gone", "消失"),
    State.CHANGED: ("changed", "変更"),
    State.NOT_COMPARABLE: ("not comparable", "比較不能"),
}
MARKS: Final = {State.NEW: "+", State.GONE: "-", State.CHANGED: "~", State.NOT_COMPARABLE: "?"}
_BYTES: Final = re.compile(r"(?:%[0-9A-F]{2})+")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SHORT: Final = 16


def lines(comparison: Comparison, lang: Lang, *, everything: bool) -> Iterator[str]:
    """Yield the differences by group, then the counts.

    Args:
        comparison: of two bundles.
        lang: the language of our own words.
        everything: list what cannot be compared too, instead of its number.
    """
    group = ""
    for one in comparison.differences:
        if one.state is State.NOT_COMPARABLE and not everything:
            continue
        if one.group != group:
            group = one.group
            yield f"{pick(GROUPS[group], lang)}:"
        yield f"  {MARKS[one.state]} {shown(one.key)}{_change(one, lang)}"
    counts = comparison.counts()
    yield "  ".join(
        f"{pick(word, lang)}: {counts.get(str(state), 0)}" for state, word in STATES.items()
    )


def notices(comparison: Comparison, lang: Lang) -> Iterator[str]:
    """Yield what a reader must know before the differences."""
    for key, before, after in comparison.notes:
        text = pick(NOTES[key], lang)
        yield text.replace("{before}", safe_text(before)).replace("{after}", safe_text(after))


def as_json(comparison: Comparison, verdicts: tuple[str, str]) -> dict[str, object]:
    """Return the document `hozen-diff/1` (docs/format/diff-v1.md)."""
    sides = zip((comparison.before, comparison.after), verdicts, strict=True)
    before, after = (_bundle(bundle, verdict) for bundle, verdict in sides)
    return {
        "format": FORMAT,
        "before": before,
        "after": after,
        "notes": [{"note": key, "before": one, "after": other} for key, one, other in comparison.notes],
        "counts": {str(state): comparison.counts().get(str(state), 0) for state in State},
        "differences": [_one(difference) for difference in comparison.differences],
    }  # fmt: skip


def _bundle(bundle: Gathered, verdict: str) -> dict[str, object]:
    part = {key: bundle.about.get(key) for key in ("case", "host", "agent", "profile", "clock")}
    return {"bundle_id": bundle.bundle_id, "integrity": verdict, **part}


def _one(one: Difference) -> dict[str, object]:
    found: dict[str, object] = {
        "state": str(one.state),
        "group": one.group,
        "key": one.key,
        "before": _side(one.before),
        "after": _side(one.after),
    }
    extra = {"reason": one.reason, "package": one.package, "folded": one.folded}
    return {**found, **{key: value for key, value in extra.items() if value}}


def _side(side: Side) -> dict[str, object]:
    return {"values": list(side.values), "items": list(side.items)}


def _change(one: Difference, lang: Lang) -> str:
    if one.state is State.NOT_COMPARABLE:
        return f"  ({safe_text(one.reason)})"
    values = [", ".join(short(value) for value in side.values) for side in (one.before, one.after)]
    text = " → ".join(value for value in values if value)
    more = {Lang.JA: f"  (プログラム {one.folded} 個)", Lang.EN: f"  ({one.folded} programs)"}[lang]
    return f"  {text}{more if one.folded else ''}"


def short(value: str) -> str:
    """Return a value for a line: hashes by their first 16 digits, the rest inert."""
    return safe_text(_HASH.sub(lambda m: m[0][:_SHORT] + "…", value))


def shown(key: str) -> str:
    """Return a key for people: percent-encoded bytes decoded, nothing that acts on a terminal."""
    return safe_text(_BYTES.sub(lambda m: _decoded(m[0]), key))


def _decoded(run: str) -> str:
    return bytes.fromhex(run.replace("%", "")).decode("utf-8", "surrogateescape")


def pick(pair: tuple[str, str], lang: Lang) -> str:
    """Return the English or Japanese text of a pair."""
    return pair[1] if lang is Lang.JA else pair[0]
