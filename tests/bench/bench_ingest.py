"""How fast one container comes in and is durable, beside `dd bs=1M conv=fsync` of the same bytes to the same disk.

Run: python tests/bench/bench_ingest.py DIRECTORY [MEGABYTES]. One PATCH of the whole container by curl on loopback,
with the running SHA-256 and an acknowledged, durable offset: plain HTTP (the collector's own floor) and mutual TLS 1.3
(as it is served).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from cryptography.hazmat.primitives.serialization import Encoding
from measure import Gate

from hozen_collector import protocol
from hozen_collector.app import Workers, make_app
from hozen_collector.commands import work as commands
from hozen_collector.identity import enrolment, tokens
from hozen_collector.intake.live import LiveUploads
from hozen_collector.runtime import open_collector
from hozen_collector.server import _server
from hozen_collector.verifying import Verifier
from hozen_config.settings import CollectorSettings
from hozen_hashes.identity import make_csr, new_key
from hozen_hashes.keyfile import encode_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import uvicorn
    from cryptography import x509

    from hozen_collector.runtime import Collector

ROUNDS = 5
BUSY = 0.15
SETTINGS = CollectorSettings(max_open_uploads=1000)
NAME = "hz-20261123T050000Z-bench-00000000"


def dd(source: Path, target: Path) -> float:
    """Return the seconds that dd needs to copy `source` durably."""
    target.unlink(missing_ok=True)
    began = time.perf_counter()
    call = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
    subprocess.run(call, check=True)
    spent = time.perf_counter() - began
    target.unlink()
    return spent


class Others:
    """How much of the processors everything but this benchmark used; several threads then say nothing about us."""

    def __init__(self) -> None:
        self._began = self._now()

    def share(self) -> float:
        """Return the share since the beginning, 0 to 1."""
        wall, busy, own = (b - a for a, b in zip(self._began, self._now(), strict=True))
        return max(0.0, busy - own) / (wall * (os.cpu_count() or 1))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        user, nice, system, _idle, _iowait, *interrupts = (
            int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split()[1:8]
        )
        busy = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), busy, sum(os.times()[:4])


class Ingest:
    """A collector in this process, and an enrolled client for curl."""

    def __init__(self, root: Path, collector: Collector) -> None:
        self.collector = collector
        with collector.index.write() as session:
            token = tokens.new_token(
                session,
                ca_sha256=collector.keys.ca_sha256,
                log_sha256=collector.keys.log_key.sha256,
                hosts="*",
                count=1,
                now_ns=time.time_ns(),
                seconds=3600,
            )
            transport = new_key()
            words: dict[str, object] = {
                "token": token.encode(),
                "host": "bench",
                "transport_csr": make_csr(transport, "bench").decode(),
                "evidence_csr": make_csr(new_key(), "bench").decode(),
            }
            request = enrolment.read_request(words)
            enrolled = enrolment.enrol(session, collector.keys, SETTINGS, request)
        self.certificate: x509.Certificate = enrolled.transport
        self.pem = root.parent / "client.pem"
        pem = self.certificate.public_bytes(Encoding.PEM)
        self.pem.write_bytes(encode_key(transport, None) + pem)

    @contextlib.contextmanager
    def serving(self, *, tls: bool) -> Iterator[str]:
        """Serve in a thread and give the base URL; no verification runs beside."""
        ready = threading.Event()
        found: dict[str, Any] = {}

        async def run() -> None:
            live = LiveUploads()
            verifier = Verifier(Path("unused"), SETTINGS)
            app = make_app(self.collector, live, Workers(self.collector, verifier))
            der = self.certificate.public_bytes(Encoding.DER)

            async def known(scope: Any, receive: Any, send: Any) -> None:
                if not tls:  # what the mutual TLS of the real listener would have found
                    scope[protocol.SCOPE_KEY] = der
                await app(scope, receive, send)

            server = _server(known, self.collector, tls=tls)
            found["server"] = server
            task = asyncio.create_task(_serve(server))
            await server.up.wait()
            found["port"] = server.servers[0].sockets[0].getsockname()[1]
            ready.set()
            await task

        thread = threading.Thread(target=lambda: uvloop.run(run()))
        thread.start()
        ready.wait()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{found['port']}"
        finally:
            found["server"].should_exit = True
            thread.join()

    def send(self, url: str, source: Path) -> float:
        """Return the seconds from the first byte of the PATCH to its 204; the upload is then thrown away."""
        size = source.stat().st_size
        words = {"bundle": NAME, "case": "B", "seal": "0" * 64, "sha256": "0" * 64}
        words |= {"filename": f"{NAME}.zip", "kind": "bundle"}
        metadata = ",".join(
            f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in words.items()
        )
        head = self._curl(
            "-X", "POST", "-H", f"Upload-Length: {size + 1}", "-H", f"Upload-Metadata: {metadata}",
            "-D", "-", f"{url}/api/v1/uploads",
        )  # fmt: skip
        location = next(line for line in head.splitlines() if line.lower().startswith("location:"))
        path = location.partition(":")[2].strip()
        began = time.perf_counter()
        code = self._curl(
            "-X", "PATCH", "-T", str(source), "-H", "Upload-Offset: 0", "-H", "Expect:",
            "-H", "Content-Type: application/offset+octet-stream", "-o", os.devnull,
            "-w", "%{http_code}", f"{url}{path}",
        )  # fmt: skip
        spent = time.perf_counter() - began
        if code.strip() != "204":
            raise RuntimeError(f"the collector answered {code}")
        self._curl("-X", "DELETE", f"{url}{path}")
        return spent

    def _curl(self, *words: str) -> str:
        keys = self.collector.layout.keys
        call = ["curl", "-sS", "--cacert", str(keys / "ca.pem"), "--cert", str(self.pem)]
        done = subprocess.run(
            [*call, "-H", "Tus-Resumable: 1.0.0", *words],
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout


async def _serve(server: uvicorn.Server) -> None:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await server.serve(sockets=[sock])


def measure(work: Path, megabytes: int) -> list[Gate]:
    """Return the gates of ingest; the limit is measured in the same rounds."""
    source = work / "container"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
    root = work / "collector"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        commands.init(root, name="bench", hosts=("127.0.0.1",))
    collector = open_collector(root, SETTINGS)
    gates = []
    try:
        ingest = Ingest(root, collector)
        for name, tls, gate in (("plain", False, 0.45), ("mutual TLS", True, 0.35)):
            with ingest.serving(tls=tls) as url:
                others = Others()
                rounds = [
                    (dd(source, work / "copy"), ingest.send(url, source)) for _ in range(ROUNDS)
                ]
                share = others.share()
            floor, spent = (min(column) for column in zip(*rounds, strict=True))
            busy = f"others used {share:.0%} of the processors" if share > BUSY else ""
            gates.append(
                Gate(
                    f"ingest {name} / dd conv=fsync",
                    floor / spent,
                    gate,
                    least=True,
                    why_not=busy,
                    detail=f"{megabytes / spent:.0f} / {megabytes / floor:.0f} MiB/s",
                )
            )
    finally:
        collector.close()
        shutil.rmtree(root)
        source.unlink()
    return gates


def main() -> int:
    """Print one JSON line a gate."""
    work = Path(sys.argv[1])
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    for gate in measure(work, megabytes):
        row = [gate.name, gate.figure, gate.gate, gate.unit, gate.least, gate.why_not, gate.detail]
        sys.stdout.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
