"""Lists of revoked certificates asked for time stamps, receipts and people, against their trusted times."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hozen_hashes.certificates import load_certificates
from hozen_hashes.front import main
from hozen_hashes.note import parse_vkey
from hozen_hashes.opened import ZipBundle
from hozen_hashes.revocation import read_list
from hozen_hashes.verify import Anchors, verify
from hozen_hashes.words import Words

if TYPE_CHECKING:
    from hozen_hashes.verify import VerificationReport

VECTORS = Path(__file__).parents[1] / "vectors"
POOL = VECTORS / "revoked" / "files"
CASES: dict[str, dict[str, Any]] = json.loads((POOL.parent / "cases.json").read_text())["cases"]
GOOD = (VECTORS / "data" / "good.zip").read_bytes()
STAMPED = datetime(2026, 11, 25, tzinfo=UTC)
BUNDLE = json.loads((VECTORS / "data" / "expected.json").read_text())["bundle_id"]


def checked(case: dict[str, Any]) -> VerificationReport:
    beside: dict[str, dict[str, bytes]] = {"": {}, "receipt": {}, "timestamps": {}}
    for path, name in case["proofs"].items():
        folder, _, file = path.rpartition("/")
        beside[folder][file] = (POOL / name).read_bytes()
    anchors = Anchors(
        roots=tuple(load_certificates((POOL / "root.pem").read_bytes())),
        tsa_roots=tuple(load_certificates((POOL / "tsa-root.pem").read_bytes())),
        log_keys=(parse_vkey((POOL / "log.vkey").read_bytes()),) if case["log_key"] else (),
        receipt=beside["receipt"] or None,
        timestamps=beside["timestamps"],
        operator=beside[""],
        revoked=tuple(read_list((POOL / one).read_bytes(), name=one) for one in case["revoked"]),
    )
    return verify(
        ZipBundle(io.BytesIO(GOOD)), anchors=anchors, at=datetime.fromisoformat(case["at"])
    )


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_judged_as_its_vector_says(name: str) -> None:
    case = CASES[name]
    report = checked(case)
    step = report.step(case["step"])
    found = (report.word.value, step.result.value, [note.key for note in step.notes])
    assert found == (case["word"], case["result"], case["notes"])
    for language in ("ja", "en"):
        assert all(Words(language).note(note) for note in step.notes)


def test_a_renewal_from_before_the_revocation_keeps_the_first_time() -> None:
    assert checked(CASES["stamp-renewed-before"]).not_after == "2026-11-25T00:00:01.000000000Z"
    assert checked(CASES["stamp-and-renewal-revoked"]).not_after is None


@pytest.mark.needs("openssl")
def test_openssl_accepts_the_stamps_of_the_vectors(tmp_path: Path) -> None:
    (tmp_path / "p7s").write_bytes(
        zipfile.ZipFile(io.BytesIO(GOOD)).read(f"{BUNDLE}/signatures/agent.p7s")
    )
    command: list[str | Path] = [
        "openssl",
        "ts",
        "-verify",
        "-data",
        tmp_path / "p7s",
        "-in",
        POOL / "seal.tsr",
    ]
    command += ["-CAfile", POOL / "tsa-root.pem", "-attime", str(int(STAMPED.timestamp()))]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert b"Verification: OK" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["stamp-compromised-before", "receipt-no-time", "operator-between"]
)
def test_the_command_says_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    (tmp_path / f"{BUNDLE}.zip").write_bytes(GOOD)
    for path, file in case["proofs"].items():
        target = tmp_path / f"{BUNDLE}.proofs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((POOL / file).read_bytes())
    words = ["--root", str(POOL / "root.pem"), "--tsa-root", str(POOL / "tsa-root.pem")]
    for one in case["revoked"]:
        words += ["--revoked", str(POOL / one)]
    code = main(["verify", str(tmp_path / f"{BUNDLE}.zip"), *words, "--at", case["at"], "--json"])
    said = json.loads(capsys.readouterr().out)["bundles"][0]
    step = said["steps"][case["step"] - 1]
    assert (code, step["result"]) == ({"match": 0, "mismatch": 1}[case["word"]], case["result"])
    assert [note["key"] for note in step["notes"]] == case["notes"]


def test_the_generator_makes_the_committed_vectors(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.vectors.make_revoked", str(tmp_path)]
    subprocess.run(command, cwd=VECTORS.parents[1], check=True, timeout=60)
    made = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.name: path.read_bytes() for path in POOL.parent.rglob("*") if path.is_file()}
    assert made == kept
