"""Custody events without a collector: what is written, what is refused, what survives a crash, what can be pushed."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hozen_agent import custody
from hozen_agent.commands.note import note
from hozen_agent.sending import parcel
from hozen_hashes import cms
from hozen_hashes.errors import FormatError, HozenError, LimitError, UsageError
from hozen_hashes.identity import new_one_capture

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
TARGET = custody.Target(bundle_id=BUNDLE, seal="4d" * 32)
SIGNER = new_one_capture("note")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / f"{BUNDLE}.proofs"


def test_an_event_says_all_that_the_law_page_asks_for(folder: Path) -> None:
    details = custody.Details(
        type="TRANSFER_OUT",
        by="Sato",
        happened=0,
        items=("3",),
        handed_from="Sato, Example KK",
        handed_to="Ito, Example Law",
        place="Tokyo",
        reason="analysis",
        authority="CISO",
        method="by hand, stick 7",
        seal_before="paper seal 12 intact",
        seal_after="paper seal 13",
        condition="dry",
        corrects=None,
    )
    event = custody.add_event(folder, TARGET, details, SIGNER)
    record = json.loads(event.data)
    assert record["format"] == "hozen-custody/1"
    assert (record["event_no"], record["previous"]) == (1, None)
    assert (record["bundle"], record["seal"]) == (BUNDLE, "4d" * 32)
    assert record["happened"] == "1970-01-01T00:00:00.000000000Z"
    assert (record["handed_to"], record["corrects"]) == ("Ito, Example Law", None)
    assert record["time_utc"].endswith("Z")
    assert record["time_local"][-6] in "+-"
    signature = cms.verify_detached(event.signature, hashlib.sha256(event.data).digest())
    assert signature.certificate == SIGNER.certificate
    assert (folder / "custody" / "000001.p7s").read_bytes() == event.signature
    assert oct((folder / "custody").stat().st_mode & 0o777) == "0o700"


def test_a_note_interrupted_between_its_two_files_leaves_the_chain_whole(folder: Path) -> None:
    custody.add_event(folder, TARGET, custody.Details(text="one"), SIGNER)
    (folder / "custody" / "000002.p7s").write_bytes(b"of an event that was never written")
    custody.add_event(folder, TARGET, custody.Details(text="two"), SIGNER)
    events = list(custody.read_events(folder))
    assert [json.loads(event.data)["text"] for event in events] == ["one", "two"]
    cms.verify_detached(events[1].signature, hashlib.sha256(events[1].data).digest())


def test_a_photo_is_kept_byte_for_byte_whatever_its_name(folder: Path, tmp_path: Path) -> None:
    photo = tmp_path / "写真 1\n.JPG"
    photo.write_bytes(b"\xff\xd8exif")
    event = custody.add_event(
        folder, TARGET, custody.Details(type="PHOTO"), SIGNER, photos=[photo, photo]
    )
    (words, again) = json.loads(event.data)["attachments"]
    assert words == again
    assert words["name"] == "%E5%86%99%E7%9C%9F%201%0A.JPG"
    assert words["media"] == "image/jpeg"
    assert (folder / "attachments" / words["sha256"]).read_bytes() == b"\xff\xd8exif"


def test_what_is_too_long_or_absent_is_refused_and_writes_nothing(
    folder: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.mov"
    with large.open("wb") as file:
        file.truncate(custody.MAX_ATTACHMENT + 1)
    for error, details, photos in (
        (LimitError, custody.Details(), [large]),
        (UsageError, custody.Details(), [tmp_path / "absent.jpg"]),
        (UsageError, custody.Details(text="x" * 8001), []),
        (UsageError, custody.Details(items=tuple("1" * 1000 for _ in range(100))), []),
    ):
        with pytest.raises(error):
            custody.add_event(folder, TARGET, details, SIGNER, photos=photos)
    assert list(custody.read_events(folder)) == []


def test_no_folder_means_no_events(tmp_path: Path) -> None:
    assert list(custody.read_events(tmp_path / "absent")) == []


def test_an_event_without_its_signature_is_told(folder: Path) -> None:
    custody.add_event(folder, TARGET, custody.Details(text="one"), SIGNER)
    (folder / "custody" / "000001.p7s").unlink()
    with pytest.raises(FormatError, match=r"000001\.p7s is missing"):
        list(custody.read_events(folder))


def _note(folder: Path, *words: str) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    done = CliRunner().invoke(
        note,
        [str(folder), *words, "--json"],
        env={"HOZEN_STATE": str(folder)},
        standalone_mode=False,
    )
    if done.exception is not None:
        raise done.exception
    last = max((folder / "custody").glob("*.json"))
    record: dict[str, object] = json.loads(last.read_bytes())
    return record


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2026-11-23T14:05:00+09:00", "05:05:00"), ("2026-11-23 14:05 +09:00", "05:05:00"),
        ("2026-11-23 14:05 +0900", "05:05:00"),
        ("2026-11-23T05:05:00Z", "05:05:00"), ("2026-11-23 05:05:00.5 Z", "05:05:00.5"),
    ],
)  # fmt: skip
def test_times_of_people_are_understood(folder: Path, time: str, utc: str) -> None:
    record = _note(folder, "--isolated", "--at", time)
    assert record["type"] == "ISOLATE"
    assert str(record["happened"]).startswith(f"2026-11-23T{utc}")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--isolated", "--at", "yesterday"),
        ("--isolated", "--event", "COPY"),
        ("x", "--at", "2026-13-01"),
    ],
)
def test_a_note_that_says_nothing_or_nonsense_is_refused(
    folder: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError):
        _note(folder, *words)
    assert not (folder / "custody").exists()


def test_a_note_about_a_damaged_bundle_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / f"{BUNDLE}.zip"
    path.write_bytes(b"no zip at all")
    assert parcel.look(path) == (BUNDLE, None, tmp_path / f"{BUNDLE}.proofs")


@pytest.mark.parametrize(
    "name", ["x.zip", "hz-1.zip", f"{BUNDLE}.tar", f"{BUNDLE}.zip.age.partial", f"{BUNDLE}"]
)
def test_what_has_no_name_of_a_bundle_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    for look in (parcel.look, parcel.read_parcel):
        with pytest.raises(HozenError):
            look(path)


def test_an_encrypted_bundle_needs_its_envelope(tmp_path: Path) -> None:
    path = tmp_path / f"{BUNDLE}.zip.age"
    path.write_bytes(b"age-encryption.org/v1\n")
    with pytest.raises(UsageError, match="envelope"):
        parcel.read_parcel(path)
    (tmp_path / f"{BUNDLE}.envelope").mkdir()
    (tmp_path / f"{BUNDLE}.envelope" / "envelope.json").write_text('{"bundle_id":"other"}')
    with pytest.raises(FormatError):
        parcel.read_parcel(path)


def test_words_that_are_no_text_are_refused_before_anything_is_signed(tmp_path: Path) -> None:
    done = CliRunner().invoke(note, [str(tmp_path / "hz.zip"), os.fsdecode(b"a\xff")])
    assert isinstance(done.exception, UsageError)
    assert r"a\xff" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
