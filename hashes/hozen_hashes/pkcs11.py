"""Identities whose key stays in a token: smart card, security module, SoftHSM (PKCS #11; optional extra `pkcs11`)."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hozen_hashes import certificates
from hozen_hashes.errors import DeniedError, TryAgainError, UsageError
from hozen_hashes.identity import check_validity
from hozen_hashes.tokenuri import parse_token_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from cryptography import x509

    from hozen_hashes.tokenuri import TokenUri

_MAX_CHAIN = 8


class TokenIdentity:
    """A key in a token, with its certificate from the token; a `Signer`. `close` ends the session with it."""

    __slots__ = ("_key", "_library", "_session", "certificate", "chain")

    kind = "token"

    def __init__(
        self, library: ModuleType, session: Any, key: Any, path: Sequence[x509.Certificate]
    ) -> None:
        self._library, self._session, self._key = library, session, key
        self.certificate = path[0]
        self.chain = tuple(path[1:])

    @property
    def certificate_sha256(self) -> str:
        """SHA-256 of the certificate's DER bytes, lower-case hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def sign(self, data: bytes) -> bytes:
        """Return a signature over `data` with SHA-256: DER ECDSA or RSA PKCS #1 v1.5.

        Raises:
            TryAgainError: the token was taken away.
            DeniedError: the token refuses.
        """
        mechanisms = self._library.Mechanism
        with _refusals(self._library):
            if isinstance(self.certificate.public_key(), rsa.RSAPublicKey):
                return bytes(self._key.sign(data, mechanism=mechanisms.SHA256_RSA_PKCS))
            # The hash is made here: not every token hashes, and PKCS #11 gives r and s without DER (v2.40 §2.3.1).
            raw = self._key.sign(hashlib.sha256(data).digest(), mechanism=mechanisms.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(
            int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        )

    def close(self) -> None:
        """Log out of the token; raises as `sign`."""
        with _refusals(self._library):
            self._session.close()


def open_identity(uri: str, pin: bytes | None, *, at: datetime | None = None) -> TokenIdentity:
    """Return the identity that a `pkcs11:` URI names, logged in and ready to sign.

    Args:
        uri: `pkcs11:token=…;object=…?module-path=…`; never with a PIN.
        pin: of the user; a wrong one is tried once, because tokens lock themselves.
        at: the time for which the certificate must be valid; default the clock's.

    Raises:
        UsageError: the extra is not installed, the URI does not fit, no such token or key, wrong PIN, no certificate.
        DeniedError: the token refuses, for example because its PIN is locked.
        TryAgainError: no token is plugged in.
        SignatureError: a key of a kind that is not accepted, or a certificate that is not valid now.
    """
    wanted = parse_token_uri(uri)
    library = _library()
    with _refusals(library):
        session = _token(library, wanted).open(user_pin=_pin(pin))
    try:
        with _refusals(library):
            key = _private_key(library, session, wanted)
            path = _path(library, session, key)
        certificates.key_algorithm(path[0])
        check_validity(path[0], at or datetime.now(UTC))
    except BaseException:
        session.close()
        raise
    return TokenIdentity(library, session, key, path)


def _library() -> ModuleType:
    try:
        import pkcs11  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        raise UsageError(
            "keys in tokens need a part that is not installed",
            hint="Install it with: pip install 'hozen[pkcs11]'",
        ) from None
    return pkcs11


def _pin(pin: bytes | None) -> str:
    try:
        text = (pin or b"").decode()
    except UnicodeDecodeError:
        raise UsageError("the PIN is not UTF-8") from None
    if not text:
        raise UsageError(
            "the token needs a PIN",
            hint="Give it by --passphrase-file FILE, by -, or at the prompt.",
        )
    return text


def _token(library: ModuleType, wanted: TokenUri) -> Any:
    try:
        module = library.lib(wanted.module)
    except RuntimeError as error:  # what the binding raises when the library cannot be loaded
        raise UsageError(
            f"cannot load {wanted.module}: {error}", hint="Look at module-path in the URI."
        ) from None
    found = [
        slot.get_token()
        for slot in module.get_slots(token_present=True)
        if _fits(slot.get_token(), wanted)
    ]
    if not found:
        raise TryAgainError(
            "the token that the pkcs11: URI names is not there",
            hint="Plug it in, or look at token=.",
        )
    if len(found) > 1:
        raise UsageError(
            "several tokens fit the pkcs11: URI", hint="Name one with token= or serial=."
        )
    return found[0]


def _fits(token: Any, wanted: TokenUri) -> bool:
    if not token.flags & type(token.flags).TOKEN_INITIALIZED:
        return False  # never set up; such slots offer themselves too
    serial = (
        token.serial.decode("ascii", "replace")
        if isinstance(token.serial, bytes)
        else str(token.serial)
    )
    return wanted.token in ("", token.label.strip("\0 ")) and wanted.serial in (
        "",
        serial.strip("\0 "),
    )


def _private_key(library: ModuleType, session: Any, wanted: TokenUri) -> Any:
    template: dict[Any, Any] = {library.Attribute.CLASS: library.ObjectClass.PRIVATE_KEY}
    if wanted.label:
        template[library.Attribute.LABEL] = wanted.label
    if wanted.key_id:
        template[library.Attribute.ID] = wanted.key_id
    found = list(session.get_objects(template))
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} private keys of the token fit the pkcs11: URI",
            hint="Name one with object=LABEL or id=%01; see: pkcs11-tool --list-objects --login",
        )
    return found[0]


def _path(library: ModuleType, session: Any, key: Any) -> tuple[x509.Certificate, ...]:
    """Return the certificate with the key's id, and those of the token that lie above it."""
    template = {library.Attribute.CLASS: library.ObjectClass.CERTIFICATE}
    own: list[x509.Certificate] = []
    others: list[x509.Certificate] = []
    for item in session.get_objects(template):
        certificate = certificates.load_der(bytes(item[library.Attribute.VALUE]))
        (own if bytes(item[library.Attribute.ID]) == bytes(key.id) else others).append(certificate)
    if len(own) != 1:
        raise UsageError(
            f"the token has {len(own)} certificates with the id of the key; one is needed",
            hint="Put it into the token with the same id as the key.",
        )
    path = [own[0]]
    while len(path) < _MAX_CHAIN and (above := _issuer(path[-1], others)) is not None:
        others.remove(above)
        path.append(above)
    return tuple(path)


def _issuer(
    certificate: x509.Certificate, others: list[x509.Certificate]
) -> x509.Certificate | None:
    for other in others:
        try:
            certificate.verify_directly_issued_by(other)
        except (*certificates.PARSE_ERRORS, InvalidSignature):
            continue
        return other
    return None


@contextmanager
def _refusals(library: ModuleType) -> Iterator[None]:
    """Turn the binding's errors into ours."""
    errors = library.exceptions
    try:
        yield
    except (errors.PinIncorrect, errors.PinInvalid, errors.PinLenRange):
        raise UsageError(
            "the token refuses the PIN",
            hint="It locks itself after a few wrong ones; look before the next try.",
        ) from None
    except (
        errors.DeviceRemoved,
        errors.TokenNotPresent,
        errors.SessionHandleInvalid,
        errors.SessionClosed,
    ):
        raise TryAgainError("the token was taken away", hint="Plug it in again.") from None
    except errors.PKCS11Error as error:
        raise DeniedError(f"the token refuses: {type(error).__name__} {error}".rstrip()) from None
