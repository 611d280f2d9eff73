"""Tiles and the tree that grows by them: the layout that C2SP publishes, and reloading."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import merkle, tiles
from hozen_hashes.errors import FormatError, LimitError, MismatchError, UsageError
from hozen_hashes.tiles import ENTRIES, Tile, parse_tile_path
from hozen_hashes.tiletree import TileTree

MANY = 70_000


def _entry(index: int) -> bytes:
    return b"leaf %d" % index


@functools.cache
def _large() -> tuple[TileTree, dict[str, bytes]]:
    store: dict[str, bytes] = {}
    tree = TileTree(store.get)
    store.update(tree.append(_entry(index) for index in range(MANY)))
    return tree, store


def test_70000_leaves_lie_as_the_specification_says() -> None:
    _, store = _large()
    partial = {path for path in store if ".p/" in path}
    assert partial == {
        "tile/entries/273.p/112",
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    assert sum(path.startswith("tile/0/") for path in store) == 274
    assert sum(path.startswith("tile/1/") for path in store) == 2
    assert all(
        len(data) == 8192
        for path, data in store.items()
        if path not in partial and "entries" not in path
    )


def test_proofs_from_tiles_hold_in_a_tree_of_70000_leaves() -> None:
    tree, _ = _large()
    root = tree.root()
    for index in (0, 1, 255, 256, 50_000, 65_535, 65_536, 69_887, 69_888, MANY - 1):
        proof = tree.inclusion_proof(index)
        merkle.verify_inclusion(index, MANY, merkle.leaf_hash(_entry(index)), proof, root)
        assert tree.entry(index) == _entry(index)
    for old in (0, 1, 255, 256, 257, 65_536, 65_537, MANY - 1, MANY):
        proof = tree.consistency_proof(old)
        merkle.verify_consistency(old, tree.root(old), MANY, root, proof)


def test_a_tree_loads_again_from_its_tiles_and_goes_on() -> None:
    tree, store = _large()
    again = TileTree(store.get, MANY, root=tree.root())
    copy = dict(store)
    further = TileTree(copy.get, MANY)
    copy.update(further.append([b"one more"]))
    assert again.root() == tree.root() != further.root()
    proof = further.consistency_proof(MANY)
    merkle.verify_consistency(MANY, tree.root(), MANY + 1, further.root(), proof)
    merkle.verify_inclusion(
        MANY, MANY + 1, merkle.leaf_hash(b"one more"), further.inclusion_proof(MANY), further.root()
    )


def test_a_dropped_partial_tile_is_read_from_the_full_one() -> None:
    _, store = _large()
    kept = {path: data for path, data in store.items() if ".p/" not in path}
    kept["tile/2/000.p/1"] = store["tile/2/000.p/1"]
    assert tiles.read_entries(kept.get, Tile(ENTRIES, 7, 2)) == [_entry(1792), _entry(1793)]
    with pytest.raises(FormatError, match="absent"):
        tiles.read_entries(kept.get, Tile(ENTRIES, 273, 112))
    tree = TileTree(kept.get, 65_536)
    partial = TileTree(kept.get, 256 * 200 + 77)
    assert tree.entry(65_535) == _entry(65_535)
    assert partial.entry(256 * 200 + 76) == _entry(256 * 200 + 76)
    assert partial.root() == tree.root(256 * 200 + 77)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 300, 511, 512, 513])
def test_appending_one_by_one_and_at_once_writes_the_same_tiles(size: int) -> None:
    slow: dict[str, bytes] = {}
    tree = TileTree(slow.get)
    for index in range(size):
        slow.update(tree.append([_entry(index)]))
    fast: dict[str, bytes] = {}
    fast.update(TileTree(fast.get).append(map(_entry, range(size))))
    assert {path: slow[path] for path in fast} == fast
    leaves = [merkle.leaf_hash(_entry(index)) for index in range(size)]
    assert tree.root() == merkle.tree_root(size, merkle.reader_of_leaves(leaves))


@given(batches=st.lists(st.lists(st.binary(max_size=40), max_size=130), max_size=6))
def test_any_batches_give_the_root_of_their_leaves(batches: list[list[bytes]]) -> None:
    store: dict[str, bytes] = {}
    tree = TileTree(store.get)
    leaves: list[bytes] = []
    for batch in batches:
        store.update(tree.append(batch))
        tree = TileTree(store.get, tree.size, root=tree.root())
        leaves += map(merkle.leaf_hash, batch)
    assert tree.size == len(leaves)
    assert tree.root() == merkle.tree_root(len(leaves), merkle.reader_of_leaves(leaves))
    if leaves:
        assert merkle.leaf_hash(tree.entry(tree.size - 1)) == leaves[-1]


def test_a_changed_tile_is_found_when_the_tree_loads() -> None:
    tree, store = _large()
    changed = dict(store)
    changed["tile/1/001.p/17"] = bytes(17 * 32)
    with pytest.raises(MismatchError, match="another root"):
        TileTree(changed.get, MANY, root=tree.root())
    changed = dict(store)
    changed["tile/entries/273.p/112"] = tiles.encode_entries([b"other"] * 112)
    with pytest.raises(MismatchError, match="other leaves"):
        TileTree(changed.get, MANY)


@pytest.mark.parametrize("damage", [b"", b"\0" * 31, b"\0" * 112 * 32 + b"\0"])
def test_a_tile_of_another_length_is_refused(damage: bytes) -> None:
    _, store = _large()
    with pytest.raises(FormatError, match=r"tile/0/273\.p/112"):
        TileTree({**store, "tile/0/273.p/112": damage}.get, MANY)


def test_an_absent_tile_is_named() -> None:
    _, store = _large()
    kept = {path: data for path, data in store.items() if not path.startswith("tile/0/000")}
    tree = TileTree(kept.get, MANY)
    with pytest.raises(FormatError, match="tile/0/000 is absent"):
        tree.inclusion_proof(3)
    with pytest.raises(FormatError, match="absent"):
        TileTree(lambda _path: None, 5)


def test_questions_beyond_the_log_are_refused() -> None:
    tree, _ = _large()
    with pytest.raises(LimitError):
        tree.entry(MANY)
    with pytest.raises(UsageError):
        tree.root(MANY + 1)
    with pytest.raises(UsageError):
        tree.inclusion_proof(MANY)


def test_an_entry_too_long_adds_nothing() -> None:
    tree = TileTree(lambda _path: None)
    with pytest.raises(LimitError):
        tree.append([b"fine", b"x" * 65_536])
    assert tree.size == 0
    assert tree.append([]) == []
    with pytest.raises(LimitError):
        tiles.encode_entries([b"x" * 65_536])
    full = TileTree(lambda _path: None)
    full.size = merkle.MAX_TREE_SIZE
    with pytest.raises(LimitError, match="full"):
        full.append([b"one more"])
    assert dict(tree.append([b"x" * 65_535]))["tile/entries/000.p/1"] == b"\xff\xff" + b"x" * 65_535


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(ENTRIES, 0, 1), "tile/entries/000.p/1"),
        (Tile(2, 1000), "tile/2/x001/000"),
        (Tile(1, 999999, 255), "tile/1/x999/999.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/1", "tile/0/x000/001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
        "tile/8/000", "tile/00/000", "tile/0/001/002", "tile/0/x001", "tile/0/000/", "tile/0/../000",
        "tile/entries/000.p/", "/tile/0/000", "tile/0/000\n", "tile/0/٠٠٠", "", "tile/0/" + "x001/" * 40,
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_other_spellings_of_a_path_are_refused(path: str) -> None:
    with pytest.raises(FormatError):
        parse_tile_path(path)


@given(st.integers(-1, 7), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_a_path_reads_back_as_its_tile(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)
    assert parse_tile_path(tile.path) == tile


@given(st.text(alphabet="tile/enrsx0123456789.p", max_size=40))
def test_whatever_parses_as_a_path_is_that_path(path: str) -> None:
    try:
        tile = parse_tile_path(path)
    except FormatError:
        return
    assert tile.path == path


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entry_bundles_read_back(entries: list[bytes]) -> None:
    data = tiles.encode_entries(entries)
    assert tiles.parse_entries(data, width=len(entries)) == entries


@given(st.binary(max_size=60), st.integers(0, 5))
def test_whatever_parses_as_a_bundle_is_that_bundle(data: bytes, width: int) -> None:
    try:
        entries = tiles.parse_entries(data, width=width)
    except FormatError:
        return
    assert tiles.encode_entries(entries) == data
    assert len(entries) == width
