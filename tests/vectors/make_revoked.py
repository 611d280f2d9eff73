"""Write the vectors of revoked certificates beside the machine's: time stamps, receipts, people over `data/good.zip`.

Run from the repository's root: `python -m tests.vectors.make_revoked [DIRECTORY]`. The same bytes each time. CMS
and stamps are made by hand; the words of a statement and the proof of one leaf come from the library.
"""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.vectors import vector_keys as keys
from tests.vectors.make_vectors import MIDDLE, ROOT
from tests.vectors.vector_bag import BUNDLE_ID
from tests.vectors.vector_times import Revoked, crl, signer, stamp

from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.merkle import leaf_hash
from hozen_hashes.note import SigningKey
from hozen_hashes.personstatement import PersonStatement
from hozen_hashes.statement import Statement
from hozen_hashes.tlogproof import TlogProof

ORIGIN = "collector.example/log"
LOG = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(sha256(b"hozen vector log").digest()))
TSA_ROOT = keys.identity("TSA root", ca=True, end=keys.ROOT_END)
TSA, TSA2 = (signer(name, TSA_ROOT, stamps=True) for name in ("TSA", "second TSA"))
RECEIPTS = signer("receipts", MIDDLE, uri=f"hozen://receipt/{ORIGIN}")
OPERATOR, WITNESS = (keys.identity(name, MIDDLE) for name in ("operator", "witness"))
HOST = keys.identity("host", MIDDLE)
EARLY = datetime(2026, 11, 1, tzinfo=UTC)
SIGNED = datetime(2026, 11, 24, tzinfo=UTC)  # people and receipts sign
STAMPED = datetime(2026, 11, 25, tzinfo=UTC)
BETWEEN = datetime(2026, 11, 24, 12, tzinfo=UTC)
RENEWED = datetime(2026, 11, 28, tzinfo=UTC)
THEN = datetime(2026, 12, 1, tzinfo=UTC)
YEARS = "2027-06-01T00:00:00Z"
COMPROMISED, SUPERSEDED = x509.ReasonFlags.key_compromise, x509.ReasonFlags.superseded
NO = "not verifiable"


@dataclass(frozen=True)
class Case:
    """What lies beside the bundle, the lists given, and what one step must say of it.

    Attributes:
        proofs: files of `<bundle>.proofs` by path, each the name of a file of the pool.
        lists: names of lists in the pool.
        notes: keys of all notes of the step, in order.
        word: of the whole check.
    """

    name: str
    proofs: tuple[tuple[str, str], ...]
    lists: tuple[str, ...]
    step: int
    result: str
    notes: tuple[str, ...]
    word: str = "match"
    at: str = YEARS
    log_key: bool = False


def _member(path: str) -> bytes:
    with zipfile.ZipFile(Path(__file__).parent / "data" / "good.zip") as archive:
        return archive.read(f"{BUNDLE_ID}/{path}")


P7S, SEALED = _member("signatures/agent.p7s"), _member("tagmanifest-sha256.txt")


def _ns(when: datetime) -> int:
    return int(when.timestamp()) * 10**9


def _receipt() -> dict[str, bytes]:
    statement = Statement(
        log=ORIGIN, log_key_sha256=LOG.verifier.sha256, event="ingest", bundle=BUNDLE_ID,
        seal=sha256(SEALED).hexdigest(), seal_state="checked", signature_sha256=sha256(P7S).hexdigest(),
        verified="ok", arrived_at=_ns(SIGNED), time=_ns(SIGNED),
    )  # fmt: skip
    text = statement.encode()
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(text)), [LOG])
    proof = TlogProof(index=0, path=(), note=note).encode()
    return {
        "receipt.txt": text,
        "receipt.tlog-proof": proof,
        "receipt.p7s": keys.p7s(text, RECEIPTS, when=SIGNED),
        "log.vkey": LOG.verifier.line,
    }


def _person(role: str, who: keys.Identity) -> tuple[bytes, bytes]:
    said = PersonStatement(
        bundle=BUNDLE_ID, seal=sha256(SEALED).hexdigest(), signature=sha256(P7S).hexdigest(),
        role=role, attests="SYNTHETIC", time=_ns(SIGNED),
    )  # fmt: skip
    return said.encode(), keys.p7s(said.encode(), who, when=SIGNED)


def pool() -> dict[str, bytes]:
    """Return every file by name."""
    files = {"root.pem": ROOT.pem, "tsa-root.pem": TSA_ROOT.pem, **_receipt()}
    files["statement.txt"], files["operator.p7s"] = _person("operator", OPERATOR)
    files["witness-01.txt"], files["witness-01.p7s"] = _person("witness", WITNESS)
    files["seal.tsr"] = stamp(P7S, TSA, STAMPED)
    files["seal-renewed.tsr"] = stamp(files["seal.tsr"], TSA2, RENEWED)
    files["receipt.tsr"] = stamp(files["receipt.p7s"], TSA2, STAMPED)
    files["operator.tsr"] = stamp(files["operator.p7s"], TSA2, STAMPED)
    files["witness-01.tsr"] = stamp(files["witness-01.p7s"], TSA2, STAMPED)

    def tsa(*entries: Revoked) -> bytes:
        return crl(TSA_ROOT.certificate, TSA_ROOT.key, *entries)

    files["tsa-none.crl"] = tsa()
    files["tsa-compromised.crl"] = tsa(Revoked(TSA, THEN))
    files["tsa-no-reason.crl"] = tsa(Revoked(TSA, THEN, None))
    files["tsa-superseded.crl"] = tsa(Revoked(TSA, THEN, SUPERSEDED))
    files["tsa-compromised-early.crl"] = tsa(Revoked(TSA, EARLY))
    files["tsa-superseded-early.crl"] = tsa(Revoked(TSA, EARLY, SUPERSEDED))
    files["tsa-within-accuracy.crl"] = tsa(Revoked(TSA, STAMPED.replace(second=1)))
    files["tsa-both.crl"] = tsa(Revoked(TSA, THEN), Revoked(TSA2, THEN))
    forged = keys.key("somebody else")
    files["tsa-forged.crl"] = crl(TSA_ROOT.certificate, forged, Revoked(TSA, EARLY))
    for name, entries in _of_hosts().items():
        files[f"{name}.crl"] = crl(MIDDLE.certificate, MIDDLE.key, *entries)
    return files


def _of_hosts() -> dict[str, tuple[Revoked, ...]]:
    found: dict[str, tuple[Revoked, ...]] = {"none": (), "host": (Revoked(HOST, THEN),)}
    people = {"receipts": RECEIPTS, "operator": OPERATOR, "witness": WITNESS}
    moments = {"early": EARLY, "between": BETWEEN, "then": THEN}
    for who, identity in people.items():
        for when, moment in moments.items():
            found[f"{who}-{when}"] = (Revoked(identity, moment),)
    return found


_SEAL = (("timestamps/0001-tsa.tsr", "seal.tsr"),)
_TWICE = (*_SEAL, ("timestamps/0002-tsa.tsr", "seal-renewed.tsr"))
_GIVEN = tuple(
    (f"receipt/{name}", name)
    for name in ("log.vkey", "receipt.p7s", "receipt.tlog-proof", "receipt.txt")
)
_GIVEN_STAMPED = (*_GIVEN, ("timestamps/0001-tsa.tsr", "receipt.tsr"))
_PEOPLE = tuple((name, name) for name in ("operator.p7s", "statement.txt"))
_PEOPLE_STAMPED = (*_PEOPLE, ("timestamps/0001-tsa.tsr", "operator.tsr"))
_BOTH = (*_PEOPLE, *((name, name) for name in ("witness-01.p7s", "witness-01.txt")))
_BOTH_STAMPED = (*_BOTH, ("timestamps/0001-tsa.tsr", "witness-01.tsr"))


def _stamps() -> list[Case]:
    def case(name: str, crl_name: str, result: str, *notes: str, **more: Any) -> Case:
        words: dict[str, Any] = {
            "proofs": _SEAL,
            "step": 13,
            "lists": ("none.crl", f"{crl_name}.crl"),
        } | more
        return Case(name=name, result=result, notes=notes, **words)

    bad = {"word": "mismatch"}
    gone = ("stamp-revoked", "revoked-no-time")
    return [
        case("stamp-not-listed", "tsa-none", "match", "stamp-holds", "not-revoked"),
        case("stamp-superseded-later", "tsa-superseded", "match", "stamp-holds", "later-revoked"),
        case("stamp-compromised-later", "tsa-compromised", NO, *gone, "no-time"),
        case("stamp-no-reason-later", "tsa-no-reason", NO, *gone, "no-time"),
        case("stamp-renewed-before", "tsa-compromised", "match",
             "stamp-holds", "later-revoked", "stamp-holds", "not-revoked", proofs=_TWICE),
        case("stamp-and-renewal-revoked", "tsa-both", NO, *gone, *gone, "no-time", proofs=_TWICE),
        case("stamp-compromised-before", "tsa-compromised-early", "mismatch", "stamp-bad", "revoked-before", **bad),
        case("stamp-superseded-before", "tsa-superseded-early", "mismatch", "stamp-bad", "revoked-before", **bad),
        case("stamp-revoked-within-accuracy", "tsa-within-accuracy", NO,
             "stamp-revoked", "revoked-between", "no-time"),
        case("stamp-list-forged", "tsa-forged", "match", "stamp-holds", "no-list"),
        case("host-loses-its-time", "tsa-compromised", NO, "chain-root", "list-unknown", "revoked-no-time",
             "no-list", step=10, word=NO, lists=("host.crl", "tsa-compromised.crl")),
    ]  # fmt: skip


def _receipts() -> list[Case]:
    def case(name: str, when: str, result: str, *notes: str, **more: Any) -> Case:
        words: dict[str, Any] = {
            "proofs": _GIVEN_STAMPED,
            "step": 12,
            "lists": (f"receipts-{when}.crl",),
        } | more
        return Case(name=name, result=result, notes=notes, **words)

    return [
        case("receipt-later-revoked", "then", "match", "receipt-holds", "later-revoked", "no-list"),
        case("receipt-no-time", "then", NO, "revoked-no-time", "no-list", proofs=_GIVEN),
        case("receipt-between", "between", NO, "revoked-between", "no-list"),
        case("receipt-before", "early", "mismatch", "revoked-before", "no-list", word="mismatch"),
        case("receipt-log-key", "then", "match", "receipt-holds", "revoked-no-time", "no-list",
             proofs=_GIVEN, log_key=True),
    ]  # fmt: skip


def _people() -> list[Case]:
    def case(name: str, crl_name: str, result: str, *notes: str, **more: Any) -> Case:
        words: dict[str, Any] = {
            "proofs": _PEOPLE_STAMPED,
            "step": 15,
            "lists": (f"{crl_name}.crl",),
        } | more
        return Case(name=name, result=result, notes=notes, **words)

    ok, bad = ("not-revoked", "no-list"), {"word": "mismatch"}
    return [
        case("operator-not-listed", "none", "match", "operator", *ok),
        case("operator-later-revoked", "operator-then", "match", "operator", "later-revoked", "no-list"),
        case("operator-no-time", "operator-then", NO, "operator", "revoked-no-time", "no-list", proofs=_PEOPLE),
        # The receipt dates the machine seal, not the person.
        case("operator-only-the-seal-is-dated", "operator-then", NO, "operator", "revoked-no-time", "no-list",
             proofs=(*_PEOPLE, *_GIVEN), log_key=True),
        case("operator-between", "operator-between", NO, "operator", "revoked-between", "no-list"),
        case("operator-before", "operator-early", "mismatch", "operator", "revoked-before", "no-list", **bad),
        case("witness-before", "witness-early", "mismatch", "witness", "revoked-before", "no-list",
             proofs=_BOTH_STAMPED, **bad),
        case("operator-expired", "", NO, "operator-unvouched", proofs=(*_PEOPLE, *_GIVEN), lists=(),
             log_key=True, at="2029-01-01T00:00:00Z"),
        case("operator-expired-stamped", "", "match", "operator", lists=(), at="2029-01-01T00:00:00Z"),
    ]  # fmt: skip


def main(where: Path) -> None:
    """Write the pool and `cases.json`."""
    (where / "files").mkdir(parents=True, exist_ok=True)
    for name, data in pool().items():
        (where / "files" / name).write_bytes(data)
    cases = {}
    for one in [*_stamps(), *_receipts(), *_people()]:
        cases[one.name] = {
            "at": one.at, "proofs": dict(one.proofs), "revoked": list(one.lists), "log_key": one.log_key,
            "word": one.word, "step": one.step, "result": one.result, "notes": list(one.notes),
        }  # fmt: skip
    text = json.dumps({"bundle": "data/good.zip", "cases": cases}, indent=1)
    (where / "cases.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "revoked")
