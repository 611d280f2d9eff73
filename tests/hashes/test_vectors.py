"""The committed vectors are what their generator makes, and a verifier that shares no code with ours agrees."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[1] / "vectors"
DATA = VECTORS / "data"
GENERATED = "tests.vectors.make_vectors"


def test_the_generator_makes_the_committed_vectors(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", GENERATED, str(tmp_path)],
        cwd=VECTORS.parents[1],
        check=True,
        timeout=60,
    )
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    kept = sorted(path.relative_to(DATA) for path in DATA.rglob("*") if path.is_file())
    assert made == kept
    for name in made:
        assert _content(tmp_path / name) == _content(DATA / name), name


def _content(path: Path) -> object:
    """Return what another zlib leaves equal: the members of a container, the bytes of any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError):
        damaged = path.suffix == ".zip" or ".zip." in path.name
        return "damaged" if damaged else path.read_bytes()


@pytest.mark.needs("unzip", "openssl")
def test_an_independent_verifier_in_shell_judges_every_vector_alike() -> None:
    done = subprocess.run(
        ["sh", str(VECTORS / "verify_vectors.sh")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, "\n".join(
        line for line in done.stdout.splitlines() if line.startswith("WRONG")
    )
    assert "ok    accept  good " in done.stdout
