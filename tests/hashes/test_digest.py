from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.digest import Digest, sha256_hex


@given(st.lists(st.binary(max_size=300)))
def test_a_digest_of_pieces_is_that_of_the_whole(pieces: list[bytes]) -> None:
    digest = Digest()
    for number, piece in enumerate(pieces):
        digest.update((piece, bytearray(piece), memoryview(piece))[number % 3])
    whole = b"".join(pieces)
    assert digest.hexdigest() == sha256_hex(whole) == hashlib.sha256(whole).hexdigest()
    assert digest.digest() == hashlib.sha256(whole).digest()
    assert digest.size == len(whole)


def test_a_copy_goes_its_own_way() -> None:
    digest = Digest()
    digest.update(b"the prefix")
    twin = digest.copy()
    digest.update(b" and more")
    assert (twin.size, twin.hexdigest()) == (10, sha256_hex(b"the prefix"))
    assert (digest.size, digest.hexdigest()) == (19, sha256_hex(b"the prefix and more"))


def test_wide_items_of_a_view_count_as_bytes() -> None:
    digest = Digest()
    digest.update(memoryview(b"12345678").cast("I"))
    assert digest.size == 8
