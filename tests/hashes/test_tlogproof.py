"""The proof file: the form of the specification's example, every byte matters, bounds."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import merkle
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.errors import FormatError, HozenError, LimitError, SignatureError
from hozen_hashes.note import SigningKey
from hozen_hashes.tlogproof import TlogProof, parse_proof, verify_proof

LOG = SigningKey.generate("collector.example/log")
WITNESS = SigningKey.generate("witness.example")
LEAVES = [merkle.leaf_hash(b"leaf %d" % index) for index in range(70)]
READ = merkle.reader_of_leaves(LEAVES)


def _proof(index: int, size: int, *, extra: bytes = b"") -> TlogProof:
    state = Checkpoint(LOG.verifier.name, size, merkle.tree_root(size, READ))
    path = merkle.inclusion_proof(index, size, READ)
    return TlogProof(index=index, path=path, note=sign_checkpoint(state, [LOG]), extra=extra)


GOOD = _proof(41, 64).encode()

# C2SP tlog-proof: the example there has its signatures shortened, so that only its form is kept:
# the five hashes, then a checkpoint of 109482 leaves with one log and two witness lines of ours.
HASHES = (
    "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=",
    "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=",
    "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=",
)


def test_the_form_of_the_specification_reads_and_writes_back() -> None:
    state = Checkpoint(LOG.verifier.name, 109482, bytes(32))
    note = sign_checkpoint(state, [LOG, WITNESS])
    text = "\n".join(("c2sp.org/tlog-proof@v1", "extra YWdl", "index 73894", *HASHES, "", ""))
    proof = parse_proof(text.encode() + note)
    assert (proof.index, proof.extra, len(proof.path)) == (73894, b"age", 3)
    assert base64.b64encode(proof.path[0]).decode() == HASHES[0]
    assert proof.claimed == state
    assert proof.encode() == text.encode() + note


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (41, 64), (69, 70), (64, 65)])
def test_a_proof_holds_for_its_leaf_only(index: int, size: int) -> None:
    proof = parse_proof(_proof(index, size).encode())
    signed = verify_proof(proof, LEAVES[index], [LOG.verifier])
    assert signed.checkpoint.size == size
    with pytest.raises(SignatureError):
        verify_proof(proof, LEAVES[index - 1] if size > 1 else LEAVES[1], [LOG.verifier])


def test_extra_data_proves_and_changes_nothing() -> None:
    proof = parse_proof(_proof(3, 5, extra=b"anything").encode())
    assert verify_proof(proof, LEAVES[3], [LOG.verifier]).checkpoint.size == 5


def test_a_proof_by_an_unknown_log_is_refused() -> None:
    with pytest.raises(SignatureError, match="none of the known keys"):
        verify_proof(parse_proof(GOOD), LEAVES[41], [WITNESS.verifier])


@given(data=st.data())
def test_a_changed_byte_is_never_believed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    changed = bytearray(GOOD)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(HozenError):
        verify_proof(parse_proof(bytes(changed)), LEAVES[41], [LOG.verifier])


HEAD, NOTE = GOOD.split(b"\n\n", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"", GOOD.replace(b"@v1", b"@v2"), GOOD.replace(b"index 41", b"index 041"), GOOD.replace(b"index 41\n", b""),
        GOOD.replace(b"index", b"Index"), HEAD + b"\n" + NOTE, HEAD + b"\n\n\n" + NOTE, HEAD + b"\n\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\nindex", b"\nextra \nindex"), GOOD.replace(b"\nindex", b"\nextra AA\nindex"),
        HEAD + b"\nAAAA\n\n" + NOTE,
        HEAD + b"\n" + b"A" * 43 + b"=" + b"\n" + b"A" * 42 + b"B=" + b"\n\n" + NOTE,
        GOOD.replace(b"index 41", b"index \xb2"),
        HEAD + (b"\n" + b"A" * 43 + b"=") * 60 + b"\n\n" + NOTE, b"\xe2\x80\x94" + GOOD, GOOD[:-1],
    ],
)  # fmt: skip
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_proof(data)


def test_a_proof_too_long_is_refused() -> None:
    with pytest.raises(LimitError):
        parse_proof(GOOD + b" " * 700_000)


@given(st.text(alphabet="ix nde014=A\n", max_size=40).map(str.encode))
def test_whatever_parses_is_written_back_the_same(middle: bytes) -> None:
    for data in (
        b"c2sp.org/tlog-proof@v1\n" + middle + b"\n\n" + NOTE,
        HEAD + middle + b"\n\n" + NOTE,
    ):
        try:
            proof = parse_proof(data)
        except FormatError:
            continue
        assert proof.encode() == data
