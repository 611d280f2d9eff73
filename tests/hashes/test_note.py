"""Signed notes: the example of the specification, strict bounds, several and unknown signers."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hozen_hashes import note
from hozen_hashes.errors import FormatError, HozenError, LimitError, SignatureError, UsageError
from hozen_hashes.note import SigningKey, parse_note, parse_vkey, sign_note, verify_note

# C2SP signed-note, "Example".
VKEY = b"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRK"
    "uwHjG1Yu72IneyaQM=\n"
).encode()
KEY = SigningKey.parse(b"PRIVATE+KEY+log.example+1cc758f9+" + b"AQEB" * 11)
OTHER = SigningKey.generate("witness.example/w1")
TEXT = "log.example\n3\nand more\n"


def test_the_example_of_the_specification_holds() -> None:
    verified = verify_note(parse_note(EXAMPLE), [parse_vkey(VKEY)])
    assert verified.text == "This is an example message.\n"
    assert parse_note(EXAMPLE).encode() == EXAMPLE
    assert parse_vkey(VKEY).line == VKEY + b"\n"


def test_the_example_with_another_text_is_refused() -> None:
    changed = parse_note(EXAMPLE.replace(b"example message", b"example massage"))
    with pytest.raises(SignatureError, match="does not hold"):
        verify_note(changed, [parse_vkey(VKEY)])


def test_several_signatures_are_checked_and_reported_in_their_order() -> None:
    signed = parse_note(sign_note(TEXT, [OTHER, KEY]))
    verified = verify_note(signed, [KEY.verifier, OTHER.verifier])
    assert [key.name for key in verified.signers] == ["witness.example/w1", "log.example"]


def test_unknown_signers_are_passed_over_but_one_must_be_known() -> None:
    signed = parse_note(sign_note(TEXT, [OTHER, KEY]))
    assert verify_note(signed, [KEY.verifier]).signers == (KEY.verifier,)
    with pytest.raises(SignatureError, match="none of the known keys"):
        verify_note(signed, [SigningKey.generate("log.example").verifier])
    with pytest.raises(SignatureError, match="none of the known keys"):
        verify_note(signed, [])


def test_a_known_name_with_another_key_id_is_an_unknown_signer() -> None:
    impostor = SigningKey.generate("log.example")
    signed = parse_note(sign_note(TEXT, [impostor, KEY]))
    assert verify_note(signed, [KEY.verifier]).signers == (KEY.verifier,)


def test_one_bad_signature_of_a_known_key_refuses_the_note() -> None:
    good = parse_note(sign_note(TEXT, [KEY, OTHER]))
    line = good.signatures[1]
    bad = note.NoteSignature(line.name, line.key_id, bytes(64))
    with pytest.raises(SignatureError, match="does not hold"):
        verify_note(note.Note(TEXT, (good.signatures[0], bad)), [KEY.verifier, OTHER.verifier])


def test_a_repeated_signature_counts_once() -> None:
    line = KEY.sign(TEXT)
    assert verify_note(note.Note(TEXT, (line, line)), [KEY.verifier]).signers == (KEY.verifier,)


def test_sixteen_signatures_are_accepted_and_too_many_are_not() -> None:
    lines = [KEY.sign(TEXT)] * 16
    assert len(parse_note(note.Note(TEXT, tuple(lines)).encode()).signatures) == 16
    with pytest.raises(LimitError):
        parse_note(note.Note(TEXT, tuple(lines * 5)).encode())
    with pytest.raises(LimitError):
        parse_note(b"x" * (note.MAX_NOTE_BYTES + 1))


GOOD = sign_note(TEXT, [KEY])
SIGNATURE = GOOD.split(b"\n\n")[1]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"text\n", GOOD[:-1], GOOD + b"\n", GOOD + b"x", b"\n" + SIGNATURE, b"\n\n" + SIGNATURE,
        TEXT.encode() + SIGNATURE, GOOD.replace(b"\n", b"\r\n"), GOOD.replace("—".encode(), b"-"),
        GOOD.replace(b" log", b"  log"), GOOD.replace(b"log.example ", b" "), GOOD.replace(b"=\n", b"\n"),
        GOOD.replace(b"log.example ", b"log+example "), GOOD.replace(b"log.example ", "log\u3000x ".encode()),
        GOOD.replace(b"and", b"\xff"), GOOD.replace(b"and", b"\0"), GOOD.replace(b"and", b"\t"),
        TEXT.encode() + "\n— log.example 9ysfug==\n".encode(), TEXT.encode() + "\n— log.example AA=\n".encode(),
        TEXT.encode() + "\n— log.example\n".encode(), TEXT.encode() + "\n— a AAAAAAA= \n".encode(),
    ],
)  # fmt: skip
def test_other_forms_of_a_note_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_note(data)


def test_base64_has_one_spelling() -> None:
    assert note.decode_base64("AAE=", "x") == b"\0\1"
    for text in ("AAF=", "AAE", "AAE= ", "AAE=\n", "A_E=", "=", "AAE=AAE=", "ÄAE=", "A"):
        with pytest.raises(FormatError):
            note.decode_base64(text, "x")


def test_a_key_line_reads_back_and_its_fingerprint_is_that_of_the_line() -> None:
    assert parse_vkey(KEY.verifier.line) == KEY.verifier
    assert SigningKey.parse(OTHER.encode()).verifier == OTHER.verifier
    assert KEY.verifier.line.endswith(b"\n")
    assert len(KEY.verifier.sha256) == 64


@pytest.mark.parametrize(
    "line",
    [
        b"", b"name", VKEY.replace(b"530d903a", b"530d903b"), VKEY.replace(b"530d903a", b"530D903A"),
        VKEY.replace(b"foo", b"bar"), VKEY.replace(b"+Aek", b"+Bek"), VKEY[:-4], VKEY + b" ", VKEY + b"\n\n",
        b"a b" + VKEY, b"\xff" + VKEY, VKEY * 9, b"x" * 1000, VKEY.replace(b"/", b"\n"),
    ],
)  # fmt: skip
def test_other_forms_of_a_key_are_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        parse_vkey(line)


def test_a_secret_line_is_not_quoted_in_an_error() -> None:
    secret = OTHER.encode().replace(b"witness.example/w1", b"witness.example/w2")
    with pytest.raises(FormatError) as caught:
        SigningKey.parse(secret)
    assert secret[-20:-2].decode() not in str(caught.value)
    assert "SigningKey object" in repr(OTHER)


@pytest.mark.parametrize(
    "text", ["", "no line end", "\n", "a\tb\n", "\ud800\n", "x" * 300_000 + "\n"]
)
def test_a_text_that_is_no_note_is_not_signed(text: str) -> None:
    with pytest.raises(UsageError):
        sign_note(text, [KEY])


def test_a_note_needs_a_key_and_a_key_needs_a_name() -> None:
    with pytest.raises(UsageError):
        sign_note(TEXT, [])
    for name in ("", "a b", "a+b", "x" * 257, "a\u2028b", "\ud800"):
        with pytest.raises(FormatError):
            SigningKey.generate(name)


_LINES = st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20)


@given(lines=st.lists(_LINES, min_size=1, max_size=6))
def test_any_text_of_lines_can_be_signed_and_read_back(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    if text.startswith("\n"):
        text = "x" + text
    signed = sign_note(text, [KEY, OTHER])
    assert parse_note(signed).encode() == signed
    assert verify_note(parse_note(signed), [OTHER.verifier]).text == text


@given(data=st.data())
def test_a_changed_byte_is_never_believed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    changed = bytearray(GOOD)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(HozenError):
        verify_note(parse_note(bytes(changed)), [KEY.verifier])


@given(
    st.text(alphabet="—log. +AaQ=/9\n\r\t", max_size=60).map(str.encode) | st.binary(max_size=80)
)
@example(GOOD)
def test_whatever_parses_is_written_back_the_same(data: bytes) -> None:
    try:
        parsed = parse_note(data)
    except (FormatError, LimitError):
        return
    assert parsed.encode() == data
    assert base64.b64encode(parsed.signatures[0].key_id)
