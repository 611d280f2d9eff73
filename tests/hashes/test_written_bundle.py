"""Bundles of the real writer, opened by everybody else's tools, and by the verifier, whatever was put in."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_hashes import readme_verify
from hozen_hashes.commands.verify import verify
from hozen_hashes.identity import new_one_capture
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter, EpochLimits, Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from hozen_hashes.journal import Segment

BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"
SIGNER = new_one_capture("test")
WHEN = datetime.now(UTC).replace(microsecond=0)
SWEEP = {
    "sha256": "00" * 32, "size": "1", "started": "2026-11-23T05:00:00.000000000Z",
    "ended": "2026-11-23T05:00:00.000000000Z", "mono_started": "1", "mono_ended": "2",
}  # fmt: skip
FACTS = {"format": "hozen-bundle/1", "bundle_id": BUNDLE, "critical": []}


def now() -> tuple[int, int]:
    return 1_795_410_533_779_792_931, 77


class Plain:
    """A medium that is one file, without a journal beside it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._file.write(data)

    def sync(self) -> None:
        self._file.flush()

    def put(self, segment: Segment, files: bytes) -> None:
        pass

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        pass


def item(writer: BundleWriter, chunks: Iterable[bytes]) -> None:
    """Record one attempt with these bytes."""
    path = f"data/linux_logs/{writer.items + 1:06d}.log"
    payload = writer.open_payload(path, writer.items + 1)
    for chunk in chunks:
        payload.write(chunk)
    digest = writer.close_payload(payload)
    finish_item(writer, path, payload.digest.size, digest)


def small(writer: BundleWriter, data: bytes) -> None:
    """Record one attempt whose bytes are in one piece."""
    path = f"data/linux_logs/{writer.items + 1:06d}.log"
    finish_item(writer, path, len(data), writer.add_payload(path, data))


def each(writer: BundleWriter, payloads: Iterable[bytes]) -> None:
    """Record one attempt for each of the payloads."""
    for data in payloads:
        item(writer, [data])


def finish_item(writer: BundleWriter, path: str, size: int, digest: str) -> None:
    writer.finish_item(
        ItemRecord(
            item=writer.items + 1,
            artifact="linux_logs",
            outcome="captured",
            kind="file",
            source=b"/var/log/a",
            method="read",
            personal="personal",
            started=now(),
            ended=now(),
            path=path,
            size=size,
            sha256=digest,
        )
    )


def bundle(
    file: BinaryIO,
    fill: Callable[[BundleWriter], None],
    *,
    epoch: EpochLimits | None = None,
    spill: bool = False,
) -> Sealed:
    """Write a complete bundle."""
    medium = Plain(file)
    writer = BundleWriter(
        BUNDLE, sink=medium, sidecar=medium, now=now, epoch=epoch, spill=_spill if spill else None
    )
    plan = b'{"format":"hozen-plan/1"}\n'
    start: dict[str, object] = {
        "type": "start", "format": "hozen-bundle/1", "agent": {}, "argv": [],
        "profile": {"name": "t", "sha256": "00" * 32},
        "plan_sha256": sha256(plan).hexdigest(), "sweep": SWEEP,
        "checkpoint": {"state": "not obtained", "reason": "test"},
        "identity": {"kind": "one-capture", "certificate_sha256": SIGNER.certificate_sha256}, "case": None,
    }  # fmt: skip
    writer.begin(
        start, readme=readme_verify.render(BUNDLE), plan=plan, signer=SIGNER, signing_time=WHEN
    )
    fill(writer)
    return writer.finish(
        reason="complete", detail="", bundle_json=lambda _: _facts(writer), bag_info={"External-Identifier": BUNDLE},
        signer=SIGNER, signing_time=WHEN,
    )  # fmt: skip


def _spill() -> BinaryIO:
    import tempfile

    return tempfile.TemporaryFile()


def _facts(writer: BundleWriter) -> dict[str, object]:
    journal = writer.journal
    return {
        **FACTS,
        "journal": {
            "first_key_sha256": journal.first_key_sha256, "segments": journal.epoch + 1,
            "last_sha256": journal.last_sha256, "closed": True, "reason": "complete",
        },
        "counts": {"attempts": writer.items, "files": writer.payload_files, "bytes": str(writer.payload_bytes)},
    }  # fmt: skip


def says_match(path: Path, sealed: Sealed) -> None:
    """Assert that the command says 一致 and exits with 0 when it is given the seal."""
    result = CliRunner().invoke(verify, [str(path), "--seal", sealed.seal], standalone_mode=False)
    assert result.exception is None, result.exception
    assert result.return_value == 0, result.output


def ok(command: str, cwd: Path) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=cwd, capture_output=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.binary(max_size=100_000), max_size=4), max_size=8),
    st.integers(1000, 200_000),
)
def test_whatever_is_written_verifies(tmp_path: Path, items: list[list[bytes]], epoch: int) -> None:
    def fill(writer: BundleWriter) -> None:
        for chunks in items:
            if any(chunks):
                item(writer, chunks)

    path = tmp_path / f"{BUNDLE}.zip"
    with path.open("wb") as file:
        sealed = bundle(file, fill, epoch=EpochLimits(seconds=60, payload=epoch))
    says_match(path, sealed)


def test_stock_and_third_party_tools_accept_a_bundle_of_70000_items(tmp_path: Path) -> None:
    def fill(writer: BundleWriter) -> None:
        for number in range(70_000):
            small(writer, b"line %d\n" % number)

    path = tmp_path / f"{BUNDLE}.zip"
    with path.open("wb") as file:
        sealed = bundle(file, fill, spill=True)
    ok("7z t -bd *.zip >/dev/null", tmp_path)
    ok("cat *.zip | bsdtar -tf - | wc -l | grep -qE '^70[0-9]{3}$'", tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) > 70_000
        assert archive.testzip() is None
    says_match(path, sealed)


def test_bagit_says_the_bag_is_valid(tmp_path: Path) -> None:
    path = tmp_path / f"{BUNDLE}.zip"
    with path.open("wb") as file:
        bundle(file, lambda writer: each(writer, (b"x" * n for n in range(1, 30))))
    ok(
        f"unzip -q *.zip && {sys.executable} -W ignore -m bagit --quiet --validate {BUNDLE}",
        tmp_path,
    )
    ok(
        f"echo x >{BUNDLE}/data/extra && ! {sys.executable} -W ignore -m bagit --quiet --validate {BUNDLE}",
        tmp_path,
    )


def test_a_front_to_back_reader_takes_it_from_a_pipe() -> None:
    from stream_unzip import stream_unzip

    sink = io.BytesIO()
    payloads = [os.urandom(n) for n in (1, 70_000, 5_000_000)]
    bundle(sink, lambda writer: each(writer, payloads))
    seen = {}
    whole = sink.getvalue()
    for name, _, chunks in stream_unzip(whole[n : n + 65536] for n in range(0, len(whole), 65536)):
        seen[name.decode()] = b"".join(chunks)
    stored = [data for name, data in sorted(seen.items()) if "/data/" in name]
    assert stored == payloads


@pytest.mark.slow
def test_a_member_of_more_than_4_gib_passes_everywhere(tmp_path: Path) -> None:
    def zeros() -> Iterator[bytes]:
        block = bytes(16 << 20)
        for _ in range(257):
            yield block

    path = tmp_path / f"{BUNDLE}.zip"
    with path.open("wb") as file:
        sealed = bundle(file, lambda writer: item(writer, zeros()))
    ok(
        "unzip -tq *.zip && 7z t -bd *.zip >/dev/null",
        tmp_path,
    )
    says_match(path, sealed)
