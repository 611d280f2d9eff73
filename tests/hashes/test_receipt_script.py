"""The shell verifier beside the format pages, which shares no code with the library, agrees with it."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from hozen_hashes import cms, merkle, receipt
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.identity import KeyIdentity
from hozen_hashes.note import SigningKey
from hozen_hashes.receipt import Statement, receipt_uri
from hozen_hashes.tlogproof import TlogProof

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SCRIPT = Path(__file__).parents[2] / "docs" / "format" / "verify-receipt.sh"
ORIGIN = "collector.example/log"
SEAL = "4d" * 32
KEY = SigningKey.generate(ORIGIN)
WITNESS = SigningKey.generate("witness.example")
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(21)]


def _run(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(["bash", SCRIPT, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _note(size: int, leaves: list[bytes], *, key: SigningKey = KEY) -> bytes:
    root = merkle.tree_root(size, merkle.reader_of_leaves(leaves))
    return sign_checkpoint(Checkpoint(key.verifier.name, size, root), [WITNESS, key])


@pytest.fixture(scope="module")
def made(
    root: Any, now: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int, int], Path]:
    """Make a receipt directory for a leaf at a place in a log of a size; `root.pem` lies beside it."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(receipt_uri(ORIGIN))])
    issued = root.issue("Receipts", extensions=((names, False),))
    identity = KeyIdentity(issued.key, issued.certificate, issued.chain)

    def make(index: int, size: int) -> Path:
        statement = Statement(
            log=ORIGIN,
            log_key_sha256=KEY.verifier.sha256,
            event="ingest",
            seal=SEAL,
            seal_state="checked",
            verified="ok",
            time=0,
        )
        leaves = [*LEAVES[:index], statement.leaf_hash, *LEAVES[index + 1 :]]
        path = merkle.inclusion_proof(index, size, merkle.reader_of_leaves(leaves))
        proof = TlogProof(index=index, path=path, note=_note(size, leaves))
        digest = hashlib.sha256(statement.encode()).digest()
        files = receipt.receipt_files(
            statement,
            proof=proof.encode(),
            signature=cms.sign_detached(digest, identity, now),
            log_key=KEY.verifier,
        )
        directory = tmp_path_factory.mktemp("receipt")
        for name, data in (files | {"root.pem": root.pem}).items():
            (directory / name).write_bytes(data)
        return directory

    return make


@pytest.fixture
def attime(now: datetime) -> str:
    return str(int(now.timestamp()))


@pytest.mark.parametrize(
    ("index", "size"), [(0, 1), (0, 2), (1, 2), (4, 7), (16, 17), (12, 21), (20, 21)]
)
def test_the_script_accepts_what_the_library_makes(
    made: Callable[[int, int], Path], index: int, size: int
) -> None:
    code, out = _run(made(index, size), "--log-key-sha256", KEY.verifier.sha256, "--seal", SEAL)
    assert code == 0, out
    assert f"leaf {index} of {size}" in out


def test_root_signature_and_log_are_all_checked(
    made: Callable[[int, int], Path], attime: str
) -> None:
    directory = made(5, 9)
    code, out = _run(directory, "--root", directory / "root.pem", "--attime", attime)
    assert code == 0, out
    assert out.count("ok: ") == 3
    assert "receipt certificate" in out


def test_without_anything_from_outside_nobody_vouches(made: Callable[[int, int], Path]) -> None:
    code, out = _run(made(5, 9))
    assert code == 2
    assert "nobody from outside vouches" in out


def _edit(directory: Path, name: str, old: bytes, new: bytes) -> None:
    data = (directory / name).read_bytes()
    assert old in data
    (directory / name).write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("receipt.txt", b"verified ok", b"verified partial", "inclusion"),
        ("receipt.txt", b"case -\n", b"", "not the lines"),
        ("receipt.txt", b"receipt/1", b"receipt/2", "not the lines"),
        ("receipt.txt", ORIGIN.encode(), b"other.example/log", "not the one"),
        ("receipt.tlog-proof", b"index 5", b"index 4", "inclusion"),
        ("receipt.tlog-proof", b"index 5", b"index 05", "no index"),
        ("receipt.tlog-proof", b"index 5", b"index 9", "no leaf 9"),
        ("receipt.tlog-proof", b"@v1", b"@v2", "not c2sp"),
        ("receipt.tlog-proof", b"\n9\n", b"\n8\n", "does not hold"),
        ("receipt.tlog-proof", f"— {ORIGIN}".encode(), b"-- nobody", "has not signed"),
        ("log.vkey", ORIGIN.encode(), b"other.example/log", "key id"),
        ("log.vkey", b"+", b"-", "not a key"),
    ],
)  # fmt: skip
def test_a_changed_receipt_is_refused(
    made: Callable[[int, int], Path], name: str, old: bytes, new: bytes, word: str
) -> None:
    directory = made(5, 9)
    _edit(directory, name, old, new)
    code, out = _run(directory, "--log-key-sha256", KEY.verifier.sha256)
    assert code == 1, out
    assert word in out


@pytest.mark.parametrize(
    ("last", "word"), [(b"", "too few"), (b"\n" + b"A" * 43 + b"=", "too many")]
)
def test_hashes_too_many_and_too_few_are_refused(
    made: Callable[[int, int], Path], last: bytes, word: str
) -> None:
    path = made(5, 8) / "receipt.tlog-proof"
    head, note = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes((head + last if last else head.rsplit(b"\n", 1)[0]) + b"\n\n" + note)
    code, out = _run(path.parent)
    assert code == 1, out
    assert word in out


def test_other_anchors_are_refused(
    made: Callable[[int, int], Path], issue: Callable[..., Any], attime: str
) -> None:
    directory = made(2, 3)
    (directory / "other.pem").write_bytes(issue("Other", ca=True).pem)
    for words, said in (
        (("--log-key-sha256", "00" * 32), "not the one given"),
        (("--seal", "00" * 32), "another seal"),
        (("--root", directory / "other.pem", "--attime", attime), "signature"),
    ):
        code, out = _run(directory, *words)
        assert code == 1, out
        assert said in out


def test_an_agents_signature_is_refused(
    made: Callable[[int, int], Path], root: Any, now: datetime, attime: str
) -> None:
    directory = made(2, 3)
    agent = root.issue("web01")
    digest = hashlib.sha256((directory / "receipt.txt").read_bytes()).digest()
    identity = KeyIdentity(agent.key, agent.certificate, agent.chain)
    (directory / "receipt.p7s").write_bytes(cms.sign_detached(digest, identity, now))
    code, out = _run(directory, "--root", directory / "root.pem", "--attime", attime)
    assert code == 1, out
    assert "not by a receipt certificate" in out


def _consistency(tmp_path: Path, old: int, new: int, *, rewrite: bool = False) -> tuple[int, str]:
    leaves = [bytes(32), *LEAVES[1:]] if rewrite else LEAVES
    proof = merkle.consistency_proof(old, new, merkle.reader_of_leaves(LEAVES))
    (tmp_path / "old").write_bytes(_note(old, leaves))
    (tmp_path / "new").write_bytes(_note(new, LEAVES))
    (tmp_path / "proof").write_text("".join(base64.b64encode(h).decode() + "\n" for h in proof))
    (tmp_path / "key").write_bytes(KEY.verifier.line)
    return _run("--consistency", *(tmp_path / name for name in ("old", "new", "proof", "key")))


@pytest.mark.parametrize(
    ("old", "new"), [(0, 5), (1, 1), (1, 8), (3, 7), (6, 8), (4, 21), (20, 21)]
)
def test_the_script_checks_that_a_log_only_grew(tmp_path: Path, old: int, new: int) -> None:
    code, out = _consistency(tmp_path, old, new)
    assert code == 0, out


@pytest.mark.parametrize(("old", "new"), [(1, 1), (3, 7), (8, 21)])
def test_a_rewritten_log_is_refused(tmp_path: Path, old: int, new: int) -> None:
    code, out = _consistency(tmp_path, old, new, rewrite=True)
    assert code == 1, out
    assert "consistency" in out


def test_a_wrong_call_says_how_to_call_it(tmp_path: Path) -> None:
    for words in ((), ("--consistency", "a"), (tmp_path,), (tmp_path, "--what", "x")):
        code, out = _run(*words)
        assert code == 64
        assert "verify-receipt.sh DIRECTORY" in out


def test_the_readme_of_a_receipt_can_be_followed_line_by_line(
    made: Callable[[int, int], Path], attime: str
) -> None:
    directory = made(2, 3)
    text = (directory / "README.txt").read_text()
    commands = re.findall(
        r"^\$ (.+)$", text.split("[ja]\n")[0] + text.split("[ja]\n")[1], re.MULTILINE
    )
    script = "\n".join(commands).replace("-purpose any", f"-purpose any -attime {attime}")
    done = subprocess.run(
        ["sh", "-ec", script], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Verification successful" in done.stderr
    assert done.stdout.count(KEY.verifier.sha256) >= 2
    assert f"seal-sha256 {SEAL}" in done.stdout
