"""YAML as an attacker or a tired person writes it: one error with its place, or exactly what stands there."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hozen_config.loader import MAX_BYTES, Mapping, Scalar, Sequence, load, load_mapping
from hozen_hashes.errors import HozenError, UsageError


def plain(node: object) -> object:
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(value) for value in node.items]
    assert isinstance(node, Scalar)
    return None if node.absent else node.value


def test_words_stay_words() -> None:
    found = load_mapping(
        b"a: no\nb: 1_000\nc: 2026-11-23\nd: ~\ne: '~'\nf: [x, {y: z}]\n", file="x"
    )
    assert plain(found) == {
        "a": "no", "b": "1_000", "c": "2026-11-23", "d": None, "e": "~", "f": ["x", {"y": "z"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "x:1:1: the file is empty"),
        (b"# only a comment\n", "x:1:1: the file is empty"),
        (b"- a\n", "x:1:1: the file must hold keys and values"),
        (b"a: 1\nb:\n  c: 2\n  c: 3\n", "x:4:3: c: the key stands twice, first at line 3"),
        (b"a: &b 1\nc: *b\n", "x:1:4: anchors and aliases are not used here"),
        (b"a: *b\n", "x:1:4: anchors and aliases are not used here"),
        (b"<<: *b\n", "x:1:5: anchors and aliases are not used here"),
        (b"a: !!python/object/apply:os.system [ls]\n", "x:1:4: tags are not used here"),
        (b"a: 1\n---\nb: 2\n", "x:2:1: a second document"),
        (b"a: 1\n\tb: 2\n", "x:2:1: no YAML:"),
        (b"a: [1\n", "no YAML:"),
        (b"a: 1\nb: \xff\n", "x:2:1: the text is no UTF-8"),
        (b"a: 1\nb: \x07\n", "x:2:1: a character that YAML forbids (U+0007)"),
        (b'a: "\\UFFFFFFFF"\n', "x:1:1: no YAML:"),
        (b'a: "\\ud800"\n', "x:1:4: half of a surrogate pair"),
        (b"%YAML " + b"9" * 5000 + b".1\n---\na: 1\n", "no YAML:"),
        (b"? [a, b]\n: c\n", "x:1:3: a key must be a word"),
        (b"a: " + b"[" * 17 + b"]" * 17, "nested deeper than 16 levels"),
        (b"a: " + b"x" * 70_000, "a text longer than 65536 characters"),
        (b"a: [" + b"1," * 10_001 + b"]", "more than 10000 values"),
        (b"#" * (MAX_BYTES + 1), "the file is longer than 1048576 bytes"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(data: bytes, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_mapping(data, file="x")
    assert said in str(caught.value)
    assert str(caught.value).startswith("x:")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert plain(load_mapping(b"\xef\xbb\xbfa: 1\n", file="x")) == {"a": "1"}


@pytest.mark.parametrize(
    "bomb",
    [
        b"a: &a [l,l,l]\n"
        + b"".join(b"%c: &%c [*%c,*%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 120)),
        b"[" * MAX_BYTES,
        b"{" * MAX_BYTES,
        b"- " * (MAX_BYTES // 2),
        b"? " * (MAX_BYTES // 2),
        b"a: \n" * (MAX_BYTES // 4),
        b"&a" * (MAX_BYTES // 2),
    ],
)
def test_a_bomb_is_refused_at_once(bomb: bytes) -> None:
    started = time.process_time()
    with pytest.raises(HozenError):
        load(bomb, file="bomb")
    assert time.process_time() - started < 2


_YAMLISH = st.text(alphabet="ab01 \n\t:-?[]{},&*!|>'\"%@`#~.\\xuU\u0085\u2028\ufeff日", max_size=80)


@given(st.one_of(_YAMLISH, st.text()).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"? ")
@example(b"!<tag")
@example(b"%TAG ! tag:x\n--- !x a")
def test_random_text_is_read_or_refused_in_words(data: bytes) -> None:
    try:
        load(data, file="x")
    except HozenError as error:
        assert str(error).startswith("x:")


@given(st.binary(max_size=60))
def test_random_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    try:
        load(data, file="x")
    except HozenError as error:
        assert str(error).startswith("x:")
