"""The forms of a tiled log (C2SP tlog-tiles): paths, hash tiles and entry bundles.

Nothing here opens a file: whoever keeps the tiles gives a `TileReader`. The tree that grows by
tiles is in `hozen_hashes.tiletree`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hozen_hashes.errors import FormatError, LimitError, UsageError
from hozen_hashes.merkle import HASH_SIZE, MAX_TREE_SIZE, HashReader, reader_of_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_ENTRY_BYTES = 0xFFFF
ENTRIES = -1  # the level of entry bundles, beside the tiles of level 0
_PATH = re.compile(  # 2^63 leaves need no tile above level 7
    r"tile/(entries|[0-7])/((?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


TileReader: TypeAlias = Callable[[str], bytes | None]
"""Gives the bytes at a path (`tile/…`, without prefix), or None where there are none."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a tile or entry bundle: level, number in the level, how many it holds."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix, such as `tile/0/x001/x234/067.p/8`."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_number_path(self.number)}{partial}"

    @property
    def whole(self) -> Tile:
        """The full tile of the same place."""
        return Tile(self.level, self.number)


def parse_tile_path(path: str) -> Tile:
    """Return the tile that `path` names; the only spelling of a path is accepted.

    Raises:
        FormatError: not the path of a tile.
    """
    match = _PATH.fullmatch(path) if len(path) < 80 else None  # noqa: PLR2004
    if match is None:
        raise FormatError(f"tile: {path[:80]!r} is not the path of one")
    level = ENTRIES if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("x", "").replace("/", ""))
    tile = Tile(level, number, int(match[3] or WIDTH))
    if tile.path != path or number > MAX_TREE_SIZE >> HEIGHT:
        raise FormatError(f"tile: {path!r} is not the right spelling of a path")
    return tile


def width_at(level: int, number: int, size: int) -> int:
    """Return how many hashes (or entries) tile `number` holds in a log of `size` leaves; may be 0."""
    total = size >> (HEIGHT * max(level, 0))
    return max(0, min(WIDTH, total - number * WIDTH))


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle: each entry after its length in two bytes, big-endian.

    Raises:
        LimitError: an entry of more than 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise LimitError(f"log entry: {len(entry)} bytes, more than {MAX_ENTRY_BYTES}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_entries(data: bytes, *, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle.

    Raises:
        FormatError: fewer or more entries than that, or a torn one.
    """
    entries: list[bytes] = []
    offset = 0
    while offset < len(data) and len(entries) < width:
        start = offset + 2
        offset = start + int.from_bytes(data[offset:start], "big")
        entries.append(data[start:offset])
    if offset != len(data) or len(entries) != width:
        raise FormatError(f"entry bundle: not {width} whole entries")
    return entries


def read_tile(read: TileReader, tile: Tile) -> bytes:
    """Return the hashes of `tile`, from the full tile where the partial one was dropped.

    Raises:
        FormatError: the tile is absent or has another length.
    """
    data = read(tile.path)
    if data is None and tile.width < WIDTH:
        whole = read(tile.whole.path)
        if whole is not None and len(whole) == WIDTH * HASH_SIZE:
            data = whole[: tile.width * HASH_SIZE]
    if data is None or len(data) != tile.width * HASH_SIZE:
        state = "absent" if data is None else f"{len(data)} bytes long"
        raise FormatError(f"log: {tile.path} is {state}")
    return data


def read_entries(read: TileReader, tile: Tile) -> list[bytes]:
    """Return the entries of the bundle `tile`, from the full one where the partial was dropped.

    Raises:
        FormatError: the bundle is absent or in another form.
    """
    data = read(tile.path)
    if data is not None:
        return parse_entries(data, width=tile.width)
    data = read(tile.whole.path) if tile.width < WIDTH else None
    if data is None:
        raise FormatError(f"log: {tile.path} is absent")
    return parse_entries(data, width=WIDTH)[: tile.width]


def tile_hash(tile: bytes, first: int, height: int) -> bytes:
    """Return the hash over the `1 << height` hashes of a tile from number `first` on."""
    cut = tile[first * HASH_SIZE : (first + (1 << height)) * HASH_SIZE]
    leaves = [cut[at : at + HASH_SIZE] for at in range(0, len(cut), HASH_SIZE)]
    return reader_of_leaves(leaves)(height, 0)


def hash_reader(read: TileReader, size: int) -> HashReader:
    """Return a reader of complete subtrees over the tiles of a log of `size` leaves.

    What it reads is not checked here: a root or proof made from it must be compared with a signed
    one. It raises FormatError for an absent tile, UsageError for a subtree beyond `size`.
    """

    def read_hash(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        number, first = divmod(index << height, WIDTH)
        width = width_at(tile_level, number, size)
        if first + (1 << height) > width:
            raise UsageError(f"a log of {size} leaves has no whole subtree {index} at {level}")
        return tile_hash(read_tile(read, Tile(tile_level, number, width)), first, height)

    return read_hash


def _number_path(number: int) -> str:
    """Return a tile's number in groups of three digits, all but the last after an `x`."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:  # noqa: PLR2004
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))
