"""A comparison as one HTML page: no script, no outside resource, every foreign character inert, printable."""

from __future__ import annotations

import html
from itertools import groupby
from typing import TYPE_CHECKING, Final

from hozen_hashes.diff.groups import GROUPS
from hozen_hashes.diff.show import MARKS, STATES, notices, pick, short, shown
from hozen_hashes.terminal import Lang, safe_text
from hozen_hashes.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.diff.compare import Difference, Side
    from hozen_hashes.diff.gather import Gathered
    from hozen_hashes.diff.run import Comparison

_TITLE: Final = ("Differences between two captures", "二つの取得の差異")
_HEADS: Final = (
    ("", ""), ("What", "対象"), ("Before", "前"), ("After", "後"), ("Items", "項目番号"),
)  # fmt: skip
_FACTS: Final = (
    (("Bundle", "保全データ"), None, "bundle_id"),
    (("Integrity", "同一性"), None, "verdict"),
    (("Host", "対象機器"), "host", "hostname"),
    (("Start", "開始"), "clock", "start"),
    (("Profile", "プロファイル"), "profile", "name"),
    (("Agent", "エージェント"), "agent", "version"),
)
_TRUTH: Final = (
    (
        "A difference is an observation, never a verdict: it does not say who made it or whether it was allowed. "
        "“Not comparable” means that one capture did not obtain it; the reason stands beside it."
    ),
    (
        "差異は観察結果であり、誰が行ったか、許可されていたかを示すものではありません。"
        "「比較不能」は一方の取得で得られなかったことを意味し、理由を併記します。"
    ),
)
_NONE: Final = ("No differences.", "差異はありません。")
_STYLE: Final = """
@page{size:A4 landscape;margin:14mm}body{font:10.5pt/1.5 "Noto Sans CJK JP","Hiragino Sans","Yu Gothic",sans-serif;
color:#111;background:#fff;max-width:1100px;margin:1.5em auto;padding:0 1em}h1{font-size:1.5em;border-bottom:2px solid}
h2{font-size:1.1em;margin:1.4em 0 .3em}table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}
thead{display:table-header-group}tr{break-inside:avoid}th{background:#eee}.s{width:7.5em}.i{width:7em}
.new{background:#e6f4e6}.gone{background:#fbe9e7}.changed{background:#fff6d9}.not_comparable{background:#f0f0f0;color:#333}
code{font:9.5pt "DejaVu Sans Mono",monospace}.note{border-left:4px solid #b26a00;padding:.2em .8em;background:#fff6e5}
"""


def page(comparison: Comparison, lang: Lang, verdicts: tuple[str, str]) -> bytes:
    """Return the page, UTF-8.

    Args:
        comparison: of two bundles.
        lang: the language of our own words.
        verdicts: the words of both bundles' integrity, as the verifier found it.
    """
    words = Words(lang)
    shown = words.both(verdicts[0]), words.both(verdicts[1])
    return "".join(_parts(comparison, lang, shown)).encode("utf-8")


def _parts(comparison: Comparison, lang: Lang, verdicts: tuple[str, str]) -> Iterator[str]:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f"<title>{pick(_TITLE, lang)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{pick(_TITLE, lang)}</h1>{_facts(comparison, lang, verdicts)}"
    for notice in notices(comparison, lang):
        yield f'<p class="note">{html.escape(notice)}</p>'
    counts = comparison.counts()
    cells = (f"{pick(word, lang)}: {counts.get(str(state), 0)}" for state, word in STATES.items())
    yield f"<p><strong>{'&emsp;'.join(cells)}</strong></p>"
    if not comparison.differences:
        yield f"<p>{pick(_NONE, lang)}</p>"
    for group, found in groupby(comparison.differences, key=lambda one: one.group):
        yield _table(group, list(found), lang)
    yield f"<p>{pick(_TRUTH, lang)}</p></body></html>\n"


def _facts(comparison: Comparison, lang: Lang, verdicts: tuple[str, str]) -> str:
    sides = list(zip((comparison.before, comparison.after), verdicts, strict=True))
    rows = "".join(
        f"<tr><th>{pick(name, lang)}</th>"
        + "".join(f"<td>{_fact(bundle, verdict, part, key)}</td>" for bundle, verdict in sides)
        + "</tr>"
        for name, part, key in _FACTS
    )
    heads = "".join(f"<th>{pick(one, lang)}</th>" for one in (_HEADS[0], _HEADS[2], _HEADS[3]))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _fact(bundle: Gathered, verdict: str, part: str | None, key: str) -> str:
    if part is None:
        value: object = verdict if key == "verdict" else bundle.bundle_id
    else:
        found = bundle.about.get(part)
        value = found.get(key) if isinstance(found, dict) else None
    return html.escape(safe_text("-" if value is None else str(value)))


def _table(group: str, found: list[Difference], lang: Lang) -> str:
    heads = "".join(
        f'<th class="{kind}">{pick(word, lang)}</th>'
        for kind, word in zip(("s", "", "", "", "i"), _HEADS, strict=True)
    )
    rows = "".join(_row(one, lang) for one in found)
    return (
        f"<h2>{pick(GROUPS[group], lang)}</h2>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(one: Difference, lang: Lang) -> str:
    state = f"{MARKS[one.state]} {pick(STATES[one.state], lang)}"
    items = " / ".join(" ".join(map(str, side.items)) or "–" for side in (one.before, one.after))
    folded = f"<br>({one.folded})" if one.folded else ""
    reason = f"<br><em>{html.escape(safe_text(one.reason))}</em>" if one.reason else ""
    return (
        f'<tr class="{one.state}"><td>{state}</td><td><code>{html.escape(shown(one.key))}</code>{reason}{folded}</td>'
        f"<td>{_values(one.before)}</td><td>{_values(one.after)}</td><td>{items}</td></tr>"
    )


def _values(side: Side) -> str:
    return "<br>".join(f"<code>{html.escape(short(value))}</code>" for value in side.values)
