"""Loaded modules and their files: hashed through the workers, foreign ones stored."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import kernel_modules
from hozen_agent.kernel.modulefiles import module_of, parse_dep
from hozen_agent.reading.files import whole

if TYPE_CHECKING:
    from pathlib import Path

Evidence = Any
RELEASE = os.uname().release
MODULES = (
    b"nf_tables 311296 0 - Live 0x0000000000000000\n"
    b"evil_mod 16384 0 - Live 0x0000000000000000 (OE)\n"
    b"ghost 16384 0 - Live 0x0000000000000000 (OE)\n"
)


def test_files_of_loaded_modules_are_hashed_and_foreign_ones_stored(
    evidence: Evidence, tmp_path: Path
) -> None:
    place = f"/lib/modules/{RELEASE}"
    evidence.write(f"{place}/kernel/net/nf_tables.ko.xz", b"own" * 1000)
    evidence.write(f"{place}/extra/evil-mod.ko", b"evil" * 1000)
    lines = b"kernel/net/nf_tables.ko.xz: kernel/x.ko\nextra/evil-mod.ko:\n"
    evidence.write(f"{place}/modules.dep", lines)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_bytes(MODULES)
    proc = os.open(tmp_path / "proc", os.O_RDONLY)
    try:
        found = [
            (attempt, whole(attempt)[0])
            for attempt in kernel_modules.collect(replace(evidence.context(), proc=proc))
        ]
    finally:
        os.close(proc)
    stored = {attempt.source.rpartition(b"/")[2]: data for attempt, data in found}
    assert stored[b"evil-mod.ko"] == b"evil" * 1000
    assert b"nf_tables.ko.xz" not in stored
    records = {r["name"]: r for r in map(json.loads, stored[b"modules"].splitlines())}
    assert records["nf_tables"]["sha256"] == hashlib.sha256(b"own" * 1000).hexdigest()
    assert records["evil_mod"]["sha256"] == hashlib.sha256(b"evil" * 1000).hexdigest()
    assert (records["ghost"]["file"], records["ghost"]["sha256"]) == (None, None)
    assert records["ghost"]["reason"]


def test_names_of_modules_follow_from_their_files() -> None:
    assert module_of(b"kernel/fs/nls-utf8.ko.zst") == b"nls_utf8"
    assert module_of(b"/x/y.ko") == b"y"
    assert module_of(b"modules.dep") is None
    assert parse_dep(b"../../etc/x.ko:\nkernel/a.ko: kernel/b.ko\n/abs/c.ko:\n", b"/lib/modules/6") == {
        b"a": b"/lib/modules/6/kernel/a.ko",
        b"c": b"/abs/c.ko",
    }  # fmt: skip


@given(st.binary(max_size=300))
def test_any_list_of_modules_gives_paths_below_or_absolute(data: bytes) -> None:
    for name, path in parse_dep(data, b"/lib/modules/6").items():
        assert name
        assert path.startswith(b"/")
