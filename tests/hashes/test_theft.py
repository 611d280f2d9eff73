"""The journal after theft of the complete process state in epoch 5: what `hozen verify` says of each forgery.

The thief also has the identity key, so manifests and machine seal of every forgery are right: what is found here is
found by the journal, by its signed start, or by what left the host before.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import stolen
from cryptography.hazmat.primitives.asymmetric import ec
from stolen import THEFT, Loot, ended, header, line, segment_files

from hozen_hashes.cmswrite import sign_detached
from hozen_hashes.front import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def loot() -> Loot:
    return stolen.capture()


@pytest.fixture
def check(loot: Loot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `hozen verify --root` on a container; its report."""
    root, bundle = tmp_path / "root.pem", tmp_path / f"{stolen.BUNDLE}.zip"
    root.write_bytes(loot.root)

    def run(container: bytes, *more: str) -> dict[str, Any]:
        bundle.write_bytes(container)
        code = main(
            [
                "verify",
                str(bundle),
                "--root",
                str(root),
                "--at",
                str(stolen.SIGNED),
                "--json",
                *more,
            ]
        )
        report: dict[str, Any] = json.loads(capsys.readouterr().out)["bundles"][0]
        assert report["exit_code"] == code
        return report

    return run


def said(report: dict[str, Any], number: int) -> tuple[str, list[tuple[Any, Any]]]:
    """Return the word of a step and its journal notes: (epoch, beginning of the reason)."""
    step = report["steps"][number - 1]
    return step["result"], [
        (n["values"].get("epoch"), n["values"].get("reason", n["key"])) for n in step["notes"]
    ]


def journal(loot: Loot, epoch: int) -> bytes:
    return loot.honest[f"hozen/journal/{epoch:06d}.jsonl"]


def test_the_honest_bundle_is_a_match(loot: Loot, check: Check) -> None:
    assert check(stolen.packed(loot.honest))["word"] == "match"
    assert check(loot.sealed(loot.honest))["word"] == "match"


def edited(loot: Loot) -> bytes:
    text = journal(loot, 2)
    changed = text.replace(b'"outcome":"captured"', b'"outcome":"truncated"')
    assert changed != text
    return changed


def test_an_edited_record_breaks_the_chain_in_its_epoch(loot: Loot, check: Check) -> None:
    files = {**loot.honest, "hozen/journal/000002.jsonl": edited(loot)}
    report = check(loot.sealed(files))
    word, notes = said(report, 7)
    assert (report["word"], word, notes[0][0]) == ("mismatch", "mismatch", 2)
    assert "did not make it" in notes[0][1]


def test_an_edited_record_signed_with_the_stolen_key_is_by_an_unknown_key(
    loot: Loot, check: Check
) -> None:
    files = {**loot.honest, **segment_files(2, edited(loot), loot.key)}
    report = check(loot.sealed(files))
    word, notes = said(report, 7)
    assert (report["word"], word, notes[0][0]) == ("mismatch", "mismatch", 2)
    assert "key" in notes[0][1]


def test_the_edited_header_that_names_the_stolen_key_was_not_announced(
    loot: Loot, check: Check
) -> None:
    mine, right = (
        sha256(loot.public).hexdigest(),
        sha256(loot.honest["hozen/journal/000002.pub"]).hexdigest(),
    )
    text = edited(loot).replace(right.encode(), mine.encode())
    report = check(loot.sealed({**loot.honest, **segment_files(2, text, loot.key)}))
    word, notes = said(report, 7)
    assert (word, notes[0][0]) == ("mismatch", 2)
    assert "key" in notes[0][1]


def test_a_truncated_journal_with_an_end_of_the_thief_is_by_an_unknown_key(
    loot: Loot, check: Check
) -> None:
    text = header(3, journal(loot, 2), loot.key) + ended(2)
    report = check(loot.sealed({**loot.until(2), **segment_files(3, text, loot.key)}))
    word, notes = said(report, 7)
    assert (report["word"], word, [n[0] for n in notes]) == ("mismatch", "mismatch", [3])
    assert "key" in notes[0][1]


def test_a_truncated_journal_alone_is_open(loot: Loot, check: Check) -> None:
    report = check(loot.sealed(loot.until(2)))
    assert report["journal"] == {"state": "open", "reason": None}
    assert (
        report["word"] == "match"
    )  # the stolen identity key sealed it; the open journal is stated
    assert said(report, 7)[1] == [(None, "journal-open")]


def rewritten(loot: Loot, key: Any) -> dict[str, bytes]:
    """Return a bundle whose whole journal is the thief's: the same start, one epoch, no evidence."""
    nothing = {"README-VERIFY.txt", "bagit.txt", "hozen/plan.json", "hozen/start.p7s"}
    files = {n: d for n, d in loot.honest.items() if n in nothing}
    start = next(
        row for row in journal(loot, 0).splitlines(keepends=True) if b'{"type":"start"' in row
    )
    following = ec.generate_private_key(ec.SECP256R1())
    announced = line(type="next", key=sha256(stolen.public_of(following)).hexdigest())
    first = header(0, None, key) + start + announced
    known = [json.loads(row) for n in range(THEFT) for row in journal(loot, n).splitlines()]
    plan = [r for r in known if r["type"] == "member" and r["path"] in nothing]
    rest = header(1, first, following) + b"".join(line(**r) for r in plan) + ended(0)
    return {**files, **segment_files(0, first, key), **segment_files(1, rest, following)}


def test_a_whole_new_journal_does_not_begin_with_the_signed_key(loot: Loot, check: Check) -> None:
    report = check(loot.sealed(rewritten(loot, loot.key)))
    assert (report["word"], said(report, 7)[0], said(report, 11)[0]) == (
        "mismatch",
        "match",
        "mismatch",
    )


def test_with_the_identity_key_a_new_start_can_be_signed_and_only_the_seal_kept_outside_tells(
    loot: Loot, check: Check
) -> None:
    """The limit of a key in memory: a token, a receipt of the start, a time stamp or a written seal is needed."""
    files = rewritten(loot, loot.key)
    digest = sha256(files["hozen/journal/000000.jsonl"]).digest()
    files["hozen/start.p7s"] = sign_detached(digest, loot.signer, stolen.WHEN)
    assert check(loot.sealed(files))["word"] == "match"
    kept = sha256(loot.honest["tagmanifest-sha256.txt"]).hexdigest()
    assert check(loot.sealed(files), "--seal", kept)["word"] == "mismatch"


def test_what_is_forged_from_the_theft_on_is_complete(loot: Loot, check: Check) -> None:
    """The limit of every scheme on the host itself; heartbeats and receipts narrow the time in which it can happen."""
    text = (
        header(THEFT, journal(loot, THEFT - 1), loot.key)
        + line(type="note", text="forged")
        + ended(THEFT - 1)
    )
    report = check(loot.sealed({**loot.until(THEFT - 1), **segment_files(THEFT, text, loot.key)}))
    assert (report["word"], report["journal"]["state"]) == ("match", "closed")


def test_a_truncated_journal_is_a_mismatch_where_the_whole_seal_was_kept(
    loot: Loot, check: Check
) -> None:
    kept = sha256(loot.honest["tagmanifest-sha256.txt"]).hexdigest()
    assert check(loot.sealed(loot.until(2)), "--seal", kept)["word"] == "mismatch"
