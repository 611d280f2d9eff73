"""Time stamps at the collector, by openssl's own authority behind a real HTTP server on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from authority import new_authority
from authority import run as tool
from envelopes import pushed, send
from tsaserver import serving

from hozen_collector import faults
from hozen_hashes import certificates
from hozen_hashes.note import parse_vkey
from hozen_hashes.opened import open_bundle
from hozen_hashes.statement import parse_statement
from hozen_hashes.tlogproof import parse_proof, verify_proof
from hozen_hashes.verify.reading import SIGNATURE, Reading
from hozen_hashes.verify.stamps import State, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tsaserver import Behaviour

pytestmark = pytest.mark.needs("openssl", "faketime")


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behaviour]:
    folder = tmp_path_factory.mktemp("tsa") / "one"
    with serving(new_authority(folder, "ONE", ends="20350101000000Z")) as found:
        yield found


@pytest.fixture(autouse=True)
def right(tsa: Behaviour) -> None:
    tsa.how, tsa.at, tsa.asked = "right", "", 0


def settings(path: Path, *asked: tuple[str, Behaviour], every: str = "1s") -> Path:
    lines = ["timestamps:", f"  checkpoint_every: {every}", "  retry: 100ms", "  authorities:"]
    for name, one in asked:
        lines += [f"  - name: {name}", f"    url: {one.url}", f"    roots: [{one.authority.root}]"]
        lines += ["    timeout: 1s"]
    path.write_text("\n".join(lines) + "\n")
    return path


def agent_p7s(path: Path) -> bytes:
    reading = Reading()
    with open_bundle(str(path)) as opened:
        reading.read(opened)
    return reading.kept[SIGNATURE]


def proofs(client: Any, key: str, *, until: int, seconds: float = 20) -> dict[str, Any]:
    """Return the proofs of a bundle when there are at least that many stamps."""
    deadline = time.monotonic() + seconds
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        found = client.call("GET", f"/api/v1/receipts/{key}/proofs").json
        if len(found["stamps"]) >= until:
            return dict(found)
        time.sleep(0.2)
    raise AssertionError(found)


def test_a_bundle_is_stamped_beside_its_receipt_and_stock_tools_agree(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    config = settings(tmp_path / "c.yaml", ("one", tsa))
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer)
    assert client.push(bundle)["state"] == "accepted"
    receipt = client.receipt(bundle.sha256)
    found = proofs(client, bundle.sha256, until=2)
    files = tools.decoded(found["files"])
    stamps = {name.partition("/")[2]: data for name, data in files.items() if name.endswith(".tsr")}

    container = tmp_path / f"{bundle.bundle_id}.zip"
    container.write_bytes(bundle.data)
    p7s = agent_p7s(container)
    targets = {"signatures/agent.p7s": p7s, "receipt/checkpoint": files["receipt/checkpoint"]}
    roots = certificates.load_certificates(tsa.authority.root.read_bytes())
    judged = judge(stamps, targets, roots=roots, at=datetime.now(UTC))
    assert {(one.state, one.target) for one in judged} == {(State.HOLDS, name) for name in targets}
    assert all(one["tier"] == "none" and one["received_at"] for one in found["stamps"])
    for one in judged:
        (tmp_path / "data").write_bytes(targets[one.target])
        (tmp_path / "reply").write_bytes(stamps[one.name])
        files_of = ("-data", "data", "-in", "reply", "-CAfile", str(tsa.authority.root))
        tool(tmp_path, "openssl", "ts", "-verify", *files_of)

    proof = parse_proof(files["receipt/checkpoint.tlog-proof"])
    assert proof.note == files["receipt/checkpoint"]
    leaf = parse_statement(receipt["receipt.txt"])
    verify_proof(proof, leaf.leaf_hash, [parse_vkey(receipt["log.vkey"])])
    logged = tools.sql(empty_collector, "SELECT text FROM leaf WHERE event = 'attachment'")
    said = {parse_statement(text).container_sha256 for (text,) in logged}
    assert said >= {hashlib.sha256(data).hexdigest() for data in stamps.values()}
    assert client.receipt(bundle.sha256) == receipt
    assert running.stop() == 0


def test_the_seal_of_an_encrypted_bundle_is_stamped_when_its_envelope_has_come(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    config = settings(tmp_path / "c.yaml", ("one", tsa), every="3650d")
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    made = pushed(client, tools)
    assert (
        proofs(client, made.sha256, until=0)["waiting"] == 0
    )  # the collector has not seen the signature
    assert send(client, made).status == 201
    found = proofs(client, made.sha256, until=2)  # the first checkpoint is one of them
    assert {one["over"] for one in found["stamps"]} == {
        "signatures/agent.p7s",
        "receipt/checkpoint",
    }
    [name] = [one["file"] for one in found["stamps"] if one["over"] == "signatures/agent.p7s"]
    stamp = tools.decoded(found["files"])[name]
    (tmp_path / "data").write_bytes(made.files["agent.p7s"])
    (tmp_path / "reply").write_bytes(stamp)
    files_of = ("-data", "data", "-in", "reply", "-CAfile", str(tsa.authority.root))
    tool(tmp_path, "openssl", "ts", "-verify", *files_of)
    assert running.stop() == 0


def test_a_stamp_that_an_envelope_makes_visible_changes_no_name(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    config = settings(tmp_path / "c.yaml", ("one", tsa))
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer)
    assert client.push(bundle)["state"] == "accepted"
    proofs(
        client, bundle.sha256, until=2
    )  # the same machine seal is stamped before its ciphertext comes
    made = pushed(client, tools, of=bundle)
    before = proofs(client, made.sha256, until=1)["stamps"]
    assert [one["over"] for one in before] == ["receipt/checkpoint"]
    assert send(client, made).status == 201
    after = proofs(client, made.sha256, until=2)["stamps"]
    assert [one["over"] for one in after] == ["receipt/checkpoint", "signatures/agent.p7s"]
    assert after[0] == before[0]
    assert running.stop() == 0


def test_an_authority_that_is_down_holds_no_receipt_up_and_is_asked_again(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    tsa.how = "silent"
    config = settings(tmp_path / "c.yaml", ("one", tsa), every="3650d")
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer)
    began = time.monotonic()
    client.push(bundle)
    assert client.receipt(bundle.sha256)
    assert time.monotonic() - began < 3
    waiting = client.call("GET", f"/api/v1/receipts/{bundle.sha256}/proofs").json
    assert (waiting["stamps"], waiting["waiting"]) == ([], 1)
    tsa.how = "down"
    deadline = time.monotonic() + 20
    query = "SELECT error FROM job WHERE task LIKE 'stamp/%' AND error LIKE ?"
    while not tools.sql(empty_collector, query, f"%{bundle.bundle_id}%"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    tsa.how = "right"
    tools.sql(empty_collector, "UPDATE job SET not_before = 0 WHERE state = 'ready'")
    assert proofs(client, bundle.sha256, until=1)["waiting"] == 0
    assert running.stop() == 0


def test_hostile_authorities_hold_up_neither_a_good_one_nor_the_stop(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    with (
        serving(tsa.authority, how="silent") as silent,
        serving(tsa.authority, how="other-bytes") as liar,
    ):
        asked = (("silent", silent), ("liar", liar), ("one", tsa))
        config = settings(tmp_path / "c.yaml", *asked, every="3650d")
        config.write_text(config.read_text().replace("timeout: 1s", "timeout: 60s"))
        running = serve(empty_collector, config=config)
        client = tools.enrol(empty_collector, running.port)
        bundle = tools.make_bundle(client.signer)
        client.push(bundle)
        found = proofs(client, bundle.sha256, until=1)
        assert {one["authority"] for one in found["stamps"]} == {"one"}
        assert found["waiting"] == 2
        query = "SELECT error FROM job WHERE task = 'stamp/liar' AND error LIKE '%other bytes%'"
        deadline = time.monotonic() + 10
        while not (rows := tools.sql(empty_collector, query)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "kept" in rows[0][0]
        kept = {file.name: file.read_bytes() for file in (empty_collector / "stamps").glob("*/*")}
        assert all(hashlib.sha256(raw).hexdigest() == name for name, raw in kept.items())
        good = {name for (name,) in tools.sql(empty_collector, "SELECT sha256 FROM stamp")}
        assert kept.keys() - good, "the raw reply of the liar is there"
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("point", faults.STAMP_POINTS)
def test_a_collector_killed_while_it_keeps_a_stamp_keeps_it_at_the_next_start(  # noqa: PLR0917
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path, point: str
) -> None:
    config = settings(tmp_path / "c.yaml", ("one", tsa))
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    proof_of_first = tools.make_bundle(client.signer)
    client.push(proof_of_first)
    proofs(client, proof_of_first.sha256, until=1)
    assert running.stop() == 0
    tools.sql(empty_collector, "UPDATE job SET state = 'ready' WHERE args LIKE '%\"seal\"%'")
    tools.sql(empty_collector, "DELETE FROM stamp WHERE kind = 'seal'")
    killed = serve(empty_collector, config=config, fault=point)
    assert killed.wait() == -9
    again = serve(empty_collector, config=config)
    client.port = again.port
    found = proofs(client, proof_of_first.sha256, until=2)
    over = [one["over"] for one in found["stamps"]]
    assert over.count("signatures/agent.p7s") == 1
    assert again.stop() == 0


RENEW = """
import sys, pathlib
from hozen_collector.runtime import open_collector
from hozen_collector.timestamps import stamping, tasks
from hozen_config.settings import load_collector_settings
collector = open_collector(pathlib.Path(sys.argv[1]), load_collector_settings(sys.argv[2]))
lines = stamping.lines_of(collector)
for _ in range(3):
    tasks.promise_due(collector)
    for line in lines:
        while stamping.run_one(collector, line) == 0.0:
            pass
collector.close()
"""


def test_a_stamp_is_renewed_over_the_years_before_its_authority_ends(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    short = new_authority(tmp_path / "short", "SHORT", ends="20280101000000Z")
    with serving(short) as brief:
        config = settings(tmp_path / "c.yaml", ("short", brief), every="3650d")
        running = serve(empty_collector, config=config)
        client = tools.enrol(empty_collector, running.port)
        bundle = tools.make_bundle(client.signer)
        client.push(bundle)
        proofs(client, bundle.sha256, until=1)
        assert running.stop() == 0
        settings(config, ("short", brief), ("one", tsa), every="3650d")
        for moment, count in (("2027-06-01 00:00:00", 0), ("2027-12-01 00:00:00", 1)):
            brief.at = tsa.at = moment
            command = ["faketime", "-f", f"@{moment}", sys.executable, "-c", RENEW]
            environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC"}
            subprocess.run([*command, str(empty_collector), str(config)], env=environment, check=True)  # fmt: skip
            rows = tools.sql(empty_collector, "SELECT count(*) FROM stamp WHERE kind = 'renewal'")
            assert (rows[0][0] > 0) == bool(count), moment
    again = serve(empty_collector, config=config)
    client.port = again.port
    files = tools.decoded(proofs(client, bundle.sha256, until=2)["files"])
    stamps = {name.partition("/")[2]: data for name, data in files.items() if name.endswith(".tsr")}
    container = tmp_path / f"{bundle.bundle_id}.zip"
    container.write_bytes(bundle.data)
    targets = {"signatures/agent.p7s": agent_p7s(container)}
    targets |= {name: data for name, data in files.items() if name == "receipt/checkpoint"}
    roots = [
        root
        for one in (short, tsa.authority)
        for root in certificates.load_certificates(one.root.read_bytes())
    ]
    judged = judge(stamps, targets, roots=roots, at=datetime(2030, 1, 1, tzinfo=UTC))
    first = next(one for one in judged if one.target == "signatures/agent.p7s")
    assert first.state is State.HOLDS
    assert first.renewed_by
    assert again.stop() == 0


def test_push_keeps_the_stamps_and_verify_shows_both_times(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    running = serve(empty_collector, config=settings(tmp_path / "c.yaml", ("one", tsa)))
    token = tmp_path / "token"
    token.write_text(tools.new_token(empty_collector))
    url = f"https://127.0.0.1:{running.port}"
    hozen(tmp_path, "enroll", "--to", url, "--token-file", str(token), "--host", "web01")
    bundle = tools.make_bundle()
    path = tmp_path / f"{bundle.bundle_id}.zip"
    path.write_bytes(bundle.data)
    deadline = time.monotonic() + 15
    while True:
        (said,) = json.loads(hozen(tmp_path, "push", "--json", str(path)))
        if said["timestamps"] >= 2 or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    assert (said["timestamps"], said["timestamps_left_out"]) == (2, 0)
    beside = tmp_path / f"{bundle.bundle_id}.proofs"
    assert (beside / "receipt" / "checkpoint.tlog-proof").is_file()
    before = {one.name: one.read_bytes() for one in (beside / "timestamps").iterdir()}
    assert json.loads(hozen(tmp_path, "push", "--json", str(path)))[0]["known"]
    assert {one.name: one.read_bytes() for one in (beside / "timestamps").iterdir()} == before

    counted = json.loads(hozen(tmp_path, "collector", "status", "--json", str(empty_collector)))
    assert counted["timestamps"]["stamped"] >= 2
    assert counted["timestamps"]["next_renewal"].startswith("2034-")
    assert running.stop() == 0
    text = hozen(tmp_path, "verify", "--tsa-root", str(tsa.authority.root), str(path), code=2)
    assert "signatures/agent.p7s" in text
    assert "CN=ONE" in text


def hozen(folder: Path, *words: str, code: int = 0) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    environment["HOZEN_STATE"] = str(folder / "state")
    program = Path(sys.executable).with_name("hozen")
    done = subprocess.run(
        [program, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout
