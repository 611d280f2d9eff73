"""Names are listed past the C library: whole, byte for byte, and also those that a preloaded library hides."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hiding import build
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.filetree import listing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RECORD_HEAD = 19
_PRELOADED = """
import time
from dataclasses import replace
if "LD_PRELOAD" not in os.environ:
    os.makedirs("planted/etc/cron.d")
    open("planted/etc/cron.d/evil", "w").close()
    def asleep():  # a descriptor with the number of its process is hidden like the process
        os.makedirs("planted/tmp")
        os.dup2(os.open("planted/tmp/evil", os.O_CREAT | os.O_WRONLY), os.getpid(), inheritable=True)
        os.execve("/bin/sleep", ["sleep", "300"], {})
    pid = child(asleep)
    time.sleep(0.2)
    env = {**os.environ, "LD_PRELOAD": os.getcwd() + "/libhide.so", "HIDE_PID": str(pid)}
    os.execve(sys.executable, [sys.executable, "-I", "-W", "error", __file__], env)
from hozen_agent.proc import entries
from hozen_agent.artifacts import filesystem, temporary_files
from hozen_agent.proc.deep import DeepPass, pids_now
from hozen_agent.proc.exehash import ExeHashes
from hozen_agent.filetree.finder import Finder
from hozen_agent.workers.pool import ReaderPool
from hozen_agent.reading.reader import FileReader
from hozen_agent.proc.sweep import sweep
pid = os.environ["HIDE_PID"]
at = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
root = os.open("planted", os.O_RDONLY | os.O_DIRECTORY)
pool = ReaderPool.start(root=root, proc=at, note=print)
ctx = replace(context(), root=root, files=FileReader(pool), match=Finder(pool))
body = b""
for attempt in filesystem.collect(ctx):
    body += b"".join(bytes(piece) for piece in attempt.data or ())
deep = DeepPass(at, hashes=ExeHashes(ctx.files))
names = {entry[0].decode("latin-1") for batch in deep.batches([int(pid)]) for entry in batch}
print(json.dumps({
    "libc shows the descriptor": pid in os.listdir(f"/proc/{pid}/fd"),
    "descriptor": f"proc/{pid}/fd/{pid}" in names,
    "temporary files": b"/tmp/evil" in [a.source for a in temporary_files.collect(ctx)],
    "libc shows the process": pid in os.listdir("/proc"),
    "libc shows the file": "evil" in os.listdir("planted/etc/cron.d"),
    "sweep": f"proc/{pid}/stat" in {name.decode("latin-1") for name, *_ in sweep(at).entries},
    "deep": int(pid) in pids_now(at),
    "entries": pid.encode() in entries.listing(at, b"."),
    "bodyfile": b"/etc/cron.d/evil|" in body,
}))
pool.stop()
"""


@pytest.mark.needs("gcc")
def test_what_a_preloaded_library_hides_is_in_the_sweep_and_in_the_bodyfile(
    isolated: Callable[..., str], tmp_path: Path
) -> None:
    build(tmp_path / "libhide.so")
    said: dict[str, Any] = json.loads(isolated(_PRELOADED).splitlines()[-1])
    assert not said.pop("libc shows the process"), "the library works"
    assert not said.pop("libc shows the file"), "the library works"
    assert not said.pop("libc shows the descriptor"), "the library works"
    assert all(said.values()), said


@pytest.mark.parametrize("known", [True, False])
def test_a_directory_of_many_names_is_listed_whole_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(listing, "_NUMBER", -1)
    wanted = {b"%d" % n for n in range(5000)} | {b"\n", b"\xff" * 255, b"...", b" "}
    for name in wanted:
        os.close(os.open(os.path.join(os.fsencode(tmp_path), name), os.O_CREAT | os.O_WRONLY))
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        pieces = list(listing.pieces(fd))
        assert max(map(len, pieces)) <= 2048
        assert sorted(name for piece in pieces for name in piece) == sorted(wanted)
        assert sorted(listing.names(fd)) == sorted(listing.names(fd)) == sorted(wanted)
        assert 10 < len(listing.names(fd, most=10)) <= 2048 or not known
    finally:
        os.close(fd)


def test_what_cannot_be_listed_raises_what_the_kernel_says(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with place.open("rb") as file, pytest.raises(NotADirectoryError):
        listing.names(file.fileno())


@given(
    st.lists(st.binary(min_size=1, max_size=255).filter(lambda n: not {0, 47} & set(n))),
    st.binary(),
)
def test_records_of_any_names_are_taken_apart(names: list[bytes], noise: bytes) -> None:
    data = b""
    for name in names:
        size = -(-(_RECORD_HEAD + len(name) + 1) // 8) * 8
        head = bytes(16) + size.to_bytes(2, sys.byteorder) + b"\x08"
        data += (head + name + b"\0" + noise.ljust(8, b"\1"))[: _RECORD_HEAD + len(name) + 1].ljust(
            size, b"\1"
        )
    assert listing._names(data) == [name for name in names if name not in (b".", b"..")]
