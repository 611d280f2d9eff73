"""Receipts part by part: what holds, what cannot be checked, and what must be refused."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from hozen_hashes import cms, merkle, receipt
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.errors import (
    FormatError,
    HozenError,
    LimitError,
    MismatchError,
    NotVerifiableError,
    SignatureError,
)
from hozen_hashes.identity import KeyIdentity
from hozen_hashes.note import SigningKey
from hozen_hashes.receipt import Statement, VerifiedReceipt, receipt_uri, verify_receipt
from hozen_hashes.tlogproof import TlogProof

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

ORIGIN = "collector.example/log"
SEAL, CONTAINER, SIGNATURE = "4d" * 32, "8b" * 32, "51" * 32
BUNDLE = "hz-20261123T050000Z-web01-5f3a9c10"


@dataclass
class World:
    """A collector with its root, its log, and one receipt of it."""

    root: x509.Certificate
    identity: KeyIdentity
    key: SigningKey
    statement: Statement
    now: datetime
    files: dict[str, bytes]

    def make(self, statement: Statement, *, index: int = 2, size: int = 5) -> dict[str, bytes]:
        leaves = [merkle.leaf_hash(b"%d" % number) for number in range(size)]
        leaves[index] = statement.leaf_hash
        read = merkle.reader_of_leaves(leaves)
        state = Checkpoint(self.key.verifier.name, size, merkle.tree_root(size, read))
        proof = TlogProof(
            index=index,
            path=merkle.inclusion_proof(index, size, read),
            note=sign_checkpoint(state, [self.key]),
        )
        return receipt.receipt_files(
            statement,
            proof=proof.encode(),
            signature=self.sign(statement.encode(), self.identity),
            log_key=self.key.verifier,
        )

    def sign(self, data: bytes, identity: KeyIdentity) -> bytes:
        return cms.sign_detached(hashlib.sha256(data).digest(), identity, self.now)

    def check(self, files: dict[str, bytes] | None = None, **wishes: Any) -> VerifiedReceipt:
        given: dict[str, Any] = {
            "seal": SEAL,
            "container": CONTAINER,
            "signature": SIGNATURE,
            "at": self.now,
        }
        return verify_receipt(self.files if files is None else files, **(given | wishes))


def _identity(issue: Callable[..., Any], issuer: Any, uri: str, **wishes: Any) -> KeyIdentity:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    made = issue("Receipts", issuer=issuer, extensions=((names, False),), **wishes)
    return KeyIdentity(made.key, made.certificate, made.chain)


@pytest.fixture(scope="module")
def _world_parts() -> dict[str, World]:
    return {}


@pytest.fixture
def world(
    root: Any, issue: Callable[..., Any], now: datetime, _world_parts: dict[str, World]
) -> World:
    if "world" not in _world_parts:
        key = SigningKey.generate(ORIGIN)
        statement = Statement(
            log=ORIGIN,
            log_key_sha256=key.verifier.sha256,
            event="ingest",
            bundle=BUNDLE,
            seal=SEAL,
            seal_state="checked",
            container_sha256=CONTAINER,
            container_size=5,
            signature_sha256=SIGNATURE,
            verified="ok",
            time=1795410581702113920,
        )
        identity = _identity(issue, root, receipt_uri(ORIGIN))
        world = World(root.certificate, identity, key, statement, now, {})
        world.files = world.make(statement)
        _world_parts["world"] = world
    return _world_parts["world"]


PARTS = [
    "statement", "agent signature", "container", "signature", "signer", "log key", "checkpoint", "inclusion",
]  # fmt: skip


def _matches(found: VerifiedReceipt) -> set[str]:
    return {part.name for part in found.parts if part.state == "match"}


def test_everything_holds_with_root_and_log_key_from_outside(world: World) -> None:
    found = world.check(roots=[world.root], log_keys=[world.key.verifier], bundle=BUNDLE)
    assert [part.name for part in found.parts] == PARTS
    assert _matches(found) == set(PARTS)
    assert found.anchor == "log key"
    assert found.leaf_index == 2
    assert found.statement == world.statement
    assert found.accepted
    assert sorted(world.files) == sorted(
        ["receipt.txt", "receipt.tlog-proof", "receipt.p7s", "log.vkey", "README.txt"]
    )


def test_the_signed_statement_vouches_for_the_log_key(world: World) -> None:
    found = world.check(roots=[world.root])
    assert found.anchor == "root"
    assert _matches(found) == set(PARTS) - {"log key"}


def test_the_log_key_alone_vouches(world: World) -> None:
    found = world.check(log_keys=[world.key.verifier])
    assert found.anchor == "log key"
    assert "no root" in found.part("signer").reason


def test_nobody_vouches_without_anything_from_outside(world: World) -> None:
    found = world.check()
    assert found.anchor is None
    assert _matches(found) == set(PARTS) - {"log key", "signer"}
    assert all(part.reason for part in found.parts if part.state != "match")


def test_keys_of_other_logs_do_not_count(world: World) -> None:
    found = world.check(log_keys=[SigningKey.generate("other.example").verifier])
    assert found.anchor is None
    assert found.part("log key").state == "not verifiable"


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        ({"seal": "00" * 32}, "another seal"),
        ({"signature": "00" * 32}, "another agent signature"),
        ({"bundle": BUNDLE[:-1] + "1"}, "another bundle"),
        ({"seal": None, "container": "00" * 32}, "another container"),
    ],
)
def test_a_receipt_of_another_bundle_is_a_mismatch(
    world: World, wishes: dict[str, Any], word: str
) -> None:
    with pytest.raises(MismatchError, match=word):
        world.check(**wishes)


def test_a_repacked_container_keeps_its_receipt(world: World) -> None:
    found = world.check(container="00" * 32, roots=[world.root])
    assert found.part("statement").state == "match"
    assert "packed anew" in found.part("container").reason


def test_an_unopened_container_is_matched_by_its_own_hash(world: World) -> None:
    found = world.check(seal=None, signature=None)
    assert found.part("statement").state == "match"
    assert found.part("agent signature").state == "not verifiable"


def test_nothing_to_compare_with_is_not_a_match(world: World) -> None:
    found = world.check(seal=None, container=None, signature=None)
    assert found.part("statement").state == "not verifiable"
    assert found.part("container").state == "not verifiable"


@pytest.mark.parametrize(
    ("absent", "parts"),
    [
        ("receipt.p7s", {"signature", "signer"}),
        ("receipt.tlog-proof", {"checkpoint", "inclusion"}),
    ],
)
def test_a_part_without_its_file_is_not_called_checked(
    world: World, absent: str, parts: set[str]
) -> None:
    files = {name: data for name, data in world.files.items() if name != absent}
    found = world.check(files, roots=[world.root], log_keys=[world.key.verifier])
    assert _matches(found) == set(PARTS) - parts
    assert found.anchor == ("log key" if absent == "receipt.p7s" else "root")
    if absent == "receipt.tlog-proof":
        assert found.leaf_index is None
        assert found.signed is None


def test_neither_signature_nor_proof_leaves_no_anchor(world: World) -> None:
    files = {name: world.files[name] for name in ("receipt.txt", "log.vkey")}
    found = world.check(files, roots=[world.root], log_keys=[world.key.verifier])
    assert found.anchor is None


@pytest.mark.parametrize("absent", ["receipt.txt", "log.vkey"])
def test_a_receipt_without_statement_or_key_is_none(world: World, absent: str) -> None:
    files = {name: data for name, data in world.files.items() if name != absent}
    with pytest.raises(FormatError, match=re.escape(absent)):
        world.check(files)


def test_a_changed_statement_is_refused_by_signature_and_by_log(world: World) -> None:
    other = dataclasses.replace(world.statement, verified="partial")
    files = world.files | {"receipt.txt": other.encode()}
    with pytest.raises(SignatureError):
        world.check(files)
    del files["receipt.p7s"]
    with pytest.raises(SignatureError, match="inclusion"):
        world.check(files)


def test_a_leaf_of_another_log_is_refused(world: World) -> None:
    stranger = dataclasses.replace(world, key=SigningKey.generate(ORIGIN))
    files = world.files | {
        "receipt.tlog-proof": stranger.make(world.statement)["receipt.tlog-proof"]
    }
    with pytest.raises(SignatureError, match="none of the known keys"):
        world.check(files)


def test_a_log_key_that_the_statement_does_not_name_is_a_mismatch(world: World) -> None:
    stranger = dataclasses.replace(world, key=SigningKey.generate(ORIGIN))
    made = stranger.make(world.statement)
    files = world.files | {name: made[name] for name in ("receipt.tlog-proof", "log.vkey")}
    with pytest.raises(MismatchError, match=re.escape("log.vkey")):
        world.check(files)


def test_a_whole_forged_log_fails_against_the_key_from_outside(world: World) -> None:
    key = SigningKey.generate(ORIGIN)
    statement = dataclasses.replace(world.statement, log_key_sha256=key.verifier.sha256)
    forged = dataclasses.replace(world, key=key).make(statement)
    with pytest.raises(MismatchError, match="not the one given"):
        world.check(forged, log_keys=[world.key.verifier])
    assert world.check(forged, log_keys=[world.key.verifier, key.verifier]).anchor == "log key"


def test_an_agents_certificate_signs_no_receipts(
    world: World, root: Any, issue: Callable[..., Any]
) -> None:
    for uri in ("hozen://agent/web01", receipt_uri("other.example/log"), receipt_uri(ORIGIN) + "/"):
        agent = _identity(issue, root, uri)
        files = world.files | {"receipt.p7s": world.sign(world.files["receipt.txt"], agent)}
        with pytest.raises(SignatureError, match="not one for receipts"):
            world.check(files, roots=[world.root])
    plain = issue("web01", issuer=root)
    identity = KeyIdentity(plain.key, plain.certificate, plain.chain)
    files = world.files | {"receipt.p7s": world.sign(world.files["receipt.txt"], identity)}
    with pytest.raises(SignatureError, match="not one for receipts"):
        world.check(files)


def test_a_root_of_somebody_else_does_not_vouch(world: World, issue: Callable[..., Any]) -> None:
    found = world.check(roots=[issue("Other Root", ca=True).certificate])
    assert found.anchor is None
    assert found.part("signature").state == "match"
    assert "no path" in found.part("signer").reason


def test_a_root_of_the_same_name_and_another_key_is_refused(
    world: World, issue: Callable[..., Any]
) -> None:
    with pytest.raises(SignatureError):
        world.check(roots=[issue("Test Root", ca=True).certificate])


def test_an_expired_receipt_certificate_is_not_verifiable_now_but_was_then(
    world: World, root: Any, issue: Callable[..., Any]
) -> None:
    short = _identity(issue, root, receipt_uri(ORIGIN), end=world.now + timedelta(days=1))
    files = world.files | {"receipt.p7s": world.sign(world.files["receipt.txt"], short)}
    later = world.now + timedelta(days=2)
    found = world.check(files, roots=[world.root], at=later)
    assert found.anchor is None
    assert "expired" in found.part("signer").reason
    assert world.check(files, roots=[world.root]).anchor == "root"
    assert world.check(files, log_keys=[world.key.verifier], at=later).anchor == "log key"


@pytest.mark.parametrize(
    ("event", "verified", "accepted"),
    [
        ("ingest", "ok", True), ("partial", "partial", True), ("variant", "sealed-unopened", True),
        ("quarantine", "failed", False), ("ingest", "failed", False), ("custody", "ok", False), ("ingest", None, False),
    ],
)  # fmt: skip
def test_only_an_archived_bundle_counts_as_accepted(
    world: World, event: str, verified: str | None, accepted: bool
) -> None:
    statement = dataclasses.replace(world.statement, event=event, verified=verified)
    assert world.check(world.make(statement)).accepted is accepted


@pytest.mark.parametrize("name", ["receipt.txt", "receipt.tlog-proof", "receipt.p7s", "log.vkey"])
def test_a_file_too_large_is_refused(world: World, name: str) -> None:
    with pytest.raises(LimitError):
        world.check(world.files | {name: b"x" * 1_000_000})


@pytest.mark.parametrize("name", ["receipt.txt", "receipt.tlog-proof", "receipt.p7s", "log.vkey"])
def test_no_changed_byte_is_called_a_match(world: World, name: str) -> None:
    data = world.files[name]
    for at in range(0, len(data), max(1, len(data) // 120)):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            found = world.check(
                world.files | {name: bytes(changed)},
                roots=[world.root],
                log_keys=[world.key.verifier],
            )
        except HozenError as error:
            assert not isinstance(error, NotVerifiableError)
            continue
        # An embedded certificate that is not needed may change; then the signer is not vouched for or still holds.
        assert name == "receipt.p7s"
        assert found.anchor == "log key"


def test_the_readme_is_bilingual_and_holds_no_machine_path() -> None:
    text = receipt.readme().decode()
    assert "[en]" in text
    assert "[ja]" in text
    commands = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    assert commands[: len(commands) // 2] == commands[len(commands) // 2 :]
