"""Network settings of the host, with passphrases and keys in them replaced before anything is stored (law M16)."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from hozen_agent.context import FileRequest
from hozen_agent.reading.files import again, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.items import Attempt

# Files of connections that are nothing but a secret are withheld by name (definitions/withheld.txt).
PATTERNS: Final = (
    b"/etc/network/interfaces", b"/etc/network/interfaces.d/*", b"/etc/netplan/*", b"/run/netplan/*",
    b"/etc/NetworkManager/NetworkManager.conf", b"/etc/NetworkManager/conf.d/*", b"/etc/NetworkManager/dispatcher.d/**",
    b"/etc/NetworkManager/system-connections/*", b"/run/NetworkManager/system-connections/*",
    b"/run/NetworkManager/resolv.conf", b"/run/NetworkManager/devices/*", b"/var/lib/NetworkManager/*.lease",
    b"/var/lib/NetworkManager/timestamps", b"/etc/systemd/network/**", b"/run/systemd/network/**",
    b"/run/systemd/netif/**", b"/run/systemd/resolve/*", b"/etc/systemd/resolved.conf",
    b"/etc/systemd/resolved.conf.d/*", b"/etc/systemd/networkd.conf", b"/etc/sysconfig/network",
    b"/etc/sysconfig/network-scripts/*", b"/etc/sysconfig/network/*", b"/etc/resolvconf/**", b"/etc/dhcp/**",
    b"/etc/dhcpcd.conf", b"/var/lib/dhcp/*", b"/var/lib/dhclient/*", b"/var/lib/dhcpcd/*", b"/etc/dnsmasq.conf",
    b"/etc/dnsmasq.d/*", b"/var/lib/misc/dnsmasq.leases", b"/etc/unbound/*.conf", b"/etc/wpa_supplicant/*",
    b"/etc/nftables.conf", b"/etc/nftables/*", b"/etc/iptables/*", b"/etc/sysconfig/iptables",
    b"/etc/sysconfig/ip6tables", b"/etc/ufw/*", b"/etc/firewalld/**", b"/etc/wireguard/*", b"/etc/hosts.d/*",
    b"/etc/gai.conf", b"/etc/iproute2/*", b"/etc/ethers",
)  # fmt: skip
MAX_FILE: Final = 4 << 20
# One way to read each line: with two, a line of blanks or of repeated words would take for ever.
_LINE: Final = re.compile(
    rb"^(?P<head>[ \t]*(?:-[ \t]+)?(?:\{[{ \t]*)?[\"']?(?P<name>[\w.-]+)[\"']?[ \t]*[:= \t][ \t]*)(?P<value>[^\r\n]+)",
    re.MULTILINE,
)
_SECRET: Final = re.compile(
    rb"psk|passw|passphrase|secret|private[-_]?key|preshared[-_]?key|wep[-_]?key|wireless[-_]key|wpa[-_]?key|sae[-_]"
    rb"|(?<![\w-])(?:key\d?|private|shared)(?![\w-])",
    re.IGNORECASE,
)
# netplan on one line: `wg0: {key: x}`, `keys: {private: x, shared: y}`.
_FLOW: Final = re.compile(
    rb"(?P<head>[{,][ \t]*[\"']?(?:key|private|shared)[\"']?[ \t]*:[ \t]+)(?P<value>[^\s,}][^\r\n,}]*)",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(rb"(?:file|flags|mgmt)[\"']?[ \t]*[:= \t][ \t]*\Z", re.IGNORECASE)
_MARK: Final = 64  # before the value: enough for the longest of these words


def without_secrets(text: bytes) -> tuple[bytes, int]:
    """Return a settings file with a word in place of each passphrase and key, and how many there were."""
    count = 0

    def replaced(found: re.Match[bytes]) -> bytes:
        nonlocal count
        value = found["value"]
        if "name" in found.groupdict() and not _SECRET.search(found["name"]):
            return found[0]
        # Where a key lies, or of which kind it is, is no secret; another rule may have been here first.
        if _PLACE.search(found["head"][-_MARK:]) or b"[redacted:" in value:
            return found[0]
        count += 1
        return found["head"] + b"[redacted:network_secret:%d]" % len(value)

    return _FLOW.sub(replaced, _LINE.sub(replaced, text)), count


def settings(ctx: Context, artifact: str) -> Iterator[Attempt]:
    """Yield an attempt for every settings file that is there."""
    paths = ctx.match(PATTERNS)
    requests = (
        FileRequest(artifact=artifact, path=path, ext="txt", max_bytes=MAX_FILE) for path in paths
    )
    yield from cleaned(ctx, ctx.files(requests))


def cleaned(ctx: Context, attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    """Yield the attempts of settings files, each without its passphrases and keys."""
    for attempt in attempts:
        if attempt.data is None or attempt.kind != "file":
            yield attempt
            continue
        data, failure = whole(attempt)
        counts: dict[str, int] = {}
        clean, count = without_secrets(ctx.redactor.text(data, counts))
        if count:
            counts["network_secret"] = count
        done = replace(attempt, data=again(clean, failure))
        if clean != data:
            # Keys do not even go to kept originals: no profile collects them.
            first = partial(again, without_secrets(data)[0], failure)
            done = replace(
                done, method="derived", kind="record", after=None, redacted=counts, unredacted=first
            )
        yield done
