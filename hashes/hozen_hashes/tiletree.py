"""A log's tree that grows by tiles (C2SP tlog-tiles), without touching a disk.

`append` returns what must be written and in which order. Whoever owns the disk writes it, makes
it durable, and only then lets a checkpoint out. After a failed write the tree is ahead of the
disk: drop it and load it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_hashes.errors import LimitError, MismatchError
from hozen_hashes.merkle import (
    HASH_SIZE,
    MAX_TREE_SIZE,
    HashReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
)
from hozen_hashes.tiles import (
    ENTRIES,
    HEIGHT,
    MAX_ENTRY_BYTES,
    WIDTH,
    Tile,
    TileReader,
    encode_entries,
    hash_reader,
    read_entries,
    read_tile,
    tile_hash,
    width_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_FULL = WIDTH * HASH_SIZE


class TileTree:
    """A log of `size` leaves: its right edge in memory, the rest behind a reader.

    Memory is bounded: one partial tile a level and one partial bundle, whatever the size.
    """

    __slots__ = ("_edge", "_entries", "_read", "size")

    def __init__(self, read: TileReader, size: int = 0, *, root: bytes | None = None) -> None:
        """Load the right edge of a log of `size` leaves.

        Args:
            read: gives the bytes of a tile by its path.
            size: the leaves of the log, from its last checkpoint.
            root: that checkpoint's root, which the tiles must lead to.

        Raises:
            FormatError: a tile of the edge is absent or has another length.
            MismatchError: the tiles lead to another root.
        """
        self._read = read
        self.size = size
        self._edge: dict[int, bytearray] = {}
        self._entries: list[bytes] = []
        self._load()
        if root is not None and self.root() != root:
            raise MismatchError(
                f"log: the tiles of {size} leaves lead to another root than the checkpoint",
                hint="rebuild the tiles from the leaves, and look for what changed them",
            )

    def root(self, size: int | None = None) -> bytes:
        """Return the root at `size` leaves, or of the whole log."""
        return tree_root(self.size if size is None else size, self._hashes())

    def append(self, entries: Iterable[bytes]) -> list[tuple[str, bytes]]:
        """Add leaves and return the files to write, path and bytes, in order of writing.

        Entry bundles come before hash tiles, lower levels before higher ones. A partial tile is
        returned at the width it has after the last of `entries`.

        Raises:
            LimitError: an entry of more than 65,535 bytes; nothing was added.
        """
        batch = list(entries)
        if any(len(entry) > MAX_ENTRY_BYTES for entry in batch):
            raise LimitError(f"log entry: more than {MAX_ENTRY_BYTES} bytes")
        if self.size + len(batch) > MAX_TREE_SIZE:
            raise LimitError("log: it is full")
        bundles: list[tuple[str, bytes]] = []
        tiles: list[tuple[Tile, bytes]] = []
        for entry in batch:
            self._add(entry, bundles, tiles)
        if batch:
            self._write_edge(bundles, tiles)
        tiles.sort(key=lambda item: (item[0].level, item[0].number))
        return bundles + [(tile.path, data) for tile, data in tiles]

    def entry(self, index: int) -> bytes:
        """Return leaf `index` as it was added.

        Raises:
            FormatError: its bundle is absent or damaged.
            LimitError: there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise LimitError(f"a log of {self.size} leaves has no leaf {index}")
        number, offset = divmod(index, WIDTH)
        width = width_at(ENTRIES, number, self.size)
        if width < WIDTH:
            return self._entries[offset]
        return read_entries(self._read, Tile(ENTRIES, number))[offset]

    def inclusion_proof(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Return the path of leaf `index` in the tree of `size` leaves, or of all.

        Raises:
            UsageError: there is no such leaf, or the log never had that size.
            FormatError: a tile is absent.
        """
        return inclusion_proof(index, self.size if size is None else size, self._hashes())

    def consistency_proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that the log of `new` leaves, or of all, only added to that of `old`.

        Raises:
            UsageError: the log never had these sizes.
            FormatError: a tile is absent.
        """
        return consistency_proof(old, self.size if new is None else new, self._hashes())

    def _add(
        self, entry: bytes, bundles: list[tuple[str, bytes]], tiles: list[tuple[Tile, bytes]]
    ) -> None:
        """Add one leaf; full bundles and tiles that it completes go to the lists."""
        self._entries.append(entry)
        if len(self._entries) == WIDTH:
            place = Tile(ENTRIES, self.size // WIDTH)
            bundles.append((place.path, encode_entries(self._entries)))
            self._entries.clear()
        value, level = leaf_hash(entry), 0
        self.size += 1
        while True:
            edge = self._edge.setdefault(level, bytearray())
            edge += value
            if len(edge) < _FULL:
                return
            full = bytes(edge)
            edge.clear()
            tiles.append((Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1), full))
            value, level = tile_hash(full, 0, HEIGHT), level + 1

    def _write_edge(
        self, bundles: list[tuple[str, bytes]], tiles: list[tuple[Tile, bytes]]
    ) -> None:
        """Add the partial bundle and the partial tiles as they are now."""
        if self._entries:
            bundle = Tile(ENTRIES, self.size // WIDTH, len(self._entries))
            bundles.append((bundle.path, encode_entries(self._entries)))
        for level, edge in self._edge.items():
            if edge:
                tiles.append((self._edge_tile(level), bytes(edge)))

    def _edge_tile(self, level: int) -> Tile:
        """Return the place of the partial tile at `level`."""
        total = self.size >> (HEIGHT * level)
        return Tile(level, total // WIDTH, total % WIDTH)

    def _load(self) -> None:
        """Read the partial tiles and the partial bundle of `size` leaves."""
        level = 0
        while total := self.size >> (HEIGHT * level):
            if total % WIDTH:
                self._edge[level] = bytearray(read_tile(self._read, self._edge_tile(level)))
            level += 1
        if self.size % WIDTH:
            tile = Tile(ENTRIES, self.size // WIDTH, self.size % WIDTH)
            self._entries = read_entries(self._read, tile)
            if b"".join(map(leaf_hash, self._entries)) != self._edge[0]:
                raise MismatchError(f"log: {tile.path} holds other leaves than the tile of hashes")

    def _hashes(self) -> HashReader:
        """Return a reader of subtrees over the stored tiles and, for partial ones, the edge."""
        edge = {
            self._edge_tile(level).path: bytes(data) for level, data in self._edge.items() if data
        }

        def read(path: str, /) -> bytes | None:
            return edge[path] if path in edge else self._read(path)

        return hash_reader(read, self.size)
