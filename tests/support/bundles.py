"""A sealed bundle as tests look at it: through the stock ZIP reader, with no code of the product."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    Item = dict[str, Any]


class Bundle:
    """Members and items of one clear bundle.

    Attributes:
        members: decompressed bytes by path, without the bundle id.
        items: every line of `hozen/files/*.jsonl`, in order.
        records: every journal record, in order.
    """

    def __init__(self, container: Path | bytes) -> None:
        """Read everything; the stock reader checks each CRC."""
        raw = container if isinstance(container, bytes) else container.read_bytes()
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            self.members = {
                info.filename.partition("/")[2]: archive.read(info)
                for info in archive.infolist()
                if not info.is_dir()
            }
        self.items = self._lines("hozen/files/")
        self.records = [r for r in self._lines("hozen/journal/") if "type" in r]
        self.about: dict[str, Any] = json.loads(self.members["hozen/bundle.json"])

    def _lines(self, prefix: str) -> list[Item]:
        names = sorted(n for n in self.members if n.startswith(prefix) and n.endswith(".jsonl"))
        return [json.loads(line) for name in names for line in self.members[name].splitlines()]

    def of(self, source: bytes | str) -> list[Item]:
        """Return the items of one source."""
        wanted = source.encode() if isinstance(source, str) else source
        return [item for item in self.items if unquote_to_bytes(item["source"]) == wanted]

    def one(self, source: bytes | str, **fields: object) -> Item:
        """Return the only item of a source with these values."""
        found = [i for i in self.of(source) if all(i.get(k) == v for k, v in fields.items())]
        assert len(found) == 1, f"{source!r}: {found}"
        return found[0]

    def content(self, item: Item) -> bytes:
        """Return the payload of an item."""
        return self.members[item["path"]]

    def tar(self, item: Item) -> dict[str, bytes]:
        """Return the regular members of an item that is a tar, as the stock reader unpacks them."""
        with tarfile.open(fileobj=io.BytesIO(self.content(item))) as archive:
            return {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]

    @property
    def notes(self) -> list[str]:
        """What the agent observed of itself."""
        return [r["text"] for r in self.records if r["type"] == "note"]


def only_bundle(folder: Path, ending: str = ".zip") -> Path:
    """Return the one finished container in a directory."""
    (found,) = folder.glob(f"*{ending}")
    return found
