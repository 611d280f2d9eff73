"""Holders of certificates open what was encrypted for them with their key alone: PEM, PKCS #12, RSA and EC."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes import agekeys, cmswrap, der
from hozen_hashes.errors import BadDataError, FormatError, NotVerifiableError, UsageError
from hozen_hashes.holder import cmsopen
from hozen_hashes.holder.keys import (
    CertificateKey,
    identities_for,
    read_enveloped,
    read_holders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from hozen_hashes.keyfile import Key

pytestmark = pytest.mark.needs("openssl")
_KINDS = {
    "rsa": ["rsa:2048"],
    "p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p521": ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
}
_ONCE = agekeys.new_identity()
_SECRET = f"{_ONCE.secret()}\n".encode()
_BASE = "hz-20261123T050000Z-web01-5f3a9c10"


class Vendor:
    """A holder of a certificate."""

    def __init__(self, folder: Path, kind: str) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *_KINDS[kind], "-nodes", "-keyout", f"{kind}.key",
             "-out", f"{kind}.pem", "-days", "3", "-subj", f"/CN={kind}"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        self.folder, self.kind = folder, kind
        self.pem = (folder / f"{kind}.key").read_bytes()
        self.certificate: x509.Certificate = cmswrap.read_certificate(
            (folder / f"{kind}.pem").read_bytes()
        )
        key = serialization.load_pem_private_key(self.pem, None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        self.key: Key = key
        self.p7m = cmswrap.envelop(_SECRET, self.certificate)

    def openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vendor]:
    folder = tmp_path_factory.mktemp("vendors")
    return {kind: Vendor(folder, kind) for kind in _KINDS}


def _nobody() -> bytes | None:
    pytest.fail("no passphrase is needed")


@pytest.mark.parametrize("kind", list(_KINDS))
@pytest.mark.parametrize("size", [0, 1, 15, 16, 75, 4096])
def test_the_key_opens_what_was_enveloped_for_its_certificate(
    vendors: dict[str, Vendor], kind: str, size: int
) -> None:
    vendor = vendors[kind]
    sealed = cmswrap.envelop(b"s" * size, vendor.certificate)
    assert cmsopen.open_enveloped(sealed, vendor.key) == b"s" * size
    parts = cmsopen.parse(sealed)
    assert parts.issuer == vendor.certificate.issuer.public_bytes()
    assert parts.serial == vendor.certificate.serial_number


@pytest.mark.parametrize("kind", list(_KINDS))
def test_every_other_key_gets_the_same_answer(vendors: dict[str, Vendor], kind: str) -> None:
    said = set()
    for other in vendors.values():
        if other.kind != kind:
            with pytest.raises(NotVerifiableError) as refused:
                CertificateKey(other.key).once(vendors[kind].p7m)
            said.add((str(refused.value), refused.value.hint))
    assert said == {(str(cmsopen.not_opened()), cmsopen.not_opened().hint)}


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_changed_byte_anywhere_opens_nothing_and_tells_one_thing(
    vendors: dict[str, Vendor], kind: str
) -> None:
    vendor, opened, said = vendors[kind], [], set()
    named = {_at(vendor.p7m, cmsopen.parse(vendor.p7m).issuer)}
    for at in range(0, len(vendor.p7m), 3 if kind == "rsa" else 1):
        changed = bytearray(vendor.p7m)
        changed[at] ^= 0x01
        try:
            opened.append((at, CertificateKey(vendor.key).once(bytes(changed))))
        except BadDataError:
            continue  # the form alone tells
        except NotVerifiableError as error:
            said.add(str(error))
    assert said == {str(cmsopen.not_opened())}
    # Issuer and serial number say whom to ask, and are not authenticated: nothing else may be changed.
    first = min(named)
    last = first + len(cmsopen.parse(vendor.p7m).issuer) + 24
    outside = [at for at, _ in opened if not first <= at <= last]
    assert outside == []
    assert all(str(one.recipient) == str(_ONCE.recipient) for _, one in opened)


def _at(data: bytes, part: bytes) -> int:
    return data.index(part)


def test_a_point_that_is_not_on_the_curve_is_refused(vendors: dict[str, Vendor]) -> None:
    vendor = vendors["p256"]
    point = cmsopen.parse(vendor.p7m).point
    for bad in (point[:1] + bytes(64), point[:-1] + bytes((point[-1] ^ 1,))):
        with pytest.raises(NotVerifiableError):
            cmsopen.open_enveloped(vendor.p7m.replace(point, bad), vendor.key)


def test_another_profile_than_ours_is_refused_by_its_form(
    vendors: dict[str, Vendor], tmp_path: Path
) -> None:
    vendor = vendors["rsa"]
    (tmp_path / "in").write_bytes(_SECRET)
    common = ["cms", "-encrypt", "-binary", "-outform", "DER", "-in", str(tmp_path / "in"), "-out"]
    for name, more in {
        "oaep": ["-aes256", "-recip", "rsa.pem", "-keyopt", "rsa_padding_mode:oaep"],
        "aes128": ["-aes128", "rsa.pem"],
        "keyid": ["-aes256", "-keyid", "rsa.pem"],
        "two": ["-aes256", "rsa.pem", "p256.pem"],
    }.items():
        vendor.openssl(*common, str(tmp_path / name), *more)
        with pytest.raises(FormatError):
            cmsopen.open_enveloped((tmp_path / name).read_bytes(), vendor.key)


def test_what_openssl_envelopes_in_our_profile_is_opened(
    vendors: dict[str, Vendor], tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(_SECRET)
    vendors["rsa"].openssl("cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-in",
                           str(tmp_path / "in"), "-out", str(tmp_path / "out"), "rsa.pem")  # fmt: skip
    once = CertificateKey(vendors["rsa"].key).once((tmp_path / "out").read_bytes())
    assert str(once.recipient) == str(_ONCE.recipient)


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_an_error_of_ours(vendors: dict[str, Vendor], data: st.DataObject) -> None:
    vendor = vendors[data.draw(st.sampled_from(["rsa", "p256"]))]
    blob = bytearray(vendor.p7m)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        once = CertificateKey(vendor.key).once(bytes(blob))
    except (BadDataError, NotVerifiableError):
        return
    assert str(once.recipient) == str(_ONCE.recipient)


def test_keys_are_read_from_pem_and_pkcs12_with_and_without_a_passphrase(
    vendors: dict[str, Vendor], tmp_path: Path
) -> None:
    for kind in ("rsa", "p384"):
        vendor = vendors[kind]
        vendor.openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", f"{kind}.key", "-out",
                       str(tmp_path / "key"), "-passout", "pass:word")  # fmt: skip
        common = ("pkcs12", "-export", "-inkey", f"{kind}.key", "-in", f"{kind}.pem")
        vendor.openssl(*common, "-out", str(tmp_path / "p12"), "-passout", "pass:word")
        for name in ("key", "p12"):
            data = (tmp_path / name).read_bytes()
            (holder,) = read_holders(data, name, lambda: b"word")
            assert isinstance(holder, CertificateKey)
            assert str(holder.once(vendor.p7m).recipient) == str(_ONCE.recipient)
            with pytest.raises(UsageError):
                read_holders(data, name, lambda: b"other")
            with pytest.raises(UsageError):
                read_holders(data, name, lambda: None)
        (plain,) = read_holders(vendor.pem, "plain", _nobody)
        assert isinstance(plain, CertificateKey)
        assert "PRIVATE" not in repr(plain)
        assert "key=" not in repr(plain)
    (age,) = read_holders(_SECRET, "age", _nobody)
    assert isinstance(age, agekeys.Identity)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises((FormatError, UsageError)):
        read_holders(data, "file", lambda: None)


def test_the_envelope_beside_a_bundle_is_found_from_each_of_its_names(
    vendors: dict[str, Vendor], tmp_path: Path
) -> None:
    beside = tmp_path / f"{_BASE}.envelope"
    beside.mkdir()
    (beside / "key-01.p7m").write_bytes(vendors["rsa"].p7m)
    (beside / "key-02.p7m").write_bytes(b"broken")
    (beside / "key-03.p7m").write_bytes(vendors["p256"].p7m)
    os.mkfifo(beside / "key-04.p7m")
    (beside / "key-05.p7m").symlink_to("key-01.p7m")
    (beside / "key-06.p7m").write_bytes(bytes(20_000))
    for ending in (
        ".zip.age",
        ".zip.age.001",
        ".zip.age.partial",
        ".zip.age.partial.003",
        ".journal",
    ):
        for kind in ("rsa", "p256"):
            (found,) = identities_for(
                tmp_path / (_BASE + ending), [CertificateKey(vendors[kind].key)]
            )
            assert str(found.recipient) == str(_ONCE.recipient)
    for number in (4, 5, 6):
        assert read_enveloped(beside / f"key-{number:02d}.p7m") == []
    other = [CertificateKey(vendors["p384"].key)]
    with pytest.raises(NotVerifiableError) as refused:
        identities_for(tmp_path / f"{_BASE}.zip.age", other)
    assert refused.value.exit_code == 2
    assert identities_for(tmp_path / f"{_BASE}.zip.age", [*other, _ONCE]) == [_ONCE]
    with pytest.raises(UsageError):
        identities_for(tmp_path / "elsewhere" / f"{_BASE}.zip.age", other)
    with pytest.raises(UsageError):
        identities_for(None, other)


def test_a_copied_envelope_of_the_collector_is_looked_into_too(
    vendors: dict[str, Vendor], tmp_path: Path
) -> None:
    for name, data in ((f"{_BASE}.envelope", b"x"), (f"{_BASE}.envelope-2", vendors["p521"].p7m)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key-01.p7m").write_bytes(data)
    holder = CertificateKey(vendors["p521"].key)
    assert len(identities_for(tmp_path / f"{_BASE}.zip.age", [holder])) == 1


def test_a_secret_that_is_no_age_identity_is_not_opened(vendors: dict[str, Vendor]) -> None:
    for secret in (b"", b"\xff" * 8, b"AGE-SECRET-KEY-1AAAA\n", _SECRET + _SECRET):
        with pytest.raises(NotVerifiableError):
            CertificateKey(vendors["p256"].key).once(
                cmswrap.envelop(secret, vendors["p256"].certificate)
            )


def test_a_wrapped_key_of_another_length_is_told_by_its_form(vendors: dict[str, Vendor]) -> None:
    parts = cmsopen.parse(vendors["p256"].p7m)
    for size in (16, 48):
        data = vendors["p256"].p7m.replace(der.octets(parts.wrapped), der.octets(bytes(size)))
        with pytest.raises(FormatError):
            cmsopen.parse(data)
