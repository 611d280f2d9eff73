"""Containers and virtual machines of this host: by control group and by the runtimes' own files; no client runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt, Outcome
from hozen_agent.proc.containernames import container_of
from hozen_agent.proc.sweep import FILE
from hozen_agent.reading import files
from hozen_agent.redaction.containerstate import (
    Cleaner,
    NotStateError,
    describe,
    dump,
    manifest,
    merged,
    parse,
)
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_NAME: Final = "containers"
_STATE_MAX: Final = 8 << 20
_RECORDS_MAX: Final = 20_000
_PIDS_MAX: Final = 4096
_ROOTLESS: Final = "%%users.homedir%%/.local/share/containers/storage/overlay-containers"
# State files in JSON, by runtime. They hold environments: only their redacted form is stored.
_JSON: Final = (
    ("docker", "/var/lib/docker/containers/*/config.v2.json"),
    ("docker", "/var/lib/docker/containers/*/hostconfig.json"),
    ("docker", "/var/snap/docker/common/var-lib-docker/containers/*/config.v2.json"),
    ("podman", "/var/lib/containers/storage/*-containers/containers.json"),
    ("podman", "/var/lib/containers/storage/*-containers/*/userdata/config.json"),
    ("podman", "/run/containers/storage/*-containers/*/userdata/config.json"),
    ("podman", f"{_ROOTLESS}/containers.json"),
    ("podman", f"{_ROOTLESS}/*/userdata/config.json"),
    ("containerd", "/run/containerd/io.containerd.runtime.v*.task/*/*/config.json"),
    ("runc", "/run/runc/*/state.json"),
    ("runc", "/run/docker/runtime-runc/*/*/state.json"),
    ("runc", "/run/containerd/runc/*/*/state.json"),
    ("crun", "/run/crun/*/status"),
    ("nerdctl", "/var/lib/nerdctl/*/containers/*/*/network-config.json"),
)
# Settings in text with environments or passwords in them: the rules for free text apply.
_TEXT: Final = (
    ("lxc", "/var/lib/lxc/*/config"),
    ("libvirt", "/etc/libvirt/qemu/*.xml"),
    ("libvirt", "/run/libvirt/qemu/*.xml"),
    ("libvirt", "/etc/libvirt/lxc/*.xml"),
    ("kubernetes", "/etc/kubernetes/manifests/*"),
    ("kubernetes", "/var/lib/rancher/k3s/server/manifests/*"),
)


@artifact(
    name=_NAME,
    rank=58,
    personal="personal",
    en="Containers and virtual machines, from the control groups of processes and from the runtimes' state files, "
    "with secrets removed from their environments: proves what the runtimes had noted; not what ran inside, and a "
    "container without state files shows only by its processes.",
    ja="コンテナ及び仮想マシン。実行中プロセスのcgroupとランタイムの状態ファイルによる（環境変数の秘密情報は除去）。"
    "ランタイムの記録内容を示す。内部で何が動いたかは示さず、状態ファイルのないものはプロセスからのみ分かる。",
    reads=("/proc/PID/cgroup", *(p for _, p in (*_JSON, *_TEXT)), *definitions.own("HozenContainers")),
    needs_root=True,
)  # fmt: skip
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the state files without secrets, one record a container, then settings; logs are `linux_logs`."""
    homes = files.homes(ctx)
    records: list[dict[str, object]] = []
    for runtime, pattern in _JSON:
        for path in ctx.match(definitions.expand((pattern,), homes)):
            for attempt in ctx.files([_request(path, "json")]):
                yield _json(ctx, attempt, runtime, records)
    for runtime, pattern in _TEXT:
        for path in ctx.match(definitions.expand((pattern,), homes)):
            for attempt in ctx.files([_request(path, files.extension(path))]):
                yield _text(ctx, attempt, pod=runtime == "kubernetes")
                records.append({"runtime": runtime, "sources": [_shown(path)], "name": _stem(path)})
    records = merged(records)[:_RECORDS_MAX]
    _with_processes(ctx, records)
    yield Attempt(
        artifact=_NAME,
        source=b"/proc/*/cgroup",
        method="derived",
        personal="personal",
        ext="jsonl",
        outcome=None if records else Outcome.EMPTY,
        reason="" if records else "no container or virtual machine was found",
        data=[dump_line(record) for record in records] if records else None,
    )
    yield from files.capture(ctx, artifact=_NAME, definition="HozenContainers", personal="personal")


def _request(path: bytes, ext: str) -> FileRequest:
    return FileRequest(artifact=_NAME, path=path, ext=ext, max_bytes=_STATE_MAX)


def _json(
    ctx: Context, attempt: Attempt, runtime: str, records: list[dict[str, object]]
) -> Attempt:
    """Return the attempt with its JSON redacted; of what is not JSON nothing but the metadata."""
    if attempt.data is None or attempt.kind != "file":
        return attempt
    raw, failure = files.whole(attempt)
    cleaner = Cleaner(ctx.redactor)
    try:
        value = cleaner.clean(parse(raw))
    except NotStateError as error:
        why = failure.reason if failure is not None else str(error)
        reason = f"{why}: it may hold secrets that cannot be told apart, so nothing was stored"
        return replace(attempt, data=None, outcome=Outcome.FAILED, reason=reason, after=None)
    records += describe(runtime, attempt.source, value)
    return _clean(attempt, dump(value), raw, cleaner.counts)


def _text(ctx: Context, attempt: Attempt, *, pod: bool) -> Attempt:
    if attempt.data is None or attempt.kind != "file":
        return attempt
    raw, failure = files.whole(attempt)
    counts: dict[str, int] = {}
    values = manifest(raw) if pod and ctx.redactor.enabled else (raw, 0)
    if values[1]:
        counts["env"] = values[1]
    clean = ctx.redactor.text(values[0], counts)
    done = _clean(attempt, clean, raw, counts)
    if failure is None:
        return done
    return replace(done, outcome=Outcome.TRUNCATED, reason=failure.reason)


def _clean(attempt: Attempt, clean: bytes, raw: bytes, counts: dict[str, int]) -> Attempt:
    """Return the attempt with `clean` for its bytes; the bytes of the file go to kept originals alone."""
    return replace(
        attempt,
        method="derived",
        kind="record",
        data=(clean,),
        after=None,
        redacted=counts,
        unredacted=(lambda: (raw,)) if counts else None,
    )


def _with_processes(ctx: Context, records: list[dict[str, object]]) -> None:
    """Each record knows its processes; containers that only processes show have records too."""
    pids: dict[tuple[str, str], list[int]] = {}
    for name, kind, data, _ in ctx.sweep.entries:
        parts = name.split(b"/")
        if kind == FILE and parts[-1] == b"cgroup" and len(parts) == 3 and parts[1].isdigit():  # noqa: PLR2004
            container = container_of(data)
            if container is not None:
                pids.setdefault(container, []).append(int(parts[1]))
    for (runtime, which), found in pids.items():
        own = [r for r in records if which in {r.get("id"), r.get("name")}]
        for record in own:
            record["pids"] = found[:_PIDS_MAX]
        if not own and len(records) < _RECORDS_MAX:
            key = "id" if len(which) == 64 else "name"  # noqa: PLR2004 - a SHA-256
            seen = {"runtime": runtime, key: which, "seen_in": ["cgroup"], "pids": found[:_PIDS_MAX]}  # fmt: skip
            records.append(dict(seen))


def _stem(path: bytes) -> str:
    """Return the name that a settings file is for: /var/lib/lxc/NAME/config, /etc/libvirt/qemu/NAME.xml."""
    parts = path.split(b"/")
    return _shown(parts[-2] if parts[-1] == b"config" else parts[-1].rpartition(b".")[0])


def _shown(raw: bytes) -> str:
    return percent_encode(raw)
