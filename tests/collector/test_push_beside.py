"""`hozen push` sends what lies beside an encrypted bundle, to each collector once, and says what it could not send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import Encrypted, encrypt, signed, stated, vendor

from hozen_collector.commands import work
from hozen_hashes.envelope.reading import digest_of
from hozen_hashes.identity import new_one_capture

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("openssl")
HOZEN = Path(sys.executable).with_name("hozen")


def hozen(folder: Path, *words: object, code: int = 0) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    environment["HOZEN_STATE"] = str(folder / "state")
    done = subprocess.run(
        [str(HOZEN), *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def push(running: Any, tools: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """An enrolled computer's `hozen push --json`; gives the entry of its one bundle."""
    enrol(running, tools, tmp_path)

    def call(path: Path, *more: str, code: int = 0) -> dict[str, Any]:
        [facts] = json.loads(hozen(tmp_path, "push", path, "--json", *more, code=code))
        assert isinstance(facts, dict)
        return facts

    return call


def url(running: Any) -> str:
    return f"https://127.0.0.1:{running.port}"


def enrol(running: Any, tools: Any, folder: Path) -> None:
    token = folder / "token"
    token.write_text(tools.new_token(running.root), encoding="ascii")
    hozen(folder, "enroll", "--to", url(running), "--token-file", token, "--host", "web01")


def sealed(tools: Any, *certificates: Path) -> tuple[Any, Encrypted]:
    """Make a bundle and its encrypted form."""
    signer = new_one_capture("stick")
    bundle = tools.make_bundle(signer)
    return bundle, encrypt(bundle.bundle_id, bundle.data, bundle.seal, signer, *certificates)


def leaves(running: Any, tools: Any, bundle: str) -> list[str]:
    query = "SELECT event FROM leaf WHERE bundle = ? ORDER BY position"
    return [event for (event,) in tools.sql(running.root, query, bundle)]


def test_each_collector_gets_the_envelope_once_and_its_receipts_lie_side_by_side(
    running: Any, tools: Any, push: Any, tmp_path: Path, serve: Any
) -> None:
    work.init(tmp_path / "second", name="second", hosts=("localhost", "127.0.0.1"))
    other = serve(tmp_path / "second")
    enrol(other, tools, tmp_path)
    _, made = sealed(tools, vendor(tmp_path))
    path = made.put(tmp_path)
    (tmp_path / f"{made.bundle_id}.envelope" / "Thumbs.db").write_bytes(b"a file manager was here")
    for one in (running, other):
        first = push(path, "--to", url(one))
        assert (first["state"], first["known"]) == ("accepted", False)
        assert first["envelope_sha256"] == digest_of(made.files)
        again = push(path, "--to", url(one))
        assert again == first | {"known": True}
        assert leaves(one, tools, made.bundle_id) == ["ingest", "envelope"]
    names = sorted(one.name for one in (tmp_path / f"{made.bundle_id}.proofs/receipts").iterdir())
    assert names[0] == "envelope"
    assert names[1].startswith("envelope-localhost-second-")
    assert other.stop() == 0


def test_a_bundle_that_was_known_before_its_envelope_gets_it(
    running: Any, tools: Any, push: Any, client: Any, tmp_path: Path
) -> None:
    _, made = sealed(tools)
    secret = tools.Bundle(made.bundle_id, made.ciphertext, made.seal, kind="encrypted")
    assert client.push(secret)["state"] == "accepted"  # as an earlier version pushed it
    facts = push(made.put(tmp_path))
    assert (facts["known"], facts["envelope_sha256"]) == (True, digest_of(made.files))
    assert leaves(running, tools, made.bundle_id) == ["ingest", "envelope"]


def test_the_envelope_of_a_bundle_that_the_collector_has_in_clear_is_not_sent(
    running: Any, tools: Any, push: Any, tmp_path: Path
) -> None:
    bundle, made = sealed(tools)
    clear = tmp_path / f"{bundle.bundle_id}.zip"
    clear.write_bytes(bundle.data)
    push(clear)
    facts = push(made.put(tmp_path))
    assert (facts["known"], facts["envelope_sha256"], facts["problems"]) == (True, None, [])
    assert leaves(running, tools, made.bundle_id) == ["ingest"]


def test_what_cannot_be_sent_is_told_and_the_bundle_is_accepted(
    running: Any, tools: Any, push: Any, tmp_path: Path
) -> None:
    _, made = sealed(tools, vendor(tmp_path))
    _, other = sealed(tools)
    path = made.put(tmp_path)
    folder = tmp_path / f"{made.bundle_id}.envelope"
    key, facts_of = folder / "key-01.p7m", folder / "envelope.json"
    damaged = {
        key: (key.read_bytes()[:-1], "not the file that"),
        facts_of: (made.with_facts(ciphertext_sha256="11" * 32)["envelope.json"], "over content"),
        folder / "agent.p7s": (other.files["agent.p7s"], "another seal"),
    }
    for file, (data, reason) in damaged.items():
        whole = file.read_bytes()
        file.write_bytes(data)
        facts = push(path, code=65)
        assert (facts["state"], facts["envelope_sha256"]) == ("accepted", None)
        assert reason in facts["problems"][0], facts
        file.write_bytes(whole)
    proofs = tmp_path / f"{made.bundle_id}.proofs"
    assert (proofs / "receipt" / "receipt.txt").is_file()
    about_another = signed(replace(stated(other), bundle=made.bundle_id), new_one_capture("Sato"))
    for name, data in zip(("opened-01.txt", "opened-01.p7s"), about_another, strict=True):
        (proofs / name).write_bytes(data)
    facts = push(path, code=65)
    assert facts["envelope_sha256"] == digest_of(made.files)
    assert facts["problems"] == [
        "an opening statement was not sent: opened-01.txt is about another file"
    ]
    assert leaves(running, tools, made.bundle_id) == ["ingest", "envelope"]


def test_opening_statements_are_sent_once_each(
    running: Any, tools: Any, push: Any, tmp_path: Path
) -> None:
    _, made = sealed(tools)
    path = made.put(tmp_path)
    proofs = tmp_path / f"{made.bundle_id}.proofs"
    proofs.mkdir()
    for number in (1, 2):
        files = signed(stated(made, time=number), new_one_capture(f"person {number}"))
        for ending, data in zip(("txt", "p7s"), files, strict=True):
            (proofs / f"opened-{number:02d}.{ending}").write_bytes(data)
        for _ in range(2):
            assert push(path)["opening_statements"] == number
    assert leaves(running, tools, made.bundle_id) == ["ingest", "envelope", "opened", "opened"]
    assert (proofs / "receipts" / "opened-02" / "receipt.txt").is_file()
