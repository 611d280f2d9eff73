"""The sealed recipe holds in a shell without Hozen, fails on every kind of tampering, and holds for years.

Only the lines of README-VERIFY.txt run here, with unzip, sha256sum, openssl and diff of this computer.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hozen_hashes import readme_verify
from hozen_hashes.digest import sha256_hex
from hozen_hashes.identity import new_one_capture
from hozen_hashes.records import ItemRecord
from hozen_hashes.writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_hashes.journal import Segment

DATA = Path(__file__).parents[1] / "vectors" / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
BUNDLE: str = EXPECTED["bundle_id"]
RECIPE = "\n".join(readme_verify.commands(readme_verify.render(BUNDLE)))
# Their changes are sealed by the right key and only the numbers in records contradict each other.
NOT_SEEN = {"resealed-miscounted", "version-2", "critical-unknown"}
SIGNED = 1_795_410_540  # 2026-11-23, within the certificate's validity


def run(
    folder: Path,
    container: bytes,
    *,
    bundle: str = BUNDLE,
    recipe: str = RECIPE,
    prefix: tuple[str, ...] = (),
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / f"{bundle}.zip").write_bytes(container)
    return subprocess.run(
        [*prefix, "sh", "-e", "-c", recipe],
        cwd=work,
        env={"PATH": os.environ["PATH"], **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )


def vector(name: str) -> bytes:
    return (DATA / f"{name}.zip").read_bytes()


ROOT = str(DATA / "root.pem")
GOOD = [name for name, wanted in EXPECTED["vectors"].items() if wanted["recipe"]]
BAD = [name for name in EXPECTED["vectors"] if name not in {*GOOD, *NOT_SEEN}]


@pytest.mark.needs("unzip", "openssl")
@pytest.mark.parametrize("name", GOOD)
def test_the_recipe_accepts_a_good_bundle(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, vector(name), ROOT=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("CMS Verification successful") == 4
    assert "MISMATCH" not in done.stdout


@pytest.mark.needs("unzip", "openssl")
@pytest.mark.parametrize("name", BAD)
def test_the_recipe_refuses_what_was_tampered_with(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, vector(name), ROOT=ROOT).returncode != 0


@pytest.mark.needs("unzip", "openssl")
def test_the_seal_from_outside_decides_when_there_is_no_root(tmp_path: Path) -> None:
    seal: str = EXPECTED["seal"]
    good = run(tmp_path, vector("good"), SEAL=seal)
    assert good.returncode == 0
    assert "origin: NOT VERIFIABLE" in good.stdout
    for name in ("remade", "resigned-both", "resealed-miscounted"):
        assert run(tmp_path, vector(name), SEAL=seal).returncode != 0


@pytest.mark.needs("unzip", "openssl", "faketime")
@pytest.mark.parametrize("years", [2, 12])
def test_years_later_the_recipe_needs_a_time_from_outside_and_then_holds(
    years: int, tmp_path: Path
) -> None:
    clock = ("faketime", f"{2026 + years}-12-01 00:00:00")
    late = run(tmp_path, vector("good"), prefix=clock, ROOT=ROOT)
    assert late.returncode != 0
    assert "certificate has expired" in late.stderr
    assert "MISMATCH" not in late.stdout
    timed = run(tmp_path, vector("good"), prefix=clock, ROOT=ROOT, TIME=str(SIGNED))
    assert timed.returncode == 0, timed.stderr
    unchanged = run(tmp_path, vector("good"), prefix=clock, SEAL=EXPECTED["seal"])
    assert unchanged.returncode == 0, unchanged.stderr


@pytest.mark.needs("unzip", "openssl")
def test_a_root_of_the_computer_does_not_replace_the_given_one(tmp_path: Path) -> None:
    # OpenSSL also trusts its default store unless told not to; the recipe must not.
    foreign = str(DATA / "foreign-root.pem")
    done = run(tmp_path, vector("good"), ROOT=foreign, SSL_CERT_FILE=ROOT, SSL_CERT_DIR=str(DATA))
    assert done.returncode != 0


# --- a bundle by the real writer, tampered with here ----------------------------------------------


class Medium:
    """A container in memory; the journal beside it is not needed here."""

    def __init__(self) -> None:
        self.container = io.BytesIO()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.container.write(data)

    def sync(self) -> None: ...

    def put(self, segment: Segment, files: bytes) -> None: ...

    def put_start(self, segment: Segment, start_p7s: bytes) -> None: ...


WRITTEN = "hz-20261123T050000Z-web01-0badcafe"


@pytest.fixture(scope="module")
def written() -> bytes:
    """A bundle of three epochs with a streamed member, as captures write it."""
    medium, signer = Medium(), new_one_capture("SYNTHETIC")
    writer = BundleWriter(WRITTEN, sink=medium, sidecar=medium, now=lambda: (SIGNED * 10**9, 7))
    when = datetime.fromtimestamp(SIGNED, UTC)
    identity = {"kind": "one-capture", "certificate_sha256": signer.certificate_sha256}
    plan = b'{"plan":1}\n'
    writer.begin(
        {
            "type": "start",
            "plan_sha256": sha256(plan).hexdigest(),
            "identity": identity,
            "sweep": None,
        },
        readme=readme_verify.render(WRITTEN),
        plan=plan,
        signer=signer,
        signing_time=when,
    )
    for number in range(1, 7):
        path = f"data/linux_logs/{number:06d}.log"
        data = b"SYNTHETIC line\n" * 10 ** (number % 6)
        if number == 3:
            payload = writer.open_payload(path, number)
            for _ in range(5):
                payload.write(data)
                writer.close_epoch()
            digest, size = writer.close_payload(payload), 5 * len(data)
        else:
            digest, size = writer.add_payload(path, data), len(data)
        writer.finish_item(_record(number, path, size, digest))
        writer.close_epoch()
    writer.finish_item(_record(7, None, None, None))
    writer.finish(
        reason="complete",
        detail="",
        bundle_json=lambda w: {
            "format": "hozen-bundle/1",
            "bundle_id": w.bundle_id,
            "journal": {
                "first_key_sha256": w.journal.first_key_sha256,
                "segments": w.journal.epoch + 1,
                "last_sha256": w.journal.last_sha256,
                "closed": True,
            },
        },
        bag_info={"External-Identifier": WRITTEN},
        signer=signer,
        signing_time=when,
    )
    return medium.container.getvalue()


def _record(item: int, path: str | None, size: int | None, digest: str | None) -> ItemRecord:
    moment = (SIGNED * 10**9, 7)
    return ItemRecord(
        item=item,
        artifact="linux_logs",
        outcome="captured" if path else "denied",
        kind="file",
        source=b"/var/log/\xffa\nb",
        method="read",
        personal="personal",
        started=moment,
        ended=moment,
        reason="" if path else "Permission denied.",
        path=path,
        size=size,
        sha256=digest,
    )


def sealed_recipe(container: bytes, language: str) -> str:
    """The lines that were sealed into the bundle itself."""
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        text = archive.read(f"{WRITTEN}/README-VERIFY.txt")
    return "\n".join(readme_verify.commands(text, language))


def repacked(container: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.needs("unzip", "openssl")
@pytest.mark.parametrize("language", readme_verify.LANGUAGES)
def test_the_sealed_recipe_accepts_what_the_writer_wrote(
    written: bytes, language: str, tmp_path: Path
) -> None:
    recipe = sealed_recipe(written, language)
    done = run(tmp_path, written, bundle=WRITTEN, recipe=recipe)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "journal: closed" in done.stdout


@pytest.mark.needs("unzip", "openssl")
def test_every_member_of_a_written_bundle_is_guarded_by_the_recipe(
    written: bytes, tmp_path: Path
) -> None:
    recipe = sealed_recipe(written, "en")
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        names = [
            name for name in archive.namelist() if "/journal/00000" not in name or "3." in name
        ]
    for name in names:

        def flip(files: dict[str, bytes], name: str = name) -> None:
            data = files[name]
            files[name] = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]

        def remove(files: dict[str, bytes], name: str = name) -> None:
            del files[name]

        for change in (flip, remove):
            bad = repacked(written, change)
            assert run(tmp_path, bad, bundle=WRITTEN, recipe=recipe).returncode != 0, name


def test_a_written_bundle_is_a_match_for_the_library_too(written: bytes, tmp_path: Path) -> None:
    from hozen_hashes.opened import open_bundle
    from hozen_hashes.verify import Anchors, Word, verify

    file = tmp_path / f"{WRITTEN}.zip"
    file.write_bytes(written)
    with zipfile.ZipFile(file) as archive:
        seal = sha256_hex(archive.read(f"{WRITTEN}/tagmanifest-sha256.txt"))
    with open_bundle(str(file)) as bundle:
        report = verify(bundle, anchors=Anchors(seal=seal), at=datetime(2040, 1, 1, tzinfo=UTC))
    assert report.word is Word.MATCH, [step for step in report.steps if step.notes]
    assert (report.items, report.files) == (7, 6)
