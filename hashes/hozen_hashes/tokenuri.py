"""`pkcs11:` URIs name a key in a token (RFC 7512); a PIN in one is refused, because arguments can be seen by all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from hozen_hashes.errors import UsageError

SCHEME: Final = "pkcs11:"
_EXAMPLE: Final = "pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so"
_MAX: Final = 4096
_PATH: Final = frozenset({"token", "serial", "object", "id", "type"})
_QUERY: Final = frozenset({"module-path"})


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which token, which key in it, and which library speaks to it.

    Attributes:
        module: path of the PKCS #11 library.
        token: label of the token, or empty for the only one.
        serial: serial number of the token, or empty.
        label: of the key, or empty.
        key_id: of the key, or empty.
    """

    module: str
    token: str = ""
    serial: str = ""
    label: str = ""
    key_id: bytes = b""


def is_token_uri(text: str) -> bool:
    """Return whether an identity is named by a token URI and not by a file."""
    return text.startswith(SCHEME)


def parse_token_uri(text: str) -> TokenUri:
    """Return the parts of a `pkcs11:` URI.

    Raises:
        UsageError: it holds a PIN, an attribute that is not supported, or no module-path.
    """
    if not is_token_uri(text) or len(text) > _MAX:
        raise UsageError("not a pkcs11: URI", hint=f"Write it like {_EXAMPLE}")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    if "pin-value" in query or "pin-source" in query:
        raise UsageError(
            "a pkcs11: URI must not carry a PIN",
            hint="Give the PIN by --passphrase-file FILE, by - for standard input, or at the prompt.",
        )
    fields = _fields(path, ";", _PATH)
    module = _text(_fields(query, "&", _QUERY).get("module-path", b""))
    if not module:
        raise UsageError(
            "the pkcs11: URI names no library", hint=f"Add module-path, as in {_EXAMPLE}"
        )
    if fields.get("type", b"private") != b"private":
        raise UsageError(
            "the pkcs11: URI names no private key", hint="Leave type away, or write type=private."
        )
    return TokenUri(
        module=module,
        token=_text(fields.get("token", b"")),
        serial=_text(fields.get("serial", b"")),
        label=_text(fields.get("object", b"")),
        key_id=fields.get("id", b""),
    )


def _fields(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if not equals or name not in known or name in found:
            raise UsageError(
                f"the pkcs11: URI has a part that is not supported: {name}",
                hint=f"Example: {_EXAMPLE}",
            )
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise UsageError("the pkcs11: URI has a name that is not UTF-8") from None
    if "\0" in text:
        raise UsageError("the pkcs11: URI has a name with a zero byte")
    return text
