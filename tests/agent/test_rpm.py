"""The reader of rpm's database, against one that rpm itself makes, and against damaged ones."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import executables
from hozen_agent.pkg import rpm
from hozen_agent.pkg.sqlitefile import SqliteFile
from hozen_agent.reading.files import whole
from hozen_hashes.errors import FormatError
from hozen_hashes.names import percent_decode

if TYPE_CHECKING:
    from pathlib import Path

Evidence = Any
_SPEC = """
Name: hozen-test
Version: 1.2
Release: 3
Epoch: 4
Summary: test
License: MIT
BuildArch: noarch
%description
test
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/init.d
printf 'one\\n' > %{buildroot}/usr/bin/one
printf 'two\\n' > %{buildroot}/usr/bin/two
printf 'conf\\n' > %{buildroot}/etc/init.d/conf
%files
%attr(755,root,root) /usr/bin/one
%attr(755,root,root) /usr/bin/two
%config %attr(755,root,root) /etc/init.d/conf
"""


def _installed(evidence: Evidence, tmp_path: Path) -> None:
    """A package is built and installed by rpm below the planted root."""
    (tmp_path / "x.spec").write_text(_SPEC)
    define = ["--define", f"_topdir {tmp_path}/top", "--define", "_db_backend sqlite"]
    run = {"env": {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, "capture_output": True}
    subprocess.run(["rpmbuild", "-bb", *define, "x.spec"], cwd=tmp_path, check=True, **run)  # type: ignore[call-overload]
    package = next((tmp_path / "top/RPMS").rglob("*.rpm"))
    root = ["--root", str(evidence.root), "--dbpath", "/var/lib/rpm"]
    command = ["rpm", *root, *define, "--nodeps", "--noscripts", "-i", str(package)]
    subprocess.run(command, check=True, **run)  # type: ignore[call-overload]


@pytest.mark.needs("rpm", "rpmbuild")
@pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root is for root")
def test_a_database_made_by_rpm_is_read_and_its_files_are_compared(
    evidence: Evidence, tmp_path: Path
) -> None:
    _installed(evidence, tmp_path)
    evidence.write("/usr/bin/two", b"replaced\n", mode=0o755)
    attempts = executables.collect(evidence.context())
    lines = map(json.loads, whole(next(attempts))[0].splitlines())
    found = {percent_decode(line["path"]): line for line in lines}
    summary = json.loads(whole(next(attempts))[0])
    assert summary["packages"] == 1
    one, two = found[b"/usr/bin/one"], found[b"/usr/bin/two"]
    assert (one["result"], two["result"]) == ("same", "differs")
    assert one["algorithm"] == "sha256"
    assert one["expected"] == one["sha256"] == hashlib.sha256(b"one\n").hexdigest()
    assert one["package"] == "hozen-test"
    assert found[b"/etc/init.d/conf"]["config"] is True


@pytest.mark.needs("rpm", "rpmbuild")
@pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root is for root")
def test_version_and_install_time_are_those_that_rpm_says(
    evidence: Evidence, tmp_path: Path
) -> None:
    _installed(evidence, tmp_path)
    fd = os.open(evidence.root / "var/lib/rpm/rpmdb.sqlite", os.O_RDONLY)
    (header,) = rpm.headers(fd)
    os.close(fd)
    package = rpm.package(header)
    where = ["--root", evidence.root, "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite"]
    query = ["rpm", *where, "-qa", "--qf", "%{INSTALLTIME}"]
    told = subprocess.run(query, check=True, capture_output=True).stdout
    assert package.version == b"4:1.2-3"
    assert package.architecture == b"noarch"
    assert package.installed == int(told) * 10**9


def _database(place: Path, rows: list[bytes]) -> int:
    with sqlite3.connect(place) as database:
        database.execute(
            "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"
        )
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(row,) for row in rows])
    database.close()
    return os.open(place, os.O_RDONLY)


@pytest.mark.parametrize("size", [0, 10, 3900, 4061, 4062, 5000, 70_000, 1_500_000])
def test_rows_of_any_size_come_back_byte_for_byte(tmp_path: Path, size: int) -> None:
    rows = [os.urandom(size) for _ in range(40 if size < 10_000 else 3)]
    fd = _database(tmp_path / "db", rows)
    file = SqliteFile(fd)
    assert [row[1] for _, row in file.rows(file.table(b"Packages"))] == rows
    os.close(fd)


def test_a_deep_tree_is_read_in_order(tmp_path: Path) -> None:
    rows = [b"%06d" % number * 20 for number in range(20_000)]
    fd = _database(tmp_path / "db", rows)
    file = SqliteFile(fd)
    assert [(at, row[1]) for at, row in file.rows(file.table(b"Packages"))] == list(enumerate(rows, 1))  # fmt: skip
    os.close(fd)


@given(flips=st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 255)), max_size=20))
def test_a_damaged_database_ends_in_one_kind_of_error(
    tmp_path_factory: Any, flips: list[tuple[int, int]]
) -> None:
    place = tmp_path_factory.mktemp("damaged") / "db"
    os.close(_database(place, [bytes([n]) * 900 for n in range(30)]))
    data = bytearray(place.read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    place.write_bytes(data)
    fd = os.open(place, os.O_RDONLY)
    try:
        list(rpm.headers(fd))
    except FormatError:
        pass
    finally:
        os.close(fd)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_a_format_error(blob: bytes) -> None:
    try:
        header = rpm.parse(blob)
    except FormatError:
        return
    rpm.package(header)
    list(rpm.claims(header))
