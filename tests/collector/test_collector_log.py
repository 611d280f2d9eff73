"""The log on disk follows the leaves in the database; a database that went back is never signed over."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from hozen_collector import durable, leaves
from hozen_collector.index.engine import Index
from hozen_collector.keys import read_keys
from hozen_collector.layout import Layout
from hozen_collector.log import RolledBackError, TransparencyLog
from hozen_hashes.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from hozen_hashes.errors import CannotWriteError, FormatError, HozenError
from hozen_hashes.merkle import leaf_hash, verify_consistency
from hozen_hashes.tiles import encode_entries
from hozen_hashes.tlogproof import parse_proof, verify_proof

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def layout(empty_collector: Path) -> Layout:
    return Layout(empty_collector)


@pytest.fixture
def index(layout: Layout) -> Iterator[Index]:
    found = Index(layout.database)
    yield found
    found.close()


def opened(layout: Layout, index: Index) -> TransparencyLog:
    log = TransparencyLog(layout, index, read_keys(layout).log)
    log.open()
    return log


def add(layout: Layout, index: Index, count: int) -> None:
    key = read_keys(layout).log_key
    with index.write() as session:
        for _ in range(count):
            leaves.append(session, key, leaves.Event(event="enroll", sender=os.urandom(4).hex()))


def texts(layout: Layout, tools: Any) -> list[bytes]:
    return [text for (text,) in tools.sql(layout.root, "SELECT text FROM leaf ORDER BY position")]


def test_every_leaf_has_a_proof_and_every_checkpoint_extends_the_last(
    layout: Layout, index: Index, tools: Any
) -> None:
    log = opened(layout, index)
    key = read_keys(layout).log_key
    states = [log.signed[0]]
    for count in (1, 1, 5, 248, 1, 1, 300):
        add(layout, index, count)
        states.append(log.publish())
    for at, text in enumerate(texts(layout, tools)):
        if at in (0, 1, 6, 254, 255, 256, 257, 511, 512, 556):
            proof = parse_proof(log.proof(at))
            assert proof.index == at
            verify_proof(proof, leaf_hash(text), [key])
    tree = log._loaded()
    for old, new in itertools.pairwise(states):
        proof_hashes = tree.consistency_proof(old.size, new.size) if old.size else ()
        verify_consistency(old.size, old.root, new.size, new.root, proof_hashes)
    assert log.tile("tile/entries/000") == encode_entries(texts(layout, tools)[:256])
    partials = list((layout.log / "tile" / "0").rglob("*.p/*"))
    assert [path.name for path in partials] == ["45"]  # 557 = 2 * 256 + 45


def test_an_empty_log_is_signed_once(layout: Layout, index: Index) -> None:
    note = opened(layout, index).signed[1]
    assert read_checkpoint(note)[0].size == 0
    assert opened(layout, index).signed[1] == note


def test_lost_or_altered_tiles_are_made_anew_from_the_leaves(layout: Layout, index: Index) -> None:
    opened(layout, index)
    add(layout, index, 300)
    before = opened(layout, index).signed
    files = {path: path.read_bytes() for path in layout.log.rglob("*") if path.is_file()}
    shutil.rmtree(layout.log / "tile")
    assert opened(layout, index).signed == before
    assert {path: path.read_bytes() for path in layout.log.rglob("*") if path.is_file()} == files
    edge = next((layout.log / "tile" / "0").rglob("*.p/*"))
    edge.write_bytes(bytes(len(edge.read_bytes())))
    assert opened(layout, index).signed == before
    assert edge.read_bytes() == files[edge]


def test_a_database_from_a_backup_is_refused_with_a_clear_message(
    layout: Layout, index: Index
) -> None:
    opened(layout, index)
    add(layout, index, 3)
    opened(layout, index)
    index.close()
    backup = layout.root.parent / "backup.sqlite"
    shutil.copy(layout.database, backup)
    again = Index(layout.database)
    add(layout, again, 2)
    opened(layout, again)
    again.close()
    for suffix in ("", "-wal", "-shm"):
        layout.database.with_name(layout.database.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, layout.database)
    restored = Index(layout.database)
    note = (layout.log / "checkpoint").read_bytes()
    with pytest.raises(RolledBackError, match="5 leaves, the database has 3") as caught:
        opened(layout, restored)
    assert "backup" in caught.value.hint
    add(layout, restored, 2)  # as many leaves again, but others
    with pytest.raises(RolledBackError):
        opened(layout, restored)
    (
        layout.log / "checkpoint"
    ).unlink()  # even when the log was restored too, the mark outside remembers
    with pytest.raises(RolledBackError):
        opened(layout, restored)
    restored.close()
    assert note


def test_an_altered_leaf_stops_the_log(layout: Layout, index: Index, tools: Any) -> None:
    opened(layout, index)
    add(layout, index, 3)
    log = opened(layout, index)
    tools.sql(layout.root, "UPDATE leaf SET text=? WHERE position=1", b"other")
    shutil.rmtree(layout.log / "tile")
    with pytest.raises(RolledBackError):
        opened(layout, index)
    tools.sql(layout.root, "DELETE FROM leaf WHERE position=2")
    with pytest.raises(RolledBackError):
        opened(layout, index)
    assert log.signed[0].size == 3


def test_every_checkpoint_that_was_signed_stays_under_its_size(
    layout: Layout, index: Index
) -> None:
    log = opened(layout, index)
    given = {log.signed[0].size: log.signed[1]}
    for count in (1, 3, 0, 260):
        add(layout, index, count)
        log.publish()
        given[log.signed[0].size] = log.signed[1]
    opened(layout, index)
    kept = {int(one.stem): one.read_bytes() for one in (layout.log / "checkpoints").iterdir()}
    assert kept == given
    assert sorted(kept) == [0, 1, 4, 264]
    assert all(one.stat().st_mode & 0o222 == 0 for one in (layout.log / "checkpoints").iterdir())


def forget(layout: Layout) -> None:
    """Lose all that remembers how far was signed, but `checkpoints/`."""
    for path in (layout.log / "checkpoint", layout.state / "high-water"):
        path.unlink()
    shutil.rmtree(layout.log / "tile")


def test_a_rolled_back_log_is_not_signed_while_a_newer_checkpoint_is_known(
    layout: Layout, index: Index, tools: Any
) -> None:
    opened(layout, index)
    add(layout, index, 5)
    newest = opened(layout, index).signed[1]
    tools.sql(layout.root, "DELETE FROM leaf WHERE position > 2")
    forget(layout)
    with pytest.raises(RolledBackError, match="checkpoints/ says 5 leaves, the database has 3"):
        opened(layout, index)
    add(layout, index, 2)  # as many leaves again, but others: the same size, another root
    with pytest.raises(RolledBackError, match="do not lead to the newest of checkpoints/"):
        opened(layout, index)
    add(layout, index, 1)
    with pytest.raises(RolledBackError, match="do not lead to the newest of checkpoints/"):
        opened(layout, index)
    assert not (layout.log / "checkpoint").exists()
    assert (layout.log / "checkpoints" / "5.note").read_bytes() == newest


def test_two_roots_of_one_size_are_never_signed(layout: Layout, index: Index) -> None:
    log = opened(layout, index)
    add(layout, index, 2)
    before = log.publish()
    key = read_keys(layout).log
    other = sign_checkpoint(Checkpoint(before.origin, 3, bytes(32)), [key])
    (layout.log / "checkpoints" / "3.note").write_bytes(other)
    add(layout, index, 1)
    with pytest.raises(RolledBackError, match="another root of 3 leaves was signed before"):
        log.publish()
    assert read_checkpoint((layout.log / "checkpoint").read_bytes())[0] == before
    assert log.signed[0] == before
    with pytest.raises(RolledBackError, match="do not lead to"):
        opened(layout, index)


def test_a_mark_and_a_checkpoint_of_one_size_that_differ_stop_the_log(
    layout: Layout, index: Index
) -> None:
    opened(layout, index)
    add(layout, index, 3)
    log = opened(layout, index)
    mark = layout.state / "high-water"
    good = mark.read_text()
    root = base64.b64encode(log.signed[0].root).decode()
    mark.write_text(good.replace(root, base64.b64encode(bytes(32)).decode()))
    with pytest.raises(RolledBackError, match="contradict each other"):
        opened(layout, index)
    mark.write_text(good)
    opened(layout, index)


def test_a_log_from_before_gets_the_note_of_its_newest_checkpoint(
    layout: Layout, index: Index
) -> None:
    opened(layout, index)
    add(layout, index, 3)
    note = opened(layout, index).signed[1]
    shutil.rmtree(layout.log / "checkpoints")
    opened(layout, index)
    assert [one.name for one in (layout.log / "checkpoints").iterdir()] == ["3.note"]
    assert (layout.log / "checkpoints" / "3.note").read_bytes() == note


def test_a_damaged_note_stops_the_log(layout: Layout, index: Index) -> None:
    opened(layout, index)
    add(layout, index, 1)
    opened(layout, index)
    place = layout.log / "checkpoints" / "1.note"
    good = place.read_bytes()
    place.chmod(0o600)
    for bad in (b"", good[:-9], (layout.log / "checkpoints" / "0.note").read_bytes()):
        place.write_bytes(bad)
        with pytest.raises(FormatError, match="damaged"):
            opened(layout, index)
    place.unlink()
    place.mkdir()
    with pytest.raises(FormatError, match="cannot be read"):
        opened(layout, index)


@pytest.mark.parametrize("mark", [b"", b"x\n", b"hozen-high-water/1\nother\n0\nAA==\n"])
def test_a_damaged_mark_stops_the_log(layout: Layout, index: Index, mark: bytes) -> None:
    opened(layout, index)
    (layout.state / "high-water").write_bytes(mark)
    with pytest.raises(FormatError):
        opened(layout, index)


def test_a_write_that_fails_leaves_the_log_as_it_was_and_the_next_one_goes_on(
    layout: Layout, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of a publication fails in two ways: not done, and done but reported as failed."""
    log = opened(layout, index)
    add(layout, index, 1)
    log.publish()
    real = durable.write_file
    for late in (False, True):
        for nth in range(6):
            calls = iter(range(100))

            def fails(
                path: Path,
                data: bytes,
                *,
                mode: int = 0o640,
                calls: Iterator[int] = calls,
                nth: int = nth,
                late: bool = late,
            ) -> None:
                if next(calls) != nth:
                    real(path, data, mode=mode)
                    return
                if late:
                    real(path, data, mode=mode)
                raise CannotWriteError("injected")

            add(layout, index, 1)
            before = log.signed
            with monkeypatch.context() as patch:
                patch.setattr(durable, "write_file", fails)
                try:
                    log.publish()
                except HozenError:
                    assert log.signed == before
            size = log.publish().size
            assert opened(layout, index).signed[0].size == size > before[0].size
