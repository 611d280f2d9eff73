"""One JSON line a process, from the first sweep and the deep pass together (bundle-v1 §2 for the encodings)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hozen_agent.proc import procparse
from hozen_agent.proc.deep import Seen, Values
from hozen_agent.proc.snapshot import clean_file
from hozen_agent.proc.sweep import ERROR
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hozen_agent.proc.sweep import Entry, Sweep
    from hozen_agent.redaction.redact import Redactor

    Files = dict[bytes, bytes]

_NOT_SET = 4_294_967_295  # loginuid and sessionid of a process that nobody logged in for

_STATUS = {
    "capabilities": b"CapEff",
    "capabilities_permitted": b"CapPrm",
    "capabilities_inheritable": b"CapInh",
    "capabilities_bounding": b"CapBnd",
    "capabilities_ambient": b"CapAmb",
    "no_new_privs": b"NoNewPrivs",
    "seccomp": b"Seccomp",
    "tracer": b"TracerPid",
}


def process_records(
    sweep: Sweep,
    seen: dict[int, Seen],
    *,
    redactor: Redactor,
    counts: dict[str, int],
    passwd: bytes,
) -> Iterator[bytes]:
    """Yield a line a process, by pid; one that ended between the passes has a line all the same.

    A number that was given to another process between the passes has two lines.
    """
    first = _first_look(sweep.entries)
    maker = _Maker(
        boot=procparse.boot_seconds(_entry(sweep, b"proc/stat")),
        users=procparse.users_of(passwd),
        redactor=redactor,
        counts=counts,
    )
    for pid in sorted(first.keys() | seen.keys()):
        met, late = first.get(pid), seen.get(pid)
        early = None if met is None else met.files
        if late is not None and late.gone:
            late = Seen(pid=pid, gone=late.gone)
        if early is not None and late is not None and _reused(early, late.files):
            yield maker.line(pid, early, None)
            early = None
        yield maker.line(pid, early, late)


def _first_look(entries: Iterable[Entry]) -> dict[int, Seen]:
    """Return what the sweep holds of each process, as little of it as a record needs; failures are left out."""
    found: dict[int, Seen] = {}
    values = Values()
    for name, kind, data, _ in entries:
        parts = name.split(b"/", 2)
        if len(parts) == 3 and parts[0] == b"proc" and parts[1].isdigit():  # noqa: PLR2004
            pid = int(parts[1])
            seen = found.get(pid)
            if seen is None:
                seen = found[pid] = Seen(pid=pid)
            if kind != ERROR:
                seen.keep(parts[2], values.of(parts[2], data))
    return found


def _entry(sweep: Sweep, wanted: bytes) -> bytes:
    return next(
        (data for name, kind, data, _ in sweep.entries if name == wanted and kind == "file"), b""
    )


def _reused(early: Files, late: Files) -> bool:
    one, two = (procparse.parse_stat(files.get(b"stat", b"")) for files in (early, late))
    return one is not None and two is not None and one.start_ticks != two.start_ticks


class _Maker:
    def __init__(
        self, *, boot: int | None, users: dict[int, str], redactor: Redactor, counts: dict[str, int]
    ) -> None:
        self._boot = boot
        self._users = users
        self._redactor = redactor
        self._counts = counts
        self._ticks = os.sysconf("SC_CLK_TCK")

    def line(self, pid: int, early: Files | None, late: Seen | None) -> bytes:
        files: Files = {**(early or {}), **(late.files if late else {})}
        stat = procparse.parse_stat(self._clean(b"stat", files))
        record: dict[str, object] = {"pid": pid}
        if stat is not None:
            record |= self._from_stat(stat)
        record |= self._from_status(procparse.parse_status(files.get(b"status", b"")))
        record["cmdline"] = procparse.arguments(self._clean(b"cmdline", files))
        record |= {name: _path(files.get(name.encode())) for name in ("exe", "cwd", "root")}
        record |= _program(late, files)
        record["cgroup"] = [
            percent_encode(line) for line in files.get(b"cgroup", b"").split(b"\n") if line
        ]
        record["namespaces"] = {
            name[3:].decode(): target.decode("ascii", "replace")
            for name, target in sorted(files.items())
            if name.startswith(b"ns/")
        }
        label = files.get(b"attr/current", b"").rstrip(b"\0\n")
        record["label"] = percent_encode(label) or None
        waits_in = _word(files.get(b"wchan", b""))
        record["waits_in"] = None if waits_in == "0" else waits_in
        record["oom_score_adj"] = _integer(files.get(b"oom_score_adj", b""))
        for name in ("loginuid", "sessionid"):
            value = files.get(name.encode(), b"").strip()
            number = int(value) if value.isdigit() else _NOT_SET
            record[name] = None if number == _NOT_SET else number
        record["open_files"] = late.open_files if late else None
        record |= _presence(early, late)
        return dump_line(record)

    def _clean(self, name: bytes, files: Files) -> bytes:
        return clean_file(name, files.get(name, b""), self._redactor, self._counts)

    def _from_stat(self, stat: procparse.Stat) -> dict[str, object]:
        started = None
        if self._boot is not None:
            started = rfc3339(
                self._boot * 1_000_000_000 + stat.start_ticks * 1_000_000_000 // self._ticks
            )
        return {
            "ppid": stat.ppid,
            "name": percent_encode(stat.name),
            "state": stat.state,
            "pgrp": stat.pgrp,
            "session": stat.session,
            "tty": procparse.terminal(stat.tty),
            "threads": stat.threads,
            "started": started,
            "start_ticks": str(stat.start_ticks),
            "kernel_thread": stat.kernel_thread,
        }

    def _from_status(self, status: dict[bytes, bytes]) -> dict[str, object]:
        uids = procparse.identifiers(status, b"Uid")
        gids = procparse.identifiers(status, b"Gid")
        return {
            "uid": uids[0] if uids else None,
            "euid": uids[1] if len(uids) > 1 else None,
            "gid": gids[0] if gids else None,
            "user": self._users.get(uids[0]) if uids else None,
            "groups": procparse.identifiers(status, b"Groups"),
            "pid_inside": procparse.identifiers(status, b"NSpid")[1:],
            **{name: _word(status.get(key, b"")) for name, key in _STATUS.items()},
        }


def _word(raw: bytes) -> str | None:
    return raw.decode("ascii", "replace") or None


def _integer(raw: bytes) -> int | None:
    try:
        return int(raw)
    except ValueError:
        return None


def _path(raw: bytes | None) -> str | None:
    return None if raw is None else percent_encode(raw)


def _program(late: Seen | None, files: Files) -> dict[str, object]:
    exe = late.exe if late else None
    if exe is None:
        reason = files.get(b"exe error", b"").decode("utf-8", "replace")
        return {"exe_sha256": None, "exe_deleted": None, "exe_reason": reason or None}
    return {
        "exe_sha256": exe.sha256,
        "exe_size": str(exe.size),
        "exe_inode": f"{exe.device}:{exe.inode}",
        "exe_deleted": exe.links == 0,
        "exe_reason": exe.reason or None,
    }


def _presence(early: Files | None, late: Seen | None) -> dict[str, object]:
    """Say in which pass the process was there."""
    if late is None:
        gone: str | None = "it ended between the passes"
    else:
        gone = late.gone or None
    return {
        "in_sweep": early is not None,
        "in_deep_pass": late is not None and not late.gone,
        "gone": gone,
    }
