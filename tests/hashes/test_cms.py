"""cms.py: stock openssl accepts what we sign, we accept only bundle-v1 §9, and nothing but SignatureError comes out."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes import certificates, cms, cmsnames, der
from hozen_hashes.cmsread import check_signature
from hozen_hashes.errors import HozenError, InternalError, SignatureError
from hozen_hashes.identity import KeyIdentity, new_one_capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"0f1e  data/x\n77c0  data/y\n"  # LF text: the case that needs -binary
DIGEST = hashlib.sha256(CONTENT).digest()
WHEN = datetime(2026, 11, 23, 5, 0, 0, tzinfo=UTC)
VERIFY = ("cms", "-verify", "-binary", "-inform", "DER", "-in", "x.p7s", "-content", "m", "-CAfile", "ca.pem",
          "-purpose", "any", "-out", "/dev/null")  # fmt: skip


def identity_from(issued: Any) -> KeyIdentity:
    return KeyIdentity(issued.key, issued.certificate, issued.chain)


def lay_out(path: Path, p7s: bytes, root_pem: bytes, content: bytes = CONTENT) -> None:
    (path / "x.p7s").write_bytes(p7s)
    (path / "m").write_bytes(content)
    (path / "ca.pem").write_bytes(root_pem)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa3072"])
@pytest.mark.parametrize("cades", [[], ["-cades"]])
def test_openssl_accepts_a_signature_of_each_allowed_key(  # noqa: PLR0917
    kind: str, cades: list[str], middle: Any, root: Any, keys: Any, tmp_path: Path, openssl: Any
) -> None:
    issued = middle.issue("web01", key=keys[kind])
    p7s = cms.sign_detached(DIGEST, identity_from(issued), WHEN)
    lay_out(tmp_path, p7s, root.pem)
    done = openssl(*VERIFY, *cades)
    assert b"uccessful" in done.stderr
    read = cms.verify_detached(p7s, DIGEST)
    assert (read.certificate, read.signing_time, read.digest) == (issued.certificate, WHEN, DIGEST)
    assert middle.certificate in read.certificates


def test_openssl_accepts_a_one_capture_signature_with_its_own_certificate_as_root(
    tmp_path: Path, openssl: Any
) -> None:
    signer = new_one_capture(now=WHEN)
    p7s = cms.sign_detached(DIGEST, signer, WHEN)
    lay_out(tmp_path, p7s, signer.certificate.public_bytes(Encoding.PEM))
    openssl(*VERIFY, "-cades", "-attime", str(int(WHEN.timestamp())))


@pytest.mark.parametrize("cades", [[], ["-cades"]])
def test_openssl_refuses_other_content_and_another_root(  # noqa: PLR0917
    cades: list[str], leaf: Any, root: Any, issue: Any, tmp_path: Path, openssl: Any
) -> None:
    p7s = cms.sign_detached(DIGEST, identity_from(leaf), WHEN)
    lay_out(tmp_path, p7s, root.pem, CONTENT.replace(b"x", b"z"))
    assert openssl(*VERIFY, *cades, check=False).returncode == 4
    lay_out(tmp_path, p7s, issue("Test Root", ca=True).pem)
    assert openssl(*VERIFY, *cades, check=False).returncode == 4


def test_openssl_reads_the_structure_without_complaint(
    leaf: Any, tmp_path: Path, openssl: Any
) -> None:
    (tmp_path / "x.p7s").write_bytes(cms.sign_detached(DIGEST, identity_from(leaf), WHEN))
    shown = openssl(
        "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", "x.p7s"
    ).stdout.decode()
    for word in (
        "id-smime-aa-signingCertificateV2",
        "signingTime",
        "messageDigest",
        "contentType",
        "<ABSENT>",
    ):
        assert word in shown
    assert re.search(r"version: 1\b", shown)


def test_ecdsa_signatures_are_deterministic(leaf: Any) -> None:
    signer = identity_from(leaf)
    assert cms.sign_detached(DIGEST, signer, WHEN) == cms.sign_detached(DIGEST, signer, WHEN)


@pytest.mark.parametrize("kind", ["p521", "rsa2048"])
def test_a_key_that_is_not_allowed_neither_signs_nor_verifies(
    kind: str, keys: Any, middle: Any
) -> None:
    issued = middle.issue("weak", key=keys[kind])
    with pytest.raises(SignatureError, match="kind or size"):
        cms.sign_detached(DIGEST, identity_from(issued), WHEN)
    with pytest.raises(SignatureError, match="kind or size"):
        check_signature(issued.certificate, b"", b"")


def test_a_signer_whose_key_is_not_its_certificates_is_caught_before_the_seal(
    leaf: Any, keys: Any
) -> None:
    with pytest.raises(SignatureError, match="was not made by the key"):
        cms.sign_detached(DIGEST, KeyIdentity(keys["p256"], leaf.certificate), WHEN)


def test_a_wrong_digest_length_or_a_naive_time_is_our_own_fault(leaf: Any) -> None:
    for digest, when in ((b"short", WHEN), (DIGEST, datetime(2026, 1, 1))):  # noqa: DTZ001
        with pytest.raises(InternalError):
            cms.sign_detached(digest, identity_from(leaf), when)


def test_another_digest_is_refused_with_both_named(leaf: Any) -> None:
    p7s = cms.sign_detached(DIGEST, identity_from(leaf), WHEN)
    with pytest.raises(SignatureError, match=DIGEST.hex()):
        cms.verify_detached(p7s, bytes(32))


def openssl_signature(openssl: Any, tmp_path: Path, issued: Any, *words: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    (tmp_path / "k.pem").write_bytes(
        issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "c.pem").write_bytes(issued.pem)
    (tmp_path / "m").write_bytes(CONTENT)
    openssl("cms", "-sign", "-binary", "-in", "m", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER",
            "-out", "o.p7s", *words)  # fmt: skip
    return (tmp_path / "o.p7s").read_bytes()


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa3072"])
def test_a_cades_signature_that_openssl_made_is_accepted(
    kind: str, middle: Any, keys: Any, tmp_path: Path, openssl: Any
) -> None:
    issued = middle.issue("web01", key=keys[kind])
    p7s = openssl_signature(openssl, tmp_path, issued, "-cades", "-nosmimecap", "-md", "sha256")
    assert cms.verify_detached(p7s, DIGEST).certificate == issued.certificate


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-nosmimecap", "-md", "sha256"), "missing: signingCertificateV2"),
        (("-cades", "-md", "sha256"), "signed attribute 1.2.840.113549.1.9.15"),
        (("-cades", "-nosmimecap", "-md", "sha512"), "digest algorithm 2.16.840.1.101.3.4.2.3"),
        (("-cades", "-nosmimecap", "-md", "sha256", "-nodetach"), "must be detached"),
        (("-cades", "-nosmimecap", "-md", "sha256", "-nocerts"), "certificates"),
        (("-cades", "-nosmimecap", "-md", "sha256", "-keyid"), "version other than 1"),
        (("-noattr", "-md", "sha256"), "signed attributes"),
    ],
)
def test_other_forms_that_openssl_makes_are_refused_by_name(
    words: tuple[str, ...], message: str, leaf: Any, tmp_path: Path, openssl: Any
) -> None:
    p7s = openssl_signature(openssl, tmp_path, leaf, *words)
    with pytest.raises(SignatureError, match=re.escape(message)):
        cms.verify_detached(p7s, DIGEST)


def test_two_signers_are_refused(leaf: Any, middle: Any, tmp_path: Path, openssl: Any) -> None:
    openssl_signature(openssl, tmp_path, leaf, "-cades", "-nosmimecap", "-md", "sha256")
    second = middle.issue("web02", key=leaf.key)
    (tmp_path / "c.pem").write_bytes(second.pem)
    openssl("cms", "-resign", "-binary", "-inform", "DER", "-in", "o.p7s", "-signer", "c.pem", "-inkey", "k.pem",
            "-cades", "-nosmimecap", "-md", "sha256", "-outform", "DER", "-out", "two.p7s")  # fmt: skip
    with pytest.raises(SignatureError, match="2 where the format has exactly one"):
        cms.read_signature((tmp_path / "two.p7s").read_bytes())


class Parts:
    """A signature rebuilt from parts, each of which a test may replace."""

    def __init__(self, issued: Any) -> None:
        self.issued = issued
        self.version = der.integer(1)
        self.digests = der.set_of(der.sequence(cmsnames.SHA256))
        self.encap = der.sequence(cmsnames.DATA)
        self.embedded = der.tlv(der.context(0), issued.certificate.public_bytes(Encoding.DER))
        self.crls = b""
        self.attributes = {
            "type": self.attribute(cmsnames.CONTENT_TYPE, cmsnames.DATA),
            "time": self.attribute(cmsnames.SIGNING_TIME, der.time(WHEN)),
            "digest": self.attribute(cmsnames.MESSAGE_DIGEST, der.octets(DIGEST)),
            "certificate": self.signing_certificate(
                der.sequence(
                    der.octets(
                        hashlib.sha256(issued.certificate.public_bytes(Encoding.DER)).digest()
                    )
                )
            ),
        }
        self.signer_id = certificates.issuer_and_serial(issued.certificate)
        self.algorithm = der.sequence(cmsnames.ECDSA_SHA256)
        self.unsigned = b""
        self.order: Callable[[list[bytes]], list[bytes]] = sorted

    @staticmethod
    def attribute(kind: bytes, *values: bytes) -> bytes:
        return der.sequence(kind, der.set_of(*values))

    @classmethod
    def signing_certificate(cls, *identifiers: bytes, more: bytes = b"") -> bytes:
        return cls.attribute(
            cmsnames.SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(*identifiers), more)
        )

    def build(self) -> bytes:
        attributes = b"".join(self.order(list(self.attributes.values())))
        signature = identity_from(self.issued).sign(der.tlv(der.SET, attributes))
        info = der.sequence(
            self.version, self.signer_id, der.sequence(cmsnames.SHA256), der.tlv(der.context(0), attributes),
            self.algorithm, der.octets(signature), self.unsigned,
        )  # fmt: skip
        signed = der.sequence(
            self.version, self.digests, self.encap, self.embedded, self.crls, der.set_of(info)
        )
        return der.sequence(cmsnames.SIGNED_DATA, der.tlv(der.context(0), signed))


def test_the_rebuilt_signature_is_the_real_one(leaf: Any) -> None:
    alone = KeyIdentity(leaf.key, leaf.certificate)
    assert Parts(leaf).build() == cms.sign_detached(DIGEST, alone, WHEN)


def faults(parts: Parts, other: Any) -> dict[str, Callable[[], None]]:
    """Each changes the parts so that the key still signs, but the form is another."""
    other_der = other.certificate.public_bytes(Encoding.DER)
    ours = hashlib.sha256(parts.issued.certificate.public_bytes(Encoding.DER)).digest()

    def put(**fields: Any) -> Callable[[], None]:
        return lambda: vars(parts).update(fields)

    def attribute(name: str, value: bytes) -> Callable[[], None]:
        return lambda: parts.attributes.update({name: value})

    def names(*identifiers: bytes, more: bytes = b"") -> Callable[[], None]:
        return attribute("certificate", parts.signing_certificate(*identifiers, more=more))

    sha1 = der.sequence(der.oid("1.3.14.3.2.26"), der.null())
    by_hash = der.sequence(der.octets(ours))
    return {
        "version": put(version=der.integer(3)),
        "two digests": put(digests=der.set_of(der.sequence(cmsnames.SHA256), sha1)),
        "no digest": put(digests=der.set_of()),
        "sha1": put(digests=der.set_of(sha1)),
        "digest parameters": put(digests=der.set_of(der.sequence(cmsnames.SHA256, der.integer(1)))),
        "null with content": put(digests=der.set_of(der.sequence(cmsnames.SHA256, der.tlv(der.NULL, b"x")))),
        "content type": put(encap=der.sequence(cmsnames.SIGNED_DATA)),
        "content inside": put(encap=der.sequence(cmsnames.DATA, der.tlv(der.context(0), der.octets(CONTENT)))),
        "no certificates": put(embedded=der.tlv(der.context(0))),
        "signer not embedded": put(embedded=der.tlv(der.context(0), other_der)),
        "embedded twice": put(embedded=der.tlv(der.context(0), parts.embedded[4:] * 2)),
        "no certificate": put(embedded=der.tlv(der.context(0), der.sequence(der.integer(1)))),
        "crls": put(crls=der.tlv(der.context(1))),
        "another signer": put(signer_id=certificates.issuer_and_serial(other.certificate)),
        "key identifier": put(signer_id=der.tlv(der.context(0, constructed=False), b"x" * 20)),
        "unsigned attributes": put(unsigned=der.tlv(der.context(1), parts.attributes["time"])),
        "rsa algorithm": put(algorithm=der.sequence(cmsnames.RSA_SHA256, der.null())),
        "ecdsa parameters": put(algorithm=der.sequence(cmsnames.ECDSA_SHA256, der.null())),
        "ecdsa sha384": put(algorithm=der.sequence(der.oid("1.2.840.10045.4.3.3"))),
        "order": put(order=lambda items: sorted(items, reverse=True)),
        "attribute twice": attribute("more", parts.attributes["digest"]),
        "no attribute value": attribute("digest", parts.attribute(cmsnames.MESSAGE_DIGEST)),
        "two attribute values": attribute(
            "digest", parts.attribute(cmsnames.MESSAGE_DIGEST, der.octets(DIGEST), der.octets(bytes(32)))
        ),
        "short digest": attribute("digest", parts.attribute(cmsnames.MESSAGE_DIGEST, der.octets(DIGEST[:20]))),
        "digest type": attribute("digest", parts.attribute(cmsnames.MESSAGE_DIGEST, der.tlv(0x03, DIGEST))),
        "other content type": attribute("type", parts.attribute(cmsnames.CONTENT_TYPE, cmsnames.SIGNED_DATA)),
        "content type type": attribute("type", parts.attribute(cmsnames.CONTENT_TYPE, der.octets(b"x"))),
        "time type": attribute("time", parts.attribute(cmsnames.SIGNING_TIME, der.octets(b"261123050000Z"))),
        "foreign attribute": attribute("more", parts.attribute(der.oid("1.2.3.4"), der.null())),
        "other certificate": names(der.sequence(der.octets(hashlib.sha256(other_der).digest()))),
        "two certificates": names(by_hash, by_hash),
        "certificate by sha1": names(der.sequence(sha1, der.octets(b"x" * 20))),
        "policies": names(by_hash, more=der.sequence()),
        "issuer serial": names(der.sequence(der.octets(ours), der.sequence(der.sequence(), der.integer(1)))),
    }  # fmt: skip


FAULTS = 34


@pytest.mark.parametrize("number", range(FAULTS))
def test_each_departure_from_the_form_is_refused_though_the_key_signed_it(
    number: int, leaf: Any, middle: Any
) -> None:
    parts = Parts(leaf)
    every = faults(parts, middle.issue("other"))
    assert len(every) == FAULTS
    name = list(every)[number]
    every[name]()
    with pytest.raises(SignatureError) as caught:
        cms.verify_detached(parts.build(), DIGEST)
    assert "was not made by the key" not in str(caught.value), name


@pytest.mark.parametrize("missing", ["type", "time", "digest", "certificate"])
def test_a_missing_attribute_is_named(missing: str, leaf: Any) -> None:
    parts = Parts(leaf)
    del parts.attributes[missing]
    with pytest.raises(SignatureError, match="attribute missing"):
        cms.read_signature(parts.build())


def test_an_issuer_serial_and_a_named_sha256_are_accepted_when_right(leaf: Any) -> None:
    parts = Parts(leaf)
    ours = hashlib.sha256(leaf.certificate.public_bytes(Encoding.DER)).digest()
    cursor = der.read(parts.signer_id, der.SEQUENCE, "id", max_bytes=1 << 16).open()
    issuer, serial = cursor.take(der.SEQUENCE, "issuer"), cursor.take(der.INTEGER, "serial")
    names = der.sequence(der.sequence(der.tlv(der.context(4), issuer.whole)), serial.whole)
    sha256 = der.sequence(cmsnames.SHA256, der.null())
    parts.attributes["certificate"] = parts.signing_certificate(
        der.sequence(sha256, der.octets(ours), names)
    )
    assert cms.verify_detached(parts.build(), DIGEST).digest == DIGEST


@pytest.fixture(scope="module")
def p7s(leaf: Any) -> bytes:
    return cms.sign_detached(DIGEST, identity_from(leaf), WHEN)


def outcome(data: bytes) -> cms.Signature | None:
    """Return the signature or None; anything but SignatureError goes through and fails the test."""
    try:
        return cms.verify_detached(data, DIGEST)
    except SignatureError:
        return None


def test_no_changed_byte_gives_another_answer(p7s: bytes, leaf: Any) -> None:
    """Every byte, every bit and some values; the embedded chain is not signed, so it alone may change unseen."""
    real = cms.verify_detached(p7s, DIGEST)
    for at in range(len(p7s)):
        for value in {p7s[at] ^ (1 << bit) for bit in range(8)} | {0, 0x7F, 0x80, 0xFF} - {p7s[at]}:
            read = outcome(p7s[:at] + bytes((value,)) + p7s[at + 1 :])
            if read is not None:
                assert (read.certificate, read.digest, read.signing_time) == (
                    leaf.certificate,
                    DIGEST,
                    WHEN,
                )
                assert set(read.certificates) != set(real.certificates), at


def test_every_cut_and_every_appended_byte_is_refused(p7s: bytes) -> None:
    assert all(outcome(p7s[:size]) is None for size in range(len(p7s)))
    assert all(outcome(p7s + bytes((value,))) is None for value in range(256))
    assert outcome(p7s + bytes(cmsnames.MAX_SIGNATURE_BYTES)) is None


@given(st.binary(max_size=400))
def test_random_bytes_give_only_a_signature_error(data: bytes) -> None:
    assert outcome(data) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_mutated_bytes_give_only_a_signature_error(p7s: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(p7s)))
    end = data.draw(st.integers(start, min(len(p7s), start + 40)))
    outcome(p7s[:start] + data.draw(st.binary(max_size=40)) + p7s[end:])


@given(st.binary(max_size=300))
def test_random_certificates_give_only_our_errors(data: bytes) -> None:
    with pytest.raises(HozenError):
        certificates.load_der(data)
