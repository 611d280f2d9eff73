"""`hozen sign`: people sign beside a bundle, and nothing can be stripped or swapped unseen."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import cms
from hozen_hashes.age import AgeWriter, new_identity
from hozen_hashes.envelope.opening import parse_opening
from hozen_hashes.errors import BadDataError, UsageError
from hozen_hashes.front import main
from hozen_hashes.identity import KeyIdentity, write_identity
from hozen_hashes.personstatement import PersonStatement, parse_person_statement

DATA = Path(__file__).parents[1] / "vectors" / "data"
AT = ("--at", "2026-12-01T00:00:00Z")
_TIMES = st.integers(min_value=0, max_value=4 * 10**18)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copy(DATA / "good-one-capture.zip", tmp_path / "one.zip"))


@pytest.fixture
def person(issue: Any, root: Any, tmp_path: Path) -> Path:
    made = issue("SYNTHETIC person", issuer=root)
    (tmp_path / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    path = tmp_path / "person.pem"
    path.write_bytes(write_identity(KeyIdentity(made.key, made.certificate, made.chain), None))
    return path


def verified(bundle: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["verify", str(bundle), *AT, "--json", *more])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["bundles"][0]
    return found


def step(report: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = report["steps"][number - 1]
    return found


def test_an_operator_signs_and_vouches_for_a_one_capture_key(
    bundle: Path, person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bundle.read_bytes()
    assert main(["sign", str(bundle), "--as", "operator", "--identity", str(person)]) == 0
    assert bundle.read_bytes() == before
    report = verified(bundle, capsys, "--root", str(person.parent / "root.pem"), "--operator")
    assert (step(report, 15)["result"], report["origin_by"]) == ("match", "operator")


def test_a_pkcs12_file_signs_with_its_passphrase(
    bundle: Path, issue: Any, root: Any, tmp_path: Path
) -> None:
    made = issue("SYNTHETIC card holder", issuer=root)
    data = pkcs12.serialize_key_and_certificates(
        b"me", made.key, made.certificate, list(made.chain), BestAvailableEncryption(b"secret")
    )
    (tmp_path / "me.p12").write_bytes(data)
    (tmp_path / "pass").write_text("secret\n")
    (tmp_path / "wrong").write_text("guess\n")
    call = ["sign", str(bundle), "--as", "operator", "--identity", str(tmp_path / "me.p12")]
    assert main([*call, "--passphrase-file", str(tmp_path / "wrong")]) == 64
    assert main([*call, "--passphrase-file", str(tmp_path / "pass")]) == 0


def test_witnesses_are_numbered_and_each_is_checked(
    bundle: Path, person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("operator", "witness", "witness"):
        assert main(["sign", str(bundle), "--as", role, "--identity", str(person)]) == 0
    proofs = bundle.parent / "one.proofs"
    assert {one.name for one in proofs.glob("witness*")} == {
        "witness-01.p7s", "witness-01.txt", "witness-02.p7s", "witness-02.txt",
    }  # fmt: skip
    root = ("--root", str(person.parent / "root.pem"))
    notes = [one["key"] for one in step(verified(bundle, capsys, *root), 15)["notes"]]
    assert notes == ["operator", "witness", "witness"]
    (proofs / "witness-02.txt").write_bytes((proofs / "statement.txt").read_bytes())
    assert verified(bundle, capsys, *root)["word"] == "mismatch"


def test_a_witness_cannot_stand_in_for_the_operator(
    bundle: Path, person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sign", str(bundle), "--as", "witness", "--identity", str(person)])
    proofs = bundle.parent / "one.proofs"
    (proofs / "witness-01.txt").rename(proofs / "statement.txt")
    (proofs / "witness-01.p7s").rename(proofs / "operator.p7s")
    report = verified(bundle, capsys, "--root", str(person.parent / "root.pem"))
    assert (report["word"], step(report, 15)["notes"][0]["key"]) == ("mismatch", "statement-other")


def test_an_existing_signature_is_never_replaced_and_a_torn_one_is_made_anew(
    bundle: Path, person: Path
) -> None:
    call = ["sign", str(bundle), "--as", "operator", "--identity", str(person)]
    assert main(call) == 0
    proofs = bundle.parent / "one.proofs"
    first = (proofs / "operator.p7s").read_bytes()
    assert main(call) == 64
    assert (proofs / "operator.p7s").read_bytes() == first
    (proofs / "operator.p7s").unlink()
    assert main(call) == 0


def test_a_changed_bundle_or_another_seal_is_not_signed(
    bundle: Path, person: Path, tmp_path: Path
) -> None:
    call = ["--as", "operator", "--identity", str(person)]
    assert main(["sign", str(bundle), *call, "--seal", "0" * 64]) == 1
    bad = tmp_path / "bad.zip"
    shutil.copy(DATA / "evidence-flipped.zip", bad)
    assert main(["sign", str(bad), *call]) in {1, 2}
    assert not (tmp_path / "bad.proofs").exists()


def test_an_opener_states_which_file_was_opened_and_what_was_in_it(
    bundle: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity, ciphertext = new_identity(), bytearray()
    writer = AgeWriter(ciphertext.extend, [identity.recipient])
    writer.write(bundle.read_bytes())
    writer.close()
    secret = tmp_path / "one.zip.age"
    secret.write_bytes(ciphertext)
    (tmp_path / "age.txt").write_text(f"{identity.secret()}\n", encoding="ascii")
    call = ["--as", "opener", "--identity", str(person)]
    opened = ["--age-identity", str(tmp_path / "age.txt")]
    assert main(["sign", str(bundle), *call]) == 64  # nothing was opened
    assert main(["sign", str(secret), *call]) == 64  # nobody can open it
    for _ in range(2):
        assert main(["sign", str(secret), *call, *opened]) == 0
    names = sorted(one.name for one in (tmp_path / "one.proofs").iterdir())
    assert names == ["opened-01.p7s", "opened-01.txt", "opened-02.p7s", "opened-02.txt"]
    text = (tmp_path / "one.proofs" / "opened-02.txt").read_bytes()
    statement = parse_opening(text)
    assert statement.container_sha256 == hashlib.sha256(ciphertext).hexdigest()
    assert statement.container_size == len(ciphertext)
    report = verified(secret, capsys, "--identity", str(tmp_path / "age.txt"))
    assert (statement.seal, statement.bundle) == (report["seal"], report["bundle_id"])
    assert step(report, 15)["result"] != "mismatch"  # a verifier passes over it
    signed = (tmp_path / "one.proofs" / "opened-02.p7s").read_bytes()
    cms.verify_detached(signed, hashlib.sha256(text).digest())  # raises when it does not hold
    secret.write_bytes(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]))
    assert main(["sign", str(secret), *call, *opened]) in {1, 2, 65}
    assert sorted(one.name for one in (tmp_path / "one.proofs").iterdir()) == names


@given(
    st.text(max_size=300).filter(lambda t: t.isprintable()),
    _TIMES,
    st.sampled_from(["operator", "witness"]),
)
def test_a_statement_reads_back_as_it_was_written(text: str, time: int, role: str) -> None:
    said = PersonStatement(
        bundle="hz-20261123T050000Z-web01-5f3a9c10",
        seal="a" * 64,
        signature="b" * 64,
        role=role,
        attests=text,
        time=time,
    )
    if text == "-":  # stands for no attestation
        with pytest.raises(UsageError):
            said.encode()
        return
    assert parse_person_statement(said.encode()) == said


@given(st.binary(max_size=400))
def test_any_bytes_are_a_statement_or_refused(data: bytes) -> None:
    try:
        parse_person_statement(data)
    except BadDataError:
        return
    raise AssertionError("random bytes became a statement")
