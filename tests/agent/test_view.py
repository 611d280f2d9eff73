from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hozen_agent import syscalls
from hozen_agent.reading import view

if TYPE_CHECKING:
    from collections.abc import Callable

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="a private view needs root")


@root_only
def test_the_view_is_read_only_keeps_access_times_and_leaves_the_output_writable(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        """
from hozen_agent.reading import view
os.makedirs("d/e"); os.symlink("e", "d/l"); os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY))
os.truncate("d/f", 10)
for name in ("d/f", "d/e", "d", "d/l"):
    os.utime(name, ns=(10**18, 10**18), follow_symlinks=False)
output = os.open("out", os.O_CREAT | os.O_WRONLY, 0o600)
here = os.getcwd()
seen = view.prepare()
print(seen.private, seen.detached_proc)
os.write(output, b"still writable")
try:
    os.close(os.open(here + "/d/new", os.O_CREAT | os.O_WRONLY))
    print("created")
except OSError as error:
    print(error.strerror)
with open(here + "/d/f", "rb") as f: f.read()
os.listdir(here + "/d"); os.readlink(here + "/d/l"); os.listdir(here + "/d/e")
print([os.stat(here + "/" + n, follow_symlinks=False).st_atime_ns for n in ("d/f", "d/e", "d", "d/l")] == [10**18] * 4)
print(sorted(n for n in os.listdir(seen.proc) if n.isdigit()) == ["1"])
print("|".join(seen.notes))
"""
    )
    lines = out.splitlines()
    assert lines[0] == "True True"
    assert lines[1] == "Read-only file system"
    assert lines[2:4] == ["True", "True"]
    assert "read-only and without access times" in lines[4]


@root_only
def test_a_mount_over_a_process_hides_nothing_from_the_detached_procfs(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        """
from hozen_agent import syscalls
from hozen_agent.reading import view
pid = child(lambda: time.sleep(30))
os.mkdir("empty")
syscalls.mount(b"empty", b"/proc/%d" % pid, None, syscalls.MS_BIND)
print(os.listdir("/proc/%d" % pid))
seen = view.prepare()
print("status" in os.listdir(os.open(str(pid), os.O_RDONLY, dir_fd=seen.proc)))
os.kill(pid, signal.SIGKILL)
"""
    )
    assert out.splitlines() == ["[]", "True"]


@root_only
def test_an_old_kernel_gets_its_mounts_one_by_one(isolated: Callable[..., str]) -> None:
    out = isolated(
        """
import errno
from hozen_agent import syscalls
from hozen_agent.reading import view
def absent(*args, **kw):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
syscalls.mount_setattr = absent
syscalls.detached_mount = absent
here = os.getcwd()
seen = view.prepare()
print(seen.private, seen.detached_proc)
try:
    os.mkdir(here + "/new"); print("created")
except OSError as error:
    print(error.strerror)
print("|".join(seen.notes))
"""
    )
    lines = out.splitlines()
    assert lines[:2] == ["True False", "Read-only file system"]
    assert "one by one" in lines[2]
    assert "/proc as mounted is read" in lines[2]


def test_without_privilege_there_is_no_view_and_the_notes_say_so(
    isolated: Callable[..., str],
) -> None:
    out = isolated(
        """
from hozen_agent import syscalls
from hozen_agent.reading import view
def refused(*args, **kw):
    import errno
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))
syscalls.unshare = refused
syscalls.detached_mount = refused
seen = view.prepare()
print(seen.private, seen.detached_proc, "|".join(seen.notes))
os.mkdir("still-writable")
"""
    )
    assert out.startswith("False False own mount namespace: not obtained, Operation not permitted")
    assert "no private view" in out


@root_only
def test_the_process_can_go_back_to_the_mounts_of_the_host(isolated: Callable[..., str]) -> None:
    out = isolated(
        """
from hozen_agent import syscalls
from hozen_agent.reading import view
before = os.open("/proc/self/ns/mnt", os.O_RDONLY)
here = os.getcwd()
view.prepare()
syscalls.enter_mount_namespace(before)
os.mkdir(here + "/new")
print("writable")
"""
    )
    assert out == "writable\n"


def test_every_call_is_probed_without_effect() -> None:
    known = syscalls.probe()
    assert all(isinstance(getattr(known, name), bool) for name in known.__slots__)


def test_a_call_with_an_unknown_number_says_enosys() -> None:
    import errno

    with pytest.raises(OSError, match="not implemented") as refused:
        syscalls._Call("no_such_call")()
    assert refused.value.errno == errno.ENOSYS


def test_the_notes_name_every_step() -> None:
    assert view._why(OSError(1, "Operation not permitted")) == "Operation not permitted"
