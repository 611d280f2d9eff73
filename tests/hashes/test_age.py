"""age.py: interoperates with the age tools in both directions, and gives out nothing unauthenticated."""

from __future__ import annotations

import io
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes import age, ageheader, bech32
from hozen_hashes.age import AgeReader, AgeWriter
from hozen_hashes.errors import (
    FormatError,
    HozenError,
    InternalError,
    LimitError,
    NotVerifiableError,
    UsageError,
)

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 65536
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * 1024 * 1024]
OURS = age.new_identity()
OTHER = age.new_identity()


def sealed(data: bytes, *recipients: age.Recipient, step: int = 1 << 20) -> bytes:
    buffer = io.BytesIO()
    writer = AgeWriter(buffer.write, recipients or [OURS.recipient])
    for at in range(0, len(data), step):
        writer.write(memoryview(data)[at : at + step])
    writer.close()
    return buffer.getvalue()


def reader(data: bytes, *identities: age.Identity) -> AgeReader:
    return AgeReader(io.BytesIO(data).read, identities or [OURS])


def opened(data: bytes, *identities: age.Identity, step: int = 1 << 20) -> bytes:
    source = reader(data, *identities)
    return b"".join(iter(lambda: source.read(step), b""))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "id.txt").write_text(f"# ours\n\n{OURS.secret()}\n")
    return tmp_path


@pytest.mark.parametrize("size", SIZES)
def test_the_age_tool_opens_what_we_wrote(size: int, files: Path) -> None:
    data = os.urandom(size)
    done = subprocess.run(
        ["age", "-d", "-i", str(files / "id.txt")],
        input=sealed(data),
        capture_output=True,
        check=True,
    )
    assert done.stdout == data


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_age_tool_wrote(size: int) -> None:
    data = os.urandom(size)
    words = ["age", "-r", str(OTHER.recipient), "-r", str(OURS.recipient)]
    made = subprocess.run(words, input=data, capture_output=True, check=True).stdout
    assert opened(made) == data
    assert opened(made, OTHER) == data


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_and_we_open_each_others(size: int) -> None:
    data = os.urandom(size)
    theirs = pyrage.x25519.Identity.from_str(OURS.secret())
    assert pyrage.decrypt(sealed(data), [theirs]) == data
    assert (
        opened(pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(str(OURS.recipient))]))
        == data
    )


def test_keys_of_age_keygen_are_read_and_ours_are_read_by_it(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", "k.txt"], cwd=tmp_path, capture_output=True, check=True)
    text = (tmp_path / "k.txt").read_text()
    (theirs,) = age.read_identities(text)
    assert f"# public key: {theirs.recipient}" in text
    shown = subprocess.run(
        ["age-keygen", "-y"], input=OURS.secret().encode(), capture_output=True, check=True
    )
    assert shown.stdout.decode().strip() == str(OURS.recipient)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3 * CHUNK), max_size=6), st.integers(1, 3 * CHUNK))
def test_the_sizes_of_writes_and_reads_do_not_matter(sizes: list[int], step: int) -> None:
    parts = [os.urandom(size) for size in sizes]
    buffer = io.BytesIO()
    writer = AgeWriter(buffer.write, [OURS.recipient])
    for part in parts:
        writer.write(part)
    writer.close()
    whole = b"".join(parts)
    chunks = max(1, -(-len(whole) // CHUNK))
    assert opened(buffer.getvalue(), step=step) == whole
    header = buffer.getvalue().index(b"\n", buffer.getvalue().index(b"\n--- ") + 1) + 1
    assert len(buffer.getvalue()) == header + 16 + len(whole) + 16 * chunks


def test_a_source_that_gives_one_byte_at_a_time_is_read() -> None:
    data = os.urandom(2000)
    source = io.BytesIO(sealed(data))
    slow = AgeReader(lambda _size: source.read(1), [OURS])
    assert b"".join(iter(lambda: slow.read(7), b"")) == data


def test_two_files_of_the_same_content_share_nothing() -> None:
    assert sealed(b"x")[-40:] != sealed(b"x")[-40:]


def prefix_then_damage(data: bytes) -> bytes:
    """Return the authenticated prefix, after the check that FormatError follows and stays."""
    source = reader(data)
    got = b""
    try:
        while part := source.read(10_000):
            got += part
    except FormatError:
        with pytest.raises(FormatError):
            source.read(1)
        return got
    pytest.fail("the damage was not noticed")


def test_a_cut_stream_gives_its_authenticated_prefix_and_then_an_error() -> None:
    data = os.urandom(3 * CHUNK + 100)
    whole = sealed(data)
    start = len(whole) - len(data) - 4 * 16
    for chunks in range(4):
        for extra in (0, 1, 16, 17, CHUNK + 15):
            cut = start + chunks * (CHUNK + 16) + extra
            if cut < len(whole):
                assert prefix_then_damage(whole[:cut]) == data[: chunks * CHUNK], (chunks, extra)
    assert prefix_then_damage(whole[:-1]) == data[: 3 * CHUNK]


def test_a_stream_without_close_is_found_cut() -> None:
    buffer = io.BytesIO()
    AgeWriter(buffer.write, [OURS.recipient]).write(bytes(2 * CHUNK))
    assert prefix_then_damage(buffer.getvalue()) == bytes(CHUNK)


def test_changed_swapped_and_added_chunks_are_found() -> None:
    data = os.urandom(3 * CHUNK)
    whole = sealed(data)
    start = len(whole) - 3 * (CHUNK + 16)
    first, second, third = (whole[start + n * (CHUNK + 16) :][: CHUNK + 16] for n in range(3))
    head = whole[:start]
    assert prefix_then_damage(head + second + first + third) == b""
    assert prefix_then_damage(head + first + third) == data[:CHUNK]
    assert prefix_then_damage(head + first + first + second + third) == data[:CHUNK]
    assert prefix_then_damage(whole + b"x") == data
    assert prefix_then_damage(whole + third) == data
    flipped = bytearray(whole)
    flipped[start + CHUNK + 30] ^= 1
    assert prefix_then_damage(bytes(flipped)) == data[:CHUNK]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1])
def test_a_chunk_that_is_neither_full_nor_last_gives_nothing(size: int) -> None:
    buffer = io.BytesIO()
    writer = AgeWriter(buffer.write, [OURS.recipient])
    writer.write(bytes(CHUNK + size))
    writer._seal(writer._held)
    assert prefix_then_damage(buffer.getvalue()) == bytes(CHUNK)


def test_an_empty_last_chunk_after_others_is_refused() -> None:
    buffer = io.BytesIO()
    writer = AgeWriter(buffer.write, [OURS.recipient])
    writer.write(bytes(CHUNK))
    writer._seal(bytes(CHUNK))
    writer._held = bytearray()
    writer.close()
    assert prefix_then_damage(buffer.getvalue()) == bytes(CHUNK)


def test_a_wrong_identity_is_not_verifiable_with_a_hint() -> None:
    with pytest.raises(NotVerifiableError, match="none of the given identities") as caught:
        reader(sealed(b"x", OURS.recipient), OTHER)
    assert "1 X25519 recipient" in caught.value.hint
    with pytest.raises(NotVerifiableError):
        AgeReader(io.BytesIO(sealed(b"x")).read, [])


def test_every_changed_byte_of_the_header_is_refused() -> None:
    whole = sealed(b"content", OURS.recipient, OTHER.recipient)
    for at in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            damaged = whole[:at] + bytes((whole[at] ^ flip,)) + whole[at + 1 :]
            with pytest.raises((FormatError, NotVerifiableError)):
                opened(damaged)


def test_every_cut_of_a_small_file_is_refused() -> None:
    whole = sealed(b"content")
    for size in range(len(whole)):
        with pytest.raises(FormatError):
            opened(whole[:size])


@given(st.binary(max_size=300))
def test_random_bytes_after_the_first_line_give_only_our_errors(data: bytes) -> None:
    with pytest.raises(HozenError):
        opened(b"age-encryption.org/v1\n" + data)


HEADER = b"age-encryption.org/v1\n"
TAIL = b"--- " + b"A" * 43 + b"\n" + bytes(32)
SHARE = b"-> X25519 " + b"C" * 42 + b"A"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK\x03\x04", b"age-encryption.org/v2\n", HEADER, HEADER + TAIL, HEADER + b"-> \n\n" + TAIL,
        HEADER + b"-> a  b\n\n" + TAIL, HEADER + b"-> X25519\n\n" + TAIL, HEADER + b"-> X25519 AAAA\n\n" + TAIL,
        HEADER + SHARE + b"\nAAAA\n" + TAIL,  # body too short: never given to a key
        HEADER + SHARE + b" more\n" + b"A" * 43 + b"\n" + TAIL,
        HEADER + b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n" + TAIL,  # the point of order one
        HEADER + b"-> x y\n" + b"A" * 64 + b"\n" + TAIL,  # a full line must be followed by a short one
        HEADER + b"-> x y\n" + b"A" * 65 + b"\n" + TAIL, HEADER + b"-> x y\nA\n" + TAIL,
        HEADER + b"-> x y\nAB\n" + TAIL,  # spare bits
        HEADER + b"-> x y\nAA==\n" + TAIL, HEADER + b"-> x y\r\n\r\n" + TAIL,
        HEADER + b"-> x y\n\n---AAAA\n", HEADER + b"-> x y\n\n--- AAAA\n" + bytes(32),
        HEADER + b"-> x y\n\n-> scrypt AAAA 10\n\n" + TAIL,
        HEADER + b"-> x\x80\n\n" + TAIL, HEADER + b"-> " + b"x" * 5000 + b"\n\n" + TAIL,
    ],
)  # fmt: skip
def test_a_header_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        reader(data)


def test_the_header_is_bounded() -> None:
    stanza = b"-> x y\n\n"
    with pytest.raises(LimitError):
        reader(HEADER + stanza * (ageheader.MAX_STANZAS + 1) + TAIL)
    with pytest.raises((LimitError, FormatError)):
        reader(HEADER + b"-> x y\n" + (b"A" * 64 + b"\n") * 2000 + b"\n" + TAIL)


def test_recipients_of_other_kinds_in_the_header_do_not_disturb() -> None:
    import secrets

    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    key, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
    ours = ageheader._wrap(key, OURS.recipient)
    text = HEADER + b"-> strange-grease a b\n" + b"A" * 64 + b"\n\n" + ours + b"---"
    mac = ageheader._encode(ageheader._mac(key, text).finalize())
    body = ChaCha20Poly1305(ageheader.payload_key(key, nonce)).encrypt(
        bytes(11) + b"\1", b"content", None
    )
    assert opened(text + b" " + mac + b"\n" + nonce + body) == b"content"


@pytest.mark.parametrize("count", [0, 129])
def test_no_recipients_or_too_many_is_a_usage_error(count: int) -> None:
    with pytest.raises(UsageError):
        AgeWriter(io.BytesIO().write, [OURS.recipient] * count)


def test_a_recipient_that_protects_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="protects nothing"):
        AgeWriter(io.BytesIO().write, [age.Recipient(bytes(32))])


def test_writing_after_close_is_our_own_fault_and_a_second_close_is_none() -> None:
    buffer = io.BytesIO()
    writer = AgeWriter(buffer.write, [OURS.recipient])
    writer.close()
    size = len(buffer.getvalue())
    writer.close()
    assert len(buffer.getvalue()) == size
    with pytest.raises(InternalError):
        writer.write(b"x")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("-----BEGIN CERTIFICATE-----\nMII", "A certificate is given by its file"),
        ("ssh-ed25519 AAAA", "SSH keys"), (OURS.secret(), "secret identity"), ("age1pq1" + "q" * 60, "Post-quantum"),
        ("age1yubikey1qqqq", "age1 and 58 letters"), ("", "age1 and 58"), ("hello", "age1 and 58"),
        (str(OURS.recipient)[:-1], "age1 and 58"), (str(OURS.recipient).upper(), "age1 and 58"),
        (str(OURS.recipient).replace("age1", "aga1"), "age1 and 58"),
        (bech32.encode("age", bytes(31)), "age1 and 58"), (bech32.encode("agf", bytes(32)), "age1 and 58"),
    ],
)  # fmt: skip
def test_anything_but_an_age1_recipient_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        age.parse_recipient(text)
    assert hint in caught.value.hint
    assert OURS.secret() not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "AGE-SECRET-KEY-1", OURS.secret().lower(), OURS.secret()[:-1], str(OURS.recipient)]
)
def test_anything_but_an_identity_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        age.parse_identity(text)
    assert len(text) < 20 or text not in str(caught.value) + caught.value.hint


def test_key_files_are_read_line_by_line_and_bounded() -> None:
    text = f"# one\r\n{OURS.secret()}\r\n\n  {OTHER.secret()}  \n"
    assert [item.recipient for item in age.read_identities(text)] == [
        OURS.recipient,
        OTHER.recipient,
    ]
    assert age.read_recipients(f"{OURS.recipient}\n# x\n") == [OURS.recipient]
    for bad in (
        "",
        "# only talk\n",
        "age-encryption.org/v1\n",
        f"{OURS.secret()}\n" * 129,
        "#" * 70_000,
    ):
        with pytest.raises(UsageError):
            age.read_identities(bad)
    with pytest.raises(UsageError) as caught:
        age.read_recipients("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "by its file" in caught.value.hint


def test_an_identity_does_not_show_its_secret_in_its_repr() -> None:
    assert OURS.secret() not in repr(OURS)


@given(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20), st.binary(max_size=80))
def test_bech32_comes_back(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix, data)


@pytest.mark.parametrize(
    "text",
    [
        "A12UEL5L", "a12uel5l", "?1ezyfcl", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    ],
)  # fmt: skip
def test_the_valid_strings_of_bip_173_hold(text: str) -> None:
    try:
        assert bech32.decode(text)[0] == text.lower().rpartition("1")[0]
    except FormatError as error:
        assert "padding" in str(error)  # BIP 173 has words of five bits; keys are whole bytes


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_changed_letter_of_bech32_is_always_found(data: bytes, draw: st.DataObject) -> None:
    text = bech32.encode("age", data)
    at = draw.draw(st.integers(0, len(text) - 1))
    letter = draw.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1bioA! é"))
    if letter != text[at]:
        with pytest.raises(FormatError):
            bech32.decode(text[:at] + letter + text[at + 1 :])


@given(st.text(max_size=100))
def test_random_text_is_no_key(text: str) -> None:
    for parse in (age.parse_recipient, age.parse_identity):
        with pytest.raises(UsageError):
            parse(text)


def test_memory_stays_constant_and_buffers_of_every_kind_are_taken() -> None:
    import tracemalloc

    block = memoryview(bytearray(1 << 20))
    total = 0

    def count(data: Any) -> int:
        nonlocal total
        total += len(data)
        return len(data)

    tracemalloc.start()
    writer = AgeWriter(count, [OURS.recipient])
    for _ in range(64):
        writer.write(block)
        writer.write(b"odd")
    writer.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 64 << 20
    assert peak < 1 << 20
