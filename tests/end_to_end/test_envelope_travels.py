"""What a holder of a certificate needs comes with the bundle: capture, push, the collector's copy, openssl and age."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synthetic_host import Host

pytestmark = [
    pytest.mark.needs("age"),
    pytest.mark.needs("age-keygen"),
    pytest.mark.needs("openssl"),
]
HOZEN = Path(sys.executable).with_name("hozen")
_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1MiB, free_space_floor_share: 0%}
"""
_KEYS = r"""
age-keygen -o key.txt 2>/dev/null; TO=$(sed -n 's/.*public key: //p' key.txt)
head -c 300000 /dev/urandom >/var/log/big.log
"""
_OPEN = r"""set -e
openssl cms -decrypt -inform DER -inkey "$1" -in hz-*.envelope/key-"$2".p7m >once.txt
age -d -i once.txt hz-*.zip.age | sha256sum
"""


class Desk:
    """Somebody's computer: a home, a state, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def hozen(self, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HOZEN_STATE": str(self.folder / "state"),
            "LANG": "C.UTF-8",
            **more,
        }
        return subprocess.run(
            [str(HOZEN), *map(str, words)], env=environment, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def good(self, *words: object) -> str:
        done = self.hozen(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Collector(Desk):
    """A collector in a directory, served by its own process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "collector"
        self.process: subprocess.Popen[bytes] | None = None
        self.good("collector", "init", self.root, "--name", "test")
        self.port = 0

    def serve(self) -> None:
        reading, writing = os.pipe()
        listen = ["--listen", f"127.0.0.1:{self.port}", "--status", "127.0.0.1:0"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [str(HOZEN), "collector", "serve", str(self.root), *listen, "--ready-fd", str(writing)],
            env=environment,
            pass_fds=(writing,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with open(reading, encoding="utf-8") as ready:
            self.port = int(ready.readline().split()[1].rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def enrol(self, desk: Desk) -> None:
        token = desk.folder / "token.txt"
        self.good("collector", "token", "new", self.root, "--out", token)
        desk.good("enroll", "--to", f"https://127.0.0.1:{self.port}", "--token-file", token)

    def status(self) -> dict[str, Any]:
        [held] = json.loads(self.good("collector", "status", self.root, "--json"))["accepted"]
        return dict(held)

    def copy(self, name: str, out: Path) -> Path:
        self.good("collector", "export", self.root, name, "--out", out)
        return next(out.glob("hz-*.zip.age"))


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    one = Collector(tmp_path / "server")
    one.serve()
    yield one
    one.stop()


@pytest.fixture
def medium(host: Host, case_options: str) -> Path:
    """What a capture for two certificates and an age key left on the responder's medium."""
    for name, kind in (("first", "rsa"), ("second", "ec")):
        vendor(host.work, kind, name)
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")
    script = f"""
        hozen capture {case_options} --profile ./logs.yaml --allow-local --out usb \
            --recipient first.pem --recipient second.pem --recipient "$TO"; echo "capture $?"
        age -d -i key.txt usb/*.zip.age | sha256sum >sum """
    run = host.run(script, setup=_KEYS)
    assert "capture 0" in run.stdout, run.stderr
    return host.work / "usb"


def opened(folder: Path, key: Path, number: str) -> str:
    """Open the bundle in `folder` as a vendor does; return the hash of what came out."""
    command = ["bash", "-c", _OPEN, "open", str(key), number]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_collectors_copy_alone_is_opened_by_each_holder_and_claimed(
    collector: Collector, medium: Path, tmp_path: Path
) -> None:
    responder, desk = Desk(tmp_path / "responder"), Desk(tmp_path / "vendor")
    collector.enrol(responder)
    bundle = next(medium.glob("*.zip.age"))
    [pushed] = json.loads(responder.good("push", bundle, "--json"))
    assert pushed["verified"] == "sealed-unopened"
    assert pushed["problems"] == []
    [kept] = collector.status()["envelopes"]
    assert (pushed["envelope_sha256"], pushed["envelope_leaf"]) == (kept["digest"], kept["leaf"])
    proofs = Path(pushed["receipt"]).parent
    assert b"\nevent envelope\n" in (proofs / "receipts" / "envelope" / "receipt.txt").read_bytes()
    [again] = json.loads(responder.good("push", bundle, "--json"))
    assert again == pushed | {"known": True}

    copy = collector.copy(pushed["bundle_id"], tmp_path / "copy")
    assert copy.read_bytes() == bundle.read_bytes()
    right = (medium.parent / "sum").read_text(encoding="ascii")
    for name, number in (("first", "01"), ("second", "02")):
        assert opened(copy.parent, medium.parent / f"{name}.key", number) == right
        verdict = desk.good(
            "verify", copy, "--identity", copy.parent / "once.txt", "--log-key",
            collector.root / "keys" / "log.vkey", "--json",
        )  # fmt: skip
        [report] = json.loads(verdict)["bundles"]
        assert (report["word"], report["integrity"], report["time"]) == ("match", "match", "match")

    assert collector.status()["openings"] == []
    person = desk.folder / "me.pem"
    desk.good("key", "new", "--out", person, "--name", "Sato Hanako", "--no-passphrase")
    signing = ("--identity", person, "--age-identity", copy.parent / "once.txt")
    desk.good("sign", copy, "--as", "opener", *signing)
    collector.enrol(desk)
    [claimed] = json.loads(desk.good("push", copy, "--json"))
    assert (claimed["known"], claimed["opening_statements"]) == (True, 1)
    held = collector.status()
    assert [one["signer"] for one in held["openings"]] == ["Sato Hanako"]
    assert (held["word"], held["kind"]) == ("not verifiable", "encrypted")
    [claimed] = json.loads(desk.good("push", copy, "--json"))
    assert len(collector.status()["openings"]) == 1
    second = collector.copy(pushed["seal"], tmp_path / "second copy")
    assert len(list(second.parent.glob("*.proofs/opened-01.*"))) == 2


def test_an_envelope_that_was_damaged_arrives_with_a_later_push(
    collector: Collector, medium: Path, tmp_path: Path
) -> None:
    responder = Desk(tmp_path / "responder")
    collector.enrol(responder)
    bundle = next(medium.glob("*.zip.age"))
    key = next(medium.glob("*.envelope")) / "key-02.p7m"
    whole = key.read_bytes()
    key.write_bytes(whole[:-1])
    done = responder.hozen("push", bundle, "--json")
    assert done.returncode == 65, done.stderr
    assert "key-02.p7m is not the file that envelope.json names" in done.stderr
    [pushed] = json.loads(done.stdout)
    assert (pushed["state"], pushed["envelope_sha256"]) == ("accepted", None)
    assert collector.status()["envelopes"] == []  # the bundle is there all the same
    receipt = next(medium.glob("*.proofs/receipt/receipt.txt")).read_bytes()
    assert b"\nverified sealed-unopened\n" in receipt
    key.write_bytes(whole)
    collector.stop()
    collector.serve()
    [pushed] = json.loads(responder.good("push", bundle, "--json"))
    [kept] = collector.status()["envelopes"]
    assert (pushed["known"], pushed["envelope_leaf"]) == (True, kept["leaf"])
    assert (kept["subjects"], kept["recipients"]) == (["CN=first", "CN=second"], 3)
    assert next(medium.glob("*.proofs/receipt/receipt.txt")).read_bytes() == receipt
    copy = collector.copy(pushed["bundle_id"], tmp_path / "copy")
    right = (medium.parent / "sum").read_text(encoding="ascii")
    assert opened(copy.parent, medium.parent / "second.key", "02") == right
