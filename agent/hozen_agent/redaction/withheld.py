"""The secrets whose content is never stored: one rule for every file request, whatever makes it (law M16, P01).

By name and place, definitions/withheld.txt: these files are not even opened. By content: a file that begins as a
private key, key store or password store does is dropped after its first bytes. Existence, owner, mode and times are
recorded; no hash, since a short secret can be guessed from it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from hozen_hashes.errors import InternalError

TABLE: Final = os.path.join(
    os.path.dirname(os.path.dirname(__file__)), "definitions", "withheld.txt"
)
# Asks for a shadow or passwd file with a word in place of each hash.
AGING: Final = "password_hash:aging"

_PEM_KEY: Final = re.compile(
    rb"^[ \t]*-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", re.MULTILINE
)
# Directories where a key is looked for also behind other text; elsewhere such a file is evidence.
_KEY_PLACE: Final = re.compile(rb".*/(?:\.ssh|ssh|\.gnupg|ssl|tls|pki|private)(?:/|\Z)", re.DOTALL)
# An ELF core (e_type 4, either byte order): the memory of a process, with all it knew.
_ELF_CORE: Final = re.compile(rb"\x7fELF.{12}(?:\x04\x00|\x00\x04)", re.DOTALL)
_BEGINNINGS: Final = (
    (b"PuTTY-User-Key-File-", "private_key"),
    (b"AGE-SECRET-KEY-", "private_key"),
    (b"SSH PRIVATE KEY FILE FORMAT 1.1\n", "private_key"),
    (b"untrusted comment: minisign encrypted secret key", "private_key"),
    (b"\xfe\xed\xfe\xed", "private_key"),  # Java key store
    (b"\xce\xce\xce\xce", "private_key"),  # the same, JCE
    (b"(11:private-key", "private_key"),  # GnuPG
    (b"(21:protected-private-key", "private_key"),
    (b"(20:shadowed-private-key", "private_key"),
    (b"\x05\x02\x00\x00", "keytab"),
    (b"\x05\x04\x00\x0c", "keytab"),  # credential cache
    (b"\x03\xd9\xa2\x9a", "wallet"),  # KeePass
    (b"GnomeKeyring\n\r\x00\n", "wallet"),
    (b"KWALLET\n\r\x00\r\n", "wallet"),
    (b"KDUMP   ", "process_memory"),  # makedumpfile(8)
    (b"makedumpfile\0", "process_memory"),
    (b"ProblemType: Crash", "process_memory"),  # apport: environment, maps and core in one text
)
# First bytes with which any of these can begin; every other file is not looked at further.
SUSPECT: Final = frozenset(b"-BPASu(GKm#\x7f\xef \t\r\n\xfe\xce\x05\x03")

_PSEUDO: Final = re.compile(
    rb"/proc/(?:version|modules|filesystems|mounts|partitions|swaps|meminfo|cpuinfo|interrupts|ioports|iomem|uptime"
    rb"|loadavg|stat|devices|misc|locks|diskstats|buddyinfo|slabinfo|vmstat|crypto|dma|fb|mdstat|cgroups|consoles"
    rb"|net/[a-z0-9_/]+|sys/(?:kernel|vm|fs|net|user|dev)/[A-Za-z0-9_./-]+|self/(?:mountinfo|mounts|mountstats))\Z"
    rb"|/sys/(?:module/.+|class/dmi/id/[a-z_]+|kernel/(?:uevent_helper|kexec_[a-z_]+)|power/[a-z_]+"
    rb"|firmware/acpi/tables/[A-Z0-9]+|bus/pci/devices/[^/]+/(?:vendor|device|class|config))\Z"
)
_PASSWD_ENDS: Final = (b"/passwd", b"/group", b"/passwd-", b"/group-")
_PASSWD_COPY: Final = re.compile(rb"/(?:passwd|group)[.~+][^/]*\Z")
_NOT_A_HASH: Final = re.compile(rb"(?:[x*!]|!!|\*LK\*|\*NP\*|NP|LK|!\*|)\Z")
_SHORTEST_HASH: Final = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        why: the reason for the record; `not` for no secret.
        text: the pattern as written.
        pattern: matches the last component, or the whole path when `directory` is set.
        directory: matches every directory in which the rule can match a path.
    """

    why: str
    text: bytes
    pattern: re.Pattern[bytes]
    directory: re.Pattern[bytes] | None


def parse_table(text: bytes) -> tuple[Rule, ...]:
    """Return the rules of the table in their order; the last that matches decides.

    Raises:
        InternalError: a line is not `why  pattern`.
    """
    rules = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        why, _, rest = line.partition(b" ")
        pattern = rest.strip()
        if not pattern or not re.fullmatch(rb"[a-z_]+", why):
            raise InternalError(f"definitions/withheld.txt:{number}: not `why  pattern`")
        rules.append(_rule(why.decode(), pattern))
    return tuple(rules)


def _rule(why: str, pattern: bytes) -> Rule:
    if b"/" not in pattern:
        compiled = re.compile(_regex(pattern) + rb"\Z", re.DOTALL | re.IGNORECASE)
        return Rule(why, pattern, compiled, None)
    before = b"" if pattern.startswith(b"/") else b"(?:.*/)"
    head, _, tail = pattern.rpartition(b"/")
    below = rb"(?:/.*)?\Z" if b"**" in tail else rb"\Z"
    return Rule(
        why,
        pattern,
        re.compile(before + _regex(pattern) + rb"\Z", re.DOTALL),
        re.compile(before + _regex(head) + below, re.DOTALL),
    )


def _regex(pattern: bytes) -> bytes:
    glob = {b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]"}
    parts = re.split(rb"(\*\*|\*|\?)", pattern)
    return b"".join(glob.get(part, re.escape(part)) for part in parts)


class _Table:
    """The rules, arranged so that a file that is no secret costs next to nothing."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        names = [rule for rule in rules if rule.directory is None and rule.why != "not"]
        texts = [rule.text.lower() for rule in names]
        self.exact = frozenset(text for text in texts if b"*" not in text and b"?" not in text)
        self.ends = tuple(
            t[1:] for t in texts if t[:1] == b"*" and b"*" not in t[1:] and b"?" not in t
        )
        self.begins = tuple(
            t[:-1] for t in texts if t[-1:] == b"*" and b"*" not in t[:-1] and b"?" not in t
        )
        plain = {*self.exact, *(b"*" + t for t in self.ends), *(t + b"*" for t in self.begins)}
        rest = [rule.pattern.pattern for rule in names if rule.text.lower() not in plain]
        self.rest = re.compile(b"|".join(b"(?is:" + text + b")" for text in rest or [b"(?!)"]))
        places = [rule.directory.pattern for rule in rules if rule.directory is not None]
        self.places = re.compile(b"|".join(b"(?s:" + text + b")" for text in places or [b"(?!)"]))


@cache
def _table() -> _Table:
    with open(TABLE, "rb") as file:
        return _Table(parse_table(file.read()))


@lru_cache(maxsize=4096)
def _known_place(directory: bytes) -> bool:
    """Return whether some rule for places can match a path in the directory."""
    return _table().places.match(directory) is not None


def by_name(path: bytes) -> str:
    """Return why the content of `path` is not read, by its name and place, or an empty string."""
    table = _table()
    cut = path.rfind(b"/")
    name = path[cut + 1 :]
    low = name.lower()
    if not (
        low in table.exact
        or low.endswith(table.ends)
        or low.startswith(table.begins)
        or _known_place(path[:cut])
        or table.rest.match(low)
    ):
        return ""
    found = ""
    for rule in table.rules:
        if rule.pattern.match(name if rule.directory is None else path):
            found = "" if rule.why == "not" else rule.why
    return found


def key_place(directory: bytes) -> bool:
    """Return whether keys are kept in the directory, so that `by_content` is asked to look everywhere."""
    return _KEY_PLACE.match(directory) is not None


def by_content(head: bytes, *, anywhere: bool = False) -> str:
    """Return why a file that begins with `head` is not stored, or an empty string.

    A key may follow certificates or comments, as `cat cert key > both.pem`, openssl pkcs12 and age-keygen make it;
    with `anywhere` it may follow any text.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    looked = anywhere or text.startswith((b"-----BEGIN ", b"Bag Attributes"))
    if looked and _PEM_KEY.search(text):
        return "private_key"
    if _ELF_CORE.match(head):
        return "process_memory"
    if text.startswith(b"# created: ") and b"\nAGE-SECRET-KEY-" in text:
        return "private_key"
    return next((why for magic, why in _BEGINNINGS if text.startswith(magic)), "")


def pseudo_allowed(path: bytes) -> bool:
    """Return whether a file of procfs or sysfs may be read by name: reading it changes and consumes nothing."""
    return _PSEUDO.match(path) is not None


def may_hold_hashes(path: bytes) -> bool:
    """Return whether the file is of the kind of passwd(5) or group(5), where old systems kept hashes."""
    return path.endswith(_PASSWD_ENDS) or _PASSWD_COPY.search(path) is not None


def holds_hash(text: bytes) -> bool:
    """Return whether the second field of a line, as in passwd(5), can be a password hash."""
    return any(
        _is_hash(fields[1]) for line in text.split(b"\n") if len(fields := line.split(b":")) > 1
    )


def _is_hash(field: bytes) -> bool:
    return not _NOT_A_HASH.match(field) and len(field.lstrip(b"!*")) >= _SHORTEST_HASH


def without_hashes(text: bytes) -> bytes:
    """Return passwd(5), shadow(5) or group(5) lines with a word in place of each second field."""
    return b"\n".join(map(_line_without_hash, text.split(b"\n")))


def _line_without_hash(line: bytes) -> bytes:
    fields = line.split(b":")
    if len(fields) < 2:  # noqa: PLR2004 - no second field
        return b"[not a line of fields]" if line.strip() else b""
    word = fields[1]
    if word.startswith(b"!"):
        fields[1] = b"[locked]"
    elif not word:
        fields[1] = b"[empty]"
    elif word != b"x":
        fields[1] = b"[none]" if _NOT_A_HASH.match(word) else b"[set]"
    return b":".join(fields)
