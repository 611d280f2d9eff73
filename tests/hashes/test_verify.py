"""Every vector gets the word, the steps and the differences that its maker expects, in every form of a bundle."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes.certificates import load_certificates
from hozen_hashes.errors import FormatError, HozenError, NotVerifiableError, UsageError
from hozen_hashes.opened import PipeBundle, ZipBundle, open_bundle
from hozen_hashes.verify import Anchors, Result, VerificationReport, Word, verify
from hozen_hashes.verify.asjson import as_json
from hozen_hashes.verify.verdict import INTEGRITY, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_hashes.opened import Member, OpenBundle

DATA = Path(__file__).parents[1] / "vectors" / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
VECTORS: dict[str, Any] = EXPECTED["vectors"]
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
FOREIGN = tuple(load_certificates((DATA / "foreign-root.pem").read_bytes()))
THEN = datetime(2026, 12, 1, tzinfo=UTC)


def check(bundle: OpenBundle, *, at: datetime = THEN, **anchors: Any) -> VerificationReport:
    return verify(bundle, anchors=Anchors(**{"roots": ROOTS, **anchors}), at=at)


def vector(name: str) -> bytes:
    return (DATA / f"{name}.zip").read_bytes()


def as_file(name: str, **more: Any) -> VerificationReport:
    return check(ZipBundle(io.BytesIO(vector(name))), **more)


def mismatches(report: VerificationReport) -> set[int]:
    return {step.number for step in report.steps if step.result is Result.MISMATCH}


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_gets_the_word_steps_and_differences_it_was_made_for(name: str) -> None:
    report, wanted = as_file(name), VECTORS[name]
    kinds = {one.kind for step in report.steps for one in step.differences}
    assert report.word.value == wanted["word"]
    assert mismatches(report) >= set(wanted["steps"])
    assert kinds >= set(wanted["differences"])
    assert report.exit_code == {"match": 0, "mismatch": 1, "not verifiable": 2}[wanted["word"]]
    json.dumps(as_json(report))


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_through_a_pipe_gets_the_same_word(name: str) -> None:
    pipe = PipeBundle(io.BytesIO(vector(name)).read)
    if name == "prepended":
        with pytest.raises(FormatError, match="not a Hozen bundle"):
            check(pipe)
        return
    assert check(pipe).word.value == VECTORS[name]["word"]


UNPACKABLE = [
    name
    for name in VECTORS
    if not name.startswith(("duplicate", "truncated", "damaged", "outside", "parent", "prepended"))
    and name != "link"
]


@pytest.mark.parametrize("name", UNPACKABLE)
def test_an_unpacked_vector_gets_the_same_word(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(vector(name))) as archive:
        archive.extractall(tmp_path)
    with open_bundle(str(tmp_path)) as bundle:
        report = check(bundle)
    assert report.word.value == VECTORS[name]["word"]
    assert mismatches(report) >= set(VECTORS[name]["steps"])


def test_a_link_and_a_strange_name_in_an_unpacked_bundle_are_extra(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(vector("good"))) as archive:
        archive.extractall(tmp_path)
    top = tmp_path / EXPECTED["bundle_id"]
    (top / "data" / "link.log").symlink_to("/etc/hostname")
    (top / "data" / "\x1b[2Jname").write_text("x")
    with open_bundle(str(top)) as bundle:
        report = check(bundle)
    assert report.word is Word.MISMATCH
    assert {one.path for one in report.step(6).differences} == {"data/link.log", "data/\x1b[2Jname"}


def test_volumes_are_read_as_one_container() -> None:
    first = DATA / "volumes" / f"{EXPECTED['bundle_id']}.zip.001"
    with open_bundle(str(first)) as bundle:
        report = check(bundle)
    assert (report.word, report.form) == (Word.MATCH, "volumes")


@pytest.mark.parametrize("year", [2028, 2038])
def test_years_later_the_bundle_is_unchanged_but_who_is_not_verifiable(year: int) -> None:
    report = as_file("good", at=datetime(year, 12, 1, tzinfo=UTC))
    assert (report.integrity, report.origin) == (Word.MATCH, Word.NOT_VERIFIABLE)
    assert (report.word, report.exit_code) == (Word.NOT_VERIFIABLE, 2)
    assert report.step(10).notes[0].key == "expired"


def test_years_later_the_seal_from_the_card_still_shows_that_nothing_changed() -> None:
    at = datetime(2038, 12, 1, tzinfo=UTC)
    report = as_file("good", at=at, seal=EXPECTED["seal"])
    assert (report.word, report.origin) == (Word.MATCH, Word.NOT_VERIFIABLE)
    assert as_file("good", at=at, seal="0" * 64).word is Word.MISMATCH


def test_without_anything_from_outside_integrity_is_stated_and_origin_is_not() -> None:
    report = as_file("good", roots=())
    assert (report.word, report.integrity) == (Word.NOT_VERIFIABLE, Word.MATCH)
    assert report.not_run == (10, 12, 13, 14, 15)


def test_another_root_contradicts_the_bundle() -> None:
    assert as_file("good", roots=FOREIGN).word is Word.MISMATCH
    assert as_file("remade", roots=FOREIGN).word is Word.MATCH


def test_a_one_capture_key_is_vouched_for_by_its_own_certificate_or_the_seal_only() -> None:
    own = tuple(load_certificates((DATA / "one-capture.pem").read_bytes()))
    assert as_file("good-one-capture").step(10).notes[0].key == "one-capture"
    assert as_file("good-one-capture", roots=own).word is Word.MATCH


def test_a_missing_operator_signature_that_was_expected_is_a_mismatch() -> None:
    report = as_file("good", operator_expected=True)
    assert (report.word, mismatches(report)) == (Word.MISMATCH, {15})


def test_an_open_journal_is_stated_while_the_seal_holds() -> None:
    report = as_file("good-open-journal")
    assert (report.word, report.journal) == (Word.MATCH, "open")
    assert report.step(7).notes[0].key == "journal-open"


def test_a_torn_container_says_nothing_about_what_did_not_come() -> None:
    report = as_file("truncated")
    assert mismatches(report) == {1}
    assert report.not_run == tuple(range(2, 16))


@pytest.mark.parametrize("data", [b"", b"PK", bytes(1 << 16), b"\x1f\x8b" + bytes(64), b"{}" * 99])
def test_what_is_no_bundle_is_one_clear_error(data: bytes) -> None:
    for bundle in (ZipBundle(io.BytesIO(data)), PipeBundle(io.BytesIO(data).read)):
        with pytest.raises(FormatError, match="not a Hozen bundle"):
            check(bundle)


def test_ten_gigabytes_of_zeros_are_refused_at_once(tmp_path: Path) -> None:
    zeros = tmp_path / "zeros.zip"
    with zeros.open("wb") as file:
        file.truncate(10 << 30)
    with open_bundle(str(zeros)) as bundle, pytest.raises(FormatError, match="not a Hozen bundle"):
        check(bundle)


def test_an_unfinished_capture_is_sent_to_salvage(tmp_path: Path) -> None:
    partial = tmp_path / "hz-x.zip.partial"
    partial.write_bytes(b"")
    with pytest.raises(UsageError) as caught, open_bundle(str(partial)):
        pass
    assert "hozen salvage" in caught.value.hint


WORDS = [Result.MATCH, Result.MISMATCH, Result.NOT_VERIFIABLE]


@pytest.mark.parametrize(("unchanged", "origin", "seal"), [*product(WORDS, Word, [False, True])])
def test_the_verdict_is_that_of_the_table(unchanged: Result, origin: Word, seal: bool) -> None:
    results = dict.fromkeys(range(1, 16), Result.NOT_RUN)
    results.update(dict.fromkeys(INTEGRITY, Result.MATCH))
    results[5] = unchanged
    word = verdict(results, origin=origin, seal_given=seal, anchor_mismatch=False)
    if Word.MISMATCH in {origin.value, unchanged.value}:
        assert word is Word.MISMATCH
    elif unchanged is Result.NOT_VERIFIABLE:
        assert word is Word.NOT_VERIFIABLE
    else:
        assert word is (Word.MATCH if origin is Word.MATCH or seal else Word.NOT_VERIFIABLE)


def contents(data: bytes) -> dict[str, bytes]:
    found = ZipBundle(io.BytesIO(data))
    return {member.path: b"".join(member.chunks()) for member in found.members()}


MUTABLE = ["good", "good-streamed", "good-stored", "resealed-item-added", "evidence-flipped"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(MUTABLE),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    piped=st.booleans(),
)
def test_a_flipped_bit_anywhere_never_crashes_and_never_matches_with_other_bytes(
    name: str, place: float, bit: int, piped: bool
) -> None:
    data = bytearray(vector(name))
    data[int(place * len(data))] ^= 1 << bit
    flipped = bytes(data)
    stream = io.BytesIO(flipped)
    try:
        report = check(PipeBundle(stream.read) if piped else ZipBundle(stream))
    except HozenError as error:
        assert error.exit_code == 65
        return
    if report.word is Word.MATCH:
        assert contents(flipped) == contents(vector("good"))


def unpack(folder: Path, name: str = "good") -> Path:
    with zipfile.ZipFile(io.BytesIO(vector(name))) as archive:
        archive.extractall(folder)
    top: Path = folder / EXPECTED["bundle_id"]
    return top


def test_an_unpacked_bundle_that_was_renamed_is_still_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = unpack(tmp_path).rename(tmp_path / "copy of the bundle")
    monkeypatch.chdir(renamed)
    for name in (str(renamed), "."):
        with open_bundle(name) as bundle:
            report = check(bundle)
        assert (report.word, report.bundle_id) == (Word.MATCH, EXPECTED["bundle_id"])


class Refusing:
    """An open bundle of which the medium refuses one member."""

    form, resumable = "file", True

    def __init__(self, inner: OpenBundle, path: str) -> None:
        self.bundle_id: str | None = None
        self.odd = inner.odd
        self._inner, self._path = inner, path

    def is_ours(self) -> bool:
        return True

    def ciphertext_sha256(self) -> str | None:
        return None

    def members(self) -> Iterator[Member]:
        for member in self._inner.members():
            yield Refused(member.path) if member.path == self._path else member


class Refused:
    def __init__(self, path: str) -> None:
        self.path = path

    def chunks(self) -> Iterator[bytes]:
        yield b"Nov"
        raise NotVerifiableError("cannot be read: Input/output error")


@pytest.mark.parametrize(
    "path", ["data/linux_logs/000002.log", "hozen/bundle.json", "signatures/agent.p7s"]
)
def test_what_the_medium_refuses_is_not_verifiable_and_no_mismatch(path: str) -> None:
    report = check(Refusing(ZipBundle(io.BytesIO(vector("good"))), path))
    assert (report.word, report.exit_code) == (Word.NOT_VERIFIABLE, 2)
    assert mismatches(report) == set()
    assert path in str(report.step(1).notes[0].values["reason"])
