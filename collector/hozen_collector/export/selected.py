"""Some items with the proof that they belong to the sealed set, for who may not see the rest (law B04).

The seal is the hash of the tag manifest, which names the manifest's hash, which names each payload file's. So these two
lists, the signature, the chosen files and nothing else show that a file is one of the sealed ones. What is said of an
item (name, times) is its line in the list of items; the journal segment that names the line's hash is a tag file.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.resources import files
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from hozen_collector.export import manifest
from hozen_collector.export.manifest import Done
from hozen_collector.export.uac.tree import Tree
from hozen_hashes.errors import FormatError, LimitError, MismatchError, UsageError
from hozen_hashes.lines import LineSplitter
from hozen_hashes.names import check_member_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream
    from hozen_hashes.journalrecords import Row

TAGS: Final = "tagmanifest-sha256.txt"
MANIFEST: Final = "manifest-sha256.txt"
SIGNATURE: Final = "signatures/agent.p7s"
_ROWS: Final = "hozen/files/"
_JOURNAL: Final = "hozen/journal/"
_SPOOL: Final = 64 << 20
_MAX_TAGS: Final = 1 << 29
_HASH: Final = 64


def writer_for(items: tuple[int, ...]) -> Callable[[Source, Stream], Done]:
    """Return what writes a tar of these items; errors as `write`."""
    return partial(write, items=items)


def write(source: Source, out: Stream, *, items: tuple[int, ...]) -> Done:
    """Write the tar; `counts` says how many files and lines are in it.

    Raises:
        UsageError: there is no such item.
        MismatchError: the bundle is not what was verified.
    """
    rows = {row.item: row for row in source.rows}
    if unknown := sorted(set(items) - set(rows)):
        raise UsageError(f"there is no item {unknown[0]}", hint="hozen inspect lists the items.")
    chosen = [rows[number] for number in sorted(set(items))]
    done = Done(counts={"items": len(chosen), "files": 0, "segments": 0})
    done.notes += [
        f"item {row.item}: {row.outcome}, no bytes were sealed"
        for row in chosen
        if row.stored.path is None
    ]
    with Tree(out, 0) as tree:
        _Pack(source, tree, chosen, done).write()
    return done


@dataclass(slots=True)
class _Pack:
    source: Source
    tree: Tree
    chosen: list[Row]
    done: Done
    tags: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        text = files("hozen_collector.export").joinpath("proof.txt").read_bytes()
        filled = text.replace(b"@SEAL@", str(self.source.report.seal).encode("ascii"))
        self.tree.text(b"README-PROOF.txt", filled)
        about = {"format": manifest.FORMAT, "kind": "items", "source": manifest.origin(self.source)}
        self.tree.text(b"export.json", manifest.dumped(about))
        self._sealed_text()
        wanted = {row.record for row in self.chosen}
        self.tree.text(b"items.jsonl", b"".join(self._lines(wanted)))
        segments = self._segments(wanted)
        for path, chunks in self.source.members(
            lambda path: path == MANIFEST or _stem(path) in segments
        ):
            self._tag_file(path, chunks)
        numbers = {row.item for row in self.chosen}
        for row, chunks in self.source.payloads(lambda row: row.item in numbers):
            self.done.counts["files"] += 1
            tie: dict[str, Any] = {"items": [row.item], "sealed_sha256": row.stored.sha256}
            self.tree.file(_name(str(row.stored.path)), self.source.size(row) or 0, chunks, **tie)
        self.done.counts["segments"] = len(segments)
        self.tree.close(b"links.jsonl")

    def _sealed_text(self) -> None:
        """Write the sealed text and its signature, and keep what the text says of the tag files."""
        report = self.source.report
        want = {TAGS: report.seal, SIGNATURE: report.signature_sha256}
        for path, chunks in self.source.members(lambda path: path in want):
            data = _bounded(chunks)
            self._same(path, sha256(data).hexdigest(), want[path])
            if path == TAGS:
                pairs = (
                    line.split("  ", 1) for line in data.decode("ascii", "replace").splitlines()
                )
                self.tags = {pair[1]: pair[0] for pair in pairs if len(pair) == 2}  # noqa: PLR2004
            self.tree.text(_name(path), data)

    def _lines(self, wanted: set[str]) -> Iterator[bytes]:
        """Yield the lines of the chosen items as they were sealed."""
        for path, chunks in self.source.members(lambda path: path.startswith(_ROWS)):
            splitter = LineSplitter(what=path)
            for chunk in chunks:
                for line in splitter.feed(chunk):
                    if sha256(line).hexdigest() in wanted:
                        yield line

    def _segments(self, wanted: set[str]) -> set[str]:
        """Return the journal segments that name these lines, without their endings."""
        marks = {one.encode("ascii") for one in wanted}
        found: set[str] = set()
        for path, chunks in self.source.members(
            lambda path: path.startswith(_JOURNAL) and path.endswith(".jsonl")
        ):
            splitter = LineSplitter(what=path)
            for chunk in chunks:
                for line in splitter.feed(chunk):
                    place = line.rfind(b'"record":"')
                    if place >= 0 and line[place + 10 : place + 10 + _HASH] in marks:
                        found.add(_stem(path))
        return found

    def _tag_file(self, path: str, chunks: Iterator[bytes]) -> None:
        with _spooled(chunks) as (file, size, digest):
            self._same(path, digest, self.tags.get(path))
            self.tree.file(_name(path), size, iter(partial(file.read, 1 << 20), b""))

    def _same(self, path: str, found: str, want: str | None) -> None:
        if found != want and self.source.verified:
            raise MismatchError(
                f"{path} is not what was verified a moment ago", hint="Run hozen verify."
            )


def _stem(path: str) -> str:
    return path.rpartition(".")[0] if path.startswith(_JOURNAL) else ""


def _name(path: str) -> bytes:
    return check_member_path(path).encode("ascii")


def _bounded(chunks: Iterator[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _MAX_TAGS:
            raise LimitError("a tag file is too long")
    return bytes(data)


@contextmanager
def _spooled(chunks: Iterator[bytes]) -> Iterator[tuple[BinaryIO, int, str]]:
    digest = sha256()
    with SpooledTemporaryFile(_SPOOL) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
            if file.tell() > _MAX_TAGS:
                raise FormatError("a tag file is too long")
        size = file.tell()
        file.seek(0)
        yield file, size, digest.hexdigest()  # type: ignore[misc]
