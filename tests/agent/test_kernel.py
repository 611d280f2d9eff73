"""The kernel family: taint, modules in two views, mounts over /proc/PID, secrets of the boot line."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import kernel
from hozen_agent.kernel.kernelrecords import kernel_record, parse_modules, taint_flags
from hozen_agent.proc.entries import read_entries
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any as Shown  # conftest.Shown: tests are no package

    from hozen_agent.context import Context

MODULES = (
    b"nf_tables 311296 2 nft_chain_nat,nft_compat, Live 0x0000000000000000\n"
    b"evil 16384 0 - Live 0x0000000000000000 (OE)\n"
    b"broken line\n"
)


def record(**texts: bytes) -> dict[str, Any]:
    names = {key.replace("__", "/").encode(): data for key, data in texts.items()}
    return kernel_record([(name, "file", data, 0) for name, data in names.items()])


def test_taint_bits_have_letters_and_meanings() -> None:
    assert taint_flags(0) == []
    assert [flag[0] for flag in taint_flags(1 | 1 << 12 | 1 << 13)] == ["P", "O", "E"]
    assert taint_flags(1 << 40) == ["bit 40"]


def test_modules_are_parsed_and_lines_of_another_form_left_out() -> None:
    first, second = parse_modules(MODULES)
    assert first["users"] == ["nft_chain_nat", "nft_compat"]
    assert (second["name"], second["taint"], second["users"]) == ("evil", "OE", [])


def test_a_module_in_one_view_only_is_named() -> None:
    views = record(
        proc__modules=MODULES, sys__module__evil__initstate=b"live\n", sys__module__ghost__initstate=b"live\n"
    )["module_views"]  # fmt: skip
    assert views == {"compared": True, "only_in_proc": ["nf_tables"], "only_in_sys": ["ghost"]}
    views = record(sys__module__ghost__initstate=b"live\n")["module_views"]
    assert (views["compared"], views["in_sys"]) == (False, ["ghost"])


def test_a_mount_over_a_process_directory_is_named() -> None:
    info = b"30 20 0:5 / /proc rw - proc proc rw\n31 30 0:6 / /proc/42 rw - tmpfs none rw\n"
    assert record(proc__1__mountinfo=info)["over_proc"] == ["/proc/42"]
    assert record()["over_proc"] is None


def test_the_active_lockdown_is_the_word_in_brackets() -> None:
    found = record(
        sys__kernel__security__lockdown=b"none [integrity] confidentiality\n",
        sys__kernel__security__lsm=b"lockdown,capability,yama",
        proc__sys__kernel__tainted=b"4097\n",
    )
    assert found["lockdown"] == "integrity"
    assert found["lsm"] == ["lockdown", "capability", "yama"]
    assert found["tainted"] == 4097
    assert record()["lsm"] is None


@given(st.binary(max_size=300))
def test_any_bytes_give_a_record_that_can_be_written(data: bytes) -> None:
    names = (
        "proc__modules", "proc__version", "proc__cmdline", "proc__1__mountinfo", "proc__sys__kernel__tainted",
        "sys__kernel__security__lockdown", "sys__kernel__security__lsm",
    )  # fmt: skip
    dump_line(record(**dict.fromkeys(names, data)))


def test_the_real_kernel_is_captured_and_what_it_lacks_is_said(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        """
import hozen_agent.artifacts.kernel as kernel
real = kernel.read_entries
def with_secret(at, directory, paths, **rest):
    found = real(at, directory, paths, **rest)
    return [(n, "file", b"root=/dev/vda rd.luks.key=x api_key=Zq7pl4nt9 u:http://a:Zq7pl4nt9@h\\n", 0)
            if n == b"proc/cmdline" else (n, k, d, e) for n, k, d, e in found]
kernel.read_entries = with_secret
show(kernel.collect(context()))
"""
    )
    raw, parsed, *_ = attempts
    assert b"Zq7pl4nt9" not in (raw.data or b"") + (parsed.data or b"")
    assert b"Zq7pl4nt9" in (raw.unredacted or b"")
    assert sum(raw.redacted.values()) == 2
    (found,) = parsed.records()
    assert found["release"]
    assert isinstance(found["tainted"], int)
    assert found["cmdline"].startswith("root=/dev/vda")
    with tarfile.open(fileobj=io.BytesIO(raw.data or b"")) as tar:
        names = tar.getnames()
        file = tar.extractfile("ERRORS.jsonl")
        assert file is not None
        errors = [json.loads(line)["error"] for line in file.read().splitlines()]
    assert "proc/1/mountinfo" in names
    assert set(errors) <= {"ENOENT", "EACCES", "EPERM", "EIO", "EINVAL"}


def test_the_family_completes_on_trees_with_gaps(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    proc, root = tmp_path / "p", tmp_path / "r"
    (proc / "1").mkdir(parents=True)
    (proc / "cmdline").write_bytes(b"quiet rd.luks.password=Zq7pl4nt\n")
    (proc / "modules").write_bytes(MODULES)
    (proc / "1/mounts").write_bytes(b"x /proc/sys/fs/binfmt_misc binfmt_misc rw 0 0\n")
    (root / "sys/module/ghost").mkdir(parents=True)
    (root / "sys/module/ghost/initstate").write_bytes(b"live\n")
    (root / "proc/sys/fs/binfmt_misc").mkdir(parents=True)
    (root / "proc/sys/fs/binfmt_misc/evil").write_bytes(b"enabled\ninterpreter /tmp/x\n")
    raw, parsed = kernel.collect(context_of(proc, root))
    data = b"".join(bytes(piece) for piece in raw.data or ())
    assert b"Zq7pl4nt" not in data
    assert raw.redacted == {"password": 1}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert "proc/sys/fs/binfmt_misc/evil" in tar.getnames()
    (line,) = parsed.data or ()
    assert json.loads(bytes(line))["module_views"]["only_in_sys"] == ["ghost"]


def test_entries_say_file_link_or_error(tmp_path: Path) -> None:
    import os

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(b"x" * 10)
    (tmp_path / "d" / "link").symlink_to("to")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        found = read_entries(fd, b"d", (b"file", b"link", b"none"), name=b"n/", cap=4)
        nowhere = read_entries(fd, b"e", (b"file",), name=b"n/")
    finally:
        os.close(fd)
    assert [(n, k, d) for n, k, d, _ in found] == [
        (b"n/d/file", "file", b"xxxx"),
        (b"n/d/file", "error", b""),
        (b"n/d/link", "link", b"to"),
        (b"n/d/none", "error", b""),
    ]
    assert [(n, k) for n, k, _, _ in nowhere] == [(b"n/e", "error")]
