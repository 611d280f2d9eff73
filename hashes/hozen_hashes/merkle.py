"""The Merkle tree of RFC 6962 and the proofs of RFC 9162, as pure functions.

A tree is known only through a `HashReader`: it gives the hash of a complete subtree, so that the
same code works over tiles, over a list in a test and over a database. Making a proof needs a
reader; checking one needs nothing but its arguments.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TypeAlias

from hozen_hashes.errors import SignatureError, UsageError

HashReader: TypeAlias = Callable[[int, int], bytes]
"""`read(level, index)`: the hash over leaves `index << level` to `(index + 1) << level`, all present."""

HASH_SIZE = 32
MAX_TREE_SIZE = 2**63 - 1  # what a signed 64-bit integer holds, in SQL and in a shell
MAX_PROOF = 64  # a consistency proof has at most one hash more than the tree is high
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def reader_of_leaves(leaves: Sequence[bytes]) -> HashReader:
    """Return a reader over leaf hashes in memory; for small trees and tests."""

    def read(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

    return read


def tree_root(size: int, read: HashReader) -> bytes:
    """Return the root of the first `size` leaves (RFC 6962 §2.1).

    Raises:
        UsageError: `size` is out of range.
    """
    _check_size(size)
    return range_hash(0, size, read) if size else EMPTY_ROOT


def range_hash(start: int, end: int, read: HashReader) -> bytes:
    """Return MTH(D[start:end]) for a range that the recursion of RFC 6962 §2.1 reaches.

    `start` is a multiple of the largest power of two in the range, hence a power of two in
    length is one complete subtree and is read instead of computed.
    """
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return read(level, start >> level)
    middle = start + _split(count)
    return node_hash(range_hash(start, middle, read), range_hash(middle, end, read))


def inclusion_proof(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Return PATH(index, D[size]), from the leaf's sibling up (RFC 6962 §2.1.1).

    Raises:
        UsageError: there is no leaf `index` in a tree of `size` leaves.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise UsageError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, read))
            end = middle
        else:
            path.append(range_hash(start, middle, read))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, read: HashReader) -> tuple[bytes, ...]:
    """Return PROOF(old, D[new]) (RFC 6962 §2.1.2); empty where `old` is 0 or equals `new`.

    Raises:
        UsageError: `old` is not between 0 and `new`.
    """
    _check_size(new)
    if not 0 <= old <= new:
        raise UsageError(f"a tree of {new} leaves has no earlier state of {old}")
    if old in (0, new):
        return ()
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(middle, end, read))
            end = middle
        else:
            path.append(range_hash(start, middle, read))
            start, whole = middle, False
    if not whole:  # the old root itself is known to whoever checks
        path.append(range_hash(start, end, read))
    return tuple(reversed(path))


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root that `leaf` at `index` and `proof` lead to (RFC 9162 §2.1.3.2).

    Args:
        index: the leaf's place, from 0.
        size: how many leaves the tree has.
        leaf: the leaf's hash.
        proof: from the leaf's sibling upwards.

    Raises:
        SignatureError: the proof has the wrong form for this place and size.
    """
    _check_hashes((leaf, *proof))
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise SignatureError(f"inclusion proof: a tree of {size} leaves has no leaf {index}")
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise SignatureError("inclusion proof: more hashes than the tree is high")
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while node & 1 == 0 and node:  # levels on which this node has no sibling
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise SignatureError("inclusion proof: fewer hashes than the tree is high")
    return value


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when `leaf` is leaf `index` of the tree with `root` (RFC 9162 §2.1.3.2).

    Raises:
        SignatureError: it is not, or the proof has the wrong form.
    """
    if not hmac.compare_digest(root_from_inclusion(index, size, leaf, proof), root):
        raise SignatureError(f"inclusion proof: leaf {index} is not in the tree of {size} leaves")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return when the tree of `new` leaves only added to the tree of `old` (RFC 9162 §2.1.4.2).

    Raises:
        SignatureError: it did not, or the proof has the wrong form.
    """
    _check_hashes((old_root, new_root, *proof))
    if not 0 <= old <= new <= MAX_TREE_SIZE:
        raise SignatureError(f"consistency proof: {old} leaves cannot have become {new}")
    if old in (0, new):
        _verify_trivial(old, old_root, new, new_root, proof)
        return
    from_old, from_new = _roots_from_consistency(old, old_root, new, proof)
    if not (hmac.compare_digest(from_old, old_root) and hmac.compare_digest(from_new, new_root)):
        raise SignatureError(f"consistency proof: the tree of {new} leaves rewrote that of {old}")


def _verify_trivial(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check the two cases that need no hashes: from nothing, and no change."""
    if proof:
        raise SignatureError("consistency proof: hashes where none belong")
    expected = EMPTY_ROOT if old == 0 else new_root
    if old_root != expected or (new == 0 and new_root != EMPTY_ROOT):
        raise SignatureError(f"consistency proof: two different roots for {old} leaves")


def _roots_from_consistency(
    old: int, old_root: bytes, new: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the old and the new root that `proof` leads to (RFC 9162 §2.1.4.2, steps 2 to 6)."""
    if not proof:
        raise SignatureError("consistency proof: it is empty")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    from_old = from_new = path[0]
    for value in path[1:]:
        if last == 0:
            raise SignatureError("consistency proof: more hashes than the tree is high")
        if node & 1 or node == last:
            from_old, from_new = node_hash(value, from_old), node_hash(value, from_new)
            while node & 1 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            from_new = node_hash(from_new, value)
        node, last = node >> 1, last >> 1
    if last:
        raise SignatureError("consistency proof: fewer hashes than the tree is high")
    return from_old, from_new


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count` (RFC 6962 §2.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_size(size: int) -> None:
    """Refuse a size that no tree of ours can have."""
    if not 0 <= size <= MAX_TREE_SIZE:
        raise UsageError(f"a tree cannot have {size} leaves")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    """Refuse foreign hashes that are too many or not 32 bytes long."""
    if len(hashes) > MAX_PROOF + 2:
        raise SignatureError(f"proof: {len(hashes)} hashes, more than any tree is high")
    if any(len(value) != HASH_SIZE for value in hashes):
        raise SignatureError("proof: a hash that is not 32 bytes long")
