"""A real collector and real witnesses: asked, away, hostile, killed between; what was changed, verify tells."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hozen_agent.sending import proofs
from hozen_collector import faults, leaves
from hozen_collector.index.engine import Index
from hozen_collector.keys import read_keys
from hozen_collector.layout import Layout
from hozen_collector.witness import store
from hozen_hashes.addcheckpoint import parse_add_checkpoint
from hozen_hashes.cosignature import WitnessKey, WitnessSigner, verify_cosignatures
from hozen_hashes.front import main
from hozen_hashes.note import parse_note
from hozen_hashes.tlogproof import parse_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAIN = "from hozen_collector.commands.collector import collector; collector()"


class Witness:
    """A witness in its own process, always on the same port; `stop` and `start` as often as wanted."""

    def __init__(self, root: Path, name: str, log: Layout) -> None:
        self.root = root / name
        signer = WitnessSigner.generate(f"witness.example/{name}")
        store.init(self.root, signer, [read_keys(log).log_key])
        self.key = signer.key
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        read, write = os.pipe()
        listen = ["--listen", f"127.0.0.1:{self.port}", "--ready-fd", str(write)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "witness", "serve", str(self.root), *listen],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "LANG": "C.UTF-8"},
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with open(read, "rb") as ready:
            self.port = int(ready.readline().decode().rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def witness(tmp_path: Path, empty_collector: Path) -> Iterator[Callable[[str], Witness]]:
    made: list[Witness] = []

    def make(name: str) -> Witness:
        made.append(Witness(tmp_path, name, Layout(empty_collector)))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def configured(root: Path, *asked: tuple[str, WitnessKey], required: int = 1, **more: str) -> Path:
    words = {"wait": "4s", "timeout": "1s", "retry": "0.1s", **more}
    lines = ["witnesses:", f"  required: {required}", "  ask:"]
    for url, key in asked:
        lines += [f"    - url: {url}", f"      key: {key.line.decode().strip()}"]
    lines += [f"  {name}: {value}" for name, value in words.items()]
    path = root.parent / f"settings-{os.urandom(3).hex()}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def names(receipt: dict[str, bytes], *keys: WitnessKey) -> list[str]:
    note = parse_note(parse_proof(receipt["receipt.tlog-proof"]).note)
    return [one.key.name for one in verify_cosignatures(note, keys)]


def status(root: Path) -> list[dict[str, Any]]:
    out = subprocess.run(
        [sys.executable, "-c", MAIN, "status", str(root), "--json"], capture_output=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(out.stdout)["witnesses"]
    return found


def until(holds: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


def judged(tmp_path: Path, bundle: Any, receipt: dict[str, bytes], root: Path, *words: str) -> int:
    """Give the exit code of `hozen verify` with the log key from outside."""
    folder = tmp_path / f"verify-{os.urandom(3).hex()}"
    place = folder / f"{bundle.bundle_id}.proofs" / "receipt"
    place.mkdir(parents=True)
    container = folder / f"{bundle.bundle_id}.zip"
    container.write_bytes(bundle.data)
    for name, data in receipt.items():
        (place / name).write_bytes(data)
    key = ("--log-key", str(root / "keys" / "log.vkey"))
    return main(["-q", "verify", str(container), *key, *words])


def word(one: Witness) -> tuple[str, str]:
    return "--witness-key", one.key.line.decode().strip()


def test_receipt_and_checkpoint_carry_cosignatures_and_verify_counts_them(
    empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness], tmp_path: Path
) -> None:
    one, two = witness("w1"), witness("w2")
    config = configured(empty_collector, (one.url, one.key), (two.url, two.key), required=2)
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle()
    client.push(bundle)
    receipt = client.receipt(bundle.sha256)
    assert names(receipt, one.key, two.key) == [one.key.name, two.key.name]
    note = parse_note(client.call("GET", "/log/checkpoint").body)
    assert len(verify_cosignatures(note, [one.key, two.key])) == 2
    assert judged(tmp_path, bundle, receipt, empty_collector, *word(one), *word(two)) == 0
    three = WitnessSigner.generate("witness.example/w3").key
    more = ("--witness-key", three.line.decode().strip())
    given = (*word(one), *word(two), *more)
    assert judged(tmp_path, bundle, receipt, empty_collector, *given) == 2
    assert judged(tmp_path, bundle, receipt, empty_collector, *given, "--witnesses", "2") == 0
    said = status(empty_collector)
    assert [one["name"] for one in said] == [one.key.name, two.key.name]
    assert all(one["size"] >= 2 and one["failures"] == 0 for one in said)
    assert running.stop() == 0


def test_a_witness_that_is_away_completes_the_receipt_later(
    empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness], tmp_path: Path
) -> None:
    one, two = witness("w1"), witness("w2")
    two.stop()
    config = configured(empty_collector, (one.url, one.key), (two.url, two.key), required=2)
    running = serve(empty_collector, config=config)
    until(lambda: any(one["failures"] for one in status(empty_collector)) or True)
    client = tools.enrol(empty_collector, running.port)
    until(lambda: [one for one in status(empty_collector) if one["failures"]])
    bundle = tools.make_bundle()
    begun = time.monotonic()
    client.push(bundle)
    assert time.monotonic() - begun < 4  # it is known to be away: nobody waits for it
    first = client.receipt(bundle.sha256)
    assert judged(tmp_path, bundle, first, empty_collector, *word(one), *word(two)) == 2
    two.start()
    until(lambda: len(names(client.receipt(bundle.sha256), one.key, two.key)) == 2)
    later = client.receipt(bundle.sha256)
    assert later["receipt.txt"] == first["receipt.txt"]
    kept = tmp_path / "x.proofs"
    place = proofs.keep_receipt(kept, first, None)  # type: ignore[arg-type]
    for files in (later, first):  # completed, and never less again
        place = proofs.keep_receipt(kept, files, None)  # type: ignore[arg-type]
    assert names({"receipt.tlog-proof": (place / "receipt.tlog-proof").read_bytes()}, two.key)
    assert judged(tmp_path, bundle, later, empty_collector, *word(one), *word(two)) == 0
    assert running.stop() == 0


def test_a_log_that_was_rewritten_is_refused_and_verify_tells(
    empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness], tmp_path: Path
) -> None:
    one = witness("w1")
    config = configured(empty_collector, (one.url, one.key))
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    client.push(tools.make_bundle())
    until(lambda: status(empty_collector)[0]["size"] == 2)
    running.stop()
    layout = Layout(empty_collector)
    tools.sql(empty_collector, "UPDATE leaf SET text=? WHERE position=0", b"another history\n")
    for path in (layout.log / "checkpoint", layout.state / "high-water"):
        path.unlink()
    shutil.rmtree(layout.log / "checkpoints")
    again = serve(empty_collector, config=config)
    client.port = again.port
    bundle = tools.make_bundle()
    client.push(bundle)
    receipt = client.receipt(bundle.sha256)
    assert names(receipt, one.key) == []
    assert judged(tmp_path, bundle, receipt, empty_collector) == 0  # nobody asked
    assert judged(tmp_path, bundle, receipt, empty_collector, *word(one)) == 2
    said = until(lambda: [one for one in status(empty_collector) if one["failures"]])
    assert "refuses" in said[0]["error"] or "forked" in said[0]["error"]
    assert again.stop() == 0


def test_a_log_that_was_rolled_back_is_refused(
    empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness]
) -> None:
    one = witness("w1")
    config = configured(empty_collector, (one.url, one.key))
    layout = Layout(empty_collector)
    index = Index(layout.database)
    with index.write() as session:
        for number in range(6):
            event = leaves.Event(event="enroll", sender=str(number))
            leaves.append(session, read_keys(layout).log_key, event)
    index.close()
    running = serve(empty_collector, config=config)
    until(lambda: status(empty_collector)[0]["size"] == 6)
    running.kill()
    tools.sql(empty_collector, "DELETE FROM leaf WHERE position > 2")
    tools.sql(empty_collector, "DELETE FROM cosignature")
    for path in (layout.log / "checkpoint", layout.state / "high-water"):
        path.unlink()
    shutil.rmtree(layout.log / "checkpoints")
    again = serve(empty_collector, config=config)
    said = until(lambda: [one for one in status(empty_collector) if one["failures"]])
    assert "rolled back" in said[0]["error"]
    assert again.stop() == 0


@pytest.mark.parametrize("point", faults.WITNESS_POINTS)
def test_a_kill_between_checkpoint_and_cosignature_is_made_good(
    point: str, empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness]
) -> None:
    one = witness("w1")
    config = configured(empty_collector, (one.url, one.key))
    running = serve(empty_collector, config=config, fault=point)
    with contextlib.suppress(OSError, AssertionError):
        tools.enrol(empty_collector, running.port)
    assert running.wait() == -signal.SIGKILL
    again = serve(empty_collector, config=config)
    until(lambda: status(empty_collector)[0]["size"] == 1)
    assert status(empty_collector)[0]["failures"] == 0
    assert again.stop() == 0


class Hostile:
    """A witness that does as `how` says."""

    def __init__(self, how: str, signer: WitnessSigner) -> None:
        self.how, self.signer = how, signer
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(5)
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        head, _, body = sock.recv(1 << 16).partition(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < size:
            body += sock.recv(1 << 16)
        note = parse_add_checkpoint(body).note
        other = note.text.replace("\n", "x\n", 1)
        lines = {
            "other-note": self.signer.cosign(other, 5).line,
            "other-key": WitnessSigner.generate(self.signer.key.name).cosign(note.text, 5).line,
            "junk": "\0" * 9,
            "more-text": f"{note.text}\n{self.signer.cosign(note.text, 5).line}",
        }
        if self.how == "huge":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000)
        elif self.how == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60:
                sock.sendall(bytes([byte]))
                time.sleep(0.1)
        elif self.how in ("403", "404", "422", "302", "500"):
            sock.sendall(f"HTTP/1.1 {self.how} No\r\nContent-Length: 0\r\n\r\n".encode())
        elif self.how in ("409", "409-more"):
            said = "x" if self.how == "409" else "999999"
            sock.sendall(f"HTTP/1.1 409 No\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode())
        elif self.how != "silent":
            data = lines[self.how].encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        else:
            time.sleep(3)


def test_hostile_witnesses_give_no_cosignature_and_hold_up_no_receipt(
    empty_collector: Path, serve: Any, tools: Any, witness: Callable[[str], Witness]
) -> None:
    ways = ["other-note", "other-key", "junk", "more-text", "huge", "drip", "silent"]
    ways += ["403", "404", "422", "302", "409", "409-more"]
    good = witness("w1")
    bad = [Hostile(how, WitnessSigner.generate(f"witness.example/{how}")) for how in ways]
    every = [(good.url, good.key), *((one.url, one.signer.key) for one in bad)]
    running = serve(empty_collector, config=configured(empty_collector, *every, required=2))
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle()
    begun = time.monotonic()
    client.push(bundle)
    assert time.monotonic() - begun < 7
    until(lambda: names(client.receipt(bundle.sha256), good.key))
    said = {
        one["name"].rpartition("/")[2]: one
        for one in until(
            lambda: (
                len([s for s in status(empty_collector) if s["failures"]]) == 13
                and status(empty_collector)
            )
        )
    }
    assert said.pop("w1")["failures"] == 0
    assert all(one["size"] == 0 and one["error"] for one in said.values())
    receipt = client.receipt(bundle.sha256)
    assert names(receipt, *(one.signer.key for one in bad)) == []
    for one in bad:
        one.server.close()
    assert running.stop() == 0
