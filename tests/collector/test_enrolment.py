"""A token makes one host an identity; every other use of it is refused in the same words."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from hozen_collector.identity import tokens
from hozen_collector.keys import host_names, read_keys, renew_server
from hozen_collector.layout import Layout
from hozen_hashes.errors import FormatError
from hozen_hashes.identity import make_csr, new_key
from hozen_hashes.receipt import parse_statement

if TYPE_CHECKING:
    from pathlib import Path

ENROLL = "/api/v1/enroll"


def ask(running: Any, tools: Any, token: str, *, host: str = "web01", **changed: str) -> Any:
    body = tools.enrol_body(token, "host", new_key(), new_key()) | {"host": host} | changed
    return tools.stranger(running.root, running.port).post_json(ENROLL, body)


def token_of(text: str, **changed: object) -> str:
    words = {name: getattr(tokens.parse_token(text), name) for name in tokens.TokenText.__slots__}
    return tokens.TokenText(**words | changed).encode()


def test_an_enrolled_host_gets_two_certificates_for_two_purposes(running: Any, tools: Any) -> None:
    answer = ask(running, tools, tools.new_token(running.root))
    assert answer.status == 201
    words = answer.json
    transport = x509.load_pem_x509_certificate(words["transport_certificate"].encode())
    evidence = x509.load_pem_x509_certificate(words["evidence_certificate"].encode())
    name = transport.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = name.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"hozen://agent/{words['agent_id']}"]
    usage = transport.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert transport.not_valid_after_utc - datetime.now(UTC) < timedelta(days=91)
    with pytest.raises(x509.ExtensionNotFound):
        evidence.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert evidence.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert evidence.not_valid_after_utc - datetime.now(UTC) > timedelta(days=3650)
    assert words["ca"] == (running.root / "keys" / "ca.pem").read_text()
    assert words["log_vkey"] == (running.root / "keys" / "log.vkey").read_text()
    assert words["origin"] == words["log_vkey"].partition("+")[0]


def test_openssl_accepts_the_certificates_for_their_purposes(
    running: Any, tools: Any, tmp_path: Path
) -> None:
    words = ask(running, tools, tools.new_token(running.root)).json
    ca = str(running.root / "keys" / "ca.pem")
    for name, purpose in (("transport", "sslclient"), ("evidence", "any")):
        path = tmp_path / f"{name}.pem"
        path.write_text(words[f"{name}_certificate"])
        call = ["openssl", "verify", "-x509_strict", "-CAfile", ca, "-purpose", purpose, str(path)]
        subprocess.run(call, check=True, capture_output=True)


def test_an_enrolment_is_a_leaf_of_the_log(running: Any, tools: Any) -> None:
    words = ask(running, tools, tools.new_token(running.root)).json
    rows = tools.sql(running.root, "SELECT text FROM leaf WHERE event='enroll'")
    assert words["agent_id"] in {parse_statement(text).sender for (text,) in rows}


def test_a_token_serves_as_often_as_it_says_and_its_secret_is_not_kept(
    running: Any, tools: Any
) -> None:
    token = tools.new_token(running.root, count=2)
    assert [ask(running, tools, token).status for _ in range(3)] == [201, 201, 403]
    secret = tokens.parse_token(token).secret.encode()
    for path in running.root.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


def test_a_host_whose_answer_was_lost_is_given_the_same_again(running: Any, tools: Any) -> None:
    body = tools.enrol_body(tools.new_token(running.root), "web01", new_key(), new_key())
    anybody = tools.stranger(running.root, running.port)
    first, second = (anybody.post_json(ENROLL, body) for _ in range(2))
    assert first.status == second.status == 201
    assert first.json == second.json
    other = body | {"host": "other", "token": tools.new_token(running.root)}
    assert anybody.post_json(ENROLL, other).status == 400


def test_every_wrong_token_is_refused_in_the_same_words(running: Any, tools: Any) -> None:
    good = tools.new_token(running.root, hosts="web*")
    spent = tools.new_token(running.root)
    ask(running, tools, spent)
    expired = tools.new_token(running.root, expires="1s")
    tools.sql(running.root, "UPDATE token SET expires=1 WHERE id=?", tokens.parse_token(expired).id)
    answers = [
        ask(running, tools, token_of(good, secret="0" * 64)),
        ask(running, tools, token_of(good, id="0" * 32)),
        ask(running, tools, good, host="db01"),
        ask(running, tools, spent),
        ask(running, tools, expired),
        ask(running, tools, token_of(expired, expires=9999999999)),
    ]
    assert [answer.status for answer in answers] == [403] * 6
    assert len({answer.body for answer in answers}) == 1
    assert ask(running, tools, good, host="WEB01").status == 201


def test_a_key_that_was_not_proved_to_be_held_is_refused(running: Any, tools: Any) -> None:
    token = tools.new_token(running.root)
    mine, theirs = make_csr(new_key(), "a").decode(), make_csr(new_key(), "b").decode()
    half = len(mine) // 2
    mixed = mine[:half] + theirs[half:]
    key = new_key()
    same = make_csr(key, "a").decode()
    p384 = make_csr(ec.generate_private_key(ec.SECP384R1()), "a").decode()
    assert ask(running, tools, token, transport_csr=mixed).status == 400
    assert ask(running, tools, token, evidence_csr="x").status == 400
    assert ask(running, tools, token, evidence_csr=p384).status == 400
    assert ask(running, tools, token, evidence_csr=same, transport_csr=same).status == 400
    for host in ("", "-x", "a b", "x" * 300, "../x"):
        assert ask(running, tools, token, host=host).status == 400
    assert ask(running, tools, token).status == 201


@given(text=st.text())
def test_a_text_that_is_no_token_is_refused(text: str) -> None:
    for words in (text, tokens.PREFIX + text):
        with pytest.raises(FormatError):
            tokens.parse_token(words)


@given(
    secret=st.text("0123456789abcdef", min_size=64, max_size=64),
    expires=st.integers(0, 2**40),
)
def test_a_token_reads_back_as_it_was_written(secret: str, expires: int) -> None:
    token = tokens.TokenText(
        ca_sha256="1" * 64, log_sha256="2" * 64, id="3" * 32, secret=secret, expires=expires
    )
    assert tokens.parse_token(token.encode() + "\n") == token


def test_the_server_certificate_is_renewed_before_it_ends(
    empty_collector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(empty_collector)
    keys = read_keys(layout)
    assert renew_server(layout, keys) is keys
    monkeypatch.setattr("hozen_collector.keys._RENEW_BEFORE", timedelta(days=4000))
    renewed = renew_server(layout, keys)
    assert renewed.server.certificate != keys.server.certificate
    assert host_names(renewed.server.certificate) == ["localhost", "127.0.0.1"]
    assert read_keys(layout).server.certificate == renewed.server.certificate


def test_a_damaged_or_foreign_key_file_is_one_clear_error(empty_collector: Path) -> None:
    layout = Layout(empty_collector)
    (layout.keys / "server.key").write_bytes((layout.keys / "ca.key").read_bytes())
    with pytest.raises(FormatError, match="does not belong"):
        read_keys(layout)
    (layout.keys / "server.key").write_bytes(b"x")
    with pytest.raises(FormatError):
        read_keys(layout)
    (layout.keys / "server.key").unlink()
    with pytest.raises(FormatError, match=r"server\.key"):
        read_keys(layout)


def test_private_keys_are_for_their_owner_only(empty_collector: Path) -> None:
    found = {
        path.name: path.stat().st_mode & 0o777 for path in (empty_collector / "keys").iterdir()
    }
    assert {name for name, mode in found.items() if mode == 0o600} == {
        "ca.key",
        "server.key",
        "receipts.key",
        "log.key",
    }
    assert (empty_collector / "collector.sqlite").stat().st_mode & 0o077 == 0
    assert empty_collector.stat().st_mode & 0o077 == 0
