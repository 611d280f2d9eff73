"""One attempt as it stands in `files.jsonl`, `items.csv` and the journal (bundle-v1 §6, §7)."""

from __future__ import annotations

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
        more: further keys of bundle-v1 §7 (`stat`, `changed`, `redacted` …), ready for JSON.
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
    more: Mapping[str, object] = field(default_factory=dict)

    def json_line(self) -> bytes:
        """Return the line of `hozen/files/<n>.jsonl`."""
        record: dict[str, object] = {
            "item": self.item,
            "artifact": self.artifact,
            "outcome": self.outcome,
            "kind": self.kind,
            "path": self.path,
            "size": None if self.size is None else str(self.size),
            "sha256": self.sha256,
            "source": percent_encode(self.source),
            "method": self.method,
            "class": self.personal,
            "started": rfc3339(self.started[0]),
            "ended": rfc3339(self.ended[0]),
            "mono_started": str(self.started[1]),
            "mono_ended": str(self.ended[1]),
        }
        if self.reason:
            record["reason"] = self.reason
        record.update(self.more)
        return dump_line(record)

    def csv_line(self) -> bytes:
        """Return the line of `hozen/items/<n>.csv`: for people, inert in a spreadsheet."""
        cells = (
            str(self.item),
            self.artifact,
            self.outcome,
            self.reason,
            readable(self.source),
            self.path or "",
            "" if self.size is None else str(self.size),
            self.sha256 or "",
            rfc3339(self.started[0]),
            self.personal,
        )
        return (",".join([_cell(c) for c in cells]) + "\r\n").encode("utf-8")

    def journal_line(self, line: bytes) -> bytes:
        """Return the journal's `item` record; `line` is this record's `json_line()`."""
        size = "null" if self.size is None else f'"{self.size}"'
        path = "null" if self.path is None else f'"{self.path}"'
        digest = "null" if self.sha256 is None else f'"{self.sha256}"'
        return (
            f'{{"type":"item","item":{self.item},"outcome":"{self.outcome}","path":{path},'
            f'"size":{size},"sha256":{digest},"record":"{sha256(line).hexdigest()}"}}\n'
        ).encode("ascii")


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = "'" + text
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text
