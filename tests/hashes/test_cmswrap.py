"""A secret enveloped for a certificate is opened by openssl, and keys that are not for it are refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import cmswrap
from hozen_hashes.errors import FormatError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("openssl")
_KINDS = {
    "rsa": ["rsa:2048"],
    "p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p521": ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
}


def _certificate(folder: Path, kind: list[str], *more: str) -> bytes:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", folder / "key", "-out",
         folder / "pem", "-days", "3", "-subj", "/CN=A vendor", *more],
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "pem").read_bytes()


@pytest.mark.parametrize("kind", list(_KINDS))
@pytest.mark.parametrize("size", [0, 1, 15, 16, 75, 4096])
def test_openssl_opens_what_was_enveloped(tmp_path: Path, kind: str, size: int) -> None:
    certificate = cmswrap.read_certificate(_certificate(tmp_path, _KINDS[kind]))
    secret = b"s" * size
    (tmp_path / "p7m").write_bytes(cmswrap.envelop(secret, certificate))
    command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", "key", "-in", "p7m"]  # fmt: skip
    for words in (command, [*command, "-recip", "pem"]):
        assert subprocess.run(words, cwd=tmp_path, check=True, capture_output=True).stdout == secret


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (["rsa:1024"], ()),
        (["ed25519"], ()),
        (["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], ()),
        (["rsa:2048"], ("-addext", "keyUsage=digitalSignature")),
        (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], ("-addext", "keyUsage=digitalSignature")),
    ],
    ids=["small", "signs only", "other curve", "usage rsa", "usage ec"],
)
def test_a_key_that_is_not_for_encryption_is_refused(
    tmp_path: Path, kind: list[str], more: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        cmswrap.read_certificate(_certificate(tmp_path, kind, *more))
    assert refused.value.hint


def test_a_file_without_a_certificate_is_refused() -> None:
    with pytest.raises(FormatError):
        cmswrap.read_certificate(b"no certificate here\n")
