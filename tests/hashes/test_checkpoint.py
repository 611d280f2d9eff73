"""Checkpoints: the example of the specification, the form, who must sign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import checkpoint
from hozen_hashes.checkpoint import Checkpoint, parse_checkpoint_text, sign_checkpoint
from hozen_hashes.errors import FormatError, SignatureError
from hozen_hashes.merkle import EMPTY_ROOT
from hozen_hashes.note import SigningKey, sign_note

# C2SP tlog-checkpoint: the public key of this example is not published, its form is.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv"
    "2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
).encode()
LOG = SigningKey.generate("collector.example/log")
WITNESS = SigningKey.generate("witness.example")
STATE = Checkpoint("collector.example/log", 70_000, bytes(range(32)))


def test_the_example_of_the_specification_reads_and_writes_back() -> None:
    found, note = checkpoint.read_checkpoint(EXAMPLE)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text == note.text
    assert note.encode() == EXAMPLE


def test_a_signed_checkpoint_is_verified_with_its_witness() -> None:
    data = sign_checkpoint(STATE, [LOG, WITNESS])
    found = checkpoint.verify_checkpoint(data, [LOG.verifier, WITNESS.verifier])
    assert found.checkpoint == STATE
    assert found.signers == (LOG.verifier, WITNESS.verifier)


def test_a_witness_does_not_stand_for_the_log() -> None:
    data = sign_checkpoint(STATE, [WITNESS])
    with pytest.raises(SignatureError, match="no known key of the log"):
        checkpoint.verify_checkpoint(data, [LOG.verifier, WITNESS.verifier])


def test_another_key_of_the_same_name_is_not_the_log() -> None:
    data = sign_checkpoint(STATE, [SigningKey.generate(STATE.origin)])
    with pytest.raises(SignatureError):
        checkpoint.verify_checkpoint(data, [LOG.verifier])


def test_extensions_are_kept_and_covered_by_the_signature() -> None:
    state = Checkpoint(STATE.origin, 1, STATE.root, ("tsa 2026", "x"))
    data = sign_checkpoint(state, [LOG])
    assert checkpoint.verify_checkpoint(data, [LOG.verifier]).checkpoint == state
    with pytest.raises(SignatureError):
        checkpoint.verify_checkpoint(data.replace(b"tsa 2026", b"tsa 2027"), [LOG.verifier])


ROOT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "o\n1\n", f"o\n1\n{ROOT}", f"\n1\n{ROOT}\n",
        f"o\n01\n{ROOT}\n", f"o\n-1\n{ROOT}\n", f"o\n+1\n{ROOT}\n",
        f"o\n1 \n{ROOT}\n", f"o\n{2**63}\n{ROOT}\n", f"o\n{'9' * 40}\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n", f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT[:-2]}9=\n", f"o\n0\n{ROOT}\n", f"o\n1\n{ROOT}\n\nx\n",
        f"o\n٣\n{ROOT}\n", f"{'o' * 257}\n1\n{ROOT}\n",
    ],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_checkpoint_text(text)


def test_a_note_that_is_no_checkpoint_is_refused_before_its_signature() -> None:
    with pytest.raises(FormatError):
        checkpoint.verify_checkpoint(sign_note("hello\n", [LOG]), [LOG.verifier])


@pytest.mark.parametrize(
    "state",
    [
        Checkpoint("", 1, bytes(32)), Checkpoint("a\nb", 1, bytes(32)), Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 1, bytes(31)), Checkpoint("a", 0, bytes(32)), Checkpoint("a", 1, bytes(32), ("",)),
        Checkpoint("a", 1, bytes(32), ("x\ny",)),
    ],
)  # fmt: skip
def test_what_would_read_back_as_another_is_not_signed(state: Checkpoint) -> None:
    with pytest.raises(FormatError):
        sign_checkpoint(state, [LOG])


def test_the_empty_log_has_the_empty_root() -> None:
    state = Checkpoint("o", 0, EMPTY_ROOT)
    assert parse_checkpoint_text(state.text) == state


@given(st.text(alphabet="o01AB=/\n ", max_size=60))
def test_whatever_parses_is_written_back_the_same(text: str) -> None:
    for candidate in (text, f"o\n{text}\n{ROOT}\n", f"o\n1\n{ROOT}\n{text}"):
        try:
            found = parse_checkpoint_text(candidate)
        except FormatError:
            continue
        assert found.text == candidate
