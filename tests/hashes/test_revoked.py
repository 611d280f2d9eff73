"""Lists of revoked certificates: the date of revocation against the trusted time (docs/keys-over-years.md)."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from authority import Authority, new_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import cms, revocation
from hozen_hashes.certificates import load_certificates
from hozen_hashes.errors import BadDataError, FormatError, LimitError
from hozen_hashes.front import main
from hozen_hashes.opened import ZipBundle
from hozen_hashes.revocation import read_list
from hozen_hashes.verify import Anchors, Result, VerificationReport, Word, verify
from hozen_hashes.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("openssl", "faketime")
DATA = Path(__file__).parents[1] / "vectors" / "data"
GOOD = (DATA / "good.zip").read_bytes()
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
# The seal of the vector claims 2026-11-23T05:00:09Z; the stamp is of a second after the midnight that follows.
STAMPED = "2026-11-24 00:00:00"
CLAIMED = datetime(2026, 11, 23, 5, 0, 9, tzinfo=UTC)
EARLY = datetime(2026, 11, 1, tzinfo=UTC)
BETWEEN = datetime(2026, 11, 23, 12, tzinfo=UTC)
THEN = datetime(2026, 12, 1, tzinfo=UTC)
YEARS = datetime(2027, 6, 1, tzinfo=UTC)
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def vector_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return a key of the vectors, as tests/vectors/vector_keys.py derives it."""
    scalar = int.from_bytes(hashlib.sha512(b"hozen vector " + name.encode()).digest(), "big")
    return ec.derive_private_key(scalar % (_ORDER - 1) + 1, ec.SECP256R1())


def members(*names: str) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        top = archive.namelist()[0].partition("/")[0]
        return [archive.read(f"{top}/{name}") for name in names]


P7S, SEALED = members("signatures/agent.p7s", "tagmanifest-sha256.txt")
HOST, MIDDLE = cms.verify_detached(P7S, sha256(SEALED).digest()).certificates[:2]
(ROOT,) = ROOTS


def crl(
    *revoked: tuple[x509.Certificate, datetime],
    by: str = "intermediate",
    issuer: x509.Certificate = MIDDLE,
    made: datetime = YEARS,
    until: datetime | None = None,
    reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise,
    suspected: datetime | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    name: str = "list.crl",
) -> revocation.RevocationList:
    """Return a list made with `cryptography`, never with the code under test."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(made)
        .next_update(until or made + timedelta(days=30))
    )
    for certificate, since in revoked:
        entry = x509.RevokedCertificateBuilder(certificate.serial_number, since)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        if suspected is not None:
            entry = entry.add_extension(x509.InvalidityDate(suspected), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made_list = builder.sign(vector_key(by), hashes.SHA256())
    return read_list(made_list.public_bytes(Encoding.DER), name=name)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tsa") / "first")


@pytest.fixture(scope="module")
def stamp(tsa: Authority) -> dict[str, Any]:
    """What gives the seal a trusted time."""
    roots = tuple(load_certificates(tsa.root.read_bytes()))
    return {"timestamps": {"0001-tsa.tsr": tsa.stamp(P7S, at=STAMPED)}, "tsa_roots": roots}


def check(
    *lists: revocation.RevocationList, at: datetime = YEARS, **anchors: Any
) -> VerificationReport:
    known = Anchors(**({"roots": ROOTS, "revoked": lists} | anchors))
    return verify(ZipBundle(io.BytesIO(GOOD)), anchors=known, at=at)


def said(report: VerificationReport) -> tuple[Word, Result, list[str]]:
    """Return the word, that of step 10, and the keys of its notes about revocation."""
    step = report.step(10)
    for note in step.notes:
        assert Words("ja").note(note)
        assert Words("en").note(note)
    return report.word, step.result, [n.key for n in step.notes if n.key != "chain-root"]


def test_revoked_after_the_trusted_time_is_a_match_that_says_so(stamp: dict[str, Any]) -> None:
    report = check(crl((HOST, THEN)), **stamp)
    assert said(report) == (Word.MATCH, Result.MATCH, ["later-revoked", "no-list"])
    values = report.step(10).notes[1].values
    assert values["since"] == "2026-12-01T00:00:00Z"
    assert values["time"] == "2026-11-24T00:00:01Z"
    assert values["reason"] == "keyCompromise"


def test_revoked_before_the_trusted_time_and_signed_after_is_a_mismatch(
    stamp: dict[str, Any],
) -> None:
    report = check(crl((HOST, EARLY)), **stamp)
    assert said(report)[:2] == (Word.MISMATCH, Result.MISMATCH)
    assert report.step(10).notes[1].key == "revoked-before"


def test_revoked_between_the_claim_and_the_trusted_time_is_not_verifiable(
    stamp: dict[str, Any],
) -> None:
    """Honest (the host's key was revoked right after the capture) or the thief's: nothing tells them apart."""
    report = check(crl((HOST, BETWEEN)), **stamp)
    assert said(report)[:2] == (Word.NOT_VERIFIABLE, Result.NOT_VERIFIABLE)
    assert report.step(10).notes[1].key == "revoked-between"
    assert report.integrity is Word.MATCH


@pytest.mark.parametrize("since", [EARLY, BETWEEN, THEN])
def test_revoked_without_a_trusted_time_is_not_verifiable(since: datetime) -> None:
    report = check(crl((HOST, since)))
    assert said(report)[:2] == (Word.NOT_VERIFIABLE, Result.NOT_VERIFIABLE)
    assert report.step(10).notes[1].key == "revoked-no-time"


def test_the_moment_of_revocation_itself_counts_as_revoked(stamp: dict[str, Any]) -> None:
    moment = datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC)
    assert said(check(crl((HOST, moment)), **stamp))[1] is Result.NOT_VERIFIABLE
    second = timedelta(seconds=1)
    assert said(check(crl((HOST, moment + second)), **stamp))[1] is Result.MATCH


def test_the_day_since_which_a_key_is_suspected_counts_where_it_is_earlier(
    stamp: dict[str, Any],
) -> None:
    report = check(crl((HOST, THEN), suspected=EARLY), **stamp)
    assert report.step(10).notes[1].key == "revoked-before"
    assert report.step(10).notes[1].values["since"] == "2026-11-01T00:00:00Z"


def test_a_certificate_that_is_not_listed_is_a_match_and_the_list_is_named() -> None:
    report = check(crl((ROOT, EARLY)))
    assert said(report) == (Word.MATCH, Result.MATCH, ["not-revoked", "no-list"])
    assert report.step(10).notes[1].values["list"] == "list.crl"


def test_an_authority_in_between_can_be_revoked_too(stamp: dict[str, Any]) -> None:
    by_root = {"by": "root", "issuer": ROOT}
    lists = (crl(), crl((MIDDLE, EARLY), **by_root, name="root.crl"))  # type: ignore[arg-type]
    assert said(check(*lists, **stamp))[1:] == (Result.MISMATCH, ["not-revoked", "revoked-before"])
    assert said(check(*lists))[1:] == (Result.NOT_VERIFIABLE, ["not-revoked", "revoked-no-time"])


def test_a_list_by_somebody_else_is_said_and_answers_nothing() -> None:
    forged = crl((HOST, EARLY), by="foreign root")  # the right name, another key
    assert said(check(forged))[1:] == (
        Result.NOT_VERIFIABLE,
        ["list-unknown", "revoked-not-asked", "no-list"],
    )
    # Beside a list that answers, it only is said.
    assert said(check(crl(), forged))[0] is Word.MATCH
    assert "list-unknown" in said(check(crl(), forged))[2]


def test_an_outdated_list_is_said_and_does_not_answer(stamp: dict[str, Any]) -> None:
    old = crl(made=EARLY, until=EARLY + timedelta(days=7))
    assert said(check(old))[1:] == (Result.NOT_VERIFIABLE, ["revoked-list-outdated", "no-list"])
    assert said(check(old, **stamp))[1] is Result.NOT_VERIFIABLE
    # It was current, or made later: for the trusted time it answers, however old it is now.
    assert said(check(crl(made=EARLY), **stamp))[2][0] == "not-revoked"
    assert said(check(crl(made=THEN), at=YEARS, **stamp))[2][0] == "not-revoked"


def test_an_outdated_list_still_revokes() -> None:
    old = crl((HOST, EARLY), made=EARLY, until=EARLY + timedelta(days=7))
    assert said(check(old))[2][0] == "revoked-no-time"


def test_a_list_from_after_the_certificate_expired_does_not_answer(stamp: dict[str, Any]) -> None:
    late = crl(made=datetime(2028, 6, 1, tzinfo=UTC))
    assert said(check(late, **stamp))[2][0] == "revoked-list-late"


def test_a_hold_that_a_newer_list_lifted_is_over() -> None:
    hold = crl((HOST, EARLY), made=THEN, reason=x509.ReasonFlags.certificate_hold, name="old.crl")
    assert said(check(hold))[2][0] == "revoked-no-time"
    assert said(check(hold, crl()))[2][0] == "not-revoked"


def test_without_a_root_nobody_can_say_whose_a_list_is() -> None:
    report = check(crl((HOST, EARLY)), roots=())
    assert said(report) == (
        Word.NOT_VERIFIABLE,
        Result.NOT_VERIFIABLE,
        ["no-root", "revoked-no-root"],
    )


def test_an_authority_with_a_new_key_revokes_what_the_old_one_issued(issue: Any) -> None:
    """A re-keyed authority: the same name, another certificate, given beside the first root."""
    renewed = issue("x", ca=True, key=vector_key("new"))
    new = (
        x509.CertificateBuilder(
            MIDDLE.subject, MIDDLE.subject, renewed.key.public_key(), 7,
            MIDDLE.not_valid_before_utc, MIDDLE.not_valid_after_utc,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(renewed.key, hashes.SHA256())
    )  # fmt: skip
    by_new = crl((HOST, EARLY), by="new")
    assert said(check(by_new))[2][0] == "list-unknown"
    assert said(check(by_new, roots=(*ROOTS, new)))[2][0] == "revoked-no-time"
    assert said(check(roots=(*ROOTS, new)))[0] is Word.MATCH


def test_an_authority_that_may_make_no_lists_is_not_believed(issue: Any) -> None:
    plain = issue("Plain", ca=True, usage=("key_cert_sign",), key=vector_key("plain"))
    assert not revocation.signed_by(crl(by="plain", issuer=plain.certificate), plain.certificate)
    good = issue("Plain", ca=True, key=vector_key("plain"))
    assert revocation.signed_by(crl(by="plain", issuer=good.certificate), good.certificate)


@pytest.mark.parametrize(
    ("extension", "word"),
    [
        (x509.DeltaCRLIndicator(1), "changes to another"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), "not understood"),
        (x509.IssuingDistributionPoint(
            full_name=None, relative_name=None, only_contains_user_certs=False, only_contains_ca_certs=False,
            only_some_reasons=None, indirect_crl=True, only_contains_attribute_certs=False), "indirect"),
    ],
)  # fmt: skip
def test_a_list_that_is_not_whole_is_refused(extension: x509.ExtensionType, word: str) -> None:
    with pytest.raises(FormatError, match=word):
        crl(extensions=((extension, True),))


def test_a_list_for_authorities_only_does_not_answer_for_a_host() -> None:
    only = x509.IssuingDistributionPoint(
        full_name=None, relative_name=None, only_contains_user_certs=False, only_contains_ca_certs=True,
        only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False)  # fmt: skip
    assert said(check(crl(extensions=((only, True),))))[2][0] == "revoked-not-asked"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_list(data, name="x")
    except BadDataError:
        return
    raise AssertionError("random bytes became a list")


def test_every_flipped_byte_of_a_list_is_refused_or_disbelieved() -> None:
    whole = crl((HOST, EARLY)).crl.public_bytes(Encoding.DER)
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0x04
        try:
            found = read_list(bytes(changed), name="x")
        except BadDataError:
            continue
        assert not revocation.signed_by(found, MIDDLE), place


def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MAX_LIST_BYTES", 64)
    with pytest.raises(LimitError):
        crl((HOST, EARLY))


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
def test_the_command_takes_both_forms_and_says_it_in_json(
    form: Encoding, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "the.crl").write_bytes(crl((HOST, EARLY)).crl.public_bytes(form))
    bundle, root = str(DATA / "good.zip"), ["--root", str(DATA / "root.pem")]
    words = [
        *root,
        "--revoked",
        str(tmp_path / "the.crl"),
        "--at",
        "2027-06-01T00:00:00Z",
        "--json",
    ]
    assert main(["verify", bundle, *words]) == 2
    step = json.loads(capsys.readouterr().out)["bundles"][0]["steps"][9]
    assert step["result"] == "not verifiable"
    assert step["notes"][1]["key"] == "revoked-no-time"
    assert step["notes"][1]["values"]["list"] == "the.crl"
    assert main(["verify", bundle, *root, "--revoked", str(DATA / "root.pem")]) == 65


def test_openssl_reads_the_same_lists(tmp_path: Path, openssl: Callable[..., Any]) -> None:
    (tmp_path / "l.crl").write_bytes(crl((HOST, EARLY)).crl.public_bytes(Encoding.DER))
    (tmp_path / "ca.pem").write_bytes(MIDDLE.public_bytes(Encoding.PEM))
    done = openssl("crl", "-inform", "DER", "-in", "l.crl", "-CAfile", "ca.pem", "-noout", "-text")
    assert b"verify OK" in done.stderr
    assert b"Key Compromise" in done.stdout
