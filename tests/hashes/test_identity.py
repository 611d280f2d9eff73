"""identity.py: what signs, and which identity files are refused with what hint."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes import identity
from hozen_hashes.errors import FormatError, HozenError, LimitError, SignatureError, UsageError
from hozen_hashes.identity import KeyIdentity, load_identity, new_one_capture, write_identity

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "パスフレーズ 42".encode()


def enrolled(leaf: Any) -> KeyIdentity:
    return KeyIdentity(leaf.key, leaf.certificate, leaf.chain, "enrolled")


def test_a_one_capture_certificate_says_what_it_is_and_no_more(now: datetime) -> None:
    made = new_one_capture(now=now)
    certificate = made.certificate
    assert re.fullmatch(
        r"CN=Hozen one-capture key [0-9a-f]{8}", certificate.subject.rfc4514_string()
    )
    assert certificate.subject == certificate.issuer
    assert made.kind == "one-capture"
    assert isinstance(made.key, ec.EllipticCurvePrivateKey)
    assert made.key.curve.name == "secp256r1"
    assert certificate.not_valid_before_utc == now - timedelta(days=1)
    assert 3650 <= (certificate.not_valid_after_utc - now).days <= 3653
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic.ca
    for absent in (x509.ExtendedKeyUsage, x509.SubjectAlternativeName):
        with pytest.raises(x509.ExtensionNotFound):
            certificate.extensions.get_extension_for_class(absent)
    certificate.verify_directly_issued_by(certificate)


def test_two_one_capture_keys_are_never_the_same() -> None:
    assert new_one_capture().certificate_sha256 != new_one_capture().certificate_sha256


def test_a_uri_goes_into_the_certificate() -> None:
    names = new_one_capture(
        uri="hozen://example/one"
    ).certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        "hozen://example/one"
    ]


@pytest.mark.parametrize(("name", "uri"), [("x" * 65, ""), ("ok", "hozen://例/x")])
def test_a_name_that_a_certificate_cannot_hold_is_a_usage_error(name: str, uri: str) -> None:
    with pytest.raises(UsageError):
        new_one_capture(name, uri=uri)
    with pytest.raises(UsageError):
        identity.make_csr(identity.new_key(), name, uri)


def test_neither_key_nor_secret_is_in_the_repr() -> None:
    made = new_one_capture()
    assert "key=" not in repr(made)
    assert len(repr(made)) < 100


@given(st.binary(max_size=200))
def test_an_ecdsa_signature_is_the_same_each_time_and_holds(data: bytes) -> None:
    made = new_one_capture("x")
    signature = made.sign(data)
    assert signature == made.sign(data)
    public = made.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, data, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("passphrase", [None, SECRET, b"x", b"y" * 4096])
def test_an_identity_file_comes_back(passphrase: bytes | None, leaf: Any, now: datetime) -> None:
    made = enrolled(leaf)
    pem = write_identity(made, passphrase)
    read = load_identity(pem, passphrase, at=now, kind="enrolled")
    assert (read.certificate, read.chain, read.kind) == (made.certificate, made.chain, "enrolled")
    assert read.sign(b"x") == made.sign(b"x")
    assert (b"ENCRYPTED" in pem) == (passphrase is not None)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa3072"])
def test_openssl_opens_the_encrypted_key(
    kind: str, keys: Any, issue: Any, tmp_path: Path, openssl: Any
) -> None:
    issued = issue("x", key=keys[kind])
    (tmp_path / "id.pem").write_bytes(
        write_identity(KeyIdentity(issued.key, issued.certificate), b"pass")
    )
    opened = openssl("pkey", "-in", "id.pem", "-passin", "stdin", stdin=b"pass\n").stdout
    assert opened == issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("scheme", [["-v2", "aes-256-cbc"], ["-scrypt"], ["-nocrypt"]])
def test_a_key_file_that_openssl_made_is_read(
    scheme: list[str], leaf: Any, now: Any, tmp_path: Path, openssl: Any
) -> None:
    plain = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "p.pem").write_bytes(plain)
    out = [] if scheme == ["-nocrypt"] else ["-passout", "pass:secret"]
    made = openssl("pkcs8", "-topk8", "-in", "p.pem", *scheme, *out).stdout
    read = load_identity(made + leaf.pem, b"secret", at=now)
    assert read.certificate == leaf.certificate


def test_the_key_of_a_file_costs_an_attacker_600000_rounds(
    leaf: Any, tmp_path: Path, openssl: Any
) -> None:
    (tmp_path / "id.pem").write_bytes(write_identity(enrolled(leaf), b"pass"))
    shown = openssl("asn1parse", "-in", "id.pem").stdout.decode()
    assert "0927C0" in shown  # 600,000
    assert "hmacWithSHA256" in shown
    assert "aes-256-cbc" in shown


def test_a_wrong_or_missing_passphrase_has_a_hint(leaf: Any) -> None:
    pem = write_identity(enrolled(leaf), SECRET)
    for passphrase, words in (
        (b"wrong", "does not open"),
        (None, "no passphrase was given"),
        (b"", "does not open"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            load_identity(pem, passphrase)
        assert caught.value.hint


@pytest.mark.parametrize("passphrase", [b"", b"x" * 4097])
def test_a_passphrase_that_is_empty_or_endless_is_refused(passphrase: bytes, leaf: Any) -> None:
    with pytest.raises(UsageError, match="passphrase of"):
        write_identity(enrolled(leaf), passphrase)


def test_a_certificate_out_of_its_time_is_refused_with_a_hint(leaf: Any, now: datetime) -> None:
    pem = write_identity(enrolled(leaf), None)
    for at, words in (
        (now + timedelta(days=4000), "expired"),
        (now - timedelta(days=4000), "valid only from"),
    ):
        with pytest.raises(SignatureError, match=words) as caught:
            load_identity(pem, None, at=at)
        assert caught.value.hint
        assert load_identity(pem, None, at=at, check_dates=False).certificate == leaf.certificate


def test_the_clock_decides_when_no_time_is_given(issue: Any) -> None:
    old = issue("old", end=datetime(2025, 12, 31, tzinfo=UTC))
    with pytest.raises(SignatureError, match="expired"):
        load_identity(write_identity(KeyIdentity(old.key, old.certificate), None), None)


def test_a_certificate_of_another_key_is_refused(leaf: Any, middle: Any) -> None:
    mixed = write_identity(KeyIdentity(leaf.key, middle.issue("other").certificate), None)
    with pytest.raises(SignatureError, match="another key") as caught:
        load_identity(mixed, None)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["p521", "rsa2048"])
def test_a_weak_key_is_refused(kind: str, keys: Any, issue: Any) -> None:
    weak = issue("weak", key=keys[kind])
    with pytest.raises(SignatureError, match="not accepted"):
        load_identity(write_identity(KeyIdentity(weak.key, weak.certificate), None), None)


def test_a_key_of_another_kind_is_refused(leaf: Any) -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(SignatureError, match="not accepted"):
        load_identity(key + leaf.pem, None)


def test_files_that_are_no_identity_are_refused(leaf: Any) -> None:
    pem = write_identity(enrolled(leaf), None)
    key = pem[: pem.index(b"-----BEGIN CERT")]
    old = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    for text, words in (
        (b"", "0 private keys"),
        (leaf.pem, "0 private keys"),
        (key + key + leaf.pem, "2 private keys"),
        (key, "no certificate"),
        (old + leaf.pem, "older form"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + leaf.pem, "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n" + leaf.pem, "base64"),
    ):
        with pytest.raises(FormatError, match=words):
            load_identity(text, None)
    with pytest.raises(LimitError):
        load_identity(pem + bytes(1024 * 1024), None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_damaged_identity_file_gives_only_our_errors(leaf: Any, data: st.DataObject) -> None:
    pem = write_identity(enrolled(leaf), None)
    at = data.draw(st.integers(0, len(pem) - 1))
    damaged = pem[:at] + data.draw(st.binary(max_size=3)) + pem[at + 1 :]
    with suppress(HozenError):
        load_identity(damaged, None)


def test_a_request_proves_possession_and_names_the_uri(tmp_path: Path, openssl: Any) -> None:
    key = identity.new_key()
    (tmp_path / "r.pem").write_bytes(identity.make_csr(key, "web01", "hozen://example/agent/web01"))
    shown = openssl("req", "-in", "r.pem", "-verify", "-noout", "-text")
    assert b"verify OK" in shown.stderr
    assert b"URI:hozen://example/agent/web01" in shown.stdout
    request = x509.load_pem_x509_csr((tmp_path / "r.pem").read_bytes())
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
