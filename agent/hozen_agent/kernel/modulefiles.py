"""Where the file of a kernel module lies: modules.dep names the files, and a module's name follows from the file's."""

from __future__ import annotations

import re
from typing import Final

from hozen_hashes.names import percent_encode

_FILE: Final = re.compile(rb"([^/\s:]{1,255})\.ko(?:\.(?:gz|xz|zst|bz2))?\Z")
MAX_MODULES: Final = 50_000


def module_of(path: bytes) -> bytes | None:
    """Return the name under which the module of a file is loaded (`-` and `_` are the same, the kernel writes `_`)."""
    found = _FILE.search(path[path.rfind(b"/") + 1 :])
    return found[1].replace(b"-", b"_") if found else None


def parse_dep(data: bytes, directory: bytes) -> dict[bytes, bytes]:
    """Return the file of each module that modules.dep lists (depmod(8)); the first of a name counts."""
    files: dict[bytes, bytes] = {}
    for line in data.split(b"\n")[:MAX_MODULES]:
        path, colon, _ = line.partition(b":")
        name = module_of(path)
        if colon and name is not None and b".." not in path.split(b"/"):
            files.setdefault(name, path if path.startswith(b"/") else directory + b"/" + path)
    return files


def is_foreign(taint: str) -> bool:
    """Return whether a module came from outside the kernel: out of tree, unsigned, proprietary or forced."""
    return bool(set(taint) & set("OEPF"))


def module_record(
    module: dict[str, object], path: bytes | None, digest: str | None, reason: str
) -> dict[str, object]:
    """Return the record of a loaded module and the file from which it would be loaded today."""
    return {
        **module,
        "file": None if path is None else percent_encode(path),
        "sha256": digest,
        "reason": reason,
    }
