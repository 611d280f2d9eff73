"""The transparency log on disk: tiles and checkpoints made from the leaves in the database, signed in order.

Order of writing: tiles (fsync), high-water mark (fsync), checkpoints/<size>.note (once), checkpoint (rename, fsync).
The database's order of leaves is the authority: lost tiles are made anew. What was ever signed is remembered in four
places, and a database that has fewer leaves than one of them remembers was restored from a backup, one that leads to
another root was altered: then nothing is signed.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from hozen_collector import durable, faults, leaves
from hozen_collector.checkpoints import Checkpoints
from hozen_collector.index.models import Leaf
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from hozen_hashes.errors import BadDataError, FormatError, HozenError, MismatchError
from hozen_hashes.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash
from hozen_hashes.tiles import (
    ENTRIES,
    WIDTH,
    Tile,
    encode_entries,
    parse_tile_path,
    read_entries,
    read_tile,
)
from hozen_hashes.tiletree import TileTree
from hozen_hashes.tlogproof import TlogProof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hozen_collector.index.engine import Index
    from hozen_collector.layout import Layout
    from hozen_hashes.note import SigningKey

_BATCH: Final = 4096
_MARK: Final = "hozen-high-water/1"


class RolledBackError(MismatchError):
    """The database knows fewer leaves, or others, than were signed before: nothing may be signed."""


class TransparencyLog:
    """The log of one collector. Its methods block and may be called from any thread."""

    def __init__(self, layout: Layout, index: Index, key: SigningKey) -> None:
        self._layout = layout
        self._index = index
        self._key = key
        self._checkpoints = Checkpoints(layout.log / "checkpoints", key.verifier)
        self._lock = threading.RLock()
        self._tree: TileTree | None = None
        self._signed = Checkpoint(key.verifier.name, 0, EMPTY_ROOT)
        self._note = b""
        self.published: Callable[[], None] | None = None

    def open(self) -> None:
        """Load the log as it was last signed, repair its tiles from the leaves, and publish what is not yet.

        Raises:
            RolledBackError: the database does not hold what was signed.
            BadDataError: the checkpoint or the mark is damaged.
            CannotWriteError: the disk refuses.
        """
        with self._lock:
            self._load()
            if self._note:
                self._keep(self._signed, self._note)
            self.publish()

    def publish(self) -> Checkpoint:
        """Make every committed leaf part of a durable signed checkpoint; give the newest one.

        Raises:
            RolledBackError: the new tree would contradict the last checkpoint.
            CannotWriteError: the disk refuses; the log stays as it was.
        """
        with self._lock:
            try:
                while self._publish_batch():
                    pass
            except HozenError:
                self._tree = None  # it may be ahead of the disk
                raise
            return self._signed

    @property
    def signed(self) -> tuple[Checkpoint, bytes]:
        """The newest checkpoint that is durable, and its note."""
        return self._signed, self._note

    def proof(self, position: int) -> bytes:
        """Give the tlog-proof of a published leaf to the newest checkpoint.

        Raises:
            UsageError: the leaf is not published.
        """
        with self._lock:
            path = self._loaded().inclusion_proof(position, self._signed.size)
            return TlogProof(index=position, path=tuple(path), note=self._note).encode()

    def proof_to(self, position: int, checkpoint: Checkpoint, note: bytes) -> bytes:
        """Give the tlog-proof of a leaf to an earlier checkpoint of this log, which `note` is the text of.

        Raises:
            UsageError: the checkpoint does not cover the leaf.
        """
        with self._lock:
            path = self._loaded().inclusion_proof(position, checkpoint.size)
            return TlogProof(index=position, path=tuple(path), note=note).encode()

    def growth(self, old: int) -> tuple[Checkpoint, bytes, tuple[bytes, ...]]:
        """Give the newest checkpoint, its note, and the proof that it contains the log of `old` leaves.

        The proof is empty where the log never had so many.
        """
        with self._lock:
            signed, note = self._signed, self._note
            if old > signed.size:
                return signed, note, ()
            return signed, note, tuple(self._loaded().consistency_proof(old, signed.size))

    def tile(self, path: str) -> bytes | None:
        """Give the public bytes at `tile/…`; a partial tile that was replaced is cut from its successor.

        Raises:
            FormatError: not the path of a tile.
        """
        tile = parse_tile_path(path)
        data = self._read(tile.path)
        if data is None and tile.width < WIDTH:
            data = self._cut(tile)
        return data

    def _publish_batch(self) -> bool:
        tree = self._loaded()
        entries = self._leaves(tree.size)
        if not entries and self._note:
            return False
        old = self._signed
        self._write(tree.append(entries))
        faults.reach("tiles-written")
        if tree.root(old.size) != old.root:
            raise _rolled_back("the leaves that were signed before have changed")
        self._sign(Checkpoint(old.origin, tree.size, tree.root()))
        self._drop_partials(old.size, tree.size)
        return len(entries) == _BATCH

    def _sign(self, checkpoint: Checkpoint) -> None:
        note = sign_checkpoint(checkpoint, [self._key])
        durable.write_file(self._layout.state / "high-water", _encode_mark(checkpoint), mode=0o600)
        faults.reach("high-water-written")
        self._keep(checkpoint, note)
        faults.reach("note-written")
        durable.write_file(self._layout.log / "checkpoint", note, mode=0o644)
        faults.reach("checkpoint-written")
        self._signed, self._note = checkpoint, note
        if self.published is not None:
            self.published()

    def _keep(self, checkpoint: Checkpoint, note: bytes) -> None:
        if not self._checkpoints.keep(checkpoint, note):
            raise _rolled_back(f"another root of {checkpoint.size} leaves was signed before")

    def _load(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._note = (self._layout.log / "checkpoint").read_bytes()
        if self._note:
            self._signed = verify_checkpoint(self._note, [self._key.verifier]).checkpoint
        remembered = {"high-water mark": self._read_mark()}
        newest = self._checkpoints.newest()
        if newest is not None:
            remembered["newest of checkpoints/"] = newest
        with self._index.read() as session:
            have = leaves.count(session)
        for what, one in {"checkpoint": self._signed, **remembered}.items():
            if one.size > have:
                raise _rolled_back(f"the {what} says {one.size} leaves, the database has {have}")
        self._repair()
        for what, one in remembered.items():
            self._check_remembered(what, one)

    def _check_remembered(self, what: str, one: Checkpoint) -> None:
        """What was signed, or was about to be when the crash came, must be where the leaves lead."""
        if one.size > self._signed.size and _root(self._texts(one.size)) != one.root:
            raise _rolled_back(f"the leaves do not lead to the {what}")
        if one.size == self._signed.size and one.root != self._signed.root:
            raise _rolled_back(f"checkpoint and {what} contradict each other")

    def _repair(self) -> None:
        """Load the tree as it was last signed; tiles that do not fit the leaves are made anew from them."""
        size, root = self._signed.size, self._signed.root
        with contextlib.suppress(BadDataError, MismatchError):
            tree = TileTree(self._read, size, root=root)
            self._check_edge(tree)
            self._tree = tree
            return
        if _root(self._texts(size)) != root:
            raise _rolled_back("the leaves do not lead to the last checkpoint")
        tree = TileTree(self._read, 0)
        for batch in self._all_leaves(0):
            self._write(tree.append(batch[: size - tree.size]))
        self._tree = tree

    def _check_edge(self, tree: TileTree) -> None:
        """Return if the newest tile holds the leaves of the database; after a rollback it holds others."""
        first = max(0, tree.size - WIDTH)
        have = self._leaves(first)[: tree.size - first]
        if have != [tree.entry(at) for at in range(first, tree.size)]:
            raise MismatchError("the tiles hold other leaves than the database")

    def _texts(self, size: int) -> Iterator[bytes]:
        for batch in self._all_leaves(0):
            for text in batch:
                if size:
                    yield text
                    size -= 1

    def _write(self, files: list[tuple[str, bytes]]) -> None:
        for name, data in files:
            path = self._layout.log / name
            durable.make_directory(path.parent, mode=0o755)
            durable.write_file(path, data, mode=0o644)

    def _loaded(self) -> TileTree:
        if self._tree is None:
            self._repair()
        if self._tree is None:
            raise FormatError("the log cannot be loaded")
        return self._tree

    def _leaves(self, start: int) -> list[bytes]:
        query = select(Leaf.position, Leaf.text).where(Leaf.position >= start)
        with self._index.read() as session:
            rows = session.execute(query.order_by(Leaf.position).limit(_BATCH)).all()
        if [row.position for row in rows] != list(range(start, start + len(rows))):
            raise _rolled_back(f"leaves are missing after {start}")
        return [row.text for row in rows]

    def _all_leaves(self, start: int) -> Iterator[list[bytes]]:
        while batch := self._leaves(start):
            yield batch
            start += len(batch)

    def _read(self, path: str, /) -> bytes | None:
        try:
            return (self._layout.log / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _cut(self, tile: Tile) -> bytes | None:
        size = self._signed.size
        total = size >> (8 * max(tile.level, 0))
        width = min(WIDTH, total - tile.number * WIDTH)
        if width < tile.width:
            return None
        newer = Tile(tile.level, tile.number, width)
        if tile.level == ENTRIES:
            return encode_entries(read_entries(self._read, newer)[: tile.width])
        return read_tile(self._read, newer)[: tile.width * HASH_SIZE]

    def _drop_partials(self, old: int, new: int) -> None:
        """Remove the partial tiles that the new checkpoint does not need; `_cut` still serves them."""
        level = ENTRIES
        while level == ENTRIES or old >> (8 * level):
            shift = 8 * max(level, 0)
            before, after = old >> shift, new >> shift
            if before % WIDTH and before != after:
                tile = Tile(level, before // WIDTH, before % WIDTH)
                (self._layout.log / tile.path).unlink(missing_ok=True)
            level += 1

    def _read_mark(self) -> Checkpoint:
        try:
            lines = (self._layout.state / "high-water").read_text().split("\n")
        except FileNotFoundError:
            return Checkpoint(self._key.verifier.name, 0, EMPTY_ROOT)
        try:
            header, origin, size, root, end = lines
            mark = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
        except ValueError as error:
            raise FormatError(
                "the high-water mark is damaged",
                hint="Compare state/high-water with a backup of it.",
            ) from error
        if header != _MARK or end or origin != self._key.verifier.name:
            raise FormatError("the high-water mark belongs to another log")
        return mark


def _root(texts: Iterable[bytes]) -> bytes:
    """Give the root over leaves that come one by one, in memory that grows with the tree's height only."""
    peaks: list[tuple[int, bytes]] = []
    for text in texts:
        level, value = 0, leaf_hash(text)
        while peaks and peaks[-1][0] == level:
            level, value = level + 1, node_hash(peaks.pop()[1], value)
        peaks.append((level, value))
    if not peaks:
        return EMPTY_ROOT
    root = peaks.pop()[1]
    while peaks:
        root = node_hash(peaks.pop()[1], root)
    return root


def _encode_mark(checkpoint: Checkpoint) -> bytes:
    root = base64.b64encode(checkpoint.root).decode()
    return f"{_MARK}\n{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def _rolled_back(what: str) -> RolledBackError:
    return RolledBackError(
        f"the log is ahead of the database: {what}",
        hint="The database was restored from a backup, or altered. Nothing is signed. Restore a newer one.",
    )
