"""Receipts, time stamps, custody events and people's signatures: the verifier page says what `hozen verify` says."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from authority import Authority, new_authority
from browser import AT, Verifier, chromium
from cryptography import x509

from hozen_hashes import cms, merkle, receipt
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.front import main
from hozen_hashes.identity import KeyIdentity, new_one_capture
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import parse_rfc3339
from hozen_hashes.note import SigningKey
from hozen_hashes.personstatement import PersonStatement
from hozen_hashes.receipt import Statement, receipt_uri
from hozen_hashes.tlogproof import TlogProof

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("chromium", "openssl", "faketime")
ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "vectors" / "data"
BUNDLE = json.loads((DATA / "expected.json").read_text())["bundle_id"]
ALONE, GOOD = ((DATA / f"{name}.zip").read_bytes() for name in ("good-one-capture", "good"))
THEN = datetime(2026, 12, 1, tzinfo=UTC)
ORIGIN = "collector.example/log"
KEY = SigningKey.generate(ORIGIN)
OTHER = SigningKey.generate(ORIGIN)
WITNESS = SigningKey.generate("witness.example/w1")
TIME = parse_rfc3339("2026-11-23T05:00:31.000000000Z")
SEALED = "2026-11-24 00:00:00"
Files = dict[str, bytes]


def member(data: bytes, path: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(f"{BUNDLE}/{path}")


def digest(data: bytes, path: str) -> str:
    return sha256(member(data, path)).hexdigest()


def named(data: bytes) -> tuple[str, str]:
    return digest(data, "tagmanifest-sha256.txt"), digest(data, "signatures/agent.p7s")


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        page = Verifier(browser, ROOT / "hashes/hozen_hashes/verifier_page/verifier.html")
        yield page
        assert page.complaints == []


@pytest.fixture(scope="module")
def identity() -> KeyIdentity:
    return new_one_capture("SYNTHETIC person")


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tsa") / "first", rsa=True)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tsa") / "later"
    return new_authority(
        folder, "SYNTHETIC later TSA", begins="20290101000000Z", ends="20400101000000Z"
    )


@pytest.fixture
def both(verifier: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Let page and command judge a bundle with what lies beside it; return the command's report when they agree."""

    def judge(
        data: bytes, files: dict[str, Files], *, at: str = AT, **anchors: Any
    ) -> dict[str, Any]:
        home = (
            tmp_path
            / sha256(
                repr(sorted(files.items())).encode() + at.encode() + repr(anchors).encode()
            ).hexdigest()
        )
        bundle, inside = home / f"{BUNDLE}.zip", []
        for folder, members in files.items():
            (home / f"{BUNDLE}.proofs" / folder).mkdir(parents=True, exist_ok=True)
            for name, content in members.items():
                inside.append(home / f"{BUNDLE}.proofs" / folder / name)
                inside[-1].write_bytes(content)
        home.mkdir(exist_ok=True)
        bundle.write_bytes(data)
        option = {"roots": "--root", "log_keys": "--log-key", "tsa_roots": "--tsa-root"}
        words = [
            word
            for key, paths in anchors.items()
            for path in paths
            for word in (option[key], str(path))
        ]
        main(["verify", str(bundle), "--at", at, "--json", *words])
        [command] = json.loads(capsys.readouterr().out)["bundles"]
        page = verifier.check([bundle, *inside], at=at, **anchors)
        assert outline(page) == outline(command)
        return dict(command)

    return judge


def outline(report: dict[str, Any]) -> Any:
    facts = (
        "word",
        "exit_code",
        "integrity",
        "origin",
        "origin_by",
        "time",
        "existed_at",
        "steps_not_run",
    )
    steps = [(s["number"], s["result"], [n["key"] for n in s["notes"]]) for s in report["steps"]]
    return {key: report[key] for key in facts}, steps


@pytest.fixture
def receipt_of(issue: Any, root: Any) -> Any:
    """Make the receipt directory for a container in a log of several leaves; keyword arguments change the statement."""

    def make(
        data: bytes,
        *,
        uri: str = receipt_uri(ORIGIN),
        witnesses: tuple[SigningKey, ...] = (),
        **changed: Any,
    ) -> Files:
        seal, p7s = named(data)
        words: dict[str, Any] = {
            "log": ORIGIN, "log_key_sha256": KEY.verifier.sha256, "event": "ingest", "bundle": BUNDLE, "seal": seal,
            "seal_state": "checked", "signature_sha256": p7s, "verified": "ok", "arrived_at": TIME, "time": TIME + 1,
            "actor": "受付", "case": "-",
        }  # fmt: skip
        statement = Statement(**(words | changed))
        leaves = (
            [merkle.leaf_hash(b"%d" % n) for n in range(5)]
            + [statement.leaf_hash]
            + [merkle.leaf_hash(b"x")]
        )
        read = merkle.reader_of_leaves(leaves)
        state = Checkpoint(ORIGIN, len(leaves), merkle.tree_root(len(leaves), read))
        proof = TlogProof(
            index=5,
            path=merkle.inclusion_proof(5, len(leaves), read),
            note=sign_checkpoint(state, [KEY, *witnesses]),
        )
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        made = issue("Receipts", issuer=root, extensions=((names, False),))
        text = statement.encode()
        signer = KeyIdentity(made.key, made.certificate, made.chain)
        signature = cms.sign_detached(sha256(text).digest(), signer, THEN)
        return receipt.receipt_files(
            statement, proof=proof.encode(), signature=signature, log_key=KEY.verifier
        )

    return make


def test_receipts_are_judged_alike(both: Any, receipt_of: Any, root: Any, tmp_path: Path) -> None:
    key, other, pem = tmp_path / "log.vkey", tmp_path / "other.vkey", tmp_path / "collector.pem"
    key.write_bytes(KEY.verifier.line)
    other.write_bytes(OTHER.verifier.line)
    pem.write_bytes(root.pem)
    good = receipt_of(ALONE)
    held = both(ALONE, {"receipt": good}, log_keys=[key])
    assert (held["word"], held["origin_by"]) == ("match", "receipt")
    assert both(ALONE, {"receipt": good})["word"] == "not verifiable"
    assert both(ALONE, {"receipt": good}, roots=[pem])["origin_by"] == "receipt"
    assert both(ALONE, {"receipt": good}, log_keys=[other])["word"] == "mismatch"
    assert (
        both(ALONE, {"receipt": receipt_of(ALONE, witnesses=(WITNESS,))}, log_keys=[key])["word"]
        == "match"
    )
    for changed in (
        {"seal": "0" * 64}, {"signature_sha256": "0" * 64}, {"uri": "hozen://receipt/another"},
        {"event": "quarantine", "verified": "failed"}, {"seal": None, "seal_state": None, "signature_sha256": None},
    ):  # fmt: skip
        both(ALONE, {"receipt": receipt_of(ALONE, **changed)}, log_keys=[key])


def test_damaged_receipts_are_judged_alike(both: Any, receipt_of: Any, tmp_path: Path) -> None:
    key = tmp_path / "log.vkey"
    key.write_bytes(KEY.verifier.line)
    good = receipt_of(ALONE)
    for name in ("receipt.txt", "receipt.tlog-proof", "receipt.p7s", "log.vkey"):
        content = good[name]
        both(ALONE, {"receipt": {n: c for n, c in good.items() if n != name}}, log_keys=[key])
        both(ALONE, {"receipt": {**good, name: content[:-1]}}, log_keys=[key])
        for place in (len(content) // 3, len(content) // 2, len(content) - 40):
            flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            both(ALONE, {"receipt": {**good, name: flipped}}, log_keys=[key])


def test_time_stamps_are_judged_alike(both: Any, tsa: Authority, later: Authority) -> None:
    root, p7s = DATA / "root.pem", member(GOOD, "signatures/agent.p7s")
    stamp = tsa.stamp(p7s, at=SEALED)
    flipped = stamp[:-3] + bytes([stamp[-3] ^ 1]) + stamp[-2:]
    renewal = later.stamp(stamp, at="2029-12-01 00:00:00", hash_name="sha512")
    roots = {"roots": [root], "tsa_roots": [tsa.root, later.root]}
    held = both(GOOD, {"timestamps": {"0001-tsa.tsr": stamp}}, **roots)
    assert (held["time"], held["existed_at"]) == ("match", "2026-11-24T00:00:01.000000000Z")
    both(GOOD, {"timestamps": {"0001-tsa.tsr": stamp}}, roots=[root])
    both(GOOD, {"timestamps": {"0001-tsa.tsr": stamp}}, roots=[root], tsa_roots=[later.root])
    for bad in (
        flipped,
        stamp[:-9],
        b"",
        tsa.stamp(b"other", at=SEALED),
        tsa.stamp(p7s, at="2025-06-01 00:00:00"),
    ):
        both(GOOD, {"timestamps": {"0001-tsa.tsr": bad}}, **roots)
    after = {"at": "2031-01-01T00:00:00Z", **roots}
    expired = both(GOOD, {"timestamps": {"0001-tsa.tsr": stamp}}, **after)
    assert expired["steps"][12]["notes"][0]["key"] == "stamp-expired"
    renewed = both(
        GOOD, {"timestamps": {"0001-tsa.tsr": stamp, "0002-later.tsr": renewal}}, **after
    )
    assert renewed["steps"][12]["notes"][0]["key"] == "stamp-renewed"


def event(identity: KeyIdentity, number: int, before: bytes | None, **changed: object) -> Files:
    previous = None if before is None else sha256(before).hexdigest()
    record = {"format": "hozen-custody/1", "event_no": number, "previous": previous, "bundle": BUNDLE, "seal": None,
              "type": "NOTE", "attachments": []}  # fmt: skip
    data = dump_line({**record, **changed})
    name = f"{number:06d}"
    return {
        f"{name}.json": data,
        f"{name}.p7s": cms.sign_detached(sha256(data).digest(), identity, THEN),
    }


def test_custody_events_are_judged_alike(both: Any, identity: KeyIdentity) -> None:
    root = {"roots": [DATA / "root.pem"]}
    photo = b"SYNTHETIC photograph"
    wanted = sha256(photo).hexdigest()
    first = event(identity, 1, None, attachments=[{"sha256": wanted}])
    chain = {**first, **event(identity, 2, first["000001.json"], seal=named(GOOD)[0])}
    assert both(GOOD, {"custody": chain, "attachments": {wanted: photo}}, **root)["word"] == "match"
    both(GOOD, {"custody": chain}, **root)
    both(GOOD, {"custody": chain, "attachments": {wanted: photo + b"!"}}, **root)
    for changed in (
        {"seal": "0" * 64},
        {"event_no": 7},
        {"previous": "0" * 64},
        {"previous": 5},
        {"attachments": "x"},
        {"bundle": "x"},
    ):
        both(GOOD, {"custody": event(identity, 1, None, **changed)}, **root)
    plain = event(identity, 1, None)
    both(GOOD, {"custody": {"000001.json": plain["000001.json"]}}, **root)
    both(
        GOOD,
        {"custody": {"000002.json": plain["000001.json"], "000002.p7s": plain["000001.p7s"]}},
        **root,
    )


def said(data: bytes, *, role: str = "operator", **changed: str) -> bytes:
    seal, p7s = named(data)
    words: dict[str, Any] = {
        "bundle": BUNDLE,
        "seal": seal,
        "signature": p7s,
        "role": role,
        "attests": "作業を実施しました。",
    }
    return PersonStatement(**(words | changed), time=TIME).encode()


def test_people_are_judged_alike(
    both: Any, issue: Any, root: Any, identity: KeyIdentity, tmp_path: Path
) -> None:
    pem = tmp_path / "people.pem"
    pem.write_bytes(root.pem)
    made = issue("SYNTHETIC operator", issuer=root)
    person = KeyIdentity(made.key, made.certificate, made.chain)

    def signed(text: bytes, by: KeyIdentity, *, name: str = "") -> Files:
        statement, signature = (
            (f"{name}.txt", f"{name}.p7s") if name else ("statement.txt", "operator.p7s")
        )
        return {statement: text, signature: cms.sign_detached(sha256(text).digest(), by, THEN)}

    vouched = both(ALONE, {"": signed(said(ALONE), person)}, roots=[pem])
    assert (vouched["word"], vouched["origin_by"]) == ("match", "operator")
    witness = signed(said(ALONE, role="witness"), person, name="witness-01")
    both(ALONE, {"": signed(said(ALONE), person) | witness}, roots=[pem])
    both(ALONE, {"": witness}, roots=[pem])
    both(ALONE, {"": signed(said(ALONE), identity)}, roots=[pem])
    both(ALONE, {"": signed(said(ALONE), identity)})
    for text in (
        said(GOOD),
        said(ALONE, role="witness"),
        said(ALONE)[:-1],
        b"hozen-statement/2\n",
        said(ALONE) + b"more x\n",
    ):
        both(ALONE, {"": signed(text, person)}, roots=[pem])
    half = signed(said(ALONE), person)
    for name in half:
        both(ALONE, {"": {name: half[name]}}, roots=[pem])
