"""A real witness in its own process: what it cosigns, what it refuses, and what survives a kill."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hozen_collector import leaves
from hozen_collector.index.engine import Index
from hozen_collector.keys import read_keys
from hozen_collector.layout import Layout
from hozen_collector.log import TransparencyLog
from hozen_collector.witness import store
from hozen_hashes import merkle
from hozen_hashes.addcheckpoint import encode_add_checkpoint, parse_add_checkpoint
from hozen_hashes.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from hozen_hashes.cosignature import WitnessSigner, parse_witness_vkey, verify_cosignatures
from hozen_hashes.errors import FormatError, TryAgainError, UsageError
from hozen_hashes.note import SigningKey, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORIGIN = "log.example"
KEY = SigningKey.generate(ORIGIN)
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(64)]
FORKED = [*LEAVES[:3], merkle.leaf_hash(b"other"), *LEAVES[4:]]
MAIN = "from hozen_collector.commands.collector import collector; collector()"
KILLED = (
    "import sys; from hozen_collector import faults; faults._armed[sys.argv.pop(1)] = 2; " + MAIN
)


class Server:
    """A witness process; `kill_at` names the durable step of the second request that it does not survive."""

    def __init__(self, root: Path, *, kill_at: str = "") -> None:
        read, write = os.pipe()
        code = [KILLED, kill_at] if kill_at else [MAIN]
        words = ["witness", "serve", str(root), "--listen", "127.0.0.1:0", "--ready-fd", str(write)]
        env = {"PATH": os.environ["PATH"], "HOME": str(root), "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", *code, *words],
            env=env,
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with open(read, "rb") as ready:
            line = ready.readline().decode()
        self.port = int(line.rpartition(":")[2]) if line else 0

    def post(self, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"] or "", answer.read()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "witness"
    store.init(root, WitnessSigner.generate("witness.example/w1"), [KEY.verifier])
    return root


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def make(root: Path, **words: Any) -> Server:
        started.append(Server(root, **words))
        return started[-1]

    yield make
    for one in started:
        one.process.kill()
        one.process.wait(20)


def body(old: int, new: int, hashes: list[bytes] = LEAVES, key: SigningKey = KEY) -> bytes:
    read = merkle.reader_of_leaves(hashes)
    note = sign_checkpoint(Checkpoint(key.verifier.name, new, merkle.tree_root(new, read)), [key])
    proof = merkle.consistency_proof(min(old, new), new, read)
    return encode_add_checkpoint(old, proof, note)


def holds(root: Path, sent: bytes, answer: bytes) -> int:
    """Give the time of the cosignature that answers a request, when it holds."""
    key = parse_witness_vkey((root / "witness.vkey").read_bytes())
    note = parse_note(sent.split(b"\n\n", 1)[1] + answer)
    (found,) = verify_cosignatures(note, [key])
    return found.seconds


def test_a_witness_cosigns_growth_and_refuses_the_rest(
    directory: Path, start: Callable[..., Server]
) -> None:
    witness = start(directory)
    for old, new in ((0, 3), (3, 9), (9, 9), (9, 40)):
        status, _, answer = witness.post(body(old, new))
        assert status == 200
        assert holds(directory, body(old, new), answer) > 1_700_000_000
    for sent, expected in (
        (body(0, 3), 409),  # rolled back
        (body(3, 50), 409),
        (body(40, 40, FORKED), 409),  # another root of the same size
        (body(40, 50, FORKED), 422),  # rewritten
        (body(50, 45), 400),
        (body(40, 50, key=SigningKey.generate(ORIGIN)), 403),
        (body(0, 5, key=SigningKey.generate("other.example")), 404),
        (b"junk", 400),
        (b"x" * 70_000, 413),
    ):
        status, kind, answer = witness.post(sent)
        assert status == expected, sent
        if status == 409:
            assert (kind.partition(";")[0], answer) == ("text/x.tlog.size", b"40\n")
    assert len(list((directory / "refused").iterdir())) == 2  # the fork and the rewrite, as proof
    assert witness.post(body(40, 64))[0] == 200
    assert witness.stop() == 0


def test_two_views_of_one_log_cannot_both_be_cosigned(
    directory: Path, start: Callable[..., Server]
) -> None:
    witness = start(directory)
    assert witness.post(body(0, 3))[0] == 200
    assert witness.post(body(3, 10))[0] == 200
    assert witness.post(body(3, 10, FORKED))[0] == 409
    assert witness.post(body(10, 12, FORKED))[0] == 422
    witness.stop()
    again = start(directory)
    assert again.post(body(3, 10, FORKED))[::2] == (409, b"10\n")
    assert again.post(body(10, 12))[0] == 200


@pytest.mark.parametrize(("point", "remembered"), [("witness-decided", 3), ("witness-written", 10)])
def test_a_kill_around_the_write_never_forgets_what_was_answered(
    point: str, remembered: int, directory: Path, start: Callable[..., Server]
) -> None:
    witness = start(directory, kill_at=point)
    assert witness.post(body(0, 3))[0] == 200
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        witness.post(body(3, 10))
    assert witness.process.wait(20) == -signal.SIGKILL
    again = start(directory)
    assert again.post(body(0, 3))[::2] == (409, b"%d\n" % remembered)
    assert again.post(body(remembered, 12))[0] == 200


def test_requests_at_once_never_roll_each_other_back(
    directory: Path, start: Callable[..., Server]
) -> None:
    witness = start(directory)
    bodies = [body(0, new) for new in range(1, 40)] + [body(0, 7, FORKED)] * 5
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(witness.post, bodies))
    won = [sent for sent, answer in zip(bodies, answers, strict=True) if answer[0] == 200]
    assert len(won) == 1  # whoever came first; all others named a size that it no longer knew
    size = read_checkpoint(won[0].split(b"\n\n", 1)[1])[0].size
    assert {answer[2] for answer in answers if answer[0] == 409} == {b"%d\n" % size}


def test_a_real_log_that_is_rewritten_on_disk_is_refused(
    empty_collector: Path, directory: Path, start: Callable[..., Server], tools: Any
) -> None:
    """The collector's own log; then its administrator rewrites leaves, tiles, checkpoint and mark."""
    layout = Layout(empty_collector)
    key = read_keys(layout).log
    store.trust(directory, key.verifier)
    witness = start(directory)
    index = Index(layout.database)
    log = TransparencyLog(layout, index, key)
    log.open()
    add(layout, index, 5)
    log.publish()
    note = log.signed[1]
    assert witness.post(encode_add_checkpoint(0, (), note))[0] == 200
    tools.sql(layout.root, "UPDATE leaf SET text=? WHERE position=1", b"other")
    for path in (layout.log / "checkpoint", layout.state / "high-water"):
        path.unlink()
    shutil.rmtree(layout.log / "checkpoints")
    add(layout, index, 3)
    forged = TransparencyLog(layout, index, key)
    forged.open()
    proof = forged._loaded().consistency_proof(5, 8)
    assert witness.post(encode_add_checkpoint(5, proof, forged.signed[1]))[0] == 422
    index.close()


def test_a_lost_damaged_or_foreign_state_stops_the_witness(directory: Path) -> None:
    one = store.Witness(directory, now=lambda: 5)
    with pytest.raises(TryAgainError):
        store.Witness(directory, now=lambda: 5)
    one.add_checkpoint(store_request(0, 3))
    one.close()
    place = store.Layout(directory).known(ORIGIN)
    good = place.read_bytes()
    foreign = sign_checkpoint(read_checkpoint(good)[0], [KEY])
    for bad in (good[:-9], b"x", foreign, good.replace(b"\n3\n", b"\n2\n")):
        place.write_bytes(bad)
        with pytest.raises(FormatError):
            store.Witness(directory, now=lambda: 5)
    place.unlink()
    with pytest.raises(FormatError, match="cannot be read"):
        store.Witness(directory, now=lambda: 5)


def test_a_clock_that_went_back_signs_nothing(directory: Path) -> None:
    times = iter((100, 99, 100))
    one = store.Witness(directory, now=lambda: next(times))
    one.add_checkpoint(store_request(0, 3))
    with pytest.raises(TryAgainError, match="clock"):
        one.add_checkpoint(store_request(3, 4))
    one.add_checkpoint(store_request(3, 4))
    assert one.known == {ORIGIN: 4}
    one.close()


def test_a_witness_is_made_once_and_a_key_is_trusted_once(directory: Path) -> None:
    with pytest.raises(UsageError, match="not empty"):
        store.init(directory, WitnessSigner.generate("w"), [])
    with pytest.raises(UsageError, match="already"):
        store.trust(directory, KEY.verifier)
    with pytest.raises(UsageError):
        store.trust(directory.parent, KEY.verifier)
    assert (directory / "witness.key").stat().st_mode & 0o777 == 0o600
    assert (directory / "witness.vkey").read_text() in (directory / "card.txt").read_text()


def add(layout: Layout, index: Index, count: int) -> None:
    key = read_keys(layout).log_key
    with index.write() as session:
        for _ in range(count):
            leaves.append(session, key, leaves.Event(event="enroll", sender=os.urandom(4).hex()))


def store_request(old: int, new: int) -> Any:
    return parse_add_checkpoint(body(old, new))
