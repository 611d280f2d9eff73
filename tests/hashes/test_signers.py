"""signers.py: a file or a token URI becomes a signer, and nobody is asked for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hozen_hashes.errors import UsageError
from hozen_hashes.identity import KeyIdentity, write_identity
from hozen_hashes.signers import open_signer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def never(question: str) -> bytes | None:
    pytest.fail(f"asked for {question}")


def test_a_plain_file_asks_for_nothing(leaf: Any, tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "id.pem"
    path.write_bytes(write_identity(KeyIdentity(leaf.key, leaf.certificate, leaf.chain), None))
    signer = open_signer(str(path), never, at=now, kind="enrolled")
    assert (signer.kind, signer.certificate, signer.chain) == (
        "enrolled",
        leaf.certificate,
        leaf.chain,
    )


def test_an_encrypted_file_asks_once(leaf: Any, tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "id.pem"
    path.write_bytes(write_identity(KeyIdentity(leaf.key, leaf.certificate), b"secret"))
    asked: list[str] = []

    def ask(question: str) -> bytes | None:
        asked.append(question)
        return b"secret" if len(asked) == 1 else None

    assert open_signer(str(path), ask, at=now).certificate == leaf.certificate
    assert asked == ["Passphrase"]
    with pytest.raises(UsageError):
        open_signer(str(path), ask, at=now)


def test_a_file_that_is_missing_or_a_uri_that_is_wrong_asks_for_nothing(tmp_path: Path) -> None:
    for name in (
        str(tmp_path / "none"),
        str(tmp_path),
        "pkcs11:token=x",
        "pkcs11:token=x?pin-value=1",
    ):
        with pytest.raises(UsageError):
            open_signer(name, never)
