from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Evidence = Any

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

# A FUSE server in a child of the namespace: it answers INIT and then nothing, as a dead file server does.
FUSE = """
import struct
def mount_hanging(where, kind=b"fuse.dead"):
    import ctypes
    device = os.open("/dev/fuse", os.O_RDWR)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"dead", where, kind, 0, options) != 0:
        print("no fuse:", os.strerror(ctypes.get_errno())); raise SystemExit
    pid = os.fork()
    if pid == 0:
        request = os.read(device, 1 << 17)
        unique = struct.unpack_from("<QQ", request, 0)[1] if False else struct.unpack_from("<IIQ", request, 0)[2]
        body = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 10, 4096, 1, 0, 0, 0)
        os.write(device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
        while True:
            os.read(device, 1 << 17)
    os.close(device)
    return pid

def reading(root, silence=1.0, named=()):
    from hozen_agent.workers.pool import ReaderPool
    from hozen_agent.reading.reader import FileReader
    from hozen_agent.filetree.finder import Finder
    pool = ReaderPool.start(
        root=os.open(root, os.O_PATH | os.O_DIRECTORY), proc=proc(), note=lambda t: print("note:", t),
        silence=silence, named=frozenset(named),
    )
    return pool, FileReader(pool), Finder(pool)

def requests(paths):
    from hozen_agent.context import FileRequest
    return [FileRequest(artifact="t", path=path) for path in paths]

def put(path, data=b"x"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f: f.write(data)
"""


@root_only
def test_a_hung_file_system_is_skipped_by_name_and_nothing_touches_it(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        FUSE
        + """
put("h/a/before"); put("h/z/after"); os.makedirs("h/m/dead")
server = mount_hanging(os.path.abspath("h/m/dead").encode())
begun = time.monotonic()
pool, read, find = reading("h")
paths = list(find([b"/**"]))
print(paths)
for a in read(requests([*paths, b"/m/dead/file"])):
    print(a.source, a.outcome, a.reason)
print("quick" if time.monotonic() - begun < 2 else "slow", pool.abandoned)
pool.stop(); os.kill(server, signal.SIGKILL)
"""
    )
    if "no fuse" in out:
        pytest.skip(out)
    assert "[b'/a/before', b'/z/after']" in out
    assert "note: not entered, a remote mount: /m/dead" in out
    assert "b'/m/dead/file' failed on a fuse.dead mount that was not named: /m/dead" in out
    assert "quick []" in out


@root_only
def test_a_named_mount_that_hangs_costs_one_silence_and_the_rest_goes_on(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        FUSE
        + """
put("h/a/before"); put("h/z/after"); os.makedirs("h/dead")
server = mount_hanging(os.path.abspath("h/dead").encode())
pool, read, find = reading("h", named=[b"/dead"])
begun = time.monotonic()
for a in read(requests([b"/a/before", b"/dead/one", b"/dead/two", b"/z/after"])):
    print(a.source.decode(), a.outcome, a.reason, [bytes(c) for c in a.data or ()])
took = time.monotonic() - begun
print("in time" if 0.9 < took < 4 else took, len(pool.abandoned))
pool.stop(); os.kill(server, signal.SIGKILL)
"""
    )
    if "no fuse" in out:
        pytest.skip(out)
    assert "/a/before None  [b'x']" in out
    assert "/dead/one timed_out no answer for 1 s" in out
    assert "/dead/two timed_out its mount /dead did not answer before" in out
    assert "/z/after None  [b'x']" in out
    assert "in time 1" in out
    assert "abandoned: silent for 1 s at /dead/one" in out


@root_only
def test_a_walk_that_hangs_is_noted_and_ends(isolated: Callable[..., str]) -> None:
    out = isolated(
        FUSE
        + """
put("h/a/before"); os.makedirs("h/dead")
server = mount_hanging(os.path.abspath("h/dead").encode())
pool, read, find = reading("h", named=[b"/dead"])
print(list(find([b"/a/*", b"/dead/**"])))
print(len(pool.abandoned))
pool.stop(); os.kill(server, signal.SIGKILL)
"""
    )
    if "no fuse" in out:
        pytest.skip(out)
    assert "[b'/a/before']" in out
    assert "note: search not finished: no answer" in out


@root_only
def test_a_remote_mount_that_came_after_the_table_was_read_is_not_crossed(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        FUSE
        + """
put("h/a/x"); os.makedirs("h/late")
pool, read, find = reading("h")
list(find([b"/**"]))
server = mount_hanging(os.path.abspath("h/late").encode())
begun = time.monotonic()
print(list(find([b"/**"])))
for a in read(requests([b"/late/file"])):
    print(a.source.decode(), a.outcome, a.reason)
print("quick" if time.monotonic() - begun < 0.9 else "slow")
pool.stop(); os.kill(server, signal.SIGKILL)
"""
    )
    if "no fuse" in out:
        pytest.skip(out)
    assert "[b'/a/x']" in out
    assert "/late/file failed on a fuse.dead mount that was not named" in out
    assert "quick" in out


@root_only
def test_local_mounts_below_the_root_are_read(isolated: Callable[..., str]) -> None:
    out = isolated(
        FUSE
        + """
from hozen_agent import syscalls
put("h/a/x"); os.makedirs("h/mnt"); put("other/y"); put("h/file"); put("./single", b"bound")
pool, read, find = reading("h")
syscalls.mount(b"other", b"h/mnt", None, syscalls.MS_BIND)
syscalls.mount(b"single", b"h/file", None, syscalls.MS_BIND)
for a in read(requests(find([b"/**"]))):
    print(a.source.decode(), a.outcome, [bytes(c) for c in a.data or ()])
pool.stop()
"""
    )
    assert "/mnt/y None [b'x']" in out
    assert "/file None [b'bound']" in out


def test_a_link_as_directory_is_resolved_in_the_root_and_cached(evidence: Evidence) -> None:
    evidence.write("/real/deep/f", b"1")
    (evidence.root / "one").symlink_to("two")
    (evidence.root / "two").symlink_to("/real/./deep/../deep")
    found = evidence.read(b"/one/f", b"/real/deep/f", b"/one/f", b"/two/f", b"/one/nothing")
    assert [data for _, data, _ in found] == [b"1", b"1", b"1", b"1", b""]
    assert str(found[-1][0].outcome) == "missing"


def test_a_file_as_directory_is_missing(evidence: Evidence) -> None:
    evidence.write("/f")
    [(attempt, _, _)] = evidence.read(b"/f/below")
    assert str(attempt.outcome) == "missing"


@root_only
def test_kernel_files_are_read_by_name_only(isolated: Callable[..., str]) -> None:
    out = isolated(
        FUSE
        + """
pool, read, find = reading("/")
paths = [b"/proc/version", b"/proc/self/environ", b"/proc/1/cmdline", b"/proc/kmsg", b"/proc/self/oom_score",
b"/proc/mounts"]
for a in read(requests(paths)):
    print(a.source.decode(), a.outcome, a.withheld, a.reason, sum(len(bytes(c)) for c in a.data or ()) > 20)
pool.stop()
"""
    )
    assert "/proc/version None   True" in out
    assert "/proc/self/environ captured process_memory" in out
    assert "/proc/1/cmdline captured process_memory" in out
    assert "/proc/kmsg captured process_memory" in out
    assert "/proc/self/oom_score failed  a file of the kernel that is not read by name" in out
