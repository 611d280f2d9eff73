"""pkcs11.py: keys that stay in a token sign as keys in files do (SoftHSM 2 as the token)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hozen_hashes import cms, pkcs11
from hozen_hashes.errors import HozenError, SignatureError, TryAgainError, UsageError
from hozen_hashes.tokenuri import TokenUri, parse_token_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
)
MODULE = next((path for path in MODULES if Path(path).exists()), "")
PIN = "123456"
CONTENT = b"sealed\n"
DIGEST = hashlib.sha256(CONTENT).digest()


@pytest.fixture(scope="module")
def token(
    tmp_path_factory: pytest.TempPathFactory, keys: Any, middle: Any, root: Any
) -> Iterator[str]:
    """Give the URI, without an object, of a token that holds three keys with certificates and their chain."""
    binding = pytest.importorskip("pkcs11")
    if not MODULE or shutil.which("softhsm2-util") is None:
        pytest.skip("no SoftHSM 2")
    place = tmp_path_factory.mktemp("token")
    (place / "tokens").mkdir()
    (place / "softhsm2.conf").write_text(
        f"directories.tokendir = {place}/tokens\nobjectstore.backend = file\n"
    )
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(place / "softhsm2.conf")
    tool("--init-token", "--free", "--label", "stick", "--so-pin", "987654", "--pin", PIN)
    issued = [middle.issue(name, key=keys[name]) for name in ("p256", "p384", "rsa3072")]
    issued.append(middle.issue("old", end=datetime(2026, 1, 1, tzinfo=UTC)))
    for number, item in enumerate(issued, start=1):
        put_key(place / "k.pem", item.key, number)
    with binding.lib(MODULE).get_token(token_label="stick").open(user_pin=PIN, rw=True) as session:
        for number, item in enumerate([*issued, middle, root], start=1):
            put_certificate(binding, session, item.certificate, number)
    yield f"pkcs11:token=stick?module-path={MODULE}"
    binding.unload(MODULE)
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


def tool(*words: str) -> None:
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)


def put_key(path: Path, key: Any, number: int) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    label, key_id = f"key {number}", f"{number:02x}"
    tool("--import", str(path), "--token", "stick", "--label", label, "--id", key_id, "--pin", PIN)


def put_certificate(binding: Any, session: Any, certificate: Any, number: int) -> None:
    names = binding.Attribute
    session.create_object({
        names.CLASS: binding.ObjectClass.CERTIFICATE, names.CERTIFICATE_TYPE: binding.CertificateType.X_509,
        names.TOKEN: True, names.ID: bytes((number,)), names.LABEL: f"certificate {number}",
        names.SUBJECT: certificate.subject.public_bytes(), names.VALUE: certificate.public_bytes(Encoding.DER),
    })  # fmt: skip


@pytest.mark.parametrize(
    "words", ["object=key%201", "id=%02", "object=key%203;id=%03;type=private"]
)
def test_a_token_signs_what_openssl_verifies(  # noqa: PLR0917
    words: str, token: str, root: Any, middle: Any, now: datetime, tmp_path: Path, openssl: Any
) -> None:
    signer = pkcs11.open_identity(token.replace("stick", f"stick;{words}"), PIN.encode(), at=now)
    assert (signer.kind, signer.chain) == ("token", (middle.certificate, root.certificate))
    p7s = cms.sign_detached(DIGEST, signer, now)
    signer.close()
    assert cms.verify_detached(p7s, DIGEST).certificate == signer.certificate
    for name, data in (("x.p7s", p7s), ("m", CONTENT), ("ca.pem", root.pem)):
        (tmp_path / name).write_bytes(data)
    openssl("cms", "-verify", "-binary", "-inform", "DER", "-in", "x.p7s", "-content", "m", "-CAfile", "ca.pem",
            "-purpose", "any", "-cades", "-out", "/dev/null")  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "pin", "error"),
    [
        ("token=stick;object=nothing", PIN, UsageError), ("token=stick", PIN, UsageError),
        ("token=other;object=key%201", PIN, TryAgainError), ("serial=0000;object=key%201", PIN, TryAgainError),
        ("token=stick;object=key%201", "000000", UsageError), ("token=stick;object=key%201", "", UsageError),
        ("token=stick;object=key%201", "\udcff", UsageError), ("token=stick;object=key%204", PIN, SignatureError),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_error_with_a_hint(
    uri: str, pin: str, error: type[HozenError], token: str
) -> None:
    with pytest.raises(error) as caught:
        pkcs11.open_identity(
            token.replace("token=stick", uri), pin.encode("utf-8", "surrogateescape")
        )
    assert caught.value.hint or "UTF-8" in str(caught.value)
    assert PIN not in str(caught.value) + caught.value.hint


def test_the_session_of_a_failed_opening_is_closed(token: str, now: datetime) -> None:
    """SoftHSM refuses a second login: an opening that failed would block the next one."""
    for _ in range(3):
        with pytest.raises(UsageError):
            pkcs11.open_identity(token.replace("stick", "stick;object=nothing"), PIN.encode())
    pkcs11.open_identity(token.replace("stick", "stick;id=%01"), PIN.encode(), at=now).close()


def test_an_expired_certificate_in_a_token_is_refused(token: str, now: datetime) -> None:
    with pytest.raises(SignatureError, match="expired"):
        pkcs11.open_identity(
            token.replace("stick", "stick;id=%01"), PIN.encode(), at=now + timedelta(days=5000)
        )


def test_a_library_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11")
    (tmp_path / "no.so").write_bytes(b"not a library")
    for path in (tmp_path / "no.so", tmp_path / "missing.so"):
        with pytest.raises(UsageError, match="cannot load"):
            pkcs11.open_identity(f"pkcs11:token=x?module-path={path}", b"1")


def test_without_the_extra_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(UsageError) as caught:
        pkcs11.open_identity("pkcs11:token=x?module-path=/x.so", b"1")
    assert "hozen[pkcs11]" in caught.value.hint


def test_a_uri_is_taken_apart() -> None:
    uri = parse_token_uri(
        "pkcs11:token=My%20Stick;serial=12;object=k%C3%A9y;id=%01%ff;type=private?module-path=/a%20b.so"
    )
    assert uri == TokenUri(
        module="/a b.so", token="My Stick", serial="12", label="kéy", key_id=b"\x01\xff"
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "file.pem", "pkcs11:", "pkcs11:token=x", "pkcs11:token=x?module-path=", "pkcs11:token?module-path=/x",
        "pkcs11:token=a;token=b?module-path=/x", "pkcs11:slot-id=1?module-path=/x", "pkcs11:type=cert?module-path=/x",
        "pkcs11:token=%ff?module-path=/x", "pkcs11:token=a%00?module-path=/x", "pkcs11:" + "a" * 5000,
        "pkcs11:token=x?module-path=/x&other=1",
    ],
)  # fmt: skip
def test_a_uri_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_token_uri(text)


@pytest.mark.parametrize(
    "query", ["pin-value=123456", "module-path=/x&pin-value=123456", "pin-source=file:/p"]
)
def test_a_uri_with_a_pin_is_refused_without_repeating_it(query: str) -> None:
    with pytest.raises(UsageError, match="must not carry a PIN") as caught:
        parse_token_uri(f"pkcs11:token=x?{query}")
    assert "123456" not in str(caught.value) + caught.value.hint
