"""What this computer keeps of its enrolment: who it is, its two keys, and which collector and log it believes.

State directory: `/etc/hozen` for root, else `~/.config/hozen`, or what HOZEN_STATE names; directories 0700, files
0600. One directory a collector: `collectors/<host>_<port>/` with enrolment.json, ca.pem, log.vkey, transport.pem
(TLS only) and evidence.pem (seals only). While an enrolment is under way its keys lie in `….pending/`, so that an
answer that was lost can be asked for again with the same keys.
"""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from hozen_agent import courier
from hozen_agent.sending.replies import API, Endpoint, RefusedError, checked, parse_url
from hozen_agent.sending.tokens import ASK
from hozen_hashes import newfile, receipt
from hozen_hashes.certificates import load_certificates, pem_blocks
from hozen_hashes.errors import (
    CannotWriteError,
    DeniedError,
    FormatError,
    MismatchError,
    SignatureError,
    UsageError,
)
from hozen_hashes.identity import (
    KeyIdentity,
    identity_of,
    load_identity,
    make_csr,
    new_key,
    write_identity,
)
from hozen_hashes.jsonl import dump_line, parse_object
from hozen_hashes.keyfile import decode_key, encode_key
from hozen_hashes.names import rfc3339
from hozen_hashes.note import VerifierKey, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from hozen_agent.sending.tokens import Token

_MAX_FILE: Final = 256 << 10
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FIELDS: Final = ("transport", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """This computer's standing with one collector."""

    endpoint: Endpoint
    agent_id: str
    host: str
    enrolled: str
    root: x509.Certificate
    log_key: VerifierKey
    directory: Path

    @property
    def transport(self) -> Path:
        """The file with the TLS key and its certificate."""
        return self.directory / "transport.pem"

    def evidence(self) -> KeyIdentity:
        """Return the identity that seals.

        Raises:
            SignatureError: its certificate is not valid now.
            FormatError, UsageError: its file cannot be used.
        """
        return load_identity(_private(self.directory / "evidence.pem"), None, kind="enrolled")

    def verify_receipt(
        self,
        files: Mapping[str, bytes],
        *,
        seal: str | None,
        container: str | None,
        signature: str | None,
        bundle: str | None,
    ) -> receipt.VerifiedReceipt:
        """Return a receipt for which the pinned log or root vouches.

        Raises:
            SignatureError: nobody that we know vouches for it, or a part does not hold.
            MismatchError: it is about something else.
            FormatError, LimitError: it is none.
        """
        found = receipt.verify_receipt(
            files,
            seal=seal,
            container=container,
            signature=signature,
            at=datetime.now(UTC),
            roots=[self.root],
            log_keys=[self.log_key],
            bundle=bundle,
        )
        if found.anchor is None or found.leaf_index is None:
            raise SignatureError("the collector's receipt is not vouched for by its log")
        return found


def state_directory() -> Path:
    """Return where this user's enrolments are."""
    if named := os.environ.get("HOZEN_STATE"):
        return Path(named)
    return Path("/etc/hozen") if os.geteuid() == 0 else Path.home() / ".config" / "hozen"


def enrol(
    url: str,
    token: Token,
    *,
    host: str | None = None,
    state: Path | None = None,
    replace: bool = False,
) -> Enrolment:
    """Return this computer's new enrolment, stored.

    Args:
        url: of the collector.
        token: with the fingerprints that decide whom we talk to.
        host: this computer's name; default the system's.
        state: default `state_directory()`.
        replace: keep an enrolment that is there already under another name, and make a new one.

    Raises:
        UsageError: it is enrolled there already.
        DeniedError: the collector refuses the token.
        SignatureError: the other side is not the collector that made the token.
        MismatchError: it gave certificates for other keys, or another log.
        TryAgainError: it is out of reach; the same call goes on.
        CannotWriteError: the state cannot be stored.
    """
    endpoint = parse_url(url)
    place = _place(endpoint, state or state_directory())
    if not replace:
        newfile.check_absent(place)
    root = courier.fetch_root(endpoint, token.ca_sha256)
    pending = place.with_name(place.name + ".pending")
    name = host or os.uname().nodename
    answer, keys = _apply(endpoint, root, pending, token, name)
    log_key = parse_vkey(_text(answer, "log_vkey").encode())
    if log_key.sha256 != token.log_sha256:
        raise MismatchError("the collector named another log than the token does", hint=ASK)
    for field, key in keys.items():
        identity = _identity(key, _text(answer, f"{field}_certificate"), root)
        newfile.replace(pending / f"{field}.pem", write_identity(identity, None))
    facts = {
        "format": "hozen-enrolment/1",
        "url": endpoint.url,
        "agent_id": _text(answer, "agent_id"),
        "host": name,
        "enrolled": rfc3339(time.time_ns()),
    }
    newfile.replace(pending / "ca.pem", root.public_bytes(Encoding.PEM))
    newfile.replace(pending / "log.vkey", log_key.line)
    newfile.replace(pending / "enrolment.json", dump_line(facts))
    return _finish(pending, place)


def load_enrolment(url: str, *, state: Path | None = None) -> Enrolment:
    """Return the enrolment with the collector at `url`.

    Raises:
        UsageError: this computer is not enrolled there.
        DeniedError: others can read its keys.
        FormatError: its files are damaged.
    """
    endpoint = parse_url(url)
    place = _place(endpoint, state or state_directory())
    if not place.is_dir():
        raise UsageError(
            f"this computer is not enrolled with {endpoint.url}",
            hint=f"hozen enroll --to {endpoint.url} --token-file FILE",
        )
    return _load(place)


def enrolments(*, state: Path | None = None) -> list[Enrolment]:
    """Return every enrolment of this user, the newest first; errors as `load_enrolment`."""
    folder = (state or state_directory()) / "collectors"
    places = [p for p in folder.glob("*") if p.is_dir() and p.suffix not in (".pending", ".old")]
    return sorted(map(_load, places), key=lambda found: found.enrolled, reverse=True)


def evidence_identity(*, state: Path | None = None) -> KeyIdentity | None:
    """Return the identity that seals, of the newest enrolment, or None; errors as `Enrolment.evidence`."""
    found = enrolments(state=state)
    return found[0].evidence() if found else None


def _apply(
    endpoint: Endpoint, root: x509.Certificate, pending: Path, token: Token, host: str
) -> tuple[dict[str, object], dict[str, EllipticCurvePrivateKey]]:
    """Return the collector's answer and the keys it is about; new keys where it knows the old ones otherwise."""
    resumed = pending.is_dir()
    keys = {field: _pending_key(pending, field) for field in _FIELDS}
    body = {"token": token.text, "host": host} | {
        f"{field}_csr": make_csr(key, host).decode() for field, key in keys.items()
    }
    channel = courier.Channel(endpoint, courier.client_context(root, None))
    try:
        answer = channel.call(
            "POST",
            f"{API}/enroll",
            {"Content-Type": "application/json"},
            json.dumps(body).encode(),
        )
        return checked(answer).json(), keys
    except RefusedError:
        _discard(pending)
        if not resumed:
            raise
    except DeniedError:
        _discard(pending)
        raise
    finally:
        channel.close()
    return _apply(endpoint, root, pending, token, host)


def _pending_key(pending: Path, field: str) -> EllipticCurvePrivateKey:
    """Return the key of an enrolment that is under way; made, and durable, when there is none."""
    path = pending / f"{field}.key"
    if path.exists():
        key = decode_key(list(pem_blocks(_private(path))), None)
        if isinstance(key, EllipticCurvePrivateKey):
            return key
    _make_directory(pending)
    made = new_key()
    newfile.replace(path, encode_key(made, None))
    return made


def _identity(key: EllipticCurvePrivateKey, pem: str, root: x509.Certificate) -> KeyIdentity:
    """Return key and certificate; MismatchError when the certificate is another key's, or not by this root."""
    try:
        found = load_certificates(pem.encode())
        found[0].verify_directly_issued_by(root)
    except (FormatError, IndexError, ValueError, TypeError, InvalidSignature):
        raise MismatchError(
            "the collector gave a certificate that its root did not issue"
        ) from None
    try:
        return identity_of(key, [found[0], root], at=None, kind="enrolled")
    except SignatureError as error:
        raise MismatchError(f"the collector gave a wrong certificate: {error}") from None


def _finish(pending: Path, place: Path) -> Enrolment:
    """Give the finished state its name; one that is there keeps its keys under the name `….<seconds>.old`."""
    try:
        if place.exists():
            place.rename(place.with_name(f"{place.name}.{time.time_ns() // 10**9}.old"))
        pending.rename(place)
        for field in _FIELDS:
            (place / f"{field}.key").unlink(missing_ok=True)
    except OSError as error:
        raise CannotWriteError(f"cannot store the enrolment in {place}: {error.strerror}") from None
    return _load(place)


def _load(place: Path) -> Enrolment:
    facts = parse_object(_private(place / "enrolment.json"), what="enrolment.json")
    if facts.get("format") != "hozen-enrolment/1":
        raise FormatError(f"{place}: not an enrolment that this version understands")
    roots = load_certificates(_private(place / "ca.pem"))
    if len(roots) != 1:
        raise FormatError(f"{place}/ca.pem: not one certificate")
    _private(place / "transport.pem")
    return Enrolment(
        endpoint=parse_url(_text(facts, "url")),
        agent_id=_text(facts, "agent_id"),
        host=_text(facts, "host"),
        enrolled=_text(facts, "enrolled"),
        root=roots[0],
        log_key=parse_vkey(_private(place / "log.vkey")),
        directory=place,
    )


def _place(endpoint: Endpoint, state: Path) -> Path:
    """Return the directory of a collector; a host name has no character that a path would take amiss."""
    return state / "collectors" / f"{endpoint.host.replace(':', '-')}_{endpoint.port}"


def _private(path: Path) -> bytes:
    """Return a small file that only its owner, who must be us, can read or write."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid not in (os.geteuid(), 0) or found.st_mode & _OTHERS:
                raise DeniedError(
                    f"{path} can be read by others",
                    hint=f"chmod 600 {path}; then think about enrolling again.",
                )
            return file.read(_MAX_FILE)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="Enrol this computer again."
        ) from None


def _make_directory(path: Path) -> None:
    try:
        for one in (path.parent.parent, path.parent, path):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(
            f"cannot make {path}: {error.strerror}",
            hint="Look at its owner and mode, or set HOZEN_STATE.",
        ) from None


def _discard(pending: Path) -> None:
    """Drop keys that the collector does not want."""
    with suppress(OSError):
        for field in _FIELDS:
            (pending / f"{field}.key").unlink(missing_ok=True)
        pending.rmdir()


def _text(words: Mapping[str, object], name: str) -> str:
    value = words.get(name)
    if not isinstance(value, str) or not value:
        raise FormatError(f"enrolment: {name} is missing")
    return value
