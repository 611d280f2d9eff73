"""The clear part of an encrypted journal, checked without a key: what is there, what was changed, what is hostile."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes.agekeys import new_identity
from hozen_hashes.agewrite import AgeWriter
from hozen_hashes.envelope.sidecar import check_clear, is_encrypted
from hozen_hashes.front import main
from hozen_hashes.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

_ID = "hz-20261123T050000Z-web01-5f3a9c10"
_EPOCHS = 5


def _sealed(data: bytes) -> bytes:
    out = bytearray()
    writer = AgeWriter(out.extend, [new_identity().recipient])
    writer.write(data)
    writer.close()
    return bytes(out)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A sidecar of five epochs, as an encrypted capture leaves it."""
    folder = tmp_path / f"{_ID}.journal"
    folder.mkdir()
    made = Journal(_ID, now=lambda: (1_795_000_000 * 10**9, 1))
    for number in range(_EPOCHS):
        made.add({"type": "note", "text": f"epoch {number}"})
        one = made.close_epoch()
        (folder / f"{one.stem}.pub").write_bytes(one.public)
        (folder / f"{one.stem}.sig").write_bytes(one.signature)
        (folder / f"{one.stem}.sha256").write_text(f"{one.sha256}  {one.stem}.jsonl\n")
        (folder / f"{one.stem}.jsonl.age").write_bytes(_sealed(one.text))
    return folder


def test_every_signed_epoch_counts_and_none_is_called_proved(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_encrypted(journal)
    found = check_clear(journal)
    assert (found.epochs, found.signed, found.problems) == (_EPOCHS, _EPOCHS, ())
    assert main(["salvage", "--json", str(journal)]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["keyless"] == {"segments": 5, "signed": 5, "problems": []}
    assert "proved" not in said.out
    assert "--identity" in said.err
    assert main(["--lang", "ja", "salvage", str(journal)]) == 2
    assert "鍵なしの確認: セグメント 5 件のうち 5 件" in capsys.readouterr().out


def test_files_cannot_be_asked_for_without_a_key(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["salvage", str(journal), "--to", str(tmp_path / "out")]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["sha256", "sig", "pub"])
@pytest.mark.parametrize("how", ["changed", "absent", "swapped", "empty", "large", "fifo", "link"])
def test_what_does_not_hold_ends_the_count_and_is_named(journal: Path, part: str, how: str) -> None:
    path, other = journal / f"000002.{part}", journal / f"000003.{part}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if how == "fifo":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to(other)
    elif how != "absent":
        new: dict[str, bytes | bytearray] = {
            "changed": data,
            "swapped": other.read_bytes(),
            "empty": b"",
            "large": bytes(9000),
        }
        path.write_bytes(new[how])
    found = check_clear(journal)
    assert found.signed == 2
    assert "000002." in found.problems[0][1]
    assert [epoch for epoch, _ in found.problems] == [2, 3, 4]


def test_a_whole_epoch_of_a_strange_key_holds_by_itself_and_a_repeated_one_does_not(
    journal: Path,
) -> None:
    for part in ("sha256", "sig", "pub"):
        data = (journal / f"000001.{part}").read_bytes().replace(b"000001", b"000004")
        (journal / f"000004.{part}").write_bytes(data)
    found = check_clear(journal)
    assert found.signed == 4
    assert found.problems == ((4, "000004.pub: is the key of epoch 000001 again"),)


def test_a_gap_ends_the_count(journal: Path) -> None:
    for path in journal.glob("000001.*"):
        path.unlink()
    found = check_clear(journal)
    assert (found.epochs, found.signed) == (4, 1)
    assert len(found.problems) == 3


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_told_and_never_signed(journal: Path, data: st.DataObject) -> None:
    name = f"000000.{data.draw(st.sampled_from(['sha256', 'sig', 'pub']))}"
    kept = (journal / name).read_bytes()
    new = data.draw(st.binary(max_size=200))
    (journal / name).write_bytes(new)
    try:
        assert (check_clear(journal).signed == 0) == (new != kept)
    finally:
        (journal / name).write_bytes(kept)
