"""chain.py: a path is found where there is one, and each fault in it has its kind; openssl agrees."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import chain
from hozen_hashes.chain import ChainError, verify_chain
from hozen_hashes.errors import FormatError, InternalError, LimitError, SignatureError
from hozen_hashes.identity import new_one_capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path


def kind_of(leaf: Any, extra: Any, roots: Any, at: datetime) -> str:
    with pytest.raises(ChainError) as caught:
        verify_chain(leaf, extra, roots, at=at)
    assert isinstance(caught.value, SignatureError)
    return caught.value.kind


def test_a_path_through_the_embedded_middle_is_found(
    leaf: Any, middle: Any, root: Any, now: datetime
) -> None:
    path = (leaf.certificate, middle.certificate, root.certificate)
    assert verify_chain(leaf.certificate, [middle.certificate], [root.certificate], at=now) == path
    assert verify_chain(leaf.certificate, path, [root.certificate], at=now) == path


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa3072"])
@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_each_allowed_algorithm_makes_a_path(
    kind: str, algorithm: Any, keys: Any, issue: Any, now: datetime
) -> None:
    top = issue("Top", ca=True, key=keys[kind])
    leaf = top.issue("leaf", algorithm=algorithm)
    assert len(verify_chain(leaf.certificate, [], [top.certificate], at=now)) == 2


def test_without_the_middle_or_the_root_it_is_untrusted(
    leaf: Any, middle: Any, root: Any, now: datetime
) -> None:
    assert kind_of(leaf.certificate, [], [root.certificate], now) == "untrusted"
    assert kind_of(leaf.certificate, [middle.certificate], [], now) == "untrusted"
    # An embedded root is a claim, not an anchor.
    assert kind_of(leaf.certificate, [middle.certificate, root.certificate], [], now) == "untrusted"


def test_a_self_signed_leaf_counts_only_when_it_is_itself_given(now: datetime) -> None:
    ours, other = (new_one_capture("same name", now=now).certificate for _ in range(2))
    assert verify_chain(ours, [], [ours], at=now) == (ours,)
    assert kind_of(ours, [ours], [], now) == "untrusted"
    assert kind_of(ours, [other], [other], now) in {"not_a_ca", "bad_signature"}


def test_a_root_of_the_same_name_and_another_key_is_a_bad_signature(
    leaf: Any, middle: Any, issue: Any, now: Any
) -> None:
    twin = issue("Test Root", ca=True)
    assert (
        kind_of(leaf.certificate, [middle.certificate], [twin.certificate], now) == "bad_signature"
    )


def test_a_path_is_found_past_twins_with_the_same_name(
    leaf: Any, middle: Any, root: Any, issue: Any, now: Any
) -> None:
    twins = [issue("Test Middle", ca=True).certificate for _ in range(5)]
    path = verify_chain(leaf.certificate, [*twins, middle.certificate], [root.certificate], at=now)
    assert path[1] == middle.certificate


def test_each_certificate_of_the_path_must_be_valid_at_the_time(issue: Any, now: datetime) -> None:
    day = timedelta(days=1)
    late = {"begin": now + day}
    early = {"end": now - day}
    for wishes, kind in ((late, "not_yet_valid"), (early, "expired")):
        top = issue("Top", ca=True)
        leaf = top.issue("leaf", **wishes)
        assert kind_of(leaf.certificate, [], [top.certificate], now) == kind
        assert kind_of(leaf.certificate, [], [], now) == kind
        between = top.issue("Between", ca=True, **wishes)
        assert (
            kind_of(
                between.issue("leaf").certificate, [between.certificate], [top.certificate], now
            )
            == kind
        )
        old = issue("Old", ca=True, **wishes)
        assert kind_of(old.issue("leaf").certificate, [], [old.certificate], now) == kind


def test_the_first_and_the_last_second_of_validity_count(leaf: Any, middle: Any, root: Any) -> None:
    begin, end = leaf.certificate.not_valid_before_utc, leaf.certificate.not_valid_after_utc
    for at in (begin, end):
        verify_chain(leaf.certificate, [middle.certificate], [root.certificate], at=at)
    second = timedelta(seconds=1)
    assert kind_of(leaf.certificate, [], [root.certificate], begin - second) == "not_yet_valid"
    assert kind_of(leaf.certificate, [], [root.certificate], end + second) == "expired"


@pytest.mark.parametrize(
    "wishes",
    [
        {"ca": False, "usage": ("key_cert_sign",)},
        {"ca": False, "basic": False, "usage": ("key_cert_sign",)},
        {"ca": True, "usage": ("crl_sign",)},
    ],
)
def test_an_issuer_that_is_no_authority_is_refused(
    wishes: dict[str, Any], root: Any, now: datetime
) -> None:
    between = root.issue("Between", **wishes)
    leaf = between.issue("leaf")
    assert kind_of(leaf.certificate, [between.certificate], [root.certificate], now) == "not_a_ca"


def test_an_issuer_without_key_usage_is_accepted_as_openssl_makes_them(
    root: Any, now: datetime
) -> None:
    between = root.issue("Between", ca=True, usage=())
    assert verify_chain(
        between.issue("x").certificate, [between.certificate], [root.certificate], at=now
    )


def test_the_path_length_of_an_authority_holds(issue: Any, now: datetime) -> None:
    for allowed, fits in ((0, False), (1, True), (None, True)):
        top = issue("Top", ca=True, path_length=allowed)
        between = top.issue("Between", ca=True)
        leaf = between.issue("leaf")
        if fits:
            assert (
                len(
                    verify_chain(leaf.certificate, [between.certificate], [top.certificate], at=now)
                )
                == 3
            )
        else:
            assert (
                kind_of(leaf.certificate, [between.certificate], [top.certificate], now)
                == "not_a_ca"
            )


def test_a_path_is_at_most_eight_certificates_long(issue: Any, now: datetime) -> None:
    links = [issue("CA 0", ca=True)]
    for number in range(1, 8):
        links.append(links[-1].issue(f"CA {number}", ca=True))
    extra = [link.certificate for link in links[1:]]
    top = [links[0].certificate]
    assert (
        len(verify_chain(links[6].issue("leaf").certificate, extra, top, at=now)) == chain.MAX_DEPTH
    )
    assert kind_of(links[7].issue("leaf").certificate, extra, top, now) == "untrusted"


@pytest.mark.parametrize("kind", ["p521", "rsa2048"])
def test_a_weak_or_foreign_key_anywhere_is_too_weak(
    kind: str, keys: Any, issue: Any, root: Any, now: Any
) -> None:
    top = issue("Weak", ca=True, key=keys[kind])
    assert kind_of(top.issue("leaf").certificate, [], [top.certificate], now) == "too_weak"
    assert (
        kind_of(root.issue("leaf", key=keys[kind]).certificate, [], [root.certificate], now)
        == "too_weak"
    )


def test_a_signature_with_a_hash_off_the_list_is_too_weak(root: Any, now: datetime) -> None:
    leaf = root.issue("leaf", algorithm=hashes.SHA224())
    assert kind_of(leaf.certificate, [], [root.certificate], now) == "too_weak"


def test_a_leaf_must_be_for_signatures(root: Any, now: datetime) -> None:
    def leaf(**wishes: Any) -> x509.Certificate:
        made: x509.Certificate = root.issue("leaf", **wishes).certificate
        return made

    def eku(*usages: ObjectIdentifier) -> tuple[tuple[x509.ExtensionType, bool], ...]:
        return ((x509.ExtendedKeyUsage(usages), False),)

    roots = [root.certificate]
    assert kind_of(leaf(usage=("key_agreement",)), [], roots, now) == "untrusted"
    assert (
        kind_of(leaf(extensions=eku(ExtendedKeyUsageOID.CLIENT_AUTH)), [], roots, now)
        == "untrusted"
    )
    assert verify_chain(leaf(usage=("content_commitment",)), [], roots, at=now)
    assert verify_chain(leaf(usage=()), [], roots, at=now)
    both = eku(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    assert verify_chain(leaf(extensions=both), [], roots, at=now)


def test_a_critical_extension_that_is_not_understood_is_refused(root: Any, now: datetime) -> None:
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    permitted = [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web01")]))]
    constraints = x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)
    roots = [root.certificate]
    assert (
        kind_of(root.issue("leaf", extensions=((unknown, True),)).certificate, [], roots, now)
        == "untrusted"
    )
    assert verify_chain(
        root.issue("leaf", extensions=((unknown, False),)).certificate, [], roots, at=now
    )
    between = root.issue("Between", ca=True, extensions=((constraints, True),))
    assert (
        kind_of(between.issue("leaf").certificate, [between.certificate], roots, now) == "untrusted"
    )


def test_a_circle_of_authorities_ends(issue: Any, now: datetime) -> None:
    first, second = issue("A", ca=True), issue("B", ca=True)
    circle = [first.issue("B", ca=True, key=second.key), second.issue("A", ca=True, key=first.key)]
    extra = [item.certificate for item in circle]
    assert kind_of(first.issue("leaf").certificate, extra, [], now) == "untrusted"


def test_many_authorities_of_one_name_cost_a_bounded_number_of_checks(
    issue: Any, now: datetime
) -> None:
    shared = issue("Same", ca=True)
    extra = [shared.issue("Same", ca=True, key=shared.key).certificate for _ in range(16)]
    assert kind_of(shared.issue("leaf").certificate, extra, [], now) == "untrusted"


def test_a_naive_time_is_our_own_fault(leaf: Any, now: datetime) -> None:
    with pytest.raises(InternalError):
        verify_chain(leaf.certificate, [], [], at=now.replace(tzinfo=None))


def test_control_characters_of_a_subject_do_not_reach_the_message(
    issue: Any, now: datetime
) -> None:
    with pytest.raises(ChainError) as caught:
        verify_chain(issue("evil\x1b[31m\n").certificate, [], [], at=now)
    assert str(caught.value).isprintable()


def agrees(
    openssl: Callable[..., Any], path: Path, chosen: tuple[Any, list[Any], list[Any]], at: datetime
) -> bool:
    leaf, extra, roots = chosen
    for name, items in (("leaf", [leaf]), ("extra", extra), ("roots", roots)):
        (path / f"{name}.pem").write_bytes(b"".join(item.pem for item in items))
    try:
        verify_chain(
            leaf.certificate, [e.certificate for e in extra], [r.certificate for r in roots], at=at
        )
        ours = True
    except ChainError:
        ours = False
    words = ["-untrusted", "extra.pem"] if extra else []
    done = openssl(
        "verify",
        "-CAfile",
        "roots.pem",
        *words,
        "-attime",
        str(int(at.timestamp())),
        "leaf.pem",
        check=False,
    )
    assert ours == (done.returncode == 0), done.stderr
    return ours


def test_openssl_comes_to_the_same_answer(  # noqa: PLR0917
    root: Any, middle: Any, leaf: Any, issue: Any, tmp_path: Path, openssl: Any, now: Any
) -> None:
    bad = root.issue("Bad", usage=("key_cert_sign",))
    narrow = middle.issue("Too deep", ca=True)
    cases = [
        (leaf, [middle], [root]),
        (leaf, [], [root]),
        (leaf, [middle], [issue("Test Root", ca=True)]),
        (bad.issue("x"), [bad], [root]),
        (narrow.issue("x"), [narrow, middle], [root]),
    ]
    assert [agrees(openssl, tmp_path, case, now) for case in cases] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert not agrees(openssl, tmp_path, cases[0], now + timedelta(days=4000))


def test_certificates_are_loaded_in_order_and_other_blocks_passed_over(
    leaf: Any, root: Any
) -> None:
    text = (
        b"junk\n"
        + leaf.pem
        + b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
        + root.pem
    )
    assert chain.load_certificates(text) == [leaf.certificate, root.certificate]
    assert chain.load_certificates(text.replace(b"\n", b"\r\n")) == [
        leaf.certificate,
        root.certificate,
    ]


def test_pem_text_without_or_with_too_many_certificates_is_refused(leaf: Any) -> None:
    for text in (
        b"",
        b"hello",
        leaf.pem.replace(b"M", b"!", 1),
        leaf.pem.replace(b"MII", b"AII", 1),
    ):
        with pytest.raises(FormatError):
            chain.load_certificates(text)
    with pytest.raises(LimitError):
        chain.load_certificates(leaf.pem * 65)
    with pytest.raises(LimitError):
        chain.load_certificates(b" " * (1024 * 1024 + 1))


def test_every_changed_byte_of_a_certificate_gives_only_our_errors(
    leaf: Any, middle: Any, root: Any, now: Any
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from hozen_hashes.certificates import load_der

    real = leaf.certificate.public_bytes(Encoding.DER)
    for at in range(len(real)):
        for value in (real[at] ^ 1, real[at] ^ 0x80, 0xFF - real[at]):
            damaged = real[:at] + bytes((value,)) + real[at + 1 :]
            with pytest.raises((FormatError, LimitError, ChainError)):
                verify_chain(load_der(damaged), [middle.certificate], [root.certificate], at=now)


def test_a_pem_text_of_many_beginnings_costs_little(leaf: Any) -> None:
    begin = b"-----BEGIN CERTIFICATE-----\n"
    for text in (
        begin * 36_000,
        leaf.pem + begin * 30_000,
        (begin + b"-----END X-----\n") * 20_000,
    ):
        with pytest.raises(FormatError, match=r"without its end|base64"):
            chain.load_certificates(text)


@given(st.binary(max_size=200), st.sampled_from([b"CERTIFICATE", b"PRIVATE KEY", b"X" * 41, b""]))
def test_random_pem_text_gives_only_our_errors(body: bytes, label: bytes) -> None:
    with pytest.raises((FormatError, LimitError)):
        chain.load_certificates(
            b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, body, label)
        )
