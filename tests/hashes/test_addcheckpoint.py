"""What a log sends to a witness and what the witness decides: the specification's example, rule by rule."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import merkle
from hozen_hashes.addcheckpoint import (
    MAX_BODY_BYTES,
    AddCheckpoint,
    Known,
    RefusedCheckpointError,
    decide,
    encode_add_checkpoint,
    parse_add_checkpoint,
)
from hozen_hashes.checkpoint import Checkpoint, sign_checkpoint
from hozen_hashes.errors import BadDataError
from hozen_hashes.note import SigningKey

# C2SP tlog-witness, "Example request body".
EXAMPLE = (
    """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

"""
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa "
    "opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n"
).encode()
ORIGIN = "log.example"
KEY = SigningKey.generate(ORIGIN)
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(40)]
FORKED = [*LEAVES[:3], merkle.leaf_hash(b"other"), *LEAVES[4:]]


def known(size: int, leaves: list[bytes] = LEAVES) -> Known:
    return Known(size, merkle.tree_root(size, merkle.reader_of_leaves(leaves)))


def asked(
    old: int, new: int, *, leaves: list[bytes] = LEAVES, key: SigningKey = KEY, **changed: Any
) -> AddCheckpoint:
    read = merkle.reader_of_leaves(leaves)
    note = sign_checkpoint(Checkpoint(ORIGIN, new, merkle.tree_root(new, read)), [key])
    proof = merkle.consistency_proof(min(old, new), new, read)
    return parse_add_checkpoint(encode_add_checkpoint(old, changed.get("proof", proof), note))


def refusal(request: AddCheckpoint, state: Known, keys: tuple[SigningKey, ...] = (KEY,)) -> Any:
    with pytest.raises(RefusedCheckpointError) as caught:
        decide(request, [key.verifier for key in keys], state)
    return caught.value.status, caught.value.known


def test_the_example_of_the_specification_parses_and_writes_back() -> None:
    found = parse_add_checkpoint(EXAMPLE)
    assert (found.old, len(found.proof), found.checkpoint.size) == (20852014, 4, 20852163)
    assert found.encode() == EXAMPLE


def test_growth_with_its_proof_is_taken_from_every_size_to_every_later_one() -> None:
    for old in range(20):
        for new in range(old, 40):
            assert decide(asked(old, new), [KEY.verifier], known(old)) == known(new)


def test_an_unknown_log_and_a_checkpoint_it_did_not_sign_are_refused_first() -> None:
    assert refusal(asked(5, 9), known(0), keys=()) == (404, None)
    stranger = SigningKey.generate(ORIGIN)
    assert refusal(asked(0, 9, key=stranger), known(0)) == (403, None)
    assert refusal(asked(7, 9, key=stranger), known(5)) == (403, None)


def test_an_old_size_that_is_larger_than_the_checkpoint_is_a_bad_request() -> None:
    assert refusal(asked(9, 5, proof=()), known(9)) == (400, None)


def test_another_old_size_is_a_conflict_that_tells_what_is_known() -> None:
    assert refusal(asked(0, 9), known(5)) == (409, 5)
    assert refusal(asked(6, 9), known(5)) == (409, 5)


def test_a_rolled_back_log_is_refused() -> None:
    assert refusal(asked(5, 5), known(9)) == (409, 9)


def test_another_root_of_the_same_size_is_a_conflict() -> None:
    assert refusal(asked(9, 9, leaves=FORKED), known(9)) == (409, 9)


def test_a_rewritten_log_has_no_proof() -> None:
    assert refusal(asked(9, 20, leaves=FORKED), known(9)) == (422, None)


def test_too_few_too_many_and_needless_hashes_are_refused() -> None:
    read = merkle.reader_of_leaves(LEAVES)
    right = merkle.consistency_proof(9, 20, read)
    for proof in (right[:-1], (*right, right[0]), (), tuple(reversed(right))):
        assert refusal(asked(9, 20, proof=proof), known(9)) == (422, None)
    assert refusal(asked(0, 20, proof=right), known(0)) == (422, None)
    assert refusal(asked(9, 9, proof=right), known(9)) == (422, None)


HASH = base64.b64encode(sha256(b"").digest())


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.replace(b"old 2", b"old 02"),
        lambda b: b.replace(b"old 2", b"old  2"),
        lambda b: b.replace(b"old 2", b"Old 2"),
        lambda b: b.replace(b"old 20852014", b"old -1"),
        lambda b: b.replace(b"old 20852014", b"old 9223372036854775808"),
        lambda b: b.replace(b"\n\n", b"\n", 1),
        lambda b: b.replace(b"kaw=\n", b"kaw=\r\n"),
        lambda b: b.replace(b"kaw=", b"kax="),
        lambda b: b.replace(b"kaw=\n", b"\n"),
        lambda b: b[:-1],
        lambda b: b"\n" + b,
        lambda b: b.replace(b"\n\n", b"\n" + (HASH + b"\n") * 60 + b"\n", 1),
        lambda b: b + b"x" * MAX_BODY_BYTES,
        lambda b: b[:0],
    ],
)
def test_another_form_is_refused(change: Any) -> None:
    with pytest.raises(BadDataError):
        parse_add_checkpoint(change(EXAMPLE))


def test_sixty_three_hashes_are_taken() -> None:
    body = encode_add_checkpoint(1, [sha256(b"").digest()] * 63, EXAMPLE.split(b"\n\n", 1)[1])
    assert len(parse_add_checkpoint(body).proof) == 63


@given(st.binary(max_size=400))
def test_any_bytes_parse_and_write_back_or_are_refused(data: bytes) -> None:
    _parses_or_not(data)


@given(st.integers(0, len(EXAMPLE) - 1), st.binary(max_size=4), st.integers(0, 8))
def test_a_damaged_request_parses_and_writes_back_or_is_refused(
    at: int, put: bytes, cut: int
) -> None:
    _parses_or_not(EXAMPLE[:at] + put + EXAMPLE[at + cut :])


def _parses_or_not(data: bytes) -> None:
    try:
        found = parse_add_checkpoint(data)
    except BadDataError:
        return
    assert found.encode() == data
