"""What the lines of each family's records say, as facts (docs/format/records/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Record = Mapping[str, object]

Found = tuple[str, str, str, str]  # group, key, value, package
BITS: Final = ("suid", "sgid", "capability", "immutable", "append_only")


def _processes(record: Record) -> Iterator[Found]:
    """A process is its program, words and user; the value is the hash of the program."""
    if record.get("kernel_thread") is True:
        return
    words = record.get("cmdline")
    line = " ".join(map(str, words)) if isinstance(words, list) else ""
    key = f"{_text(record, 'exe')} [{line}] uid {_text(record, 'uid')}"
    yield (
        "process",
        key,
        _text(record, "exe_sha256") or f"not hashed: {_text(record, 'exe_reason')}",
        "",
    )


def _sockets(record: Record) -> Iterator[Found]:
    """Listeners by address and port; connections are of a moment and are not compared."""
    local, remote = record.get("local"), record.get("remote")
    if not isinstance(local, dict) or not isinstance(remote, dict):
        return
    waits = record.get("state") == "LISTEN" or (
        str(record.get("proto")).startswith("udp") and remote.get("port") == 0
    )
    if waits:
        key = f"{_text(record, 'proto')} {_text(local, 'address')}:{_text(local, 'port')}"
        yield "listener", key, f"uid {_text(record, 'uid')}", ""


def _special(record: Record) -> Iterator[Found]:
    """Files with a bit that gives power; what is hidden or recent is no state of its own."""
    why = record.get("why")
    bits = [one for one in BITS if isinstance(why, list) and one in why]
    if not bits:
        return
    held = record.get("capabilities")
    raw = _text(held, "raw") if isinstance(held, dict) else ""
    owner = f"{_text(record, 'uid')}:{_text(record, 'gid')}"
    value = f"{','.join(bits)} {_text(record, 'mode')} {owner} {raw}".strip()
    yield "special_bit", _text(record, "path"), value, ""


def _executables(record: Record) -> Iterator[Found]:
    """Programs whose bytes were hashed, with the package that names them."""
    if isinstance(digest := record.get("sha256"), str):
        yield "executable", _text(record, "path"), digest, _text(record, "package")


def _modules(record: Record) -> Iterator[Found]:
    """Kernel modules with the hash of their file."""
    value = f"{_text(record, 'sha256') or '-'} {_text(record, 'taint')}".strip()
    yield "kernel_module", _text(record, "name"), value, ""


def _ebpf(record: Record) -> Iterator[Found]:
    """Programs by type and name; the tag stands for the code."""
    if record.get("object") == "program":
        key = f"{_text(record, 'type')} {_text(record, 'name')}"
        yield "ebpf_program", key, _text(record, "tag"), ""


def _packages(record: Record) -> Iterator[Found]:
    """Installed packages with their version and state."""
    if "summary" in record:
        return
    key = f"{_text(record, 'manager')} {_text(record, 'name')} {_text(record, 'architecture')}"
    value = f"{_text(record, 'version')} {_text(record, 'state')}".strip()
    yield "package", key.strip(), value, _text(record, "name")


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return "" if value is None else str(value)


READERS: Final[dict[tuple[str, str], Callable[[Record], Iterator[Found]]]] = {
    ("processes", "/proc"): _processes,
    ("sockets", "/proc/PID/net"): _sockets,
    ("filesystem", "filesystem:special"): _special,
    ("executables", "executables:files"): _executables,
    ("executables_all", "executables:files"): _executables,
    ("kernel_modules", "/proc/modules"): _modules,
    ("ebpf", "bpf(2)"): _ebpf,
    ("packages", "packages:installed"): _packages,
}
GROUPS_OF: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("processes", "/proc"): ("process",),
    ("sockets", "/proc/PID/net"): ("listener",),
    ("filesystem", "filesystem:special"): ("special_bit",),
    ("kernel_modules", "/proc/modules"): ("kernel_module",),
    ("ebpf", "bpf(2)"): ("ebpf_program",),
    ("packages", "packages:installed"): ("package",),
    ("accounts", "/etc/passwd"): ("account",),
    ("accounts", "/etc/group"): ("group",),
    ("accounts", "/etc/shadow"): ("password_state",),
}
