"""Enrol, push, note: the real agent against a real collector process on loopback, over a line that breaks."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes

from hozen_agent import custody
from hozen_agent.courier import Courier
from hozen_agent.sending import enrolment, pushing, replies, uploading
from hozen_agent.sending.tokens import Token, parse_token
from hozen_collector.commands import work
from hozen_hashes import cms, readme_verify
from hozen_hashes.checkpoint import read_checkpoint, sign_checkpoint
from hozen_hashes.errors import (
    DeniedError,
    FormatError,
    MismatchError,
    SignatureError,
    TryAgainError,
    UsageError,
)
from hozen_hashes.identity import new_one_capture
from hozen_hashes.jsonl import dump_line
from hozen_hashes.note import SigningKey
from hozen_hashes.receipt import parse_statement
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hozen_agent.sending.enrolment import Enrolment
    from hozen_hashes.identity import Signer
    from hozen_hashes.journal import Segment

MAIN = "from hozen_collector.commands.collector import collector; collector()"
HOZEN = Path(sys.executable).with_name("hozen")


class _Medium:
    """A medium in memory for the bundle writer."""

    def __init__(self) -> None:
        self.container = io.BytesIO()
        self.start = (b"", b"")

    def write(self, data: Any) -> None:
        self.container.write(data)

    def sync(self) -> None:
        pass

    def put(self, segment: Segment, files: bytes) -> None:
        pass

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        self.start = (segment.text, start_p7s)


@dataclass(frozen=True)
class Made:
    """A bundle on a medium."""

    path: Path
    bundle_id: str
    seal: str
    data: bytes
    start: tuple[bytes, bytes]
    first_key: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def _fingerprint(signer: Signer) -> str:
    return signer.certificate.fingerprint(hashes.SHA256()).hex()


def make_bundle(folder: Path, signer: Signer | None = None, *, size: int = 2000) -> Made:
    """Seal a bundle with one payload of random bytes."""
    bundle_id = f"hz-20261123T050000Z-web01-{os.urandom(4).hex()}"
    signer = signer or new_one_capture("stick")
    medium, moment, when = _Medium(), time.time_ns(), datetime.now(UTC).replace(microsecond=0)
    writer = BundleWriter(bundle_id, sink=medium, sidecar=medium, now=lambda: (moment, 77))
    start = {
        "type": "start",
        "format": "hozen-bundle/1",
        "plan_sha256": hashlib.sha256(b"{}\n").hexdigest(),
        "identity": {"kind": signer.kind, "certificate_sha256": _fingerprint(signer)},
        "case": {"id": "C-1"},
    }
    readme = readme_verify.render(bundle_id)
    writer.begin(start, readme=readme, plan=b"{}\n", signer=signer, signing_time=when)
    path, payload = "data/linux_logs/000001.log", os.urandom(size)
    digest = writer.add_payload(path, payload)
    writer.finish_item(
        ItemRecord(
            item=1,
            artifact="linux_logs",
            outcome="captured",
            kind="file",
            source=b"/var/log/auth.log",
            method="read",
            personal="personal",
            started=(moment, 77),
            ended=(moment, 77),
            path=path,
            size=size,
            sha256=digest,
        )
    )
    first_key = writer.journal.first_key_sha256
    sealed = writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda w: {
            "format": "hozen-bundle/1",
            "bundle_id": w.bundle_id,
            "case": {"id": "C-1"},
        },
        bag_info={"External-Identifier": bundle_id},
        signer=signer,
        signing_time=when,
    )
    file = folder / f"{bundle_id}.zip"
    file.write_bytes(medium.container.getvalue())
    return Made(file, bundle_id, sealed.seal, file.read_bytes(), medium.start, first_key)


class Served:
    """A collector in its own process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        read, write = os.pipe()
        self.log = (root.parent / f"{root.name}.log").open("ab")
        words = ["serve", str(root), "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *words, "--ready-fd", str(write)],
            env={"PATH": os.environ["PATH"], "HOME": str(root.parent)},
            pass_fds=(write,),
            stdout=self.log,
            stderr=self.log,
        )
        os.close(write)
        with open(read, encoding="utf-8") as ready:
            words = ready.readline().split()
        assert words, (root.parent / f"{root.name}.log").read_text()
        self.port = int(words[1].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def token(self, **words: Any) -> str:
        out = self.root.parent / f"token-{os.urandom(4).hex()}"
        work.token_new(
            self.root, out=str(out), **{"hosts": "*", "count": 1, "expires": "1h", **words}
        )
        return out.read_text().strip()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def _new_collector(folder: Path) -> Served:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work.init(folder / "collector", name="test", hosts=("localhost", "127.0.0.1"))
    return Served(folder / "collector")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = _new_collector(tmp_path_factory.mktemp("served"))
    yield one
    one.stop()


@dataclass
class Line:
    """A TCP relay in front of a collector that cuts its n-th connection at the n-th chosen byte.

    `up` counts bytes to the collector, `down` bytes from it; a connection beyond the plan is not cut.
    """

    port: int
    cuts: list[tuple[str, int]] = field(default_factory=list)
    refuse: bool = False
    carried: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.own_port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            cut = self.cuts.pop(0) if self.cuts else None
            thread = threading.Thread(target=self._relay, args=(client, cut), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket, cut: tuple[str, int] | None) -> None:
        left = {"up": 1 << 60, "down": 1 << 60} | ({cut[0]: cut[1]} if cut else {})
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port)) as server,
        ):
            self._carry(client, server, left)

    def _carry(self, client: socket.socket, server: socket.socket, left: dict[str, int]) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, (server, "up"))
            ready.register(server, selectors.EVENT_READ, (client, "down"))
            while True:
                for key, _ in ready.select():
                    target, way = key.data
                    try:
                        data = key.fileobj.recv(16384)  # type: ignore[union-attr]
                        target.sendall(data[: left[way]])
                    except OSError:
                        return
                    left[way] -= len(data)
                    self.carried += len(data) if way == "up" else 0
                    if not data or left[way] <= 0:
                        return


@pytest.fixture
def line(served: Served) -> Iterator[Line]:
    one = Line(served.port)
    yield one
    one.close()


@pytest.fixture
def enrolled(served: Served, tmp_path: Path) -> Enrolment:
    return _enrol(served, served.url, tmp_path)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "DELAYS", (0.01, 0.05))


def _enrol(served: Served, url: str, folder: Path, *, host: str = "web01") -> Enrolment:
    token = parse_token(served.token())
    return enrolment.enrol(url, token, host=host, state=folder / "state")


def _hozen(folder: Path, *words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HOZEN_STATE": str(folder / "state"),
        "LANG": "C.UTF-8",
    }
    return subprocess.run(
        [HOZEN, *words], env=environment, input=stdin, capture_output=True, text=True, check=False
    )


def _log_size(standing: Enrolment) -> int:
    courier = Courier(standing)
    try:
        return int(str(courier.checkpoint()["size"]))
    finally:
        courier.close()


def _statement(directory: Path) -> Any:
    return parse_statement((directory / "receipt.txt").read_bytes())


# -- the commands -----------------------------------------------------------------------------------------------------


def test_enrol_note_push_and_push_again_by_hand(served: Served, tmp_path: Path) -> None:
    done = _hozen(
        tmp_path,
        "enroll",
        "--to",
        served.url,
        "--token-file",
        "-",
        "--host",
        "web01",
        stdin=served.token(),
    )
    assert done.returncode == 0, done.stderr
    assert "compare with the collector's card" in done.stdout
    bundle = make_bundle(tmp_path)
    when = ("--at", "2026-11-23 14:05 +09:00")
    done = _hozen(tmp_path, "note", bundle.path, "--isolated", "--by", "Sato Hanako", *when)
    assert done.returncode == 0, done.stderr
    done = _hozen(tmp_path, "push", bundle.path, "--to", served.url, "--json")
    assert done.returncode == 0, done.stderr
    (facts,) = json.loads(done.stdout)
    assert (facts["state"], facts["known"], facts["seal"]) == ("accepted", False, bundle.seal)
    assert facts["custody_events"] == 1
    receipt = Path(facts["receipt"])
    assert receipt == tmp_path / f"{bundle.bundle_id}.proofs" / "receipt"
    stated = _statement(receipt)
    assert (stated.seal, stated.verified, stated.case) == (bundle.seal, "ok", "C-1")
    assert stated.sender != stated.signer
    done = _hozen(tmp_path, "push", bundle.path)
    assert done.returncode == 0, done.stderr
    assert "it was there already" in done.stdout
    done = _hozen(
        tmp_path, "verify", bundle.path, "--root", served.root / "keys" / "ca.pem", "--json"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_damaged_bundle_is_quarantined_with_reasons(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    damaged = bytearray(bundle.data)
    damaged[
        damaged.index(b"Bag-Software" if b"Bag-Software" in bundle.data else b"BagIt-Version")
    ] ^= 1
    bundle.path.write_bytes(damaged)
    done = _hozen(tmp_path, "push", bundle.path, "--to", served.url, "--json")
    assert done.returncode == 1, done.stderr
    (facts,) = json.loads(done.stdout)
    assert facts["state"] == "quarantined"
    assert facts["reasons"]
    assert "quarantine" in done.stderr
    assert not (tmp_path / f"{bundle.bundle_id}.proofs" / "receipt").exists()
    with pytest.raises(pushing.QuarantinedError):
        pushing.push(enrolled, bundle.path)


def test_a_push_without_enrolment_says_how_to_enrol(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    for words in ((), ("--to", "https://127.0.0.1:1")):
        done = _hozen(tmp_path, "push", bundle.path, *words)
        assert done.returncode == 64
        assert "hozen enroll --to" in done.stderr


def test_what_is_no_bundle_is_refused_before_anything_is_sent(
    enrolled: Enrolment, tmp_path: Path
) -> None:
    zeros = tmp_path / "hz-20261123T050000Z-web01-00000000.zip"
    zeros.write_bytes(bytes(100_000))
    with pytest.raises(FormatError):
        pushing.push(enrolled, zeros)
    with pytest.raises(UsageError):
        pushing.push(enrolled, tmp_path / "absent.zip")


# -- over a line that breaks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_push_survives_cuts_at_any_byte(
    served: Served, line: Line, tmp_path: Path, way: str
) -> None:
    standing = _enrol(served, line.url, tmp_path)
    bundle = make_bundle(tmp_path, size=1_500_000)
    line.carried = 0
    places = (
        1,
        300,
        900,
        1700,
        2500,
        4000,
        60_000,
        100_001,
        300_000,
        70_000,
        3000,
        5000,
        2000,
        40_000,
    )
    line.cuts += [(way, at) for at in places]
    done = pushing.push(standing, bundle.path)
    assert done.receipt.statement.container_sha256 == bundle.sha256
    assert done.receipt.statement.seal == bundle.seal
    assert len(line.cuts) < len(places)
    if way == "up":
        assert line.carried < 4 * len(bundle.data)


def test_a_dead_line_ends_with_try_again_and_the_next_call_goes_on(
    served: Served, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "LARGEST", 256 << 10)
    standing = _enrol(served, line.url, tmp_path)
    bundle = make_bundle(tmp_path, size=2_000_000)
    sent: list[int] = []

    def hang_up(size: int, _total: int) -> None:
        sent.append(size)
        if size > 500_000:
            line.refuse = True
            line.cuts[:] = []
            for one in standing_connections:
                one.close()

    standing_connections: list[Any] = []
    monkeypatch.setattr(pushing, "Courier", _remembering(standing_connections))
    with pytest.raises(TryAgainError):
        pushing.push(standing, bundle.path, progress=pushing.Progress(sent=hang_up))
    kept = max(sent)
    assert kept > 500_000
    line.refuse = False
    line.carried = 0
    again: list[int] = []
    done = pushing.push(
        standing, bundle.path, progress=pushing.Progress(sent=lambda size, _: again.append(size))
    )
    assert again[0] >= kept
    assert line.carried < len(bundle.data) - kept + 200_000
    assert done.receipt.accepted


def _remembering(made: list[Any]) -> Any:
    def make(standing: Enrolment, **words: Any) -> Courier:
        made.append(Courier(standing, **words))
        return made[-1]  # type: ignore[no-any-return]

    return make


def _lose_the_answer(served: Served, line: Line, state: Path) -> Token:
    """Enrol so that the collector has counted the token and we did not hear so; return the token."""
    token = parse_token(served.token(count=1))
    line.cuts += [("down", 1 << 20), ("down", 3600)]  # the look at the root, then the answer
    with pytest.raises(TryAgainError):
        enrolment.enrol(line.url, token, host="web01", state=state)
    assert enrolment.enrolments(state=state) == []
    return token


def test_an_enrolment_whose_answer_was_lost_goes_on_with_the_same_keys(
    served: Served, line: Line, tmp_path: Path
) -> None:
    token = _lose_the_answer(served, line, tmp_path)
    before = sorted(path.read_bytes() for path in tmp_path.glob("**/*.key"))
    assert len(before) == 2
    made = enrolment.enrol(line.url, token, host="web01", state=tmp_path)
    assert made.host == "web01"
    assert [path.name for path in made.directory.parent.iterdir()] == [f"127.0.0.1_{line.own_port}"]
    assert list(tmp_path.glob("**/*.key")) == []
    pem = (made.directory / "transport.pem").read_bytes() + (
        made.directory / "evidence.pem"
    ).read_bytes()
    assert all(key in pem or key.split(b"\n")[1] in pem for key in before)


def test_another_token_after_a_lost_answer_gets_new_keys(
    served: Served, line: Line, tmp_path: Path
) -> None:
    _lose_the_answer(served, line, tmp_path)
    before = sorted(path.read_bytes() for path in tmp_path.glob("**/*.key"))
    made = enrolment.enrol(line.url, parse_token(served.token()), host="web01", state=tmp_path)
    pem = (made.directory / "transport.pem").read_bytes() + (
        made.directory / "evidence.pem"
    ).read_bytes()
    assert not any(key.split(b"\n")[1] in pem for key in before)


def test_a_collector_that_is_killed_and_started_again_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "LARGEST", 128 << 10)
    first = _new_collector(tmp_path)
    line = Line(first.port)
    try:
        standing = _enrol(first, line.url, tmp_path)
        bundle = make_bundle(tmp_path, size=1_000_000)

        def strike(size: int, _total: int) -> None:
            if size > 300_000:
                first.process.kill()

        with pytest.raises(TryAgainError):
            pushing.push(standing, bundle.path, progress=pushing.Progress(sent=strike))
        first.stop()
        second = Served(first.root)
        line.port, begun = second.port, []
        told = pushing.Progress(sent=lambda size, _total: begun.append(size))
        done = pushing.push(standing, bundle.path, progress=told)
        assert begun[0] > 300_000
        assert done.receipt.statement.container_sha256 == bundle.sha256
        second.stop()
    finally:
        line.close()
        first.process.kill()


def test_a_push_that_was_killed_goes_on(
    enrolled: Enrolment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "LARGEST", 128 << 10)
    bundle = make_bundle(tmp_path, size=1_000_000)

    def die(size: int, _total: int) -> None:
        if size > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pushing.push(enrolled, bundle.path, progress=pushing.Progress(sent=die))
    begun: list[int] = []
    told = pushing.Progress(sent=lambda size, _total: begun.append(size))
    assert pushing.push(enrolled, bundle.path, progress=told).receipt.accepted
    assert begun[0] > 400_000
    assert list((enrolled.directory / "uploads").iterdir()) == []


# -- whom we believe --------------------------------------------------------------------------------------------------


def test_a_token_of_another_collector_is_never_sent(served: Served, tmp_path: Path) -> None:
    token = parse_token(served.token())
    other = Token(token.text, "00" * 32, token.log_sha256, token.expires, None)
    with pytest.raises(SignatureError, match="not the collector that made the token"):
        enrolment.enrol(served.url, other, state=tmp_path / "state")
    assert not list((tmp_path / "state").glob("**/*.key"))


def test_another_log_than_the_token_names_is_refused(served: Served, tmp_path: Path) -> None:
    token = parse_token(served.token())
    other = Token(token.text, token.ca_sha256, "00" * 32, token.expires, None)
    with pytest.raises(MismatchError, match="another log"):
        enrolment.enrol(served.url, other, host="web01", state=tmp_path / "state")
    assert enrolment.enrolments(state=tmp_path / "state") == []


def test_an_impostor_at_the_collectors_address_gets_nothing(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    other = _new_collector(tmp_path)
    try:
        line = Line(other.port)
        place = enrolled.directory.with_name(f"127.0.0.1_{line.own_port}")
        enrolled.directory.rename(place)
        facts = json.loads((place / "enrolment.json").read_text())
        (place / "enrolment.json").write_bytes(dump_line(facts | {"url": line.url}))
        standing = enrolment.load_enrolment(line.url, state=tmp_path / "state")
        with pytest.raises(
            SignatureError, match="not the collector that this computer was enrolled with"
        ):
            Courier(standing).checkpoint()
        line.close()
    finally:
        other.stop()
    assert served.process.poll() is None


def test_a_certificate_that_is_not_for_transport_is_denied(
    enrolled: Enrolment, tmp_path: Path
) -> None:
    (enrolled.directory / "transport.pem").write_bytes(
        (enrolled.directory / "evidence.pem").read_bytes()
    )
    with pytest.raises(DeniedError):
        pushing.push(enrolled, make_bundle(tmp_path).path)


def test_keys_that_others_can_read_are_not_used(enrolled: Enrolment, tmp_path: Path) -> None:
    (enrolled.directory / "transport.pem").chmod(0o640)
    with pytest.raises(DeniedError, match="can be read by others"):
        enrolment.load_enrolment(enrolled.endpoint.url, state=tmp_path / "state")


def test_a_used_token_and_a_second_enrolment_are_refused(served: Served, tmp_path: Path) -> None:
    token = parse_token(served.token())
    enrolment.enrol(served.url, token, host="web01", state=tmp_path / "one")
    with pytest.raises(UsageError, match="already there"):
        enrolment.enrol(served.url, token, host="web01", state=tmp_path / "one")
    with pytest.raises(DeniedError):
        enrolment.enrol(served.url, token, host="web01", state=tmp_path / "two")
    assert list((tmp_path / "two").glob("**/*.key")) == []


def test_state_is_for_its_owner_only(enrolled: Enrolment) -> None:
    for path in (enrolled.directory, enrolled.directory.parent, *enrolled.directory.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_log_must_contain_what_it_stated_before(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    pushing.push(enrolled, make_bundle(tmp_path).path)
    kept = enrolled.directory / "checkpoint"
    first = kept.read_bytes()
    pushing.push(enrolled, make_bundle(tmp_path).path)
    assert kept.read_bytes() != first
    log = SigningKey.parse((served.root / "keys" / "log.key").read_bytes())
    true, _ = read_checkpoint(kept.read_bytes())
    other = dataclasses.replace(true, root=bytes(32))
    for false in (
        other,
        dataclasses.replace(other, size=true.size - 1),
        dataclasses.replace(true, size=true.size + 9),
    ):
        kept.write_bytes(sign_checkpoint(false, [log]))
        with pytest.raises(SignatureError, match="does not contain what it had stated"):
            pushing.push(enrolled, make_bundle(tmp_path).path)
    kept.write_bytes(first)
    pushing.push(enrolled, make_bundle(tmp_path).path)


# -- what a capture asks ----------------------------------------------------------------------------------------------


def test_checkpoint_start_and_offset(enrolled: Enrolment, tmp_path: Path) -> None:
    courier = Courier(enrolled)
    before = courier.checkpoint()
    bundle = make_bundle(tmp_path, enrolled.evidence())
    segment, start_p7s = bundle.start
    words: dict[str, Any] = {"bundle": bundle.bundle_id, "segment": segment, "start_p7s": start_p7s}
    leaf = courier.announce_start(**words, first_key_sha256=bundle.first_key)
    assert leaf >= int(str(before["size"]))
    assert int(str(courier.checkpoint()["size"])) > leaf
    assert courier.announce_start(**words, first_key_sha256=bundle.first_key) == leaf
    with pytest.raises(MismatchError):
        courier.announce_start(**words, first_key_sha256="00" * 32)
    offset, uncertainty = courier.measure_offset()
    assert 0 < uncertainty < 1000
    assert abs(offset) <= uncertainty + 5
    courier.close()


def test_a_capture_waits_once_for_a_collector_that_is_gone(
    served: Served, line: Line, tmp_path: Path
) -> None:
    courier = Courier(_enrol(served, line.url, tmp_path))
    line.refuse = True
    for ask in (courier.checkpoint, courier.measure_offset):
        with pytest.raises(TryAgainError):
            ask()
    line.refuse = False
    with pytest.raises(TryAgainError):
        courier.checkpoint()
    fresh = Courier(courier.enrolment)
    assert fresh.checkpoint()
    fresh.close()


# -- other forms ------------------------------------------------------------------------------------------------------


def test_volumes_are_pushed_as_they_are(enrolled: Enrolment, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, size=100_000)
    bundle.path.unlink()
    for number, at in enumerate(range(0, len(bundle.data), 40_000), 1):
        (tmp_path / f"{bundle.path.name}.{number:03d}").write_bytes(bundle.data[at : at + 40_000])
    done = pushing.push(enrolled, bundle.path.with_name(bundle.path.name + ".001"))
    assert done.receipt.statement.container_sha256 == bundle.sha256


def test_a_partial_is_received_as_what_it_is(enrolled: Enrolment, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, size=100_000)
    partial = bundle.path.with_name(bundle.path.name + ".partial")
    partial.write_bytes(bundle.data[: bundle.data.index(b"tagmanifest-sha256.txt") - 30])
    bundle.path.unlink()
    done = pushing.push(enrolled, partial)
    stated = done.receipt.statement
    assert (stated.event, stated.verified, stated.case) == ("partial", "partial", "C-1")
    assert done.parcel.seal is None


def _encrypted(folder: Path, bundle: Made, data: bytes) -> Path:
    path = folder / f"{bundle.bundle_id}.zip.age"
    path.write_bytes(data)
    envelope = folder / f"{bundle.bundle_id}.envelope"
    envelope.mkdir()
    words = {"format": "hozen-envelope/1", "bundle_id": bundle.bundle_id, "seal": bundle.seal}
    (envelope / "envelope.json").write_bytes(dump_line(words))
    return path


def test_an_encrypted_bundle_is_received_sealed(enrolled: Enrolment, tmp_path: Path) -> None:
    from hozen_hashes.age import AgeWriter, new_identity

    bundle = make_bundle(tmp_path)
    out = io.BytesIO()
    writer = AgeWriter(out.write, [new_identity().recipient])
    writer.write(bundle.data)
    writer.close()
    done = pushing.push(enrolled, _encrypted(tmp_path, bundle, out.getvalue()))
    stated = done.receipt.statement
    assert (stated.verified, stated.seal_state, stated.seal) == (
        "sealed-unopened",
        "claimed",
        bundle.seal,
    )


def test_a_claim_about_our_seal_does_not_keep_our_bundle_away(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "liar").mkdir()
    liar = _enrol(served, served.url, tmp_path / "liar", host="liar")
    false = b"age-encryption.org/v1\n-> X25519 " + os.urandom(500)
    with contextlib.suppress(pushing.QuarantinedError):
        pushing.push(liar, _encrypted(tmp_path / "liar", bundle, false))
    done = pushing.push(enrolled, bundle.path)
    assert not done.known
    assert done.receipt.statement.seal_state == "checked"
    assert done.receipt.statement.container_sha256 == bundle.sha256


def test_somebody_elses_push_of_the_same_bundle_gives_the_same_receipt(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    first = pushing.push(enrolled, bundle.path)
    (tmp_path / "stick").mkdir()
    copy = tmp_path / "stick" / bundle.path.name
    copy.write_bytes(bundle.data)
    second = pushing.push(_enrol(served, served.url, tmp_path / "stick", host="laptop"), copy)
    assert second.known
    assert second.receipt.statement == first.receipt.statement


def test_a_second_collectors_receipt_lies_beside_the_first(
    enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    first = pushing.push(enrolled, bundle.path)
    (tmp_path / "other").mkdir()
    other = _new_collector(tmp_path / "other")
    try:
        second = pushing.push(_enrol(other, other.url, tmp_path / "other"), bundle.path)
        again = pushing.push(enrolled, bundle.path)
    finally:
        other.stop()
    folder = tmp_path / f"{bundle.bundle_id}.proofs"
    assert first.directory == again.directory == folder / "receipt"
    assert second.directory.parent == folder / "receipts"
    assert _statement(second.directory).log_key_sha256 == second.receipt.log_key.sha256


def test_an_enrolment_can_be_replaced_and_the_old_keys_stay(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    words = (
        "enroll",
        "--to",
        served.url,
        "--token-file",
        "-",
        "--replace",
        "--host",
        "web02",
        "--json",
    )
    done = _hozen(
        tmp_path,
        *words,
        stdin=served.token(),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["agent_id"] != enrolled.agent_id
    names = sorted(path.suffix for path in enrolled.directory.parent.iterdir())
    assert names.count(".old") == 1
    (found,) = enrolment.enrolments(state=tmp_path / "state")
    assert found.host == "web02"


def test_a_japanese_terminal_is_answered_in_japanese(
    served: Served, enrolled: Enrolment, tmp_path: Path
) -> None:
    assert enrolled.host == "web01"
    bundle = make_bundle(tmp_path)
    done = _hozen(tmp_path, "note", bundle.path, "引渡し前", "--lang", "ja")
    assert "記録しました" in done.stdout
    done = _hozen(tmp_path, "push", bundle.path, "--to", served.url, "--lang", "ja", "-v")
    assert done.returncode == 0
    assert "受領されました" in done.stdout
    assert "取扱履歴: 1 件" in done.stdout


# -- custody notes ----------------------------------------------------------------------------------------------------


def _check_chain(events: list[custody.Event]) -> None:
    before: str | None = None
    for number, event in enumerate(events, 1):
        record = json.loads(event.data)
        assert (record["event_no"], record["previous"]) == (number, before)
        cms.verify_detached(event.signature, hashlib.sha256(event.data).digest())
        before = hashlib.sha256(event.data).hexdigest()


def test_notes_are_chained_signed_logged_once_and_verified(
    enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    photo = tmp_path / "front of rack.jpg"
    photo.write_bytes(b"\xff\xd8\xff" + os.urandom(2000))
    for words in (
        ("--isolated", "--by", "Sato Hanako", "--at", "2026-11-23T05:05:00Z"),
        ("--photo", photo, "front"),
        ("stick handed over", "--event", "transfer_out", "--from", "Sato", "--to", "Ito 弁護士"),
    ):
        done = _hozen(tmp_path, "note", bundle.path, *words)
        assert done.returncode == 0, done.stderr
    folder = tmp_path / f"{bundle.bundle_id}.proofs"
    events = list(custody.read_events(folder))
    records = [json.loads(event.data) for event in events]
    assert [record["type"] for record in records] == ["ISOLATE", "PHOTO", "TRANSFER_OUT"]
    assert {record["seal"] for record in records} == {bundle.seal}
    assert records[0]["happened"] == "2026-11-23T05:05:00.000000000Z"
    assert records[2]["handed_to"] == "Ito 弁護士"
    _check_chain(events)
    verified = json.loads(_hozen(tmp_path, "verify", bundle.path, "--json").stdout)
    (step,) = [one for one in verified["bundles"][0]["steps"] if one["number"] == 14]
    assert step["result"] == "match"
    assert list(events[1].attachments.values()) == [photo.read_bytes()]
    done_push = pushing.push(enrolled, bundle.path)
    assert done_push.events == 3
    receipts = sorted(path.name for path in (folder / "receipts").iterdir())
    assert receipts == [f"custody-00000{number}" for number in (1, 2, 3)]
    stated = _statement(folder / "receipts" / "custody-000002")
    assert (stated.event, stated.seal) == ("custody", bundle.seal)
    assert stated.container_sha256 == hashlib.sha256(events[1].data).hexdigest()
    _hozen(tmp_path, "note", folder, "a later word")
    size = _log_size(enrolled)
    assert pushing.push(enrolled, bundle.path).events == 4
    assert _log_size(enrolled) == size + 1


def test_a_changed_or_missing_event_or_photo_is_not_sent(
    enrolled: Enrolment, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    target = custody.Target(bundle_id=bundle.bundle_id, seal=bundle.seal)
    folder = tmp_path / f"{bundle.bundle_id}.proofs"
    photo = tmp_path / "a.png"
    photo.write_bytes(b"png")
    signer = new_one_capture("note")
    for number in range(3):
        custody.add_event(folder, target, custody.Details(text=str(number)), signer, photos=[photo])
    path = folder / "custody" / "000002.json"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(FormatError, match="an event is missing"):
        pushing.push(enrolled, bundle.path)
    path.write_bytes(kept.replace(b'"text":"1"', b'"text":"2"'))
    with pytest.raises(Exception, match=r"signature|refuses"):
        pushing.push(enrolled, bundle.path)
    path.write_bytes(kept)
    (folder / "attachments" / hashlib.sha256(b"png").hexdigest()).write_bytes(b"jpg")
    with pytest.raises(FormatError, match="was changed"):
        pushing.push(enrolled, bundle.path)
    assert base64.b64encode(kept)


def test_two_notes_at_once_get_two_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "hz-20261123T050000Z-web01-00000000.proofs"
    target = custody.Target(bundle_id="hz-20261123T050000Z-web01-00000000")
    signer = new_one_capture("note")

    def write() -> None:
        for _ in range(5):
            custody.add_event(folder, target, custody.Details(text="x"), signer)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = list(custody.read_events(folder))
    assert len(events) == 20
    _check_chain(events)
