"""For whom a capture is encrypted: age recipients, and certificates by one-time age keys (bundle-v1 §10).

The secret of a one-time key is made, enveloped and forgotten in a short-lived child, before this process has any key:
the computer that is examined can make the bundle and cannot open it.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hozen_agent import hardening
from hozen_hashes.agekeys import parse_recipient
from hozen_hashes.errors import InternalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from hozen_hashes.agekeys import Recipient

PATIENCE: Final = 30.0  # seconds for the child
_MAX_FILE: Final = 1 << 20
_MAX_ANSWER: Final = 1 << 20
_NOISE: Final = re.compile(r"[\s:]")
_SINGLE: Final = (
    "only one recipient: whoever loses that one key loses the bundle; name a second one",
    "受信者が1名のみです。その鍵を失うと開けません。2名以上を指定してください",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """The one-time key of a certificate's holder.

    Attributes:
        recipient: its public half.
        certificate_sha256, subject: of the certificate.
        p7m: the secret half, enveloped for the certificate (CMS EnvelopedData, DER).
    """

    recipient: Recipient
    certificate_sha256: str
    subject: str
    p7m: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressees:
    """Who can open the bundle.

    Attributes:
        recipients: every age key, those of `wrapped` among them.
        warnings: for screen and journal, English and Japanese.
        remarks: for the journal.
    """

    recipients: tuple[Recipient, ...] = ()
    wrapped: tuple[Wrapped, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


def resolve(
    texts: Sequence[str], *, listed: Sequence[str] | None = None, recovery: Sequence[str] = ()
) -> Addressees:
    """Return who can open the bundle; must be called before the process holds a key.

    Args:
        texts: `age1…`, or the path of a PEM certificate.
        listed: what the case file allows: `age1…` or SHA-256 of certificates; None: it says nothing.
        recovery: one of these must be among them.

    Raises:
        UsageError: a text is neither, is not in the case file, or none is for recovery.
        FormatError, LimitError: a file that is no certificate.
    """
    texts = tuple(dict.fromkeys(texts))
    if not texts:
        if recovery:
            raise UsageError(
                "the profile requires a recovery recipient",
                hint=f"add --recipient {recovery[0]}",
            )
        return Addressees()
    certificates = [_certificate(Path(text)) for text in texts if _is_file(text)]
    plain = [parse_recipient(text) for text in texts if not _is_file(text)]
    names = [str(one) for one in plain] + [_fingerprint(one) for one in certificates]
    remarks = [_confirmed(names, listed)]
    if recovery and not set(names) & {_name(one) for one in recovery}:
        raise UsageError(
            "no recipient is a recovery recipient of the profile",
            hint=f"add --recipient {recovery[0]}",
        )
    warnings = [_SINGLE] if len(names) == 1 else []
    warnings += [_late(one) for one in certificates if one.not_valid_after_utc < datetime.now(UTC)]
    wrapped = _wrap(certificates)
    return Addressees(
        recipients=(*plain, *(one.recipient for one in wrapped)),
        wrapped=wrapped,
        warnings=tuple(warnings),
        remarks=tuple(remarks),
    )


def _is_file(text: str) -> bool:
    return not text.startswith("age1") and Path(text).is_file()


def _certificate(path: Path) -> x509.Certificate:
    from hozen_hashes.cmswrap import read_certificate

    try:
        with path.open("rb") as file:
            return read_certificate(file.read(_MAX_FILE))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _fingerprint(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()


def _name(listed: str) -> str:
    """Return an entry of a list in its one spelling: `age1…`, or 64 hexadecimal digits."""
    return _NOISE.sub("", listed.lower().removeprefix("sha256:"))


def _confirmed(names: Sequence[str], listed: Sequence[str] | None) -> str:
    if listed is None:
        return "the case file names no recipients: they were not confirmed against it"
    allowed = {_name(one) for one in listed}
    for name in names:
        if name not in allowed:
            raise UsageError(
                f"the recipient {name} is not in the case file",
                hint="compare the fingerprint with its owner; only then add it to recipients: in the case file",
            )
    return f"the recipients are in the case file: {', '.join(names)}"


def _late(certificate: x509.Certificate) -> tuple[str, str]:
    name, end = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
    return (
        f"the recipient's certificate expired at {end:%Y-%m-%d}: {name}",
        f"受信者の証明書の有効期間が終了しています({end:%Y-%m-%d}): {name}",
    )


def _wrap(certificates: Sequence[x509.Certificate]) -> tuple[Wrapped, ...]:
    if not certificates:
        return ()
    lines = _from_child(certificates).splitlines()
    if len(lines) != len(certificates):
        raise InternalError("the one-time keys for the certificates could not be made")
    pairs = [line.split(" ") for line in lines]
    return tuple(
        Wrapped(
            recipient=parse_recipient(recipient),
            certificate_sha256=_fingerprint(certificate),
            subject=certificate.subject.rfc4514_string(),
            p7m=bytes.fromhex(p7m),
        )
        for (recipient, p7m), certificate in zip(pairs, certificates, strict=True)
    )


def _from_child(certificates: Sequence[x509.Certificate]) -> str:
    """Return what the child says: a line for each certificate, recipient and enveloped secret in hexadecimal."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            hardening.harden()
            _write_all(writing, _made(certificates).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    try:
        return _read_all(reading).decode("ascii", "replace")
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # it has said everything, or took too long
        os.waitpid(pid, 0)


def _made(certificates: Sequence[x509.Certificate]) -> str:
    """Return the child's answer; the secrets are in this process alone."""
    from hozen_hashes.agekeys import new_identity
    from hozen_hashes.cmswrap import envelop

    lines = []
    for certificate in certificates:
        made = new_identity()
        p7m = envelop(f"{made.secret()}\n".encode(), certificate)
        lines.append(f"{made.recipient} {p7m.hex()}\n")
    return "".join(lines)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_all(descriptor: int) -> bytes:
    until, found = time.monotonic() + PATIENCE, bytearray()
    while len(found) < _MAX_ANSWER:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        chunk = os.read(descriptor, 1 << 16) if ready else b""
        if not chunk:
            break
        found += chunk
    return bytes(found)
