from __future__ import annotations

import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes import deflate
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS = [deflate.deflater, deflate.stored]
PIECES = st.lists(
    st.binary(max_size=400)
    | st.tuples(st.binary(max_size=9), st.integers(0, 30_000)).map(lambda t: t[0] * t[1]),
    max_size=8,
)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=60, deadline=None)
@given(pieces=PIECES, flushes=st.integers(0, 255))
def test_after_a_flush_everything_so_far_can_be_inflated(
    make: Callable[[], deflate.Compressor], pieces: list[bytes], flushes: int
) -> None:
    codec, reader = make(), zlib.decompressobj(-15)
    given_in, out = b"", b""
    for number, piece in enumerate(pieces):
        given_in += piece
        out += reader.decompress(codec.compress(piece))
        if flushes >> number & 1:
            out += reader.decompress(codec.flush_block())
            assert out == given_in
    out += reader.decompress(codec.finish())
    assert out == given_in
    assert reader.eof
    assert not reader.unused_data


@pytest.mark.parametrize("make", MAKERS)
def test_an_empty_stream_and_two_flushes_in_a_row_are_well_formed(
    make: Callable[[], deflate.Compressor],
) -> None:
    codec = make()
    stream = codec.flush_block() + codec.compress(b"a") + codec.flush_block() + codec.flush_block()
    assert zlib.decompress(stream + codec.finish(), -15) == b"a"
    assert zlib.decompress(make().finish(), -15) == b""


@settings(max_examples=60, deadline=None)
@given(
    pieces=PIECES, rest=st.binary(max_size=20), limit=st.integers(1, 5000), feed=st.integers(1, 999)
)
def test_pieces_never_exceed_the_limit_and_the_end_is_found_to_the_byte(
    pieces: list[bytes], rest: bytes, limit: int, feed: int
) -> None:
    data = b"".join(pieces)
    stream = deflate.deflate(data) + rest
    limit = max(limit, len(data) // 500)
    reader = deflate.Inflater()
    out, at, more = b"", 0, False
    while not reader.eof:
        source = reader.pending
        if not source and not more:
            source, at = stream[at : at + feed], at + feed
        piece = reader.inflate(source, limit)
        assert len(piece) <= limit
        more = len(piece) == limit
        out += piece
    assert out == data
    assert reader.pending + stream[at:] == rest


def test_a_malformed_stream_is_refused_whatever_is_installed() -> None:
    """Found by comparing: igzip inflates this incomplete set of distances, zlib does not."""
    with pytest.raises(FormatError):
        deflate.Inflater().inflate(bytes.fromhex("edc1810000000080a0fda917a90300801a"), 99)


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_inflate_or_give_our_own_error(data: bytes) -> None:
    reader = deflate.Inflater()
    try:
        while not reader.eof and data:
            assert len(reader.inflate(data, 1000)) <= 1000
            data = reader.pending
    except FormatError:
        pass


def test_stored_blocks_need_five_bytes_each() -> None:
    codec = deflate.stored()
    stream = codec.compress(memoryview(bytes(65_535 * 2 + 1))) + codec.finish()
    assert len(stream) == 65_535 * 2 + 1 + 3 * 5 + 5


def test_a_library_whose_flush_holds_bytes_back_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lazy:
        def compressobj(self, level: int, method: int, window: int) -> Any:
            codec = zlib.compressobj(level, method, window)

            class Codec:
                def compress(self, data: bytes) -> bytes:
                    return codec.compress(data)

                def flush(self, mode: int) -> bytes:
                    return codec.flush(mode) if mode == zlib.Z_FINISH else b""

            return Codec()

    monkeypatch.setattr(deflate, "_isal", Lazy())
    deflate._library.cache_clear()
    try:
        assert deflate._library() is zlib
    finally:
        monkeypatch.undo()
        deflate._library.cache_clear()


def test_without_igzip_zlib_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflate, "_isal", None)
    deflate._library.cache_clear()
    try:
        assert zlib.decompress(deflate.deflate(b"a" * 999), -15) == b"a" * 999
    finally:
        monkeypatch.undo()
        deflate._library.cache_clear()


def test_a_machine_that_has_no_igzip_imports_and_deflates() -> None:
    program = (
        "import sys, zlib; sys.modules['isal'] = None\n"
        "from hozen_hashes import deflate\n"
        "assert deflate._isal is None\n"
        "assert zlib.decompress(deflate.deflate(b'a' * 99), -15) == b'a' * 99\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
