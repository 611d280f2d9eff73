"""RFC 6962 and RFC 9162: published values, every proof below 70 leaves, and what must be refused."""

from __future__ import annotations

import functools
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import merkle
from hozen_hashes.errors import SignatureError, UsageError

# The inputs and values that the Certificate Transparency implementations share as test data.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): INCLUSION[1, 5][1:],
}
KNOWN = merkle.reader_of_leaves([merkle.leaf_hash(entry) for entry in INPUTS])
LEAVES = [merkle.leaf_hash(b"leaf %d" % index) for index in range(70)]
READ = functools.cache(merkle.reader_of_leaves(LEAVES))
ROOT_AT = [merkle.tree_root(size, READ) for size in range(71)]


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_come_out(size: int) -> None:
    assert merkle.tree_root(size, KNOWN).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs_come_out_and_hold(index: int, size: int) -> None:
    proof = merkle.inclusion_proof(index, size, KNOWN)
    assert [value.hex() for value in proof] == INCLUSION[index, size]
    leaf = merkle.leaf_hash(INPUTS[index])
    merkle.verify_inclusion(index, size, leaf, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs_come_out_and_hold(old: int, new: int) -> None:
    proof = merkle.consistency_proof(old, new, KNOWN)
    assert [value.hex() for value in proof] == CONSISTENCY[old, new]
    old_root, new_root = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    merkle.verify_consistency(old, old_root, new, new_root, proof)


def _naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1 word by word, sharing nothing with the module."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(
        b"\x01" + _naive_root(leaves[:split]) + _naive_root(leaves[split:])
    ).digest()


def test_roots_below_70_leaves_are_those_of_the_definition() -> None:
    for size in range(71):
        assert merkle.tree_root(size, READ) == _naive_root(LEAVES[:size])


def test_every_inclusion_proof_below_70_leaves_holds_and_only_at_its_place() -> None:
    for size in range(1, 70):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, READ)
            merkle.verify_inclusion(index, size, LEAVES[index], proof, ROOT_AT[size])
            with pytest.raises(SignatureError):
                merkle.verify_inclusion(index, size, LEAVES[index - 1], proof, ROOT_AT[size + 1])
            with pytest.raises(SignatureError):
                merkle.verify_inclusion(size, size, LEAVES[index], proof, ROOT_AT[size])
            _refuse_inclusion_of_other_lengths(index, size, proof)


def _refuse_inclusion_of_other_lengths(index: int, size: int, proof: tuple[bytes, ...]) -> None:
    for wrong in (proof[:-1], proof[1:], (*proof, LEAVES[0]), (LEAVES[0], *proof)):
        if len(wrong) != len(proof):
            with pytest.raises(SignatureError):
                merkle.verify_inclusion(index, size, LEAVES[index], wrong, ROOT_AT[size])


def test_every_consistency_proof_below_70_leaves_holds_and_only_for_its_trees() -> None:
    for new in range(1, 70):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, READ)
            merkle.verify_consistency(old, ROOT_AT[old], new, ROOT_AT[new], proof)
            for arguments in (
                (old, ROOT_AT[old], new, ROOT_AT[new], (*proof, LEAVES[0])),
                (old, LEAVES[1] + b"", new, ROOT_AT[new], proof),
                (new + 1, ROOT_AT[new + 1], new, ROOT_AT[new], proof),
            ):
                if old != 1 or arguments[1] != LEAVES[1]:
                    with pytest.raises(SignatureError):
                        merkle.verify_consistency(*arguments)
            if proof:
                with pytest.raises(SignatureError):
                    merkle.verify_consistency(old, ROOT_AT[old], new, ROOT_AT[new + 1], proof)
                with pytest.raises(SignatureError):
                    merkle.verify_consistency(old, ROOT_AT[old], new, ROOT_AT[new], proof[:-1])


@given(data=st.data(), size=st.integers(1, 69))
def test_a_flipped_bit_in_an_inclusion_proof_is_refused(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = [*merkle.inclusion_proof(index, size, READ), LEAVES[index]]
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    with pytest.raises(SignatureError):
        merkle.verify_inclusion(index, size, proof[-1], proof[:-1], ROOT_AT[size])


@given(data=st.data(), new=st.integers(2, 69))
def test_a_flipped_bit_in_a_consistency_proof_is_refused(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new - 1))
    proof = list(merkle.consistency_proof(old, new, READ))
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    with pytest.raises(SignatureError):
        merkle.verify_consistency(old, ROOT_AT[old], new, ROOT_AT[new], proof)


@given(
    numbers=st.tuples(st.integers(-2, 2**65), st.integers(-2, 2**65)),
    hashes=st.lists(st.binary(min_size=30, max_size=33), max_size=70),
)
def test_foreign_proofs_end_in_an_error_of_ours(
    numbers: tuple[int, int], hashes: list[bytes]
) -> None:
    with pytest.raises(SignatureError):
        merkle.verify_inclusion(*numbers, LEAVES[0], hashes, LEAVES[1])
    with pytest.raises(SignatureError):
        merkle.verify_consistency(numbers[0], LEAVES[0], numbers[1], LEAVES[1], hashes)


def test_two_roots_of_one_size_are_not_consistent() -> None:
    with pytest.raises(SignatureError, match="two different roots"):
        merkle.verify_consistency(5, LEAVES[0], 5, LEAVES[1], ())
    with pytest.raises(SignatureError, match="two different roots"):
        merkle.verify_consistency(0, LEAVES[0], 5, LEAVES[1], ())
    with pytest.raises(SignatureError, match="two different roots"):
        merkle.verify_consistency(0, LEAVES[0], 0, LEAVES[0], ())
    with pytest.raises(SignatureError, match="empty"):
        merkle.verify_consistency(3, LEAVES[0], 5, LEAVES[1], ())
    with pytest.raises(SignatureError, match="more than any tree"):
        merkle.verify_consistency(3, LEAVES[0], 5, LEAVES[1], LEAVES)


def test_a_caller_that_asks_for_what_is_not_there_is_told() -> None:
    for call in (
        lambda: merkle.inclusion_proof(3, 3, READ),
        lambda: merkle.inclusion_proof(-1, 3, READ),
        lambda: merkle.consistency_proof(4, 3, READ),
        lambda: merkle.tree_root(-1, READ),
        lambda: merkle.tree_root(2**63, READ),
    ):
        with pytest.raises(UsageError):
            call()
