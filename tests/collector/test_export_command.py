"""`hozen export`: verified first, never overwriting, with a manifest; and the forms that need no other tool."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyrage
import pytest
from exporting import export
from hypothesis import given
from hypothesis import strategies as st
from sealed_items import BUNDLE, STAT, Item, lines, seal

from hozen_collector.export import inert, run
from hozen_collector.export.kinds import KINDS
from hozen_collector.export.source import open_source
from hozen_hashes.errors import MismatchError
from hozen_hashes.opened import open_bundle
from hozen_hashes.verify import Anchors

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = {
    "pid": 7, "ppid": 1, "name": "=cmd|' /C calc'!A0", "started": "2026-11-23T05:00:00.120000000Z", "user": "sato",
    "cmdline": ["evil%E2%80%AEgnp.exe", "+1", "%1B[31m", "two%0Alines", "\u202e"], "exe": "/opt/%FFevil",
    "exe_sha256": "0e" * 32,
}  # fmt: skip
LOGIN = {
    "record": 0, "type": "USER_PROCESS", "pid": 5, "line": "pts/0", "user": "%3Droot", "host": "h",
    "address": "192.0.2.9", "time": "2026-11-23T04:00:00.000000000Z",
}  # fmt: skip
BODY = b"0|/etc/a%7Cb\\x0a|7|r/rrw-r--r--|0|0|5|1763874000.5|1763874001.000000000|-1.000000000|0.000000000\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return seal(
        tmp_path,
        [
            Item("processes", b"/proc", lines(PROCESS), "jsonl", "record"),
            Item(
                "sessions",
                b"/var/log/wtmp",
                lines(LOGIN, {**LOGIN, "time": None}),
                "jsonl",
                "record",
            ),
            Item("filesystem", b"filesystem:bodyfile", BODY, "txt", "record"),
            Item(
                "linux_logs",
                "/var/log/=日本|%41\n\xff".encode("latin-1", "ignore") + b"\xff",
                b"log",
                stat=STAT,
            ),
            Item("linux_logs", b"/var/log/none", None, outcome="missing", reason="=1+1"),
        ],
    )


def damaged(bundle: Path, folder: Path) -> Path:
    """Unpack the bundle and change one file of it."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    log = folder / BUNDLE / "data" / "linux_logs" / "000004.bin"
    log.chmod(0o600)
    log.write_bytes(b"changed")
    return folder / BUNDLE


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.with_name(out.name + ".manifest.json").read_bytes())
    return found


def test_the_manifest_has_the_hashes_of_what_was_written_and_the_seal(
    bundle: Path, tmp_path: Path
) -> None:
    for kind in ("uac", "bodyfile", "timesketch"):
        out = tmp_path / f"out.{kind}"
        ran = export(bundle, kind, out)
        assert ran.returncode == 0, ran.stderr
        found = manifest(out)
        (file,) = found["files"]
        assert file == {
            "path": out.name,
            "size": str(out.stat().st_size),
            "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        }
        assert (found["kind"], found["source"]["bundle_id"], found["source"]["verified"]) == (
            kind,
            BUNDLE,
            True,
        )
        assert found["source"]["seal"] in ran.stderr.decode()


def test_a_bundle_that_does_not_verify_is_refused_and_nothing_is_written(
    bundle: Path, tmp_path: Path
) -> None:
    changed = damaged(bundle, tmp_path / "changed")
    ran = export(changed, "uac", tmp_path / "out.tar")
    assert ran.returncode == 1
    assert b"--unverified" in ran.stderr
    assert not list(tmp_path.glob("out*"))


def test_an_unverified_export_says_so_everywhere(bundle: Path, tmp_path: Path) -> None:
    changed = damaged(bundle, tmp_path / "changed")
    for kind, out in (("uac", "out.tar"), ("timesketch", "out.jsonl"), ("csv", "out")):
        ran = export(changed, kind, tmp_path / out, "--unverified")
        assert ran.returncode == 0, ran.stderr
        assert b"NOT verified" in ran.stderr
        found = manifest(tmp_path / out)
        assert found["source"]["verified"] is False
    assert b"NOT VERIFIED" in (tmp_path / "out.tar").read_bytes()
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert all(event["tag"] == ["unverified"] for event in events)
    assert "NOT VERIFIED" in (tmp_path / "out" / "export.csv").read_text("utf-8-sig")


def test_the_wrong_seal_is_a_mismatch(bundle: Path, tmp_path: Path) -> None:
    ran = export(bundle, "bodyfile", tmp_path / "out", "--seal", "00" * 32)
    assert ran.returncode == 1


@pytest.mark.parametrize("taken", ["out", "out.manifest.json", "out.part"])
def test_nothing_is_ever_overwritten(bundle: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"mine")
    ran = export(bundle, "bodyfile", tmp_path / "out")
    assert ran.returncode == 64
    assert (tmp_path / taken).read_bytes() == b"mine"
    assert len(list(tmp_path.glob("out*"))) == 1


def test_the_body_file_has_the_walk_unchanged_and_then_what_it_does_not_list(bundle: Path) -> None:
    made = export(bundle, "bodyfile", "-").stdout
    first, second = made.splitlines(keepends=True)
    assert first == BODY
    assert second.count(b"|") == 10
    assert b"%7C%2541\\x0a" in second


def test_every_line_for_timesketch_has_its_three_fields_and_an_exact_time(bundle: Path) -> None:
    events = [json.loads(line) for line in export(bundle, "timesketch", "-").stdout.splitlines()]
    assert all({"message", "datetime", "timestamp_desc"} <= event.keys() for event in events)
    assert all(event["datetime"].endswith("+00:00") for event in events)
    (start,) = [event for event in events if event["data_type"] == "hozen:process"]
    assert (start["datetime"], start["timestamp"]) == (
        "2026-11-23T05:00:00.120000+00:00",
        1795410000120000,
    )
    assert (
        start["process.command_line"]
        == "evil\\xe2\\x80\\xaegnp.exe +1 \\x1b[31m two\\x0alines \\xe2\\x80\\xae"
    )
    assert [e["timestamp_desc"] for e in events if e["data_type"] == "hozen:session"] == [
        "Login Time"
    ]
    files = [e for e in events if e["data_type"] == "hozen:file"]
    assert [e["timestamp"] for e in files] == [1763874000500000, 1763874001000000, -1000000]
    assert {e["file.path"] for e in files} == {"/etc/a|b\\x0a"}


def test_a_table_for_timesketch_has_a_bom_and_no_formula(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert export(bundle, "timesketch", out).returncode == 0
    assert out.read_bytes().startswith(b"\xef\xbb\xbfmessage,datetime,")
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == manifest(out)["counts"]["events"]
    assert not [
        cell for row in rows for cell in row.values() if cell.startswith(("=", "@", "+", "\t"))
    ]


def test_each_table_is_a_csv_file_that_is_inert_in_a_spreadsheet(
    bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tables"
    assert export(bundle, "csv", out).returncode == 0
    found = manifest(out)
    assert found["counts"] == {
        "export": 14,
        "items": 5,
        "files": 1,
        "processes": 1,
        "sessions_wtmp": 2,
    }
    assert {one["path"] for one in found["files"]} == {
        f"tables/{path.name}" for path in out.iterdir()
    }
    for path in out.iterdir():
        raw = path.read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        assert raw.endswith(b"\r\n")
        with path.open(encoding="utf-8-sig", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [
            one
            for one in cells
            if one.startswith(("=", "+", "-", "@", "\t", "\r")) or not one.isprintable()
        ]
    with (out / "processes.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "'=cmd|' /C calc'!A0"
    assert row["exe_sha256"] == "0e" * 32


def test_a_directory_cannot_go_into_a_pipe_and_a_pipe_cannot_be_read_twice(bundle: Path) -> None:
    assert export(bundle, "csv", "-").returncode == 64
    ran = export(bundle.with_name("-"), "csv", "-")
    assert ran.returncode != 0


def test_an_encrypted_bundle_gives_the_same_tree_as_the_clear_one(
    bundle: Path, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    key = tmp_path / "key.txt"
    key.write_text(f"{identity}\n", encoding="ascii")
    sealed = bundle.with_name(bundle.name + ".age")
    sealed.write_bytes(pyrage.encrypt(bundle.read_bytes(), [identity.to_public()]))
    ran = export(sealed, "uac", "-", "--identity", str(key))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == export(bundle, "uac", "-").stdout


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"pcapng", "items"}])
def test_a_file_that_changes_after_the_verification_ends_the_export_and_leaves_nothing(
    bundle: Path, tmp_path: Path, kind: str
) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "bag")
    bag = str(tmp_path / "bag" / BUNDLE)
    source = open_source(
        partial(open_bundle, bag), anchors=Anchors(), at=datetime.now(UTC), unverified=False
    )
    for path in (tmp_path / "bag" / BUNDLE / "data").rglob("*.*"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    (tmp_path / "out").mkdir()
    with pytest.raises(MismatchError):
        run.export(source, kind, str(tmp_path / "out" / "made"), stdout=io.BytesIO())
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_items_of_an_unverified_bundle_are_named(bundle: Path, tmp_path: Path) -> None:
    changed = damaged(bundle, tmp_path / "changed")
    (changed / "data" / "sessions" / "000002.jsonl").unlink()
    for kind in ("uac", "sqlite", "stix"):
        out = tmp_path / f"out.{kind}"
        assert export(changed, kind, out, "--unverified").returncode == 0
        assert set(manifest(out)["source"]["damaged_items"]) >= {2}
    assert manifest(tmp_path / "out.uac")["source"]["damaged_items"] == [2, 4]


@given(st.text())
def test_any_text_becomes_one_printable_line_that_is_no_formula(value: str) -> None:
    shown = inert.text(value)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not any(c in shown for c in "\n\r\x1b\u202e\u2066\u2028\x00")
    shown.encode("utf-8")
