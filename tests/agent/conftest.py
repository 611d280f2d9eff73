"""Fixtures of the agent's tests: programs in namespaces of their own, so that no foreign process is ever read."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hozen_agent
import hozen_config
import hozen_hashes
from hozen_agent.artifacts.registry import CATALOGUE
from hozen_agent.context import Context, FileRequest
from hozen_agent.filetree.finder import Finder
from hozen_agent.proc.sweep import sweep
from hozen_agent.reading.files import whole
from hozen_agent.reading.reader import FileReader
from hozen_agent.redaction.redact import Redactor
from hozen_agent.workers.pool import ReaderPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.items import Attempt, AttemptFailed

_PATHS = [
    str(Path(package.__file__ or "").parents[1])
    for package in (hozen_agent, hozen_hashes, hozen_config)
]
# What every program in a namespace can use; it ends by printing what it collected.
_PRELUDE = f"""
import sys
sys.path[:0] = {_PATHS!r}
import base64, json, os, signal, socket, subprocess, time
from hozen_agent.proc.sweep import sweep

def proc():
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

class Reader:
    # real workers, which exist from the first request on
    def __init__(self, root, proc):
        self.at, self.reader, self.notes = (root, proc), None, []
    def __call__(self, requests):
        from hozen_agent.workers.pool import ReaderPool
        from hozen_agent.reading.reader import FileReader
        if self.reader is None:
            root, at = self.at
            self.reader = FileReader(ReaderPool.start(root=root, proc=at, note=self.notes.append, silence=4.0))
        return self.reader(requests)

def context(redact=True, utmp=b"/nonexistent", root=b"/", match=(), offset=None):
    from hozen_agent.context import Context
    from hozen_agent.redaction.redact import Redactor
    at, top = proc(), os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return Context(
        proc=at, root=top, sweep=sweep(at, utmp=utmp),
        redactor=Redactor(enabled=redact), files=Reader(top, at), match=lambda patterns: iter(match),
        note=lambda text: None, collector_offset=lambda: offset,
    )

def show(attempts):
    from hozen_agent.items import AttemptFailed
    for a in attempts:
        data, failure = None, None
        if a.data is not None:
            parts = []
            try:
                parts.extend(bytes(c) for c in a.data)
            except AttemptFailed as ended:
                failure = [str(ended.outcome), ended.reason]
            data = b"".join(parts)
        raw = None if a.unredacted is None else b"".join(bytes(c) for c in a.unredacted())
        print(json.dumps(dict(
            artifact=a.artifact, source=a.source.decode("latin-1"), kind=a.kind, ext=a.ext, tag=a.tag,
            outcome=a.outcome, reason=a.reason, redacted=dict(a.redacted or {{}}), derived_from=list(a.derived_from),
            target=None if a.link_target is None else a.link_target.decode("latin-1"), process=a.process,
            withheld=a.withheld, method=a.method, holes=a.holes, failure=failure,
            data=None if data is None else base64.b64encode(data).decode(),
            unredacted=None if raw is None else base64.b64encode(raw).decode(),
        )))

def child(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(9)
    return pid

def wait_for(path):
    for _ in range(500):
        if os.path.exists(path):
            return
        time.sleep(0.01)
    raise SystemExit("never came: " + path)
"""


@dataclass(frozen=True)
class Shown:
    """An attempt as a program in a namespace showed it."""

    artifact: str
    source: str
    kind: str
    ext: str
    tag: str
    outcome: str | None
    reason: str
    redacted: dict[str, int]
    derived_from: list[str]
    data: bytes | None
    unredacted: bytes | None
    target: str | None = None
    process: list[int] | None = None
    withheld: str = ""
    method: str = ""
    holes: bool = False
    failure: list[str] | None = None

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.data or b"").splitlines()]


def _attempt(line: str) -> Shown:
    fields = json.loads(line)
    for key in ("data", "unredacted"):
        if fields[key] is not None:
            fields[key] = base64.b64decode(fields[key])
    return Shown(**fields)


@pytest.fixture
def context_of() -> Iterator[Callable[..., Context]]:
    """Make a context on directories of ours that play /proc and /; nothing of this machine is read through it."""
    opened: list[int] = []

    def make(proc: Path, root: Path | None = None) -> Context:
        opened.extend(os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (proc, root or proc))
        return Context(
            proc=opened[-2],
            root=opened[-1],
            sweep=sweep(opened[-2], utmp=b"/nonexistent"),
            redactor=Redactor(),
            files=lambda _: iter(()),
            match=lambda _: iter(()),
            note=lambda _: None,
        )

    yield make
    for fd in opened:
        os.close(fd)


@pytest.fixture
def isolated(tmp_path: Path) -> Callable[..., str]:
    """Run a program in its own pid, mount and (with `net`) network namespace; return what it printed."""

    def run(program: str, *, net: bool = True) -> str:
        script = tmp_path / "program.py"
        script.write_text(_PRELUDE + program)
        flags = ["-pfm", *(["-n"] if net else []), "--mount-proc"]
        if os.geteuid() != 0:
            flags.insert(0, "-Ur")
        done = subprocess.run(
            ["unshare", *flags, sys.executable, "-I", "-W", "error", str(script)],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if "unshare failed" in done.stderr:
            pytest.skip(f"no namespaces here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def collected(isolated: Callable[..., str]) -> Callable[..., list[Shown]]:
    """Run a program that calls `show`; return the attempts."""

    def run(program: str, *, net: bool = True) -> list[Shown]:
        return [_attempt(line) for line in isolated(program, net=net).splitlines()]

    return run


@dataclass
class Evidence:
    """A planted host: a directory that plays `/`, read through a real pool of workers."""

    root: Path
    pool: ReaderPool
    notes: list[str]

    def write(self, path: str | bytes, data: bytes = b"x\n", mode: int = 0o644) -> Path:
        place = Path(os.fsdecode(os.fsencode(self.root) + os.fsencode(path)))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)
        return place

    def find(self, *patterns: bytes, newest: bool = False) -> list[bytes]:
        return list(Finder(self.pool)(patterns, newest=newest))

    def read(
        self, *paths: bytes, **limits: Any
    ) -> list[tuple[Attempt, bytes, AttemptFailed | None]]:
        requests = [FileRequest(artifact="test", path=path, **limits) for path in paths]
        return [(attempt, *whole(attempt)) for attempt in FileReader(self.pool)(requests)]

    def collect(self, name: str) -> dict[bytes, list[tuple[Attempt, bytes]]]:
        found: dict[bytes, list[tuple[Attempt, bytes]]] = {}
        for attempt in CATALOGUE[name].collect(self.context()):
            found.setdefault(attempt.source, []).append((attempt, whole(attempt)[0]))
        return found

    def context(self) -> Context:
        nothing: Any = None
        return Context(
            proc=-1,
            root=-1,
            sweep=nothing,
            redactor=Redactor(),
            files=FileReader(self.pool),
            match=Finder(self.pool),
            note=self.notes.append,
        )


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Evidence]:
    """Plant a host below a temporary directory; its helper processes are gone afterwards."""
    root = tmp_path / "host"
    root.mkdir()
    descriptors = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in (root, "/proc")]
    notes: list[str] = []
    pool = ReaderPool.start(
        root=descriptors[0], proc=descriptors[1], note=notes.append, silence=1.5
    )
    try:
        yield Evidence(root, pool, notes)
    finally:
        pool.stop()
        for descriptor in descriptors:
            os.close(descriptor)
