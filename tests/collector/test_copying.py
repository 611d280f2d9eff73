"""The collector's copy is given out whole, under the names of a bundle, and both logs say so."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from envelopes import claim, encrypt, pushed, send, signed, stated, vendor

from hozen_hashes import cms
from hozen_hashes.identity import new_one_capture
from hozen_hashes.statement import parse_statement

pytestmark = pytest.mark.needs("openssl")
HOZEN = Path(sys.executable).with_name("hozen")


def hozen(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    command = [str(HOZEN), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def tree(folder: Path) -> dict[str, bytes]:
    files = [one for one in folder.rglob("*") if one.is_file()]
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


def test_the_copy_of_an_encrypted_bundle_holds_all_that_its_reader_needs(
    client: Any, running: Any, tools: Any, tmp_path: Path
) -> None:
    made = pushed(client, tools, vendor(tmp_path))
    other = new_one_capture("somebody else")
    seal = cms.sign_detached(bytes.fromhex(made.seal), other, datetime.now(UTC))
    theirs = made.with_facts(other) | {"agent.p7s": seal}
    assert [send(client, made, one).status for one in (theirs, made.files)] == [201, 201]
    text, signature = signed(stated(made), new_one_capture("Sato Hanako"))
    assert claim(client, made, text, signature).status == 201
    receipt = client.receipt(made.sha256)
    done = hozen(
        "collector", "export", running.root, made.bundle_id, "--out", tmp_path / "copy", "--json"
    )
    assert done.returncode == 0, done.stderr
    name = made.bundle_id
    assert tree(tmp_path / "copy") == {
        f"{name}.zip.age": made.ciphertext,
        **{f"{name}.envelope/{file}": data for file, data in made.files.items()},
        **{f"{name}.envelope-2/{file}": data for file, data in theirs.items()},
        **{f"{name}.proofs/receipt/{file}": data for file, data in receipt.items()},
        f"{name}.proofs/opened-01.txt": text,
        f"{name}.proofs/opened-01.p7s": signature,
    }
    facts = json.loads(done.stdout)
    assert (facts["container_sha256"], facts["kind"]) == (made.sha256, "encrypted")
    query = "SELECT text FROM leaf WHERE position = ?"
    [(leaf,)] = tools.sql(running.root, query, facts["leaf"])
    said = parse_statement(leaf)
    assert (said.event, said.container_sha256, said.seal_state) == (
        "export",
        made.sha256,
        "claimed",
    )
    rows = tools.sql(running.root, "SELECT subject FROM access WHERE address = 'local'")
    assert (made.sha256,) in rows


def test_a_clear_bundle_is_copied_by_seal_and_verifies(
    client: Any, running: Any, tools: Any, tmp_path: Path
) -> None:
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    out = tmp_path / "copy"
    done = hozen("collector", "export", running.root, bundle.seal, "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / f"{bundle.bundle_id}.zip").read_bytes() == bundle.data
    keys = running.root / "keys"
    done = hozen("verify", out / f"{bundle.bundle_id}.zip", "--log-key", keys / "log.vkey")
    assert done.returncode == 0, done.stdout


def test_what_cannot_be_copied_is_told_and_leaves_no_entry(
    client: Any, running: Any, tools: Any, tmp_path: Path
) -> None:
    made = pushed(client, tools)
    [(before,)] = tools.sql(running.root, "SELECT count(*) FROM leaf")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for key, out in (("f" * 64, "new"), ("../../x", "new"), (made.sha256, "full")):
        done = hozen("collector", "export", running.root, key, "--out", tmp_path / out)
        assert done.returncode == 64, done.stderr
    assert tools.sql(running.root, "SELECT count(*) FROM leaf") == [(before,)]
    archived = running.root / "archive" / made.sha256[:2] / made.sha256
    archived.chmod(0o640)
    archived.write_bytes(made.ciphertext[:-1] + b"x")
    done = hozen("collector", "export", running.root, made.sha256, "--out", tmp_path / "altered")
    assert done.returncode == 1
    assert "holds other bytes" in done.stderr


def test_an_opening_statement_that_came_by_mail_is_logged_by_the_administrator(
    client: Any, running: Any, tools: Any, tmp_path: Path
) -> None:
    made = pushed(client, tools)
    text, signature = signed(stated(made), new_one_capture("Sato Hanako"))
    (tmp_path / "opened-01.txt").write_bytes(text)
    done = hozen("collector", "opened", running.root, tmp_path / "opened-01.txt")
    assert (done.returncode, "opened-01.p7s" in done.stderr) == (64, True)
    (tmp_path / "opened-01.p7s").write_bytes(signature)
    leaves = []
    for _ in range(2):
        done = hozen("collector", "opened", running.root, tmp_path / "opened-01.txt", "--json")
        assert done.returncode == 0, done.stderr
        leaves.append(json.loads(done.stdout)["leaf"])
    assert leaves[0] == leaves[1]
    [(leaf,)] = tools.sql(running.root, "SELECT text FROM leaf WHERE position = ?", leaves[0])
    said = parse_statement(leaf)
    assert (said.event, said.signer, said.sender) == ("opened", "Sato Hanako", None)
    assert said.container_sha256 == hashlib.sha256(text).hexdigest()
    bundle = tools.make_bundle(client.signer)
    absent = encrypt(bundle.bundle_id, bundle.data, bundle.seal, client.signer)
    text, signature = signed(stated(absent), new_one_capture("Sato Hanako"))
    (tmp_path / "opened-01.txt").write_bytes(text)
    done = hozen("collector", "opened", running.root, tmp_path / "opened-01.txt")
    assert done.returncode == 65  # the signature is not over it
    (tmp_path / "opened-01.p7s").write_bytes(signature)
    done = hozen("collector", "opened", running.root, tmp_path / "opened-01.txt")
    assert (done.returncode, "no accepted container" in done.stderr) == (65, True)
