"""Cosignatures of witnesses: the examples of the specification, refusals, and who counts."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.cosignature import (
    MAX_TIME,
    Cosigned,
    WitnessKey,
    WitnessSigner,
    parse_witness_vkey,
    verify_cosignatures,
)
from hozen_hashes.errors import BadDataError, FormatError, SignatureError
from hozen_hashes.note import Note, NoteSignature, SigningKey, parse_note

TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
# C2SP tlog-cosignature, the example at its beginning; the time of its second line is 1679315147.
EXAMPLE = (
    TEXT + "\n— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
SIGNER = WitnessSigner.generate("witness.example/w1")


def noted(*lines: NoteSignature) -> Note:
    return Note(TEXT, lines)


def test_the_example_of_the_specification_has_our_form_and_its_time() -> None:
    line = parse_note(EXAMPLE).signatures[1]
    assert len(line.signature) == 72
    assert int.from_bytes(line.signature[:8], "big") == 1679315147
    assert line.name == "witness.example.com/w1"


def test_the_signed_message_is_that_of_the_specification() -> None:
    """The bytes are written out here by hand, and checked with the primitive alone."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    made = SIGNER.cosign(TEXT, 1679315147)
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    public = Ed25519PublicKey.from_public_bytes(SIGNER.key.public_bytes)
    public.verify(made.signature[8:], message)
    assert made.signature[:8] == bytes.fromhex("00000000641850cb")


def test_a_cosignature_holds_with_its_time_and_others_are_passed_over() -> None:
    log = SigningKey.generate("example.com/behind-the-sofa")
    other = WitnessSigner.generate("witness.example/w1")  # the same name, another key
    note = noted(log.sign(TEXT), other.cosign(TEXT, 5), SIGNER.cosign(TEXT, 9))
    assert verify_cosignatures(note, [SIGNER.key]) == (Cosigned(SIGNER.key, 9),)
    assert verify_cosignatures(noted(log.sign(TEXT)), [SIGNER.key]) == ()


def test_one_key_under_two_names_or_twice_is_one_witness() -> None:
    alias = WitnessKey("witness.example/alias", SIGNER.key.public_bytes)
    again = SIGNER.cosign(TEXT, 7)
    renamed = NoteSignature(alias.name, alias.key_id, SIGNER.cosign(TEXT, 8).signature)
    note = noted(again, renamed, SIGNER.cosign(TEXT, 3))
    assert verify_cosignatures(note, [SIGNER.key, alias]) == (Cosigned(SIGNER.key, 3),)


@pytest.mark.parametrize("place", [0, 7, 8, 40, 71])
def test_a_changed_time_or_signature_does_not_hold(place: int) -> None:
    made = SIGNER.cosign(TEXT, 1_700_000_000)
    changed = bytearray(made.signature)
    changed[place] ^= 1
    bad = NoteSignature(made.name, made.key_id, bytes(changed))
    with pytest.raises(SignatureError, match="does not hold"):
        verify_cosignatures(noted(bad), [SIGNER.key])


def test_another_text_another_length_or_a_log_signature_does_not_hold() -> None:
    made = SIGNER.cosign(TEXT, 1)
    for text, signature in (
        (TEXT.replace("163", "164"), made.signature),
        (TEXT, made.signature[:-1]),
        (TEXT, made.signature[8:]),
        (TEXT, made.signature + b"x"),
    ):
        line = NoteSignature(made.name, made.key_id, signature)
        with pytest.raises(SignatureError):
            verify_cosignatures(Note(text, (line,)), [SIGNER.key])


def test_a_time_out_of_range_is_not_signed() -> None:
    assert SIGNER.key.verify(TEXT, SIGNER.cosign(TEXT, MAX_TIME).signature) == MAX_TIME
    for seconds in (-1, MAX_TIME + 1):
        with pytest.raises(FormatError):
            SIGNER.cosign(TEXT, seconds)


def test_keys_are_read_back_and_a_log_key_is_no_witness_key() -> None:
    assert parse_witness_vkey(SIGNER.key.line) == SIGNER.key
    assert WitnessSigner.parse(SIGNER.encode()).key == SIGNER.key
    log = SigningKey.generate("log.example")
    for line in (log.verifier.line, log.encode(), b"", SIGNER.key.line[:-9], b"\xff"):
        with pytest.raises(BadDataError):
            parse_witness_vkey(line)
    with pytest.raises(FormatError):
        WitnessSigner.parse(log.encode())
    secret = SIGNER.encode().replace(SIGNER.key.key_id.hex().encode(), b"00000000")
    with pytest.raises(FormatError) as caught:
        WitnessSigner.parse(secret)
    assert base64.b64encode(b"\x04").decode()[:2] not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_key_are_read_back_the_same_or_refused(data: bytes) -> None:
    try:
        key = parse_witness_vkey(data)
    except BadDataError:
        return
    assert key.line.rstrip(b"\n") == data.rstrip(b"\n")
