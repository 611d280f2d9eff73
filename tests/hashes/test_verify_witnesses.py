"""Witnesses from outside over the checkpoint of a receipt: enough, too few, one that is wrong, and none asked for."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hozen_hashes import merkle
from hozen_hashes.certificates import load_certificates
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.cosignature import MAX_TIME, WitnessKey, WitnessSigner
from hozen_hashes.front import main
from hozen_hashes.note import Note, NoteSignature, SigningKey, parse_note
from hozen_hashes.opened import ZipBundle
from hozen_hashes.receipt import Statement
from hozen_hashes.tlogproof import TlogProof
from hozen_hashes.verify import Anchors, Result, VerificationReport, Word, verify

DATA = Path(__file__).parents[1] / "vectors" / "data"
GOOD = (DATA / "good.zip").read_bytes()
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
BUNDLE = json.loads((DATA / "expected.json").read_text())["bundle_id"]
AT = datetime(2026, 12, 1, tzinfo=UTC)
ORIGIN = "collector.example/log"
LOG = SigningKey.generate(ORIGIN)
ONE, TWO, THREE = (WitnessSigner.generate(f"witness.example/w{n}") for n in (1, 2, 3))
SECONDS = 1795410533  # 2026-11-23


def digest_of(path: str) -> str:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        return sha256(archive.read(f"{BUNDLE}/{path}")).hexdigest()


def receipt(*signers: WitnessSigner, more: tuple[NoteSignature, ...] = ()) -> dict[str, bytes]:
    """Give a receipt whose checkpoint these witnesses cosigned, with more lines behind."""
    statement = Statement(
        log=ORIGIN,
        log_key_sha256=LOG.verifier.sha256,
        event="ingest",
        bundle=BUNDLE,
        seal=digest_of("tagmanifest-sha256.txt"),
        seal_state="checked",
        signature_sha256=digest_of("signatures/agent.p7s"),
        verified="ok",
        arrived_at=SECONDS * 10**9,
        time=SECONDS * 10**9,
    )
    read = merkle.reader_of_leaves([statement.leaf_hash])
    note = parse_note(sign_checkpoint(Checkpoint(ORIGIN, 1, merkle.tree_root(1, read)), [LOG]))
    lines = tuple(one.cosign(note.text, SECONDS) for one in signers)
    cosigned = Note(note.text, (*note.signatures, *lines, *more)).encode()
    proof = TlogProof(index=0, path=merkle.inclusion_proof(0, 1, read), note=cosigned)
    return {
        "receipt.txt": statement.encode(),
        "receipt.tlog-proof": proof.encode(),
        "log.vkey": LOG.verifier.line,
    }


def checked(
    files: dict[str, bytes] | None, *keys: WitnessKey, required: int | None = None, **more: Any
) -> VerificationReport:
    words = {"roots": ROOTS, "log_keys": (LOG.verifier,), **more}
    anchors = Anchors(receipt=files, witness_keys=keys, witnesses=required, **words)
    return verify(ZipBundle(io.BytesIO(GOOD)), anchors=anchors, at=AT)


def test_nobody_asked_is_not_run_and_changes_no_word() -> None:
    for files in (receipt(ONE), receipt(), None):
        report = checked(files)
        assert report.word is Word.MATCH
        assert report.witnesses.result is Result.NOT_RUN
        assert report.witnesses.note.key == "witnesses-no-keys"


@pytest.mark.parametrize(
    ("signers", "required", "result", "missing"),
    [
        ((ONE, TWO, THREE), None, Result.MATCH, []),
        ((ONE, TWO), None, Result.NOT_VERIFIABLE, ["witness.example/w3"]),
        ((ONE, TWO), 2, Result.MATCH, ["witness.example/w3"]),
        ((THREE,), 1, Result.MATCH, ["witness.example/w1", "witness.example/w2"]),
        ((THREE, THREE), 2, Result.NOT_VERIFIABLE, ["witness.example/w1", "witness.example/w2"]),
        ((), 1, Result.NOT_VERIFIABLE, [f"witness.example/w{n}" for n in (1, 2, 3)]),
    ],
)
def test_as_many_as_asked_for_must_have_cosigned(
    signers: tuple[WitnessSigner, ...], required: int | None, result: Result, missing: list[str]
) -> None:
    report = checked(receipt(*signers), ONE.key, TWO.key, THREE.key, required=required)
    assert report.witnesses.result is result
    assert list(report.witnesses.missing) == missing
    assert report.word is (Word.MATCH if result is Result.MATCH else Word.NOT_VERIFIABLE)
    assert report.integrity is Word.MATCH
    assert {one.time for one in report.witnesses.cosigned} <= {"2026-11-23T05:08:53.000000000Z"}


def test_a_cosignature_that_does_not_hold_is_a_mismatch_even_where_enough_others_do() -> None:
    other = TWO.cosign("log.example/other\n1\nAAAA\n", SECONDS)  # a true one, of another note
    report = checked(receipt(ONE, more=(other,)), ONE.key, TWO.key, required=1)
    assert report.witnesses.result is Result.MISMATCH
    assert report.witnesses.wrong == ("witness.example/w2",)
    assert [one.name for one in report.witnesses.cosigned] == ["witness.example/w1"]
    assert report.word is Word.MISMATCH
    assert report.exit_code == 1
    # Nobody gave this witness's key: its line is passed over.
    assert checked(receipt(ONE, more=(other,)), ONE.key).word is Word.MATCH


def test_one_key_under_two_names_is_one_witness() -> None:
    twin = replace(ONE.key, name="witness.example/twin")
    report = checked(receipt(ONE), ONE.key, twin, TWO.key, required=2)
    assert report.witnesses.result is Result.NOT_VERIFIABLE
    assert report.witnesses.missing == ("witness.example/w2",)
    assert checked(receipt(ONE), twin, ONE.key).witnesses.required == 1


def test_without_a_receipt_about_this_bundle_nothing_can_be_cosigned() -> None:
    unlogged = {
        name: data for name, data in receipt(ONE).items() if not name.endswith("tlog-proof")
    }
    broken = {**receipt(ONE), "receipt.txt": b"x"}
    for files in (None, unlogged, broken):
        report = checked(files, ONE.key)
        assert report.witnesses.result is Result.NOT_VERIFIABLE
        assert report.witnesses.note.key == "witnesses-no-receipt"
        assert report.word is Word.NOT_VERIFIABLE


def test_witnesses_do_not_take_the_place_of_the_log_key() -> None:
    report = checked(receipt(ONE), ONE.key, roots=(), log_keys=())
    assert report.witnesses.result is Result.MATCH
    assert report.step(12).result is Result.NOT_VERIFIABLE
    assert report.word is Word.NOT_VERIFIABLE


def test_a_time_beyond_every_calendar_is_shown_as_a_number() -> None:
    note = parse_note(receipt()["receipt.tlog-proof"].split(b"\n\n", 1)[1])
    report = checked(receipt(more=(ONE.cosign(note.text, MAX_TIME),)), ONE.key)
    assert report.witnesses.cosigned[0].time == str(MAX_TIME)


def test_a_witness_key_longer_than_a_path_name_is_bad_data_not_a_failure_to_open_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / f"{BUNDLE}.zip"
    shutil.copy(DATA / "good.zip", bundle)
    code = main(["--lang", "en", "verify", str(bundle), "--witness-key", "w" * 5000 + "+1+2"])
    assert code == 65
    assert "too long" in capsys.readouterr().err


def test_the_command_takes_keys_as_files_and_lines_and_says_what_was_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / f"{BUNDLE}.zip"
    shutil.copy(DATA / "good.zip", bundle)
    folder = tmp_path / f"{BUNDLE}.proofs" / "receipt"
    folder.mkdir(parents=True)
    for name, data in receipt(ONE).items():
        (folder / name).write_bytes(data)
    (tmp_path / "log.vkey").write_bytes(LOG.verifier.line)
    (tmp_path / "w1.vkey").write_bytes(ONE.key.line)

    def run(*words: object) -> tuple[int, str, str]:
        fixed = ("--log-key", tmp_path / "log.vkey", "--at", AT.isoformat())
        code = main([str(word) for word in ("--lang", "en", "verify", bundle, *fixed, *words)])
        return code, *capsys.readouterr()

    code, out, _ = run()
    assert code == 0
    assert "not run" in next(line for line in out.splitlines() if line.startswith("Witnesses"))
    assert "Steps not run: " in out
    assert "Witnesses of the log" in out.rpartition("Steps not run: ")[2]
    assert run("--witness-key", tmp_path / "w1.vkey")[0] == 0
    line = TWO.key.line.decode().strip()
    code, out, _ = run("--witness-key", tmp_path / "w1.vkey", "--witness-key", line)
    assert code == 2
    assert "not there: witness.example/w2" in out
    assert "as many witnesses as asked for" in out
    code, out, _ = run(
        "--witness-key", tmp_path / "w1.vkey", "--witness-key", line, "--witnesses", "1", "--json"
    )
    found = json.loads(out)["bundles"][0]["witnesses"]
    assert code == 0
    assert found["result"] == "match"
    assert found["cosigned"] == [
        {"name": "witness.example/w1", "time": "2026-11-23T05:08:53.000000000Z"}
    ]
    assert (found["required"], found["missing"]) == (1, ["witness.example/w2"])
    for bad in (
        ("--witnesses", "1"),
        ("--witness-key", tmp_path / "w1.vkey", "--witnesses", "2"),
        ("--witness-key", tmp_path / "absent"),
    ):
        assert run(*bad)[0] == 64, bad
    assert run("--witness-key", tmp_path / "log.vkey")[0] == 65
