"""Mediums that are pulled, lie, are full, closed or small: one error with a hint, and a provable partial."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest
from provable import judge

from hozen_agent.durable import ContainerFile
from hozen_hashes import partials
from hozen_hashes.errors import CannotWriteError

if TYPE_CHECKING:
    from synthetic_host import Host

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1, free_space_floor_share: 0%}
epoch: {seconds: 50ms, bytes: 1MiB}
"""
_FEW = r"""
head -c 2000000 /dev/urandom | split -b 40000 -a 3 --additional-suffix=.log - /var/log/a
head -c 3000000 /dev/urandom >/var/log/big.log
"""
_MANY = (
    _FEW
    + r"head -c 96000000 /dev/urandom | split -b 12000000 -a 3 --additional-suffix=.log - /var/log/big"
)
# FS_IOC_SHUTDOWN of ext4 and xfs with NOLOGFLUSH: from now on nothing reaches the disk, as when a stick is pulled.
_PULL = """python -c '
import fcntl, os, struct
fcntl.ioctl(os.open("usb", os.O_RDONLY), 0x8004587D, struct.pack("I", 2))'"""
_FLIP = """
import os
from hozen_agent.durable import ContainerFile
image = os.open("medium.img", os.O_RDWR)
mark = open("/var/log/marked.log", "rb").read()[5000:5064]
def read_back(self, read_back=ContainerFile.read_back):
    found = os.pread(image, 1 << 28, 0).find(mark)
    assert found > 0
    os.pwrite(image, bytes([mark[7] ^ 1]), found + 7)
    os.fsync(image)
    return read_back(self)
ContainerFile.read_back = read_back
"""


@pytest.fixture(autouse=True)
def _profile(host: Host) -> None:
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")


def capture(case: str, more: str = "", out: str = "usb", program: str = "hozen") -> str:
    return f"{program} -q capture {case} --profile ./logs.yaml --allow-local --out {out} {more}"


def on_a_disk(host: Host, kind: str) -> str:
    """Return a setup that mounts a new file system of this kind as the medium, or skip."""
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    (host.work / "medium.img").touch()
    os.truncate(host.work / "medium.img", 320 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", host.work / "medium.img"], check=True)
    probe = host.run("mount -o loop medium.img usb")
    if probe.returncode != 0:
        pytest.skip(f"a loop device with {kind} cannot be mounted here: {probe.stderr.strip()}")
    return "mount -o loop medium.img usb"


def one_error(stderr: str) -> bool:
    """Return whether there is one error with one hint, and no stack trace."""
    lines = re.findall(r"^hozen: (error|hint): ", stderr, re.MULTILINE)
    return lines == ["error", "hint"] and "Traceback" not in stderr


@pytest.mark.root
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_pulled_medium_is_one_error_and_a_provable_partial(
    host: Host, case_options: str, kind: str
) -> None:
    setup = on_a_disk(host, kind)
    script = f"""
        {capture(case_options)} & pid=$!
        until ls usb/*.journal/000004.jsonl >/dev/null 2>&1; do sleep 0.01; done
        {_PULL}
        wait $pid; echo "code $?"
        umount usb && mount -o loop medium.img usb && cp -r usb seen
        hozen salvage --json usb/*.journal >salvage.json; echo "salvage $?" """
    run = host.run(script, setup=f"{_MANY}\n{setup}")
    assert "code 73" in run.stdout, run.stderr
    assert "salvage 0" in run.stdout, run.stderr
    assert one_error(run.stderr), run.stderr
    assert not list((host.work / "seen").glob("*.zip"))
    assert judge(host.work / "seen", durable=4).epochs >= 4


@pytest.mark.root
def test_a_medium_that_gives_back_other_bytes_leaves_no_finished_name(
    host: Host, case_options: str
) -> None:
    setup = f"{on_a_disk(host, 'ext4')}\nhead -c 20000 /dev/urandom >/var/log/marked.log"
    (host.work / "flip.py").write_text(
        f"{_FLIP}\nimport sys\nfrom hozen_hashes.front import main\nsys.exit(main())"
    )
    script = f"""{capture(case_options, program="python flip.py")}; echo "code $?"
        umount usb; mount -o loop medium.img usb
        cp -r usb seen; hozen salvage --json usb/*.partial >salvage.json; echo "salvage $?" """
    run = host.run(script, setup=setup)
    assert "code 73" in run.stdout, run.stderr
    assert one_error(run.stderr), run.stderr
    assert "other bytes" in run.stderr
    seen = {path.suffix for path in (host.work / "seen").iterdir() if path.name != "lost+found"}
    assert seen == {".journal", ".partial"}
    salvaged = json.loads((host.work / "salvage.json").read_text(encoding="utf-8"))
    # The medium was mounted anew: the page cache would still give the bytes that were written.
    assert "CRC-32" in salvaged["container"]["damage"]
    assert [one["reason"] for one in salvaged["unproved"]].count("torn") == 1


@pytest.mark.root
def test_a_medium_that_cannot_take_a_bundle_is_refused_before_anything_is_read(
    host: Host, case_options: str
) -> None:
    setup = on_a_disk(host, "ext4").replace("-o loop", "-o loop,ro") + "\ntouch file; mkdir local"
    cases = {
        "usb": "write-protected",
        "absent": "name an existing directory",
        "file": "name an existing directory",
    }
    script = "\n".join(
        f'{capture(case_options, out=out)} 2>{out}.err; echo "code $?"' for out in cases
    )
    small = f'(ulimit -f 16; {capture(case_options, out="local")}) 2>small.err; echo "code $?"'
    run = host.run(f"{script}\n{small}; ls -A local", setup=setup)
    assert run.stdout.splitlines() == ["code 73"] * 4, run.stdout + run.stderr
    for out, hint in cases.items():
        said = (host.work / f"{out}.err").read_text(encoding="utf-8")
        assert one_error(said), said
        assert hint in said
    assert "ulimit -f" in (host.work / "small.err").read_text(encoding="utf-8")


def test_a_medium_that_is_full_for_the_journal_is_one_error_and_a_provable_partial(
    host: Host, case_options: str
) -> None:
    setup = f"{_FEW}\nmount -t tmpfs -o nr_inodes=17 tmpfs usb"
    run = host.run(f'{capture(case_options)}; echo "code $?"; cp -r usb seen', setup=setup)
    assert "code 73" in run.stdout, run.stderr
    assert one_error(run.stderr), run.stderr
    assert "free space" in run.stderr
    assert not list((host.work / "seen").glob("*.zip"))
    assert judge(host.work / "seen").epochs >= 2


def test_a_file_size_limit_cuts_the_bundle_into_volumes(host: Host, case_options: str) -> None:
    script = f"""(ulimit -f 2048; {capture(case_options)}); echo "code $?"
        hozen verify --json usb/*.zip.001 >verdict.json; ls usb"""
    run = host.run(script, setup=_FEW)
    assert "code 0" in run.stdout, run.stderr
    assert sorted(path.suffix for path in (host.work / "usb").iterdir()) == [".001", ".002", ".003"]
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")


def test_volumes_are_joined_by_cat_and_taken_as_they_are(host: Host, case_options: str) -> None:
    script = f"""
        {capture(case_options, more="--volume-size 1MiB --json")} >said.json || exit 9
        cat usb/*.zip.* >joined.zip; cd usb
        hozen verify --json *.zip.001 >../verdict.json
        hozen inspect --json *.zip.001 >../inspect.json; echo "inspect $?"
        hozen extract *.zip.001 --to ../out >/dev/null; echo "extract $?"
        mkdir ../unzipped; unzip -q ../joined.zip -d ../unzipped; echo "unzip $?" """
    run = host.run(script, setup=_FEW)
    assert run.stdout.splitlines() == ["inspect 0", "extract 0", "unzip 0"], run.stderr
    said = json.loads((host.work / "said.json").read_text(encoding="utf-8"))
    joined = (host.work / "joined.zip").read_bytes()
    volumes = sorted((host.work / "usb").iterdir())
    assert [f"usb/{path.name}" for path in volumes] == said["files"]
    assert {path.stat().st_size for path in volumes[:-1]} == {1 << 20}
    assert len(volumes) >= 5
    assert hashlib.sha256(joined).hexdigest() == said["container_sha256"]
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")
    unzipped = next((host.work / "unzipped").iterdir()) / "data"
    same = subprocess.run(["diff", "-r", "out/data", unzipped], cwd=host.work, check=False)
    assert same.returncode == 0
    # Killed between the renames of its volumes: the first one is the last to be named.
    volumes[0].rename(volumes[0].with_name(volumes[0].name.replace(".zip", ".zip.partial")))
    report = partials.locate(
        volumes[0].with_name(volumes[0].name.replace(".zip", ".zip.partial"))
    ).report()
    assert report.complete


def test_a_torn_set_of_volumes_is_salvaged(host: Host, case_options: str) -> None:
    script = f"""
        {capture(case_options, more="--volume-size 1MiB")} & pid=$!
        until ls usb/*.partial.006 >/dev/null 2>&1; do sleep 0.01; done
        kill -9 $pid; wait $pid; cd usb
        hozen salvage --json *.partial.001 >../salvage.json; echo "salvage $?"
        hozen verify *.partial.001; echo "verify $?" """
    run = host.run(script, setup=_MANY)
    assert "salvage 0" in run.stdout, run.stderr
    assert "verify 0" not in run.stdout
    usb = host.work / "usb"
    whole = judge(usb)
    assert whole.epochs >= 3
    volumes = sorted(usb.glob("*.partial.*"))
    # A volume that was begun and never filled, and one that the medium lost: what is before them stays proved.
    volumes[-1].with_name(f"{volumes[-1].name[:-3]}{len(volumes) + 1:03d}").touch()
    assert judge(usb).items == whole.items
    volumes[3].unlink()
    report = partials.locate(volumes[4]).report()
    assert 1 << 20 < sum(one.size for one in report.proved) <= 3 << 20
    assert report.contradictions == ()


def test_more_than_999_volumes_are_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            container = ContainerFile(fd, "b.zip", volume_size=1)
            container.write(b"x" * 999)
            container.sync()
            container.write(b"x")
            with pytest.raises(CannotWriteError, match="999 volumes") as refused:
                container.sync()
            assert "--volume-size" in refused.value.hint
            assert len(os.listdir(folder)) == 999
        finally:
            os.close(fd)
