"""`hozen key` as a person uses it: through the console script, with real files, openssl and the age tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hozen_hashes import age, newfile
from hozen_hashes.errors import CannotWriteError, UsageError
from hozen_hashes.identity import load_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

SECRET = "correct horse"
EXAMPLE = "hozen://example/agent/web01"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `hozen key …` in the test's directory, without a terminal."""
    code = "import sys; from hozen_hashes.front import main; sys.exit(main())"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    (tmp_path / "pass").write_text(f"{SECRET}\nanother line\n")

    def call(
        *words: str, stdin: str = "", rc: int = 0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, "key", *words], cwd=tmp_path, input=stdin, text=True, capture_output=True,
            check=False, env={**environment, **more},
        )  # fmt: skip
        assert done.returncode == rc, done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert "PRIVATE KEY" not in done.stdout + done.stderr
        assert "AGE-SECRET-KEY-1" not in done.stdout
        return done

    return call


def made(run: Run, *words: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        run("new", "--out", "id.pem", "--passphrase-file", "pass", "--json", *words).stdout
    )
    return result


def test_a_new_identity_is_private_encrypted_and_of_the_shown_fingerprint(
    run: Run, tmp_path: Path, openssl: Any
) -> None:
    shown = made(run, "--name", "Responder 1", "--uri", EXAMPLE)
    path = tmp_path / "id.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    read = load_identity(path.read_bytes(), SECRET.encode())
    assert shown["certificate_sha256"] == read.certificate_sha256
    assert (shown["subject"], shown["uris"], shown["encrypted"]) == (
        "CN=Responder 1",
        [EXAMPLE],
        True,
    )
    assert (shown["key"], shown["validity"], shown["self_signed"]) == ("ECDSA P-256", "valid", True)
    stock = openssl("x509", "-in", "id.pem", "-noout", "-fingerprint", "-sha256").stdout.decode()
    assert stock.strip().partition("=")[2].replace(":", "").lower() == shown["certificate_sha256"]


def test_the_passphrase_may_come_from_standard_input(run: Run, tmp_path: Path) -> None:
    run("new", "--out", "id.pem", "--passphrase-file", "-", stdin=f"{SECRET}\n")
    load_identity((tmp_path / "id.pem").read_bytes(), SECRET.encode())


def test_no_passphrase_must_be_said(run: Run, tmp_path: Path) -> None:
    done = run("new", "--out", "id.pem", rc=64)
    assert "--no-passphrase" in done.stderr
    assert not (tmp_path / "id.pem").exists()
    run("new", "--out", "id.pem", "--no-passphrase", "--passphrase-file", "pass", rc=64)
    run("new", "--out", "id.pem", "--no-passphrase")
    load_identity((tmp_path / "id.pem").read_bytes(), None)


def test_the_terminal_is_asked_twice_and_shows_nothing(tmp_path: Path) -> None:
    import pty

    terminal, theirs = pty.openpty()
    code = "import sys; from hozen_hashes.front import main; sys.exit(main())"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "key", "new", "--out", "id.pem"],
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    for prompt in (b"Passphrase: ", b"confirmation: "):
        while prompt not in seen:
            seen += os.read(terminal, 1000)
        os.write(terminal, f"{SECRET}\n".encode())
    with suppress(OSError):  # the other side of the terminal is closed
        while more := os.read(terminal, 1000):
            seen += more
    os.close(terminal)
    assert child.wait() == 0, seen
    assert SECRET.encode() not in seen
    load_identity((tmp_path / "id.pem").read_bytes(), SECRET.encode())


def test_an_existing_file_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "id.pem").write_text("precious")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("id.pem", "dangling"):
        done = run("new", "--out", name, "--no-passphrase", rc=64)
        assert "already there" in done.stderr
    assert (tmp_path / "id.pem").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_is_missing_is_an_error_that_leaves_nothing(
    run: Run, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    done = run("new", "--out", "no/such/id.pem", "--no-passphrase", rc=73)
    assert "hozen: hint:" in done.stderr
    assert set(tmp_path.iterdir()) == before


def test_an_age_identity_is_read_by_the_age_tools_and_its_recipient_printed(
    run: Run, tmp_path: Path
) -> None:
    shown = json.loads(run("new", "--age", "--out", "v.txt", "--json").stdout)
    (recipient,) = shown["recipients"]
    stock = subprocess.run(
        ["age-keygen", "-y", "v.txt"], cwd=tmp_path, capture_output=True, check=True
    )
    assert stock.stdout.decode().strip() == recipient
    assert (tmp_path / "v.txt").stat().st_mode & 0o777 == 0o600
    (read,) = age.read_identities((tmp_path / "v.txt").read_text())
    assert str(read.recipient) == recipient
    assert json.loads(run("show", "v.txt", "--json").stdout)["recipients"] == [recipient]
    done = run("new", "--age", "--out", "w.txt", "--passphrase-file", "pass", rc=64)
    assert "age -p" in done.stderr


def test_show_needs_no_passphrase_and_speaks_both_languages(run: Run) -> None:
    fingerprint = made(run)["certificate_sha256"]
    english, japanese = run("show", "id.pem").stdout, run("show", "id.pem", "--lang", "ja").stdout
    assert fingerprint in english
    assert "certificate sha256" in english
    assert fingerprint in japanese
    assert "有効期間" in japanese


def test_show_states_what_is_expired_weak_or_foreign(
    run: Run, tmp_path: Path, issue: Any, keys: Any
) -> None:
    old = issue("old\x1b[2J", end=datetime.now(UTC) - timedelta(days=1))
    (tmp_path / "old.pem").write_bytes(old.pem)
    shown = json.loads(run("show", "old.pem", "--json").stdout)
    assert (shown["kind"], shown["validity"], shown["encrypted"]) == (
        "certificate",
        "expired",
        None,
    )
    assert "\x1b" not in run("show", "old.pem").stdout
    (tmp_path / "weak.pem").write_bytes(issue("weak", key=keys["rsa2048"]).pem)
    assert json.loads(run("show", "weak.pem", "--json").stdout)["key"] == "not accepted"
    (tmp_path / "noise").write_bytes(os.urandom(1000))
    run("show", "noise", rc=65)
    run("show", "missing", rc=64)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)
    run("show", "large", rc=64)


def sign_request(csr: bytes, issuer: Any, **wishes: Any) -> bytes:
    """Issue a certificate for the request as an authority would."""
    request = x509.load_pem_x509_csr(csr)
    assert request.is_signature_valid

    class _Holder:
        def public_key(self) -> Any:
            return request.public_key()

    name = str(request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
    issued: bytes = issuer.issue(name, key=_Holder(), **wishes).pem
    return issued


def test_a_requested_certificate_is_imported_with_its_chain_in_order(
    run: Run, tmp_path: Path, middle: Any, root: Any
) -> None:
    made(run, "--name", "web01")
    run("request", "id.pem", "--out", "web01.csr", "--uri", EXAMPLE, "--passphrase-file", "pass")
    (tmp_path / "issued.pem").write_bytes(
        sign_request((tmp_path / "web01.csr").read_bytes(), middle)
    )
    (tmp_path / "chain.pem").write_bytes(root.pem + middle.pem)
    words = (
        "import",
        "id.pem",
        "--certificate",
        "issued.pem",
        "--chain",
        "chain.pem",
        "--passphrase-file",
        "pass",
    )
    shown = json.loads(run(*words, "--out", "new.pem", "--json").stdout)
    wanted = [item.certificate.fingerprint(hashes.SHA256()).hex() for item in (middle, root)]
    assert shown["chain"] == wanted
    assert "CN=Test Middle" in shown["issuer"]
    run(*words)
    for name in ("id.pem", "new.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        read = load_identity((tmp_path / name).read_bytes(), SECRET.encode())
        assert read.chain == (middle.certificate, root.certificate)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_request_keeps_the_names_of_the_present_certificate(run: Run, openssl: Any) -> None:
    made(run, "--name", "web01", "--uri", EXAMPLE)
    run("request", "id.pem", "--out", "r.csr", "--passphrase-file", "pass")
    shown = openssl("req", "-in", "r.csr", "-noout", "-text", "-verify").stdout.decode()
    assert "CN = web01" in shown
    assert EXAMPLE in shown
    run("request", "id.pem", "--out", "r.csr", "--passphrase-file", "pass", rc=64)


def test_a_certificate_that_does_not_fit_leaves_the_identity_as_it_was(
    run: Run, tmp_path: Path, middle: Any, root: Any, issue: Any
) -> None:
    made(run, "--name", "web01")
    before = (tmp_path / "id.pem").read_bytes()
    run("request", "id.pem", "--out", "r.csr", "--passphrase-file", "pass")
    csr = (tmp_path / "r.csr").read_bytes()
    good = sign_request(csr, middle)
    old = sign_request(csr, middle, end=datetime.now(UTC) - timedelta(days=1))
    chain = middle.pem + root.pem
    for certificate, above, words in (
        (middle.issue("web01").pem, chain, "another key"),
        (old, chain, "expired"),
        (good, issue("Test Middle", ca=True).pem, "was not signed by"),
        (good, issue("Elsewhere", ca=True).pem, "no path"),
        (b"nonsense", chain, "no certificate"),
    ):
        (tmp_path / "c.pem").write_bytes(certificate)
        (tmp_path / "a.pem").write_bytes(above)
        done = run(
            "import",
            "id.pem",
            "--certificate",
            "c.pem",
            "--chain",
            "a.pem",
            "--passphrase-file",
            "pass",
            rc=65,
        )
        assert words in done.stderr
    assert (tmp_path / "id.pem").read_bytes() == before


def test_a_certificate_without_its_chain_is_taken_with_a_warning(
    run: Run, tmp_path: Path, root: Any
) -> None:
    run("new", "--out", "id.pem", "--no-passphrase", "--name", "web01")
    run("request", "id.pem", "--out", "r.csr")
    (tmp_path / "c.pem").write_bytes(sign_request((tmp_path / "r.csr").read_bytes(), root))
    done = run("import", "id.pem", "--certificate", "c.pem")
    assert "warning" in done.stderr
    assert load_identity((tmp_path / "id.pem").read_bytes(), None).chain == ()


def test_a_wrong_passphrase_is_one_error_and_one_hint(run: Run, tmp_path: Path) -> None:
    made(run)
    (tmp_path / "wrong").write_text("wrong\n")
    done = run("request", "id.pem", "--out", "r.csr", "--passphrase-file", "wrong", rc=64)
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["error:", "hint:"]
    assert not (tmp_path / "r.csr").exists()


def test_every_help_has_examples_and_exit_status(run: Run) -> None:
    for words in ((), ("new",), ("show",), ("request",), ("import",)):
        shown = run(*words, "--help").stdout
        assert "Examples:" in shown
        assert "Exit status:" in shown
        assert "\n    hozen key " in shown


def test_no_option_takes_a_secret(run: Run) -> None:
    for words in (("new",), ("request",), ("import",)):
        shown = run(*words, "--help").stdout
        assert "--passphrase-file FILE|-" in shown
        assert "--passphrase " not in shown


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    old = tmp_path / "old"
    old.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWriteError, match="No space"):
        newfile.write_new(tmp_path / "new", b"x")
    with pytest.raises(CannotWriteError, match="No space"):
        newfile.replace(old, b"x")
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"old"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"precious")
    with pytest.raises(UsageError):
        newfile.write_new(tmp_path / "there", b"x")
    assert (tmp_path / "there").read_bytes() == b"precious"


@pytest.mark.parametrize("command", ["new", "request"])
def test_a_full_device_is_told_as_such(command: str, run: Run, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    run("new", "--out", "id.pem", "--no-passphrase")
    words = ("new", "--no-passphrase") if command == "new" else ("request", "id.pem")
    before = set(tmp_path.iterdir())
    run(*words, "--out", "/dev/full/x", rc=73)
    assert set(tmp_path.iterdir()) == before
