"""One attempt as it stands in `files.jsonl`, `items.csv` and the journal (bundle-v1 §6, §7)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode, readable, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

CSV_HEADER = b"\xef\xbb\xbfitem,artifact,outcome,reason,source,path,size,sha256,started,class\r\n"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """Everything the bundle states about one attempt.

    Attributes:
        source: original path or interface, raw bytes.
        started, ended: (wall, monotonic) in nanoseconds.
        path, size, sha256: of the payload file; None where no bytes were stored.
        stat: the `stat` object as JSON text, or an empty string.
        more: further keys of bundle-v1 §7 (`changed`, `redacted` …), ready for JSON.
    """

    item: int
    artifact: str
    outcome: str
    kind: str
    source: bytes
    method: str
    personal: str
    started: tuple[int, int]
    ended: tuple[int, int]
    reason: str = ""
    path: str | None = None
    size: int | None = None
    sha256: str | None = None
    stat: str = ""
    more: Mapping[str, object] = field(default_factory=dict)

    def json_line(self) -> bytes:
        """Return the line of `hozen/files/<n>.jsonl`.

        Written by hand, because a host can have a million files and an encoder costs more than the
        reading; tests hold it against the encoder. Only `source`, `reason` and `more` can hold
        anything but our own words and digits.
        """
        text = (
            f'{{"item":{self.item},"artifact":"{self.artifact}","outcome":"{self.outcome}","kind":"{self.kind}",'
            f'"path":{_quoted(self.path)},"size":{_quoted(self.size)},"sha256":{_quoted(self.sha256)},'
            f'"source":{json.dumps(percent_encode(self.source))},"method":"{self.method}","class":"{self.personal}",'
            f'"started":"{rfc3339(self.started[0])}","ended":"{rfc3339(self.ended[0])}",'
            f'"mono_started":"{self.started[1]}","mono_ended":"{self.ended[1]}"'
        )
        if self.stat:
            text += f',"stat":{self.stat}'
        if not self.reason and not self.more:
            return (text + "}\n").encode("ascii")
        rest = {"reason": self.reason, **self.more} if self.reason else self.more
        return text.encode("ascii") + b"," + dump_line(rest)[1:]

    def csv_line(self) -> bytes:
        """Return the line of `hozen/items/<n>.csv`: for people, inert in a spreadsheet."""
        return (
            f"{self.item},{self.artifact},{self.outcome},{_cell(self.reason)},{_cell(readable(self.source))},"
            f"{self.path or ''},{'' if self.size is None else self.size},{self.sha256 or ''},"
            f"{rfc3339(self.started[0])},{self.personal}\r\n"
        ).encode()

    def journal_line(self, line: bytes) -> bytes:
        """Return the journal's `item` record; `line` is this record's `json_line()`."""
        return (
            f'{{"type":"item","item":{self.item},"outcome":"{self.outcome}","path":{_quoted(self.path)},'
            f'"size":{_quoted(self.size)},"sha256":{_quoted(self.sha256)},"record":"{sha256(line).hexdigest()}"}}\n'
        ).encode("ascii")


def _quoted(value: str | int | None) -> str:
    """Return the JSON form of one of our own words, of a number as a string, or of nothing."""
    return "null" if value is None else f'"{value}"'


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = "'" + text
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text
