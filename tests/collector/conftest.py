"""A real collector in its own process on loopback, a client that speaks TLS to it, and bundles to send."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hozen_collector.commands import work
from hozen_hashes import readme_verify
from hozen_hashes.identity import (
    KeyIdentity,
    load_identity,
    make_csr,
    new_key,
    new_one_capture,
    write_identity,
)
from hozen_hashes.keyfile import encode_key
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hozen_hashes.identity import Signer
    from hozen_hashes.journal import Segment

MAIN = "from hozen_collector.commands.collector import collector; collector()"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


@dataclass
class Answer:
    """What the collector said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass
class Bundle:
    """A sealed bundle and what a client declares about it."""

    bundle_id: str
    data: bytes
    seal: str
    start: tuple[bytes, bytes] = (b"", b"")
    kind: str = "bundle"
    case: str = "C-1"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def metadata(self, /, **changed: str) -> str:
        words = {
            "bundle": self.bundle_id,
            "case": self.case,
            "seal": self.seal,
            "sha256": self.sha256,
            "filename": f"{self.bundle_id}.zip",
            "kind": self.kind,
            **changed,
        }
        return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in words.items())


class Running:
    """A collector process."""

    def __init__(
        self,
        root: Path,
        *,
        fault: str = "",
        config: Path | None = None,
        within: tuple[str, ...] = (),
    ) -> None:
        read, write = os.pipe()
        env = {"PATH": os.environ["PATH"], "HOME": str(root)} | (
            {"HOZEN_FAULT": fault} if fault else {}
        )
        listen = ["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--ready-fd", str(write)]
        options = ["--config", str(config)] if config else []
        self.root = root
        self.log = (root.parent / f"{root.name}.log").open("ab")
        self.process = subprocess.Popen(
            [*within, sys.executable, "-c", MAIN, "serve", str(root), *listen, *options],
            env=env,
            pass_fds=(write,),
            stderr=self.log,
            stdout=self.log,
        )
        os.close(write)
        with open(read, "rb") as ready:
            self.ready = ready.readline().decode()
        self.port = self.status_port = 0
        if self.ready:
            words = self.ready.split()
            self.port, self.status_port = (int(words[at].rpartition(":")[2]) for at in (1, 3))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self, seconds: float = 30) -> int:
        code = self.process.wait(seconds)
        self.log.close()
        return code


@dataclass
class Client:
    """One enrolled identity."""

    port: int
    root: Path
    agent_id: str = ""
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    signer: KeyIdentity | None = None

    def call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.context, timeout=30
        )
        try:
            chunked = (headers or {}).get("Transfer-Encoding") == "chunked"
            connection.request(
                method, path, body=body, headers=headers or {}, encode_chunked=chunked
            )
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def post_json(self, path: str, body: object) -> Answer:
        return self.call(
            "POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode()
        )

    def create(self, bundle: Bundle, /, **changed: str) -> Answer:
        size = changed.pop("length", str(len(bundle.data)))
        words = {**TUS, "Upload-Length": size, "Upload-Metadata": bundle.metadata(**changed)}
        return self.call("POST", "/api/v1/uploads", words)

    def patch(self, location: str, offset: int, data: bytes, **more: str) -> Answer:
        headers = {**PIECE, "Upload-Offset": str(offset)}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return self.call("PATCH", location, headers, data)

    def offset(self, location: str) -> int:
        answer = self.call("HEAD", location, TUS)
        assert answer.status == 200, answer
        return int(answer.headers["upload-offset"])

    def push(self, bundle: Bundle, /, **changed: str) -> dict[str, Any]:
        created = self.create(bundle, **changed)
        assert created.status == 201, created
        location = created.headers["location"]
        assert self.patch(location, 0, bundle.data).status == 204
        return self.settled(location)

    def settled(self, location: str, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.call("GET", location).json
            if state.get("state") in ("accepted", "quarantined"):
                return state
            time.sleep(0.05)
        raise AssertionError("the upload is not settled")

    def receipt(self, key: str) -> dict[str, bytes]:
        answer = self.call("GET", f"/api/v1/receipts/{key}")
        assert answer.status == 200, answer
        return {name: base64.b64decode(data) for name, data in answer.json["files"].items()}

    @contextlib.contextmanager
    def raw(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            yield wrapped


def stranger(root: Path, port: int) -> Client:
    """Give a client without a certificate that trusts the collector's root."""
    context = ssl.create_default_context(cafile=str(root / "keys" / "ca.pem"))
    return Client(port=port, root=root, context=context)


def new_token(root: Path, **words: Any) -> str:
    out = root.parent / f"token-{os.urandom(4).hex()}"
    work.token_new(root, out=str(out), **{"hosts": "*", "count": 1, "expires": "1h", **words})
    text = out.read_text().strip()
    out.unlink()
    return text


def enrol_body(token: str, host: str, transport: Any, evidence: Any) -> dict[str, str]:
    return {
        "token": token,
        "host": host,
        "transport_csr": make_csr(transport, host).decode(),
        "evidence_csr": make_csr(evidence, host).decode(),
    }


def enrol(root: Path, port: int, *, host: str = "web01", token: str = "") -> Client:
    """Enrol a new identity and give its client."""
    transport, evidence = new_key(), new_key()
    body = enrol_body(token or new_token(root), host, transport, evidence)
    answer = stranger(root, port).post_json("/api/v1/enroll", body)
    assert answer.status == 201, answer
    words = answer.json
    directory = root.parent / f"agent-{words['agent_id']}"
    directory.mkdir()
    pem = directory / "transport.pem"
    pem.write_bytes(encode_key(transport, None) + words["transport_certificate"].encode())
    client = stranger(root, port)
    client.context.load_cert_chain(str(pem))
    client.agent_id = words["agent_id"]
    client.signer = load_identity(
        encode_key(evidence, None) + (words["evidence_certificate"] + words["chain"]).encode(),
        None,
        kind="enrolled",
    )
    return client


class _Memory:
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


def _fingerprint(signer: Signer) -> str:
    return hashlib.sha256(signer.certificate.public_bytes(Encoding.DER)).hexdigest()


def make_bundle(
    signer: Signer | None = None, *, payload: bytes = b"sshd: accepted\n", case: str = "C-1"
) -> Bundle:
    """Give a sealed bundle with one payload file."""
    bundle_id = f"hz-20261123T050000Z-web01-{os.urandom(4).hex()}"
    signer = signer or new_one_capture("stick")
    medium = _Memory()
    moment = time.time_ns()

    def now() -> tuple[int, int]:
        return moment, 77

    when = datetime.now(UTC)
    writer = BundleWriter(bundle_id, sink=medium, sidecar=medium, now=now)
    identity = {"kind": signer.kind, "certificate_sha256": _fingerprint(signer)}
    start = {
        "type": "start",
        "format": "hozen-bundle/1",
        "plan_sha256": hashlib.sha256(b"{}\n").hexdigest(),
        "identity": identity,
        "case": {"id": case},
    }
    writer.begin(
        start,
        readme=readme_verify.render(bundle_id),
        plan=b"{}\n",
        signer=signer,
        signing_time=when,
    )
    path = "data/linux_logs/000001.log"
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
            started=now(),
            ended=now(),
            path=path,
            size=len(payload),
            sha256=digest,
        )
    )
    sealed = writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda w: {"format": "hozen-bundle/1", "bundle_id": w.bundle_id},
        bag_info={"External-Identifier": bundle_id},
        signer=signer,
        signing_time=when,
    )
    return Bundle(
        bundle_id, medium.container.getvalue(), sealed.seal, start=medium.start, case=case
    )


def make_bundle_claim() -> Bundle:
    """Give a small claim of a bundle that will never be sent."""
    return Bundle(f"hz-20261123T050000Z-web01-{os.urandom(4).hex()}", os.urandom(64), "0" * 64)


def identity_pem(signer: KeyIdentity) -> bytes:
    return write_identity(signer, None)


def sql(root: Path, statement: str, *values: Any) -> list[Any]:
    """Look into or change the database behind the collector's back."""
    with contextlib.closing(sqlite3.connect(root / "collector.sqlite", timeout=20)) as database:
        rows = database.execute(statement, values).fetchall()
        database.commit()
    return rows


def decoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(data) for name, data in files.items()}


def kill_after(running: Running, seconds: float) -> threading.Thread:
    """Kill a collector soon, from a thread that the caller joins."""

    def kill() -> None:
        time.sleep(seconds)
        running.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.fixture
def empty_collector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An initialised collector that nobody serves."""
    root = tmp_path / "collector"
    work.init(root, name="test", hosts=("localhost", "127.0.0.1"))
    capsys.readouterr()
    return root


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Start collectors that end with the test."""

    class Starter:
        """Starts collectors; `started` has them in order."""

        started: ClassVar[list[Running]] = []

        def __call__(self, root: Path, **words: Any) -> Running:
            self.started.append(Running(root, **words))
            return self.started[-1]

    starter = Starter()
    starter.started.clear()
    yield starter
    for one in starter.started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector that the tests of a module share."""
    root = tmp_path_factory.mktemp("shared") / "collector"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work.init(root, name="test", hosts=("localhost", "127.0.0.1"))
    one = Running(root)
    assert one.ready
    yield one
    assert one.stop() == 0


@pytest.fixture
def client(running: Running) -> Client:
    """A new identity at the shared collector."""
    return enrol(running.root, running.port)


@pytest.fixture
def tools() -> Any:
    """The helpers of this file, for tests that need more than one client."""
    return sys.modules[__name__]
