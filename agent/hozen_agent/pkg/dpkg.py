"""The database of dpkg: the status file, the digests and lists of each package, diversions (deb(5), dpkg(1)).

Debian keeps MD5 only; it is the database's value and is compared as such, beside our own SHA-256 (law M05).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hozen_agent.pkg.model import Claim, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PACKAGES: Final = 200_000
_MD5: Final = re.compile(rb"[0-9a-f]{32}\Z")
_FIELD: Final = re.compile(
    rb"^(Package|Version|Architecture|Status):[ \t]*([^\n]*)", re.MULTILINE | re.IGNORECASE
)
_CONFFILES: Final = re.compile(rb"^Conffiles:[^\n]*\n((?:[ \t][^\n]*(?:\n|\Z))*)", re.MULTILINE)
_LOGGED: Final = re.compile(
    rb"^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) (install|upgrade|remove|purge) "
    rb"([^ \n]{1,300}) ([^ \n]{1,300}) ([^ \n]{1,300})$",
    re.MULTILINE,
)


def packages(status: bytes) -> Iterator[Package]:
    """Yield the packages of /var/lib/dpkg/status whatever their state; a paragraph without a name is passed over."""
    for number, paragraph in enumerate(re.split(rb"\n[ \t]*\n", status)):
        if number >= MOST_PACKAGES:
            return
        fields = {key.lower(): value.strip() for key, value in _FIELD.findall(paragraph)}
        if fields.get(b"package"):
            yield Package(
                "dpkg",
                fields[b"package"],
                fields.get(b"version", b""),
                fields.get(b"architecture", b""),
                fields.get(b"status", b""),
            )


def conffiles(status: bytes) -> Iterator[Claim]:
    """Yield the configuration files that the status file names with their MD5."""
    for number, paragraph in enumerate(re.split(rb"\n[ \t]*\n", status)):
        if number >= MOST_PACKAGES:
            return
        fields = {key.lower(): value.strip() for key, value in _FIELD.findall(paragraph)}
        for block in _CONFFILES.findall(paragraph):
            for line in block.split(b"\n"):
                words = line.strip().rsplit(b" ", 2 if line.endswith(b" obsolete") else 1)
                if len(words) > 1 and words[0].startswith(b"/") and _MD5.match(words[1]):
                    package = fields.get(b"package", b"")
                    yield Claim(words[0], package, "md5", words[1].decode(), config=True)


def md5sums(package: bytes, text: bytes) -> Iterator[Claim]:
    """Yield what a .md5sums file says; a line in another form is passed over."""
    for line in text.split(b"\n"):
        # 32 digits, two blanks, the path without its leading slash
        if line[32:34] == b"  " and _MD5.match(line[:32]):
            yield Claim(b"/" + line[34:], package, "md5", line[:32].decode())


def listed(text: bytes) -> set[bytes]:
    """Return the paths of a .list file."""
    return {line for line in text.split(b"\n") if line.startswith(b"/") and line != b"/."}


def diversions(text: bytes) -> dict[bytes, tuple[bytes, bytes]]:
    """Return of each diverted path where others' files went and which package diverts it (`:` is the administrator)."""
    lines = text.split(b"\n")
    triples = zip(lines[0::3], lines[1::3], lines[2::3], strict=False)
    return {path: (to, package) for path, to, package in triples if path.startswith(b"/")}


def package_of(name: bytes) -> bytes:
    """Return the package's name from that of a file in /var/lib/dpkg/info: `libc6:amd64.list` is `libc6`."""
    return name.rpartition(b".")[0].partition(b":")[0]


def logged(text: bytes) -> Iterator[dict[str, str]]:
    """Yield what dpkg.log says was done; its times are local, without a zone, and stay as written."""
    for when, what, package, old, new in _LOGGED.findall(text):
        words = (when, what, package, old, new)
        at, action, name, before, after = (word.decode("utf-8", "backslashreplace") for word in words)  # fmt: skip
        yield {"local_time": at, "action": action, "package": name, "old": before, "new": after}
