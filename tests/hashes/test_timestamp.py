"""Time stamps of a real authority: what holds, and what is refused for which reason (timestamp-v1)."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, new_authority
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import timestamp
from hozen_hashes.certificates import load_certificates
from hozen_hashes.errors import BadDataError, FormatError
from hozen_hashes.front import main
from hozen_hashes.opened import ZipBundle
from hozen_hashes.timestampder import in_der_order
from hozen_hashes.verify import Anchors, Result, VerificationReport, Word, verify
from hozen_hashes.verify.stamps import State, judge
from hozen_hashes.verify.tiers import read_tsa_list

pytestmark = pytest.mark.needs("openssl", "faketime")
DATA = Path(__file__).parents[1] / "vectors" / "data"
GOOD = (DATA / "good.zip").read_bytes()
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
SEALED = "2026-11-24 00:00:00"
THEN = datetime(2026, 12, 1, tzinfo=UTC)
AFTER = datetime(2031, 1, 1, tzinfo=UTC)


def p7s(data: bytes = GOOD) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(one for one in archive.namelist() if one.endswith("/signatures/agent.p7s"))
        return archive.read(name)


def roots_of(*authorities: Authority) -> tuple[Any, ...]:
    return tuple(c for one in authorities for c in load_certificates(one.root.read_bytes()))


def check(
    stamps: dict[str, bytes], *, at: datetime = THEN, data: bytes = GOOD, **anchors: Any
) -> VerificationReport:
    given = Anchors(timestamps=stamps, **({"roots": ROOTS} | anchors))
    return verify(ZipBundle(io.BytesIO(data)), anchors=given, at=at)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tsa") / "first")


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tsa") / "later"
    return new_authority(
        folder, "SYNTHETIC later TSA", begins="20290101000000Z", ends="20400101000000Z"
    )


@pytest.fixture(scope="module")
def stamp(tsa: Authority) -> bytes:
    return tsa.stamp(p7s(), at=SEALED)


def test_a_stamp_over_the_machine_seal_says_since_when(tsa: Authority, stamp: bytes) -> None:
    report = check({"0001-tsa.tsr": stamp}, tsa_roots=roots_of(tsa))
    assert (report.step(13).result, report.word, report.time) == (
        Result.MATCH,
        Word.MATCH,
        Word.MATCH,
    )
    assert report.not_after == "2026-11-24T00:00:01.000000000Z"  # with the second of accuracy
    assert report.step(13).notes[0].key == "stamp-holds"


def test_the_unsorted_certificates_of_openssl_are_read_and_the_rest_is_untouched(
    stamp: bytes,
) -> None:
    ordered = in_der_order(stamp)
    assert in_der_order(ordered) == ordered
    assert sorted(ordered) == sorted(stamp)
    assert timestamp.read_token(stamp).is_about(p7s())


@pytest.mark.parametrize("name", ["sha384", "sha512"])
def test_longer_hashes_are_accepted(tsa: Authority, name: str) -> None:
    report = check(
        {"0001-tsa.tsr": tsa.stamp(p7s(), at=SEALED, hash_name=name)}, tsa_roots=roots_of(tsa)
    )
    assert report.step(13).result is Result.MATCH


def test_an_rsa_authority_is_accepted(tmp_path: Path) -> None:
    authority = new_authority(tmp_path / "rsa", rsa=True)
    report = check(
        {"0001-rsa.tsr": authority.stamp(p7s(), at=SEALED)}, tsa_roots=roots_of(authority)
    )
    assert report.step(13).result is Result.MATCH


def test_without_a_root_a_stamp_shows_nothing(stamp: bytes) -> None:
    report = check({"0001-tsa.tsr": stamp})
    assert (report.step(13).result, report.not_after) == (Result.NOT_VERIFIABLE, None)
    assert report.step(13).notes[0].key == "stamp-untrusted"
    assert report.word is Word.MATCH  # origin by root; the step is listed


def test_a_stamp_under_another_root_shows_nothing(later: Authority, stamp: bytes) -> None:
    report = check({"0001-tsa.tsr": stamp}, tsa_roots=roots_of(later))
    assert report.step(13).notes[0].key == "stamp-untrusted"


def test_a_stamp_over_other_bytes_is_a_mismatch(tsa: Authority) -> None:
    report = check({"0001-tsa.tsr": tsa.stamp(b"other", at=SEALED)}, tsa_roots=roots_of(tsa))
    assert (report.step(13).result, report.word) == (Result.MISMATCH, Word.MISMATCH)
    assert report.step(13).notes[0].key == "stamp-other"


def test_a_bundle_signed_again_with_the_right_key_does_not_fit_its_stamp(
    tsa: Authority, stamp: bytes
) -> None:
    other = (DATA / "good-one-capture.zip").read_bytes()
    assert p7s(other) != p7s()
    report = check({"0001-tsa.tsr": stamp}, data=other, tsa_roots=roots_of(tsa))
    assert report.word is Word.MISMATCH


def test_a_changed_signature_of_a_stamp_is_a_mismatch(tsa: Authority, stamp: bytes) -> None:
    changed = bytearray(stamp)
    changed[-3] ^= 1
    report = check({"0001-tsa.tsr": bytes(changed)}, tsa_roots=roots_of(tsa))
    assert report.step(13).notes[0].key == "stamp-bad"
    assert report.word is Word.MISMATCH


def test_a_stamp_before_the_certificate_began_is_pre_dated(tsa: Authority) -> None:
    report = check(
        {"0001-tsa.tsr": tsa.stamp(p7s(), at="2025-06-01 00:00:00")}, tsa_roots=roots_of(tsa)
    )
    assert report.word is Word.MISMATCH
    assert "pre-dated" in str(report.step(13).notes[0].values["reason"])


def test_a_stamp_made_after_the_certificate_ended_is_a_mismatch(tsa: Authority) -> None:
    report = check(
        {"0001-tsa.tsr": tsa.stamp(p7s(), at="2030-06-01 00:00:00")},
        at=AFTER,
        tsa_roots=roots_of(tsa),
    )
    assert "after the authority's certificate ended" in str(
        report.step(13).notes[0].values["reason"]
    )


@pytest.mark.parametrize("purpose", ["timeStamping,serverAuth", "serverAuth"])
def test_a_certificate_for_something_else_makes_no_stamps(
    tmp_path: Path, stamp: bytes, purpose: str
) -> None:
    both = new_authority(tmp_path / "both", purpose=purpose)
    signer = load_certificates((both.folder / "tsa.pem").read_bytes())[0]
    token = replace(
        timestamp.read_token(stamp), signer=signer
    )  # openssl refuses to make such a stamp
    with pytest.raises(timestamp.TimestampError) as caught:
        timestamp.check(token, roots_of(both))
    assert caught.value.kind == "not_for_stamps"


def test_an_expired_authority_needs_a_renewal_made_in_time(
    tsa: Authority, later: Authority, stamp: bytes
) -> None:
    both: dict[str, Any] = {"tsa_roots": roots_of(tsa, later)}
    alone = check({"0001-tsa.tsr": stamp}, at=AFTER, **both)
    assert alone.step(13).notes[0].key == "stamp-expired"
    assert alone.step(13).result is Result.NOT_VERIFIABLE
    renewal = later.stamp(stamp, at="2029-12-01 00:00:00")
    renewed = check({"0001-tsa.tsr": stamp, "0002-later.tsr": renewal}, at=AFTER, **both)
    assert renewed.step(13).result is Result.MATCH
    assert renewed.step(13).notes[0].values["renewal"] == "0002-later.tsr"
    assert renewed.not_after == "2026-11-24T00:00:01.000000000Z"


def test_a_renewal_after_the_end_comes_too_late(
    tsa: Authority, later: Authority, stamp: bytes
) -> None:
    renewal = later.stamp(stamp, at="2030-03-01 00:00:00")
    report = check(
        {"0001-tsa.tsr": stamp, "0002-later.tsr": renewal}, at=AFTER, tsa_roots=roots_of(tsa, later)
    )
    assert report.step(13).notes[0].key == "stamp-expired"


def test_a_stamp_lets_an_expired_signer_be_judged_at_its_time(
    tmp_path: Path,
) -> None:
    long = new_authority(tmp_path / "long", ends="20600101000000Z")
    far = datetime(2050, 1, 1, tzinfo=UTC)
    assert check({}, at=far).step(10).result is not Result.MATCH
    report = check(
        {"0001-long.tsr": long.stamp(p7s(), at=SEALED)}, at=far, tsa_roots=roots_of(long)
    )
    assert report.step(10).result is Result.MATCH


def test_a_tier_comes_only_from_the_dated_list(
    tsa: Authority, later: Authority, stamp: bytes
) -> None:
    def tier(authority: Authority, begins: str = "2026-01-01") -> tuple[str | int, str | int]:
        (root,) = roots_of(authority)
        entry = {"name": "x", "tier": "mic-accredited", "root_sha256": root.fingerprint(hashes.SHA256()).hex(),
                 "valid_from": begins, "valid_until": None, "source": "test"}  # fmt: skip
        text = json.dumps(
            {"format": "hozen-tsa-list/1", "as_of": "2026-11-23", "authorities": [entry]}
        )
        found = check(
            {"0001-tsa.tsr": stamp},
            tsa_roots=roots_of(tsa, later),
            tsa_list=read_tsa_list(text.encode()),
        )
        values = found.step(13).notes[0].values
        return values["tier"], values["as_of"]

    assert tier(tsa) == ("mic-accredited", "2026-11-23")
    assert tier(tsa, "2026-12-01") == ("none", "2026-11-23")
    assert tier(later) == ("none", "2026-11-23")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        timestamp.read_token(data)
    except BadDataError:
        return
    raise AssertionError("random bytes became a stamp")


@pytest.mark.parametrize("cut", [1, 40, 300, 900])
def test_a_torn_reply_is_unreadable_not_wrong(stamp: bytes, cut: int) -> None:
    (found,) = judge({"0001-a.tsr": stamp[:-cut]}, {"x": p7s()}, roots=(), at=THEN)
    assert found.state is State.UNREADABLE


def test_every_flipped_byte_is_noticed_or_changes_nothing_signed(
    tsa: Authority, stamp: bytes
) -> None:
    roots = roots_of(tsa)
    for place in range(len(stamp)):
        changed = bytearray(stamp)
        changed[place] ^= 0x20
        (found,) = judge({"0001-a.tsr": bytes(changed)}, {"x": p7s()}, roots=roots, at=THEN)
        if found.state is State.HOLDS:
            assert found.token is not None
            assert found.token.time == timestamp.read_token(stamp).time


def test_a_refused_request_is_no_stamp() -> None:
    with pytest.raises(FormatError, match="refused"):
        timestamp.read_token(bytes.fromhex("30053003020102"))


def test_the_command_asks_keeps_and_verify_finds(
    tmp_path: Path, tsa: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "good.zip"
    shutil.copy(DATA / "good.zip", bundle)
    assert main(["timestamp", "request", str(bundle), "--out", str(tmp_path / "q.tsq")]) == 0
    (tmp_path / "r.tsr").write_bytes(tsa.reply((tmp_path / "q.tsq").read_bytes(), at=SEALED))
    root = ["--tsa-root", str(tsa.root)]
    assert (
        main(["timestamp", "add", str(bundle), str(tmp_path / "r.tsr"), "--name", "my-tsa", *root])
        == 0
    )
    kept = tmp_path / "good.proofs" / "timestamps" / "0001-my-tsa.tsr"
    assert kept.read_bytes() == (tmp_path / "r.tsr").read_bytes()
    capsys.readouterr()
    end = ["--root", str(DATA / "root.pem"), "--at", "2026-12-01T00:00:00Z", "--json"]
    assert main(["verify", str(bundle), *root, *end]) == 0
    report = json.loads(capsys.readouterr().out)["bundles"][0]
    assert report["existed_at"] == "2026-11-24T00:00:01.000000000Z"


def test_the_command_keeps_no_stamp_over_other_bytes(tmp_path: Path, tsa: Authority) -> None:
    bundle = tmp_path / "good.zip"
    shutil.copy(DATA / "good.zip", bundle)
    (tmp_path / "r.tsr").write_bytes(tsa.stamp(b"other", at=SEALED))
    assert main(["timestamp", "add", str(bundle), str(tmp_path / "r.tsr")]) == 65
    assert not (tmp_path / "good.proofs" / "timestamps").exists()


def test_openssl_agrees(tmp_path: Path, tsa: Authority, stamp: bytes) -> None:
    (tmp_path / "agent.p7s").write_bytes(p7s())
    (tmp_path / "s.tsr").write_bytes(stamp)
    command = [
        "openssl",
        "ts",
        "-verify",
        "-data",
        "agent.p7s",
        "-in",
        "s.tsr",
        "-CAfile",
        str(tsa.root),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "agent.p7s").write_bytes(b"other")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
