"""Files of systemd-journald, raw: their own format carries more than any export."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.items import Attempt
from hozen_agent.reading import files
from hozen_hashes.errors import FormatError
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode
from hozen_hashes.systemdjournal.header import SIZE, read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Buffer

_NAME: Final = "systemd_journal"
_JOURNALS: Final = (b".journal", b".journal~")


@artifact(
    name=_NAME,
    rank=61,
    personal="personal",
    en=(
        "Journal files hold the messages of services, kernel and logins with boot, process and "
        "user as journald saw them; they do not hold what was rotated or vacuumed away, and they "
        "are seldom sealed by journald itself."
    ),
    ja=(
        "ジャーナルは、サービス、カーネル及びログインのメッセージを、journaldが見た起動・プロセス・利"
        "用者の情報とともに保持します。journald自身による封印はまれであり、整理された記録は残りません"
        "。"
    ),
    reads=definitions.own("HozenSystemdJournal"),
    needs_root=True,
    over_time=True,
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield every journal file, whole and raw, then what the headers say of them.

    The structure behind the headers is checked on the receiving side (`hozen_hashes.systemdjournal`): it costs seconds
    of processor time that the examined host needs itself.
    """
    heads: list[_Head] = []
    for attempt in files.capture(
        ctx,
        artifact=_NAME,
        definition="HozenSystemdJournal",
        personal="personal",
    ):
        if attempt.data is None or not attempt.source.endswith(_JOURNALS):
            yield attempt
            continue
        head = _Head(attempt.data)
        tag = f"journal:{len(heads)}"
        yield replace(attempt, data=head, tag=tag)
        head.source, head.tag = attempt.source, tag
        heads.append(head)
    if heads:
        yield Attempt(
            artifact=_NAME,
            source=b"/var/log/journal",
            method="derived",
            ext="jsonl",
            data=[dump_line(head.record()) for head in heads],
            derived_from=tuple(head.tag for head in heads),
        )


class _Head:
    """Passes the bytes of a journal file through and keeps the header.

    Attributes:
        source: of the file.
        tag: of its item.
    """

    def __init__(self, data: Iterable[Buffer]) -> None:
        self._data = data
        self._kept = b""
        self._size = 0
        self.source = b""
        self.tag = ""

    def __iter__(self) -> Iterator[Buffer]:
        for piece in self._data:
            if self._size < SIZE:
                self._kept += bytes(piece[: SIZE - self._size])
            self._size += len(piece)
            yield piece

    def record(self) -> dict[str, object]:
        """Return what the header says, and what in it does not hold."""
        record: dict[str, object] = {"source": percent_encode(self.source), "checked": "header"}
        try:
            header = read_header(self._kept)
        except FormatError as error:
            return {**record, "findings": [str(error)]}
        findings = []
        if header.header_size + header.arena_size > self._size:
            findings.append("the header names more bytes than were read")
        if header.tail_object >= header.header_size + header.arena_size:
            findings.append("the last object lies beyond the end")
        if header.state == "online":
            findings.append("the file was in use, or was not closed properly")
        return {**record, **header.as_record(), "findings": findings}
