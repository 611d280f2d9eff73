"""Settings files of networks: kept whole but for passphrases and keys, whatever the program that reads them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent import definitions
from hozen_agent.net.netconfig import PATTERNS, settings, without_secrets
from hozen_agent.reading.files import whole
from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from typing import Any as Evidence  # conftest.Evidence: tests are no package

SEED = b"S3edSecret"


@pytest.mark.parametrize(
    "line",
    [
        b"    wpa-psk S3edSecret", b'      password: "S3edSecret"', b"PrivateKey=S3edSecret",
        b"PresharedKey = S3edSecret",
        b"WPA_PSK='S3edSecret'", b"KEY1=s:S3edSecret", b"psk=S3edSecret", b"wireless-key1 S3edSecret",
        b"leap-password=S3edSecret", b'- {"password": "S3edSecret"}', b"secret S3edSecret;", b"Key=S3edSecret",
        b"  private: S3edSecret", b"  shared: S3edSecret", b" wg0: {mode: wireguard, key: S3edSecret, port: 1}",
        b" - keys: {public: abc, shared: S3edSecret}",
    ],
)  # fmt: skip
def test_a_secret_is_replaced(line: bytes) -> None:
    clean, count = without_secrets(b"# first\n" + line + b"\nlast 1\n")
    assert (SEED in clean, count) == (False, 1)
    assert clean.startswith(b"# first\n")
    assert clean.endswith(b"\nlast 1\n")


def test_what_only_sounds_like_a_secret_stays() -> None:
    text = b"PrivateKeyFile=/etc/k\nkey-mgmt=wpa-psk\npsk-flags=0\nPublicKey=abc=\nkeymap jp\nnameserver 192.0.2.1\n"
    assert without_secrets(text) == (text, 0)


@pytest.mark.parametrize(
    "text", [b" ", b"psk", b"- ", b"{ ", b"{key ", b"psk\t", b"-", b"a.", b": "]
)
def test_no_line_takes_longer_than_its_length(text: bytes) -> None:
    started = time.process_time()
    without_secrets(text * 200_000)
    without_secrets(text * 200_000 + b"\npsk=S3edSecret\n")
    assert time.process_time() - started < 5


def test_no_definition_takes_as_it_is_what_is_stored_without_secrets_here() -> None:
    index = json.loads(Path(definitions.INDEX).read_bytes())
    for pattern in (
        "/etc/netplan/*",
        "/etc/network/interfaces",
        "/etc/network/interfaces.d/*",
    ):
        assert pattern.encode() in PATTERNS
        assert f'"{pattern}'.rstrip("*") not in json.dumps(index)


@given(st.binary(max_size=300))
def test_any_bytes_are_gone_through(text: bytes) -> None:
    clean, count = without_secrets(text)
    assert (clean == text) == (count == 0 or clean == text)


def test_files_come_clean_and_connection_files_are_withheld(evidence: Evidence) -> None:
    evidence.write(
        "/etc/netplan/01.yaml", b"network:\n  access-points:\n    x:\n      password: S3edSecret\n"
    )
    evidence.write("/etc/network/interfaces", b"auto lo\n")
    evidence.write(
        "/etc/NetworkManager/system-connections/w.nmconnection", b"psk=S3edSecret\n", 0o600
    )
    evidence.write("/etc/wireguard/wg0.conf", b"PrivateKey=S3edSecret\n", 0o600)
    evidence.write("/etc/systemd/network/5.netdev", b"[WireGuard]\nPrivateKey=S3edSecret\n")
    ctx = evidence.context()
    ctx.redactor = Redactor()
    found = {}
    for attempt in settings(ctx, "interfaces"):
        data, _ = whole(attempt)
        kept = b"".join(attempt.unredacted()) if attempt.unredacted else b""
        assert SEED not in data + kept
        found[attempt.source] = attempt, data
    assert found[b"/etc/network/interfaces"][1] == b"auto lo\n"
    attempt, data = found[b"/etc/netplan/01.yaml"]
    assert b"password: [redacted:" in data
    assert (attempt.kind, attempt.redacted) == ("record", {"password": 1})
    assert (
        found[b"/etc/NetworkManager/system-connections/w.nmconnection"][0].withheld == "credential"
    )
    assert found[b"/etc/wireguard/wg0.conf"][0].withheld == "private_key"
    assert b"PrivateKey=[redacted:" in found[b"/etc/systemd/network/5.netdev"][1]
