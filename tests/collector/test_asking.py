"""One question to a time-stamping authority: openssl's own behind a loopback HTTP server, right and hostile."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
from authority import new_authority
from authority import run as tool
from tsaserver import mute, serving

from hozen_collector.timestamps.ageing import algorithms_of
from hozen_collector.timestamps.asking import Asker, RefusedReplyError
from hozen_collector.timestamps.authorities import Authority, load_authorities
from hozen_config.settings import load_collector_settings
from hozen_hashes import certificates
from hozen_hashes.errors import FormatError, HozenError, TryAgainError, UsageError
from hozen_hashes.timestamprequest import encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tsaserver import Behaviour

pytestmark = pytest.mark.needs("openssl", "faketime")
DIGEST = hashlib.sha256(b"seal").digest()


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behaviour]:
    folder = tmp_path_factory.mktemp("tsa") / "one"
    with serving(new_authority(folder, "ONE", begins="20240101000000Z")) as found:
        yield found


@pytest.fixture(autouse=True)
def right(tsa: Behaviour) -> None:
    tsa.how, tsa.at, tsa.asked = "right", "", 0


def known(
    tsa: Behaviour,
    *,
    root: Path | None = None,
    timeout: float = 5,
    policy: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Authority:
    pem = (root or tsa.authority.root).read_bytes()
    roots = tuple(certificates.load_certificates(pem))
    return Authority(name="one", url=tsa.url, policy=policy, timeout=timeout, roots=roots, tls=tls)


def test_a_right_reply_is_taken_and_holds(tsa: Behaviour) -> None:
    reply = Asker().ask(known(tsa, policy="1.2.3.4.1"), DIGEST)
    assert reply.token.imprint == DIGEST
    assert abs(reply.arrived - reply.token.time) < 60 * 10**9
    assert algorithms_of(reply.token) == "ec-256 sha256"


def test_another_hash_can_be_asked_for(tsa: Behaviour) -> None:
    digest = hashlib.sha512(b"seal").digest()
    reply = Asker().ask(known(tsa), digest, algorithm="sha512")
    assert reply.token.is_about(b"seal")
    assert algorithms_of(reply.token) == "ec-256 sha256 sha512"
    with pytest.raises(FormatError, match="no sha384"):
        encode_request(digest, algorithm="sha384")
    with pytest.raises(FormatError, match="no md5"):
        encode_request(b"\0" * 16, algorithm="md5")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("down", "HTTP status 503"),
        ("redirect", "HTTP status 302; redirects are not followed"),
        ("nothing", "no answer"),
        ("short", "cut short"),
        ("silent", "no whole answer within 0.5 s"),
        ("drip", "no whole answer within 0.5 s"),
        ("drip-head", "no whole answer within 0.5 s"),
        ("continue", "no whole answer within 0.5 s"),
    ],
)
def test_no_answer_is_told_within_its_time(tsa: Behaviour, how: str, reason: str) -> None:
    tsa.how = how
    began = time.monotonic()
    with pytest.raises(TryAgainError, match=reason):
        Asker().ask(known(tsa, timeout=0.5), DIGEST)
    assert time.monotonic() - began < 1.5
    assert tsa.asked == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("oversized", "larger than 65536"),
        ("endless", "larger than 65536"),
        ("type", "content type 'text/html'"),
        ("rubbish", "status|not a time-stamp reply|carries no time stamp"),
        ("other-nonce", "another nonce"),
        ("other-bytes", "other bytes"),
        ("changed", "not made by the key"),
    ],
)
def test_what_is_not_the_stamp_asked_for_is_refused_with_its_reason(
    tsa: Behaviour, how: str, reason: str
) -> None:
    tsa.how = how
    with pytest.raises(RefusedReplyError, match=reason) as refused:
        Asker().ask(known(tsa), DIGEST)
    assert 0 < len(refused.value.raw) <= 65_537


def test_another_root_another_policy_and_an_authority_that_refuses(
    tsa: Behaviour, tmp_path: Path
) -> None:
    other = new_authority(tmp_path / "other", "OTHER")
    with pytest.raises(RefusedReplyError, match="no given root vouches"):
        Asker().ask(known(tsa, root=other.root), DIGEST)
    with pytest.raises(RefusedReplyError, match="the authority refused the request"):
        Asker().ask(known(tsa, policy="1.2.3.4.9"), DIGEST)


@pytest.mark.parametrize(
    ("clock", "word"), [("2025-06-01 00:00:00", "pre-dated"), ("2029-06-01 00:00:00", "post-dated")]
)
def test_a_time_before_the_question_or_after_the_answer_is_refused(
    tsa: Behaviour, clock: str, word: str
) -> None:
    tsa.at = clock
    with pytest.raises(RefusedReplyError, match=f"{word}: it says {clock[:4]}"):
        Asker().ask(known(tsa), DIGEST)


def test_an_authority_whose_certificate_has_ended_is_refused(tmp_path: Path) -> None:
    ended = new_authority(tmp_path / "old", "OLD", begins="20200101000000Z", ends="20210101000000Z")
    with serving(ended) as old:
        old.at = (
            "2020-06-01 00:00:00"  # openssl's authority does not stamp with an ended certificate
        )
        with pytest.raises(RefusedReplyError, match="pre-dated"):
            Asker().ask(known(old), DIGEST)
        old.at = ""
        with pytest.raises(HozenError):
            Asker().ask(known(old), DIGEST)


def test_a_question_ends_at_once_when_the_collector_stops(tsa: Behaviour) -> None:
    tsa.how = "silent"
    asker = Asker()
    timer = threading.Timer(0.2, asker.stop)
    timer.start()
    began = time.monotonic()
    with pytest.raises(TryAgainError, match="stops"):
        asker.ask(known(tsa, timeout=30), DIGEST)
    assert time.monotonic() - began < 1
    with pytest.raises(TryAgainError, match="stops"):
        asker.ask(known(tsa), DIGEST)
    timer.join()


def test_https_is_spoken_and_a_server_that_never_shakes_hands_is_left(
    tsa: Behaviour, tmp_path: Path
) -> None:
    tool(tmp_path, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=tsa", "-days", "2",
         "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with serving(tsa.authority, tls=server) as one:
        assert Asker().ask(known(one, tls=trusting), DIGEST).token.imprint == DIGEST
        with pytest.raises(TryAgainError, match=r"no answer.*certificate verify failed"):
            Asker().ask(known(one, tls=ssl.create_default_context()), DIGEST)
    with mute(tsa.authority) as one:
        asker = Asker()
        for _ in range(6):
            with pytest.raises(TryAgainError, match=r"within 0\.2 s|handshake operation timed out"):
                asker.ask(known(one, timeout=0.2, tls=trusting), DIGEST)
            time.sleep(0.05)  # the thread that was left ends by the cut
        assert one.asked == 6


def test_settings_name_what_cannot_be_used(tsa: Behaviour, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    entry = "{name: NAME, url: 'http://127.0.0.1/', roots: [ROOT]}"

    def load(*entries: str, more: str = "") -> None:
        listed = ", ".join(one.replace("ROOT", str(tsa.authority.root)) for one in entries)
        config.write_text(f"timestamps:\n  authorities: [{listed}]\n{more}\n")
        load_authorities(load_collector_settings(str(config)).timestamps)

    one = entry.replace("NAME", "one")
    load(
        one, entry.replace("NAME", "two"), more="  ageing: [{algorithm: sha256, ends: 2031-01-01}]"
    )
    with pytest.raises(UsageError, match="the same name"):
        load(one, one)
    with pytest.raises(UsageError, match="not of the expected form"):
        load(entry.replace("NAME", "../x"))
    with pytest.raises(UsageError, match="cannot read"):
        load(one.replace("ROOT", "/nonexistent"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(UsageError, match="certificate"):
        load(one.replace("ROOT", str(tmp_path / "empty.pem")))
    with pytest.raises(UsageError, match="2031-02-30"):
        load(one, more="  ageing: [{algorithm: sha256, ends: 2031-02-30}]")
    (tmp_path / "list.json").write_text("{}")
    with pytest.raises(UsageError, match="TSA list"):
        load(one, more=f"  tiers: {tmp_path / 'list.json'}")
