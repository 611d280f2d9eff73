"""Loaded kernel modules with the hashes of their files; modules from outside the kernel are stored whole."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent import definitions
from hozen_agent.artifacts.registry import artifact
from hozen_agent.context import FileRequest
from hozen_agent.items import Attempt, AttemptFailed, Outcome
from hozen_agent.kernel.kernelrecords import parse_modules
from hozen_agent.kernel.modulefiles import is_foreign, module_record, parse_dep
from hozen_agent.proc.sweep import read_small
from hozen_agent.reading import files
from hozen_hashes.digest import Digest
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.context import Context

_NAME: Final = "kernel_modules"
_DEP_MAX: Final = 16 << 20
_MODULE_MAX: Final = 64 << 20
_MODULES_MAX: Final = 16 << 20
_PLACES: Final = (b"/lib/modules/", b"/usr/lib/modules/")


@artifact(
    name=_NAME,
    rank=66,
    personal="none",
    en="Loaded kernel modules, each with the SHA-256 of the file that modules.dep names for it; files of modules from "
    "outside the kernel are stored. Proves what lies on the disk now; not that this file is what was loaded, and a "
    "module that hides itself is not listed.",
    ja="読み込まれているカーネルモジュールと、modules.depが示すファイルのSHA-256。カーネル外のモジュールはファイルも"
    "保全する。現在ディスクにあるものを示し、それが読み込まれたものであることは示さない。自らを隠すモジュールは載らない。",
    reads=("/proc/modules", *definitions.own("HozenKernelModuleFiles")),
)
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield the lists of modules, the files of foreign modules, and a record for each loaded module."""
    yield from files.capture(
        ctx, artifact=_NAME, definition="HozenKernelModuleFiles", personal="none"
    )
    modules = parse_modules(read_small(b"modules", at=ctx.proc, cap=_MODULES_MAX))
    where = _files(ctx)
    records = []
    for module in modules:
        path = where.get(str(module["name"]).encode())
        request = FileRequest(
            artifact=_NAME, path=path or b"", personal="none", ext="ko", max_bytes=_MODULE_MAX
        )
        digest = _Hashed()
        if path is None:
            records.append(module_record(module, None, None, "modules.dep names no file for it"))
            continue
        for attempt in ctx.files([request]):
            if is_foreign(str(module["taint"])):
                yield digest.through(attempt)
            else:
                digest.taken(attempt)
        records.append(module_record(module, path, digest.sha256, digest.reason))
    yield Attempt(
        artifact=_NAME,
        source=b"/proc/modules",
        method="derived",
        ext="jsonl",
        outcome=None if records else Outcome.EMPTY,
        reason="" if records else "no module is loaded, or /proc/modules cannot be read",
        data=[dump_line(record) for record in records] if records else None,
    )


def _files(ctx: Context) -> dict[bytes, bytes]:
    """Return the file of each module of the running kernel."""
    release = os.uname().release.encode()
    for place in _PLACES:
        directory = place + release
        request = FileRequest(artifact=_NAME, path=directory + b"/modules.dep", max_bytes=_DEP_MAX)
        data = files.content(ctx, request)
        if data:
            return parse_dep(data, directory)
    return {}


class _Hashed:
    """The hash of a file that is read once, kept or not.

    Attributes:
        sha256: None until the last byte, and for what was not read to its end.
        reason: why there is none.
    """

    def __init__(self) -> None:
        self.sha256: str | None = None
        self.reason = ""

    def taken(self, attempt: Attempt) -> None:
        """The hash of the attempt's bytes is known; they are not kept."""
        try:
            for _ in self._bytes(attempt):
                pass
        except AttemptFailed:
            return

    def through(self, attempt: Attempt) -> Attempt:
        """Return the attempt; its hash is known once its bytes were taken."""
        return replace(attempt, data=self._bytes(attempt)) if attempt.data is not None else attempt

    def _bytes(self, attempt: Attempt) -> Iterator[bytes]:
        digest = Digest()
        self.reason = attempt.reason
        if attempt.data is None or attempt.kind != "file":
            self.reason = attempt.reason or "not a regular file"
            return
        try:
            for piece in attempt.data:
                digest.update(piece)
                yield bytes(piece)
        except AttemptFailed as failure:
            self.reason = failure.reason
            raise
        self.sha256 = digest.hexdigest()
