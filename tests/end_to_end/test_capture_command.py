"""`hozen capture` and `hozen doctor` from the outside: what is asked for, refused, said, and with which exit code."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Bundle, only_bundle
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

_PROFILE = """name: quick
version: 1
description: {en: "quick", ja: "簡易"}
artifacts: [clock, linux_logs]
"""
_FIELDS = ("case", "operator", "organisation", "contact", "authority", "purpose", "owner")
_QUICK = "hozen capture --profile ./quick.yaml --out usb"


@pytest.fixture(autouse=True)
def quick(host: Host) -> None:
    (host.work / "quick.yaml").write_text(_PROFILE, encoding="utf-8")


def _bundle(host: Host) -> Bundle:
    return Bundle(only_bundle(host.work / "usb"))


def _refused(host: Host, command: str, code: int, *words: str) -> str:
    """Run a command that must fail: its exit code, one error with a hint, nothing left behind."""
    run = host.run(command)
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert run.stderr.count("hozen: error: ") == 1, run.stderr
    assert "hozen: hint: " in run.stderr
    assert "Traceback" not in run.stderr
    for word in words:
        assert word in run.stderr
    assert not list((host.work / "usb").iterdir())
    return run.stderr


# -- case fields ------------------------------------------------------------------------------------------------------


def test_missing_fields_in_a_pipe_are_all_named_and_nothing_is_written(host: Host) -> None:
    said = _refused(host, f"{_QUICK} --allow-local --case C-1 --purpose x", 64)
    for name in _FIELDS:
        assert (f"--{name}" in said.split("error:")[1].split("hint:")[0]) == (
            name not in ("case", "purpose")
        )


def test_options_come_before_the_case_file_and_that_before_the_environment(host: Host) -> None:
    (host.work / "case.yaml").write_text(
        "case: C-2\nname: 事案\noperator: From File\nauthority: unknown\npurpose: test\n",
        encoding="utf-8",
    )
    env = "HOZEN_OPERATOR=Env HOZEN_OWNER='Env Owner' HOZEN_CONTACT=unknown HOZEN_ORGANISATION=E"
    run = host.run(f"{env} {_QUICK} --allow-local --case-file case.yaml --case C-9 --drill")
    assert run.returncode == 0, run.stderr
    case = _bundle(host).about["case"]
    assert (case["id"], case["name"], case["operator"]) == ("C-9", "事案", "From File")
    assert (case["owner"], case["authority"], case["contact"]) == (
        "Env Owner",
        "unknown",
        "unknown",
    )
    assert case["drill"] is True


def test_a_case_file_that_is_none_is_refused_with_its_line(host: Host) -> None:
    (host.work / "case.yaml").write_text("case: C-2\noperatr: X\n", encoding="utf-8")
    _refused(host, f"{_QUICK} --allow-local --case-file case.yaml", 64, "case.yaml", "2", "operatr")
    _refused(host, f"{_QUICK} --allow-local --case-file none.yaml", 64, "none.yaml")


def test_missing_fields_are_asked_on_the_terminal_while_the_reading_goes_on(host: Host) -> None:
    typed = f"{_QUICK} --allow-local --case C-3 --operator Sato --lang en --json >said.json"
    (host.work / "typed.sh").write_text(typed, encoding="utf-8")
    # Nobody answers before the logs were recorded; then one field after the other, the last one left empty.
    script = """
        ( until grep -q '"artifact":"linux_logs"' usb/*.journal/*.files.jsonl 2>/dev/null; do sleep 0.02; done
          for word in 'Example KK' someone@example.jp 'CISO' 'test of prompts' ''; do echo "$word"; sleep 0.1; done
          sleep 2 ) | script -qec 'sh typed.sh' screen.txt >/dev/null; echo "code $?" """
    slow = _PROFILE + "epoch: {seconds: 50ms, bytes: 2MiB}\n"
    (host.work / "quick.yaml").write_text(slow, encoding="utf-8")
    run = host.run(script, setup="head -c 8000000 /dev/urandom >/var/log/big.log", timeout=60)
    assert "code 0" in run.stdout, run.stderr
    screen = (host.work / "screen.txt").read_text(encoding="utf-8", errors="replace")
    assert "Operator's organisation: " in screen
    bundle = _bundle(host)
    case = bundle.about["case"]
    assert (case["organisation"], case["purpose"], case["owner"]) == (
        "Example KK",
        "test of prompts",
        "unknown",
    )
    start = next(r for r in bundle.records if r["type"] == "start")
    assert start["case"] is None, "asked for later"
    (late,) = [r for r in bundle.records if r["type"] == "case"]
    assert late["organisation"] == "Example KK"


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_words_of_the_call_that_are_off_are_refused_with_a_hint(
    host: Host, case_options: str
) -> None:
    base = f"hozen capture {case_options} --allow-local --out usb"
    _refused(host, f"{base} --profile standart", 64, "standart", "standard")
    _refused(host, f"{base} --profile ./none.yaml", 64, "none.yaml")
    (host.work / "odd.yaml").write_text(_PROFILE.replace("clock", "clokc"), encoding="utf-8")
    _refused(host, f"{base} --profile ./odd.yaml", 64, "odd.yaml", "clokc", "clock")
    _refused(host, f"{base} --recipient age1wrong", 64)
    _refused(host, f"{base} --volume-size many", 64, "--volume-size")
    _refused(host, f"{base} --volume-size 512", 64, "1MiB")
    _refused(host, f"{base} --profile full", 64, "--reason")
    _refused(host, f"{base} --profile full --reason needed", 64, "--recipient")


def test_a_destination_on_the_examined_disks_is_refused(host: Host, case_options: str) -> None:
    quick = f"hozen capture {case_options} --profile ./quick.yaml"
    _refused(host, f"mkdir /var/log/out; {quick} --out /var/log/out", 64, "--allow-local")
    _refused(host, f"{quick} --allow-local --out usb/none", 73, "usb/none")
    _refused(host, f"mkdir r; mount -t tmpfs -o ro tmpfs r; {quick} --allow-local --out r", 73)
    _refused(host, f"mkdir s; mount -t tmpfs -o size=1m tmpfs s; {quick} --allow-local --out s", 73)


def test_a_destination_on_the_examined_disks_is_recorded_when_allowed(
    host: Host, case_options: str
) -> None:
    run = host.run(f"{_QUICK} {case_options} --allow-local")
    assert run.returncode == 0, run.stderr
    assert _bundle(host).about["destination"]["on_examined_host"]


def _identity(path: Path, *, passphrase: bytes | None, until: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Responder 1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2015, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    lock = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


def test_an_identity_that_cannot_sign_ends_the_capture_before_anything_is_written(
    host: Host, case_options: str
) -> None:
    far, past = datetime(2100, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    _identity(host.work / "good.pem", passphrase=b"right words", until=far)
    _identity(host.work / "old.pem", passphrase=None, until=past)
    (host.work / "wrong").write_bytes(b"wrong words\n")
    base = f"{_QUICK} {case_options} --allow-local"
    said = _refused(host, f"{base} --identity good.pem --passphrase-file wrong", 64, "passphrase")
    assert "wrong words" not in said
    _refused(host, f"{base} --identity old.pem", 65, "2020")
    _refused(host, f"{base} --identity good.pem", 64, "--passphrase-file")
    _refused(host, f"{base} --identity none.pem", 64, "none.pem")


def test_a_responders_identity_signs_and_its_passphrase_goes_nowhere(
    host: Host, case_options: str
) -> None:
    _identity(
        host.work / "good.pem", passphrase=b"47190263right", until=datetime(2100, 1, 1, tzinfo=UTC)
    )
    run = host.run(
        f"echo 47190263right | {_QUICK} {case_options} --allow-local --identity good.pem --passphrase-file -"
    )
    assert run.returncode == 0, run.stderr
    bundle = _bundle(host)
    start = next(r for r in bundle.records if r["type"] == "start")
    assert start["identity"]["kind"] == "file"
    assert "not vouched for" not in run.stderr
    assert not [name for name, data in bundle.members.items() if b"47190263right" in data]


# -- what is said -----------------------------------------------------------------------------------------------------


def test_json_is_one_document_on_standard_output_that_agrees_with_the_bundle(
    host: Host, case_options: str
) -> None:
    run = host.run(f"{_QUICK} {case_options} --allow-local --json")
    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    path = only_bundle(host.work / "usb")
    bundle = Bundle(path)
    assert said["files"] == [f"usb/{path.name}"]
    assert said["container_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert said["container_size"] == path.stat().st_size
    assert said["items"] == len(bundle.items) == bundle.about["counts"]["attempts"]
    assert said["outcomes"] == bundle.about["counts"]["outcomes"]
    assert said["seal"] == hashlib.sha256(bundle.members["tagmanifest-sha256.txt"]).hexdigest()
    assert said["seal"] in run.stderr
    assert all(line.startswith("hozen: ") for line in run.stderr.splitlines())


def test_quiet_is_quiet_but_for_what_must_be_written_down(host: Host, case_options: str) -> None:
    run = host.run(f"hozen -q {_QUICK.removeprefix('hozen ')} {case_options} --allow-local")
    assert run.returncode == 0, run.stderr
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["sealed", "seal", "signer"]
    assert any(len(line.split()[-1]) == 64 for line in run.stdout.splitlines())
    assert all(": warning: " in line for line in run.stderr.splitlines()), run.stderr


def test_strict_ends_with_3_when_something_was_not_obtained(host: Host, case_options: str) -> None:
    command = f"{_QUICK} {case_options} --allow-local"
    run = host.run(f"{command}; echo $?; {command} --strict; echo $?", setup="mkfifo /var/log/pipe")
    assert [line for line in run.stdout.splitlines() if line.isdigit()] == ["0", "3"], run.stderr
    assert len(list((host.work / "usb").glob("*.zip"))) == 2


def test_a_secret_in_the_words_of_the_call_is_refused_and_never_repeated(
    host: Host, case_options: str
) -> None:
    secret = "Xq47190263Zw"
    base = f"{_QUICK} {case_options} --allow-local"
    for words in (
        f"--collector https://alice:{secret}@127.0.0.1:9/",
        f"--identity 'pkcs11:token=x;object=y?pin-value={secret}'",
    ):
        assert secret not in _refused(host, f"{base} {words}", 64)


def test_the_bundle_states_what_the_capture_cost_the_host(host: Host, case_options: str) -> None:
    run = host.run(f"{_QUICK} {case_options} --allow-local")
    assert run.returncode == 0, run.stderr
    about = _bundle(host).about
    footprint = about["footprint"]
    fields = "cpu_ms peak_rss_kib bytes_written files_opened processes_created sockets_opened temporary_files atime"
    assert {*fields.split(), "not_measured"} <= set(footprint)
    unknown = {name for name in fields.split() if footprint[name] is None}
    assert unknown == set(footprint["not_measured"])
    assert 0 < footprint["processes_created"] <= 10
    assert footprint["files_read_without_noatime"] == 0
    assert all(isinstance(text, str) for text in footprint["temporary_files"])
    assert about["redaction"]["enabled"] is True
    assert len(about["redaction"]["rules_sha256"]) == 64
    assert footprint["peak_rss_kib"] > 1000
    assert about["agent"]["argv"][1:4] == ["capture", "--profile", "./quick.yaml"]


def test_volumes_join_with_cat_and_verify_as_they_are(host: Host, case_options: str) -> None:
    script = f"""
        {_QUICK} {case_options} --allow-local --volume-size 1MiB --json >said.json; echo "capture $?"
        hozen verify --json usb/*.001 >verdict.json; cat usb/*.zip.0* >joined.zip"""
    run = host.run(script, setup="head -c 3500000 /dev/urandom >/var/log/big.log")
    assert "capture 0" in run.stdout, run.stderr
    parts = sorted((host.work / "usb").iterdir())
    assert [p.name[-4:] for p in parts] == [".001", ".002", ".003", ".004"]
    assert {p.stat().st_size for p in parts[:-1]} == {1 << 20}
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")
    said = json.loads((host.work / "said.json").read_text(encoding="utf-8"))
    assert said["files"] == [f"usb/{p.name}" for p in parts]
    assert len(Bundle(host.work / "joined.zip").items) == said["items"]


# -- doctor -----------------------------------------------------------------------------------------------------------


def _states(host: Host, command: str) -> tuple[int, dict[str, str], list[dict[str, Any]]]:
    run = host.run(command)
    checks = json.loads(run.stdout)
    return run.returncode, {one["name"]: one["state"] for one in checks}, checks


def test_doctor_says_of_each_check_whether_it_was_made(host: Host) -> None:
    code, states, checks = _states(host, "hozen doctor --json")
    assert code == 0
    assert states["destination"] == "not run"
    assert states["collector"] == "not run"
    assert states["privileges"] == "ok"
    assert states["signing key"] == "warning"
    assert states["clock"] in {"ok", "warning", "not run"}
    assert all(one["detail"] for one in checks)
    assert all(one["hint"] for one in checks if one["state"] in {"warning", "failed"})


def test_doctor_ends_with_the_code_of_what_would_fail(host: Host) -> None:
    _identity(host.work / "old.pem", passphrase=None, until=datetime(2020, 1, 1, tzinfo=UTC))
    code, states, _ = _states(host, "hozen doctor --json --out usb/none")
    assert (code, states["destination"]) == (73, "failed")
    code, states, _ = _states(host, "hozen doctor --json --out /var/log")
    assert (code, states["destination"]) == (64, "failed")
    code, states, _ = _states(
        host, "hozen doctor --json --out usb --allow-local --identity old.pem"
    )
    assert (code, states["destination"], states["signing key"]) == (65, "ok", "failed")
    code, states, _ = _states(host, "hozen doctor --json --collector https://127.0.0.1:9")
    assert states["collector"] == "failed"
    assert code != 0
    assert not list((host.work / "usb").iterdir())
