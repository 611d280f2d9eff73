"""What lies beside a bundle: receipts, time, custody events and the operator's signature (steps 12 to 15)."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hozen_hashes import cms, merkle, receipt
from hozen_hashes.age import AgeWriter, new_identity
from hozen_hashes.certificates import load_certificates
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.errors import FormatError
from hozen_hashes.front import main
from hozen_hashes.identity import KeyIdentity, new_one_capture
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import parse_rfc3339
from hozen_hashes.note import SigningKey
from hozen_hashes.opened import EncryptedBundle, ZipBundle
from hozen_hashes.personstatement import PersonStatement
from hozen_hashes.receipt import Statement, receipt_uri
from hozen_hashes.tlogproof import TlogProof
from hozen_hashes.verify import Anchors, Result, VerificationReport, Word, verify

DATA = Path(__file__).parents[1] / "vectors" / "data"
GOOD = (DATA / "good.zip").read_bytes()
ALONE = (DATA / "good-one-capture.zip").read_bytes()
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
BUNDLE = json.loads((DATA / "expected.json").read_text())["bundle_id"]
THEN = datetime(2026, 12, 1, tzinfo=UTC)
LATER = datetime(2038, 12, 1, tzinfo=UTC)
ORIGIN = "collector.example/log"
ARRIVED = "2026-11-23T05:00:31.000000000Z"
KEY = SigningKey.generate(ORIGIN)


def member(data: bytes, path: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(f"{BUNDLE}/{path}")


def seal_of(data: bytes) -> str:
    return sha256(member(data, "tagmanifest-sha256.txt")).hexdigest()


def p7s_of(data: bytes) -> str:
    return sha256(member(data, "signatures/agent.p7s")).hexdigest()


def signer(issue: Any, root: Any) -> KeyIdentity:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(receipt_uri(ORIGIN))])
    made = issue("Receipts", issuer=root, extensions=((names, False),))
    return KeyIdentity(made.key, made.certificate, made.chain)


@pytest.fixture(scope="module")
def identity() -> KeyIdentity:
    return new_one_capture("SYNTHETIC operator")


@pytest.fixture
def receipt_of(issue: Any, root: Any) -> Any:
    """Make the receipt directory for a container; keyword arguments change the statement."""

    def make(data: bytes, **changed: Any) -> dict[str, bytes]:
        words: dict[str, Any] = {
            "log": ORIGIN,
            "log_key_sha256": KEY.verifier.sha256,
            "event": "ingest",
            "bundle": BUNDLE,
            "seal": seal_of(data),
            "seal_state": "checked",
            "signature_sha256": p7s_of(data),
            "verified": "ok",
            "arrived_at": parse_rfc3339(ARRIVED),
            "time": parse_rfc3339(ARRIVED) + 10**9,
        }
        statement = Statement(**(words | changed))
        read = merkle.reader_of_leaves([statement.leaf_hash])
        state = Checkpoint(ORIGIN, 1, merkle.tree_root(1, read))
        proof = TlogProof(
            index=0,
            path=merkle.inclusion_proof(0, 1, read),
            note=sign_checkpoint(state, [KEY]),
        )
        text = statement.encode()
        signature = cms.sign_detached(sha256(text).digest(), signer(issue, root), THEN)
        return receipt.receipt_files(
            statement, proof=proof.encode(), signature=signature, log_key=KEY.verifier
        )

    return make


def check(data: bytes = GOOD, *, at: datetime = THEN, **anchors: Any) -> VerificationReport:
    return verify(ZipBundle(io.BytesIO(data)), anchors=Anchors(**anchors), at=at)


def test_a_receipt_with_the_log_key_from_outside_says_who_and_since_when(receipt_of: Any) -> None:
    report = check(ALONE, receipt=receipt_of(ALONE), log_keys=(KEY.verifier,))
    assert (report.word, report.origin_by) == (Word.MATCH, "receipt")
    assert (report.time, report.not_after) == (Word.MATCH, ARRIVED)
    assert report.step(12).notes[0].values["by"] == "log key"


def test_a_receipt_that_nobody_from_outside_vouches_for_anchors_nothing(receipt_of: Any) -> None:
    report = check(ALONE, receipt=receipt_of(ALONE))
    assert (report.word, report.integrity) == (Word.NOT_VERIFIABLE, Word.MATCH)
    assert report.step(12).result is Result.NOT_VERIFIABLE
    assert report.not_after is None


def test_a_receipt_vouched_for_by_a_root_counts_too(receipt_of: Any, root: Any) -> None:
    report = check(ALONE, receipt=receipt_of(ALONE), roots=(root.certificate,))
    assert (report.word, report.origin_by) == (Word.MATCH, "receipt")


def test_the_receipt_of_an_unopened_ciphertext_vouches_for_what_it_opens_to(
    receipt_of: Any,
) -> None:
    identity, ciphertext = new_identity(), bytearray()
    writer = AgeWriter(ciphertext.extend, [identity.recipient])
    writer.write(ALONE)
    writer.close()

    def judged(data: bytearray, **changed: Any) -> VerificationReport:
        container = sha256(ciphertext).hexdigest()
        words = {"signature_sha256": None, "seal_state": "claimed", "verified": "sealed-unopened"}
        given = receipt_of(ALONE, **words, **({"container_sha256": container} | changed))
        anchors = Anchors(receipt=given, log_keys=(KEY.verifier,))
        return verify(EncryptedBundle(io.BytesIO(data), [identity]), anchors=anchors, at=THEN)

    report = judged(ciphertext)
    assert (report.word, report.origin_by) == (Word.MATCH, "receipt")
    assert (report.time, report.not_after) == (Word.MATCH, ARRIVED)
    # The same seal in another ciphertext, and a claim of another seal: as before, and told.
    assert judged(ciphertext, container_sha256="11" * 32).word is Word.NOT_VERIFIABLE
    assert judged(ciphertext, seal="11" * 32).word is Word.MISMATCH
    for changed in (ciphertext[:-1], ciphertext + b"0"):
        with pytest.raises(FormatError):
            judged(changed)


def test_an_expired_certificate_is_judged_for_the_time_that_the_receipt_fixes(
    receipt_of: Any,
) -> None:
    assert check(roots=ROOTS, at=LATER).word is Word.NOT_VERIFIABLE
    report = check(roots=ROOTS, at=LATER, receipt=receipt_of(GOOD), log_keys=(KEY.verifier,))
    assert (report.word, report.origin_by) == (Word.MATCH, "root")
    assert report.step(10).result is Result.MATCH


@pytest.mark.parametrize(
    "changed",
    [
        {"seal": "0" * 64},
        {"signature_sha256": "0" * 64},
        {"bundle": "hz-20261123T050000Z-other-5f3a9c10"},
    ],
)
def test_a_receipt_for_something_else_is_a_mismatch(
    changed: dict[str, Any], receipt_of: Any
) -> None:
    files = receipt_of(GOOD, **changed)
    report = check(receipt=files, log_keys=(KEY.verifier,), roots=ROOTS)
    assert (report.word, report.integrity) == (Word.MISMATCH, Word.MATCH)
    assert report.step(12).result is Result.MISMATCH


def test_a_receipt_by_another_log_key_is_a_mismatch(receipt_of: Any) -> None:
    other = SigningKey.generate(ORIGIN).verifier
    assert check(receipt=receipt_of(GOOD), log_keys=(other,)).word is Word.MISMATCH


def test_a_receipt_whose_statement_was_changed_is_a_mismatch(receipt_of: Any) -> None:
    files = receipt_of(GOOD)
    files["receipt.txt"] = files["receipt.txt"].replace(b"05:00:31", b"04:00:31")
    assert check(receipt=files, log_keys=(KEY.verifier,)).word is Word.MISMATCH


def test_a_receipt_that_cannot_be_read_anchors_nothing(receipt_of: Any) -> None:
    for name in ("receipt.txt", "receipt.tlog-proof", "log.vkey"):
        files = receipt_of(ALONE)
        for junk in (b"", b"%" * 99, files[name][:-3]):
            report = check(ALONE, receipt={**files, name: junk}, log_keys=(KEY.verifier,))
            assert (report.word, report.integrity) == (Word.NOT_VERIFIABLE, Word.MATCH), name
            assert report.step(12).notes[0].key == "receipt-unusable"


def test_a_quarantined_bundle_existed_but_is_not_vouched_for(receipt_of: Any) -> None:
    files = receipt_of(ALONE, verified="failed", event="ingest")
    report = check(ALONE, receipt=files, log_keys=(KEY.verifier,))
    assert (report.word, report.not_after) == (Word.NOT_VERIFIABLE, ARRIVED)
    assert report.step(12).notes[0].key == "receipt-quarantine"


def test_a_receipt_without_seal_and_signature_does_not_vouch_for_this_bundle(
    receipt_of: Any,
) -> None:
    files = receipt_of(ALONE, seal=None, seal_state=None, signature_sha256=None)
    report = check(ALONE, receipt=files, log_keys=(KEY.verifier,))
    assert report.word is Word.NOT_VERIFIABLE
    assert report.not_after is None


# --- custody events -------------------------------------------------------------------------------


def events(identity: KeyIdentity, *changes: dict[str, object]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    before: str | None = None
    for number, changed in enumerate(changes, start=1):
        record: dict[str, object] = {
            "format": "hozen-custody/1",
            "event_no": number,
            "previous": before,
            "bundle": BUNDLE,
            "seal": None,
            "type": "NOTE",
            "attachments": [],
        }
        data = dump_line({**record, **changed})
        before = sha256(data).hexdigest()
        files[f"{number:06d}.json"] = data
        files[f"{number:06d}.p7s"] = cms.sign_detached(bytes.fromhex(before), identity, THEN)
    return files


def test_events_in_their_chain_are_a_match(identity: KeyIdentity) -> None:
    report = check(roots=ROOTS, custody=events(identity, {}, {"seal": seal_of(GOOD)}, {}))
    assert report.word is Word.MATCH
    assert report.step(14).notes[0].values["count"] == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"seal": "0" * 64},
        {"bundle": "hz-20261123T050000Z-other-5f3a9c10"},
        {"event_no": 7},
        {"previous": "0" * 64},
        {"previous": 5},
        {"event_no": "2"},
        {"attachments": [{"sha256": "ab" * 32}]},
        {"attachments": "x"},
    ],
)
def test_an_event_that_is_not_of_this_chain_is_a_mismatch(
    changed: dict[str, object], identity: KeyIdentity
) -> None:
    report = check(roots=ROOTS, custody=events(identity, {}, changed))
    assert (report.word, report.integrity) == (Word.MISMATCH, Word.MATCH)
    assert report.step(14).result is Result.MISMATCH


def test_an_event_that_was_changed_removed_or_stripped_is_a_mismatch(identity: KeyIdentity) -> None:
    files = events(identity, {}, {}, {})
    bad = [
        {**files, "000002.json": files["000002.json"].replace(b"NOTE", b"HOLD")},
        {name: data for name, data in files.items() if not name.startswith("000002")},
        {name: data for name, data in files.items() if name != "000001.p7s"},
    ]
    for one in bad:
        assert check(custody=one).word is Word.MISMATCH


def test_an_attachment_must_be_there_unchanged(identity: KeyIdentity) -> None:
    digest = "ab" * 32
    files = events(identity, {"attachments": [{"sha256": digest}]})
    assert check(roots=ROOTS, custody=files, attachments={digest: digest}).word is Word.MATCH
    assert check(roots=ROOTS, custody=files, attachments={digest: "0" * 64}).exit_code == 1


# --- the operator's signature ---------------------------------------------------------------------


def statement(data: bytes, *, role: str = "operator") -> bytes:
    said = PersonStatement(
        bundle=BUNDLE,
        seal=seal_of(data),
        signature=p7s_of(data),
        role=role,
        attests="作業を実施しました。",
        time=parse_rfc3339(ARRIVED),
    )
    return said.encode()


def operator(text: bytes, identity: KeyIdentity) -> dict[str, bytes]:
    signature = cms.sign_detached(sha256(text).digest(), identity, THEN)
    return {"statement.txt": text, "operator.p7s": signature}


def test_an_operator_with_a_root_from_outside_vouches_for_the_bundle(issue: Any, root: Any) -> None:
    made = issue("SYNTHETIC operator", issuer=root)
    person = KeyIdentity(made.key, made.certificate, made.chain)
    files = operator(statement(ALONE), person)
    report = check(ALONE, roots=(root.certificate,), operator=files, operator_expected=True)
    assert (report.word, report.origin_by) == (Word.MATCH, "operator")


def test_an_operator_signature_over_another_bundle_is_a_mismatch(identity: KeyIdentity) -> None:
    report = check(operator=operator(statement(ALONE), identity))
    assert report.step(15).notes[0].key == "statement-other"
    assert report.word is Word.MISMATCH


def test_an_unknown_operator_does_not_vouch(identity: KeyIdentity) -> None:
    report = check(ALONE, roots=ROOTS, operator=operator(statement(ALONE), identity))
    assert report.step(15).result is Result.NOT_VERIFIABLE
    assert report.word is Word.NOT_VERIFIABLE


def test_half_of_an_operator_signature_is_a_mismatch(identity: KeyIdentity) -> None:
    files = operator(statement(GOOD), identity)
    for name in files:
        assert check(roots=ROOTS, operator={name: files[name]}).word is Word.MISMATCH


def test_an_operator_without_any_root_does_not_vouch(identity: KeyIdentity) -> None:
    report = check(ALONE, operator=operator(statement(ALONE), identity))
    assert report.step(15).result is Result.NOT_VERIFIABLE


def test_the_command_finds_what_lies_beside_the_bundle(
    receipt_of: Any,
    identity: KeyIdentity,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, proofs = tmp_path / f"{BUNDLE}.zip", tmp_path / f"{BUNDLE}.proofs"
    bundle.write_bytes(ALONE)
    key = tmp_path / "log.vkey"
    key.write_bytes(KEY.verifier.line)
    for folder, files in (
        ("receipt", receipt_of(ALONE)),
        ("custody", events(identity, {}, {"seal": seal_of(ALONE)})),
    ):
        (proofs / folder).mkdir(parents=True)
        for name, data in files.items():
            (proofs / folder / name).write_bytes(data)
    words = ["verify", str(bundle), "--at", "2026-12-01T00:00:00Z"]
    assert main([*words, "--log-key", str(key)]) == 0
    out = capsys.readouterr().out
    assert f"existed at {ARRIVED} at the latest" in out
    assert "2 events" in out
    assert main(words) == 2
    assert "no log key (--log-key)" in capsys.readouterr().out
    (proofs / "custody" / "000001.json").write_bytes(b"{}\n")
    assert main([*words, "--log-key", str(key)]) == 1
    (proofs / "receipt" / "receipt.txt").unlink()
    assert main([*words, "--log-key", str(key)]) == 1
