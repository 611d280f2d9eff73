"""Tables, packets and exchange formats of a real capture, read by the tools they are for."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
import openpyxl
import pytest
from bundles import Bundle, only_bundle
from exporting import export
from synthetic_host import BIN, CASE, ROOT, Host

if TYPE_CHECKING:
    from pathlib import Path

# Few files, so that the validator of the graph, which takes a sixth of a second for each, ends soon.
_SETUP = f"""
for d in /usr/lib/systemd /usr/lib/udev /usr/lib/tmpfiles.d /usr/share /var/lib /usr/lib/*/security; do
  [ ! -d $d ] || mount -t tmpfs tmpfs $d
done
python {ROOT}/tests/support/exported_host.py . >planted.txt 2>&1 & planter=$!
until [ -e plants.json ]; do kill -0 $planter || {{ cat planted.txt >&2; exit 1; }}; sleep 0.02; done
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capture the host once, with the smallest profile."""
    host = Host(tmp_path_factory.mktemp("exported"))
    (host.work / "usb").mkdir()
    command = f"hozen capture {CASE} --profile minimal --packets 1 --allow-local --out usb"
    run = host.run(command, setup=_SETUP, timeout=100)
    assert run.returncode == 0, run.stderr
    return only_bundle(host.work / "usb")


@pytest.fixture(scope="module")
def bundle(captured: Path) -> Bundle:
    return Bundle(captured)


def made(captured: Path, kind: str, out: Path, *more: str) -> dict[str, Any]:
    """Export, and return the counts of the manifest."""
    ran = export(captured, kind, out, *more)
    assert ran.returncode == 0, ran.stderr.decode()
    manifest = json.loads(out.with_name(out.name + ".manifest.json").read_bytes())
    counts: dict[str, Any] = manifest["counts"]
    return counts


def wanted(bundle: Bundle) -> Counter[str]:
    """How many records each family has, and how many attempts there were."""
    counts = Counter(items=len(bundle.items))
    for item in bundle.items:
        if item["kind"] == "record" and str(item["path"]).endswith((".json", ".jsonl")):
            whole = item["path"].endswith(".json")
            counts[item["artifact"]] += 1 if whole else bundle.content(item).count(b"\n")
    return counts


def by_family(counts: dict[str, int]) -> Counter[str]:
    """Sum the tables of each family."""
    named = {"network_namespaces": "sockets"}
    families = (
        "cross_view",
        "kernel_modules",
        "kernel_messages",
        "kernel_tracing",
        "browser_histories",
    )
    found: Counter[str] = Counter()
    for table, count in counts.items():
        if table != "export":
            family = next(
                (one for one in families if table.startswith(one)), table.partition("_")[0]
            )
            found[named.get(table, family)] += count
    return found


def test_openpyxl_reads_every_row_and_no_formula(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    counts = made(captured, "xlsx", tmp_path / "web01.xlsx")
    book = openpyxl.load_workbook(tmp_path / "web01.xlsx")
    assert {sheet.title: sheet.max_row - 1 for sheet in book} == {
        name[:31]: n for name, n in counts.items()
    }
    assert by_family(counts) == wanted(bundle)
    kinds = Counter(cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row)
    assert set(kinds) <= {"s", "n", "b", "inlineStr"}, "neither formulas nor errors"
    cells = [cell.value for row in book["processes"].iter_rows() for cell in row]
    assert any("sleep%FF" in str(one) for one in cells), "the byte is there as text"


def test_sqlite_has_every_record_with_its_values(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    counts = made(captured, "sqlite", tmp_path / "web01.sqlite")
    assert by_family(counts) == wanted(bundle)
    with sqlite3.connect(tmp_path / "web01.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = database.execute(
            "SELECT pid, cmdline, in_sweep FROM processes ORDER BY pid"
        ).fetchall()
        seals = database.execute("SELECT value FROM export WHERE name = 'seal'").fetchall()
    (item,) = [
        i for i in bundle.of("/proc") if i["artifact"] == "processes" and i["kind"] == "record"
    ]
    records = [json.loads(line) for line in bundle.content(item).splitlines()]
    want = [(one["pid"], one["cmdline"], one["in_sweep"]) for one in records]
    assert [(pid, json.loads(words), bool(swept)) for pid, words, swept in found] == want
    assert len(seals[0][0]) == 64
    database.close()


def test_duckdb_reads_every_parquet_file(captured: Path, bundle: Bundle, tmp_path: Path) -> None:
    counts = made(captured, "parquet", tmp_path / "tables")
    assert by_family(counts) == wanted(bundle)
    with duckdb.connect() as database:
        for table, count in counts.items():
            path = str(tmp_path / "tables" / f"{table}.parquet")
            assert database.execute("SELECT count(*) FROM read_parquet(?)", [path]).fetchone() == (
                count,
            )
        processes = str(tmp_path / "tables" / "processes.parquet")
        database.execute("SELECT key FROM parquet_kv_metadata(?)", [processes])
        assert (b"hozen-export",) in database.fetchall()
        ports = "SELECT local->>'port' FROM read_parquet(?) WHERE state = 'LISTEN' AND proto LIKE 'tcp%'"
        found = database.execute(ports, [str(tmp_path / "tables" / "sockets.parquet")]).fetchall()
    assert {"6666", "6667"} <= {port for (port,) in found}


@pytest.mark.needs("tshark")
def test_tshark_reads_as_many_packets_as_were_written(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    made(captured, "pcapng", tmp_path / "web01.pcapng")
    (record,) = [
        json.loads(bundle.content(item)) for item in bundle.items
        if item["artifact"] == "packets" and str(item["path"]).endswith(".json")
    ]  # fmt: skip
    command = [
        "tshark",
        "-n",
        "-r",
        str(tmp_path / "web01.pcapng"),
        "-T",
        "fields",
        "-e",
        "udp.dstport",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = ran.stdout.splitlines()
    assert len(lines) == int(record["written"]) > 10
    assert lines.count("5353") > 10


def test_the_stix_bundle_is_valid_and_has_each_process(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    counts = made(captured, "stix", tmp_path / "web01.json")
    command = [str(BIN / "stix2_validator"), "--version", "2.1", str(tmp_path / "web01.json")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout
    assert "STIX JSON: Valid" in ran.stdout
    assert counts["process"] == wanted(bundle)["processes"]
    objects = {
        one["id"]: one for one in json.loads((tmp_path / "web01.json").read_bytes())["objects"]
    }
    refs = set(re.findall(r'_ref": "([a-z0-9-]+)"', (tmp_path / "web01.json").read_text()))
    assert refs <= set(objects)


def test_the_case_graph_conforms_without_any_network(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    counts = made(captured, "case-uco", tmp_path / "web01.jsonld")
    assert counts["Process"] == wanted(bundle)["processes"]
    command = [str(BIN / "case_validate"), str(tmp_path / "web01.jsonld")]
    ran = subprocess.run(
        ["unshare", "-n", *command], capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Conforms: True" in ran.stdout
    assert "NonExistent" not in ran.stderr, "a misspelt property is only a warning of the tool"


def test_chosen_items_are_proved_with_stock_tools_and_nothing_else_is_shown(
    captured: Path, bundle: Bundle, tmp_path: Path
) -> None:
    (chosen,) = [
        i for i in bundle.of("/proc") if i["artifact"] == "processes" and i["kind"] == "record"
    ]
    absent = next(item for item in bundle.items if item["path"] is None)
    numbers = [str(chosen["item"]), str(absent["item"])]
    made(captured, "items", tmp_path / "some.tar", "--item", numbers[0], "--item", numbers[1])
    place = tmp_path / "some"
    place.mkdir()
    subprocess.run(["tar", "-xf", str(tmp_path / "some.tar"), "-C", str(place)], check=True)
    assert [p.name for p in (place / "data").rglob("*") if p.is_file()] == [
        chosen["path"].rpartition("/")[2]
    ]
    told = [json.loads(line) for line in (place / "items.jsonl").read_bytes().splitlines()]
    assert told == [chosen, absent]
    recipe = recipe_of(place)
    assert recipe.count("\n") == 5
    assert run(recipe, place) == 0
    for spoilt in (place / chosen["path"], place / "items.jsonl", place / "manifest-sha256.txt"):
        kept = spoilt.read_bytes()
        spoilt.chmod(0o600)
        spoilt.write_bytes(kept.replace(b"2026", b"2025"))
        if spoilt.name != "manifest-sha256.txt":
            assert run(recipe, place) != 0, spoilt
        spoilt.write_bytes(kept)


def recipe_of(place: Path) -> str:
    """Return the commands of the page, as a person copies them."""
    page = (place / "README-PROOF.txt").read_text("utf-8")
    return "".join(line[4:] + "\n" for line in page.splitlines() if line.startswith("    "))


def run(recipe: str, place: Path) -> int:
    return subprocess.run(
        ["bash", "-e", "-c", recipe], cwd=place, capture_output=True, check=False
    ).returncode
