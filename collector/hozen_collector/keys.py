"""The keys of one collector on disk, each private one 0600, and the card that names them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509

from hozen_collector import durable
from hozen_collector.certificates import fingerprint
from hozen_collector.identity.authority import Authority, Pair, new_root, read_pair
from hozen_hashes.errors import FormatError
from hozen_hashes.identity import KeyIdentity
from hozen_hashes.note import SigningKey, VerifierKey
from hozen_hashes.receipt import receipt_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hozen_collector.layout import Layout

_RENEW_BEFORE: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a serving collector signs with."""

    authority: Authority
    server: Pair
    receipts: KeyIdentity
    log: SigningKey

    @property
    def log_key(self) -> VerifierKey:
        """The public half of the log's key; its name is the origin."""
        return self.log.verifier

    @property
    def ca_sha256(self) -> str:
        """The fingerprint of the root."""
        return fingerprint(self.authority.root.certificate)


def new_keys(*, name: str, hosts: Sequence[str]) -> Keys:
    """Make all keys of a collector; the log's origin is `hosts[0]/name`.

    Raises:
        FormatError: the name cannot be part of an origin.
    """
    authority = Authority(new_root(name))
    log = SigningKey.generate(f"{hosts[0]}/{name}")
    receipts = authority.receipts(name, receipt_uri(log.verifier.name))
    return Keys(
        authority=authority,
        server=authority.server(hosts),
        receipts=_identity(receipts, authority),
        log=log,
    )


def write_keys(layout: Layout, keys: Keys) -> None:
    """Make the keys durable in an empty directory.

    Raises:
        CannotWriteError: a file is there already, or the disk refuses.
    """
    root = keys.authority.root
    receipts = Pair(keys.receipts.key, keys.receipts.certificate)  # type: ignore[arg-type]
    for name, pair in (("ca", root), ("server", keys.server), ("receipts", receipts)):
        durable.create_file(layout.keys / f"{name}.key", pair.key_pem())
        durable.create_file(layout.keys / f"{name}.pem", pair.certificate_pem(), mode=0o644)
    durable.create_file(layout.keys / "log.key", keys.log.encode())
    durable.create_file(layout.keys / "log.vkey", keys.log_key.line, mode=0o644)


def read_keys(layout: Layout) -> Keys:
    """Read the keys of a collector.

    Raises:
        FormatError: a file is missing or damaged.
    """
    authority = Authority(_read(layout, "ca"))
    return Keys(
        authority=authority,
        server=_read(layout, "server"),
        receipts=_identity(_read(layout, "receipts"), authority),
        log=SigningKey.parse(_bytes(layout, "log.key")),
    )


def renew_server(layout: Layout, keys: Keys) -> Keys:
    """Give keys whose TLS certificate lasts for another 60 days at least, renewing it when it does not."""
    old = keys.server.certificate
    if old.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE:
        return keys
    server = keys.authority.server(host_names(old))
    durable.write_file(layout.keys / "server.key", server.key_pem(), mode=0o600)
    durable.write_file(layout.keys / "server.pem", server.certificate_pem(), mode=0o644)
    return Keys(authority=keys.authority, server=server, receipts=keys.receipts, log=keys.log)


def host_names(certificate: x509.Certificate) -> list[str]:
    """Give the host names and addresses that a server certificate is for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
        value
        for value in names.get_values_for_type(x509.IPAddress)
        if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    return names.get_values_for_type(x509.DNSName) + [str(address) for address in addresses]


def card(keys: Keys) -> str:
    """Give the card that lets a stranger, years later, trust a receipt: to be printed and kept apart."""
    root = keys.authority.root.certificate
    return "\n".join(
        (
            "Hozen collector card / 収集サーバー カード",
            "Print it and keep it apart from the collector. / 印刷し、収集サーバーとは別に保管してください。",
            "",
            "root certificate, SHA-256 / ルート証明書の指紋",
            f"  {_grouped(keys.ca_sha256)}",
            f"  valid until / 有効期限  {root.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            "log key (sha256sum log.vkey) / ログ鍵の指紋",
            f"  {_grouped(keys.log_key.sha256)}",
            "log key line (log.vkey)",
            f"  {keys.log_key.line.decode().strip()}",
            "log origin / ログ名",
            f"  {keys.log_key.name}",
            "",
        )
    )


def _grouped(digest: str) -> str:
    return " ".join(digest[at : at + 8] for at in range(0, 64, 8))


def _identity(pair: Pair, authority: Authority) -> KeyIdentity:
    return KeyIdentity(pair.key, pair.certificate, (authority.root.certificate,), "enrolled")


def _read(layout: Layout, name: str) -> Pair:
    return read_pair(_bytes(layout, f"{name}.key"), _bytes(layout, f"{name}.pem"))


def _bytes(layout: Layout, name: str) -> bytes:
    try:
        return (layout.keys / name).read_bytes()
    except OSError as error:
        raise FormatError(
            f"the collector's key file {name} cannot be read: {error.strerror}",
            hint="Restore keys/ from its backup.",
        ) from error
