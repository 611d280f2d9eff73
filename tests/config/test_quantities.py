"""Sizes, durations and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_config.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("4GiB", 4 << 30),
        ("4 GiB", 4 << 30),
        ("1.5KiB", 1536),
        ("2MB", 2_000_000),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86_400), ("90s", 90), ("250ms", 0.25), ("10min", 600), ("2m", 120), ("1.5d", 129_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_shares() -> None:
    assert parse_share("5%") == pytest.approx(0.05)
    assert parse_share("100 %") == 1


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_size, "4GiBB"), (parse_size, "-1"), (parse_size, "1e9"), (parse_size, ""), (parse_size, "9999999TiB"),
        (parse_size, "٣MiB"), (parse_duration, "24"), (parse_duration, "1 fortnight"), (parse_duration, "200000d"),
        (parse_share, "0.05"), (parse_share, "101%"), (parse_size, "1" * 5000),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        parse(text)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_a_size_survives_being_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_survives_being_written(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.text())
def test_random_words_are_read_or_refused(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_share):
        try:
            parse(text)
        except ValueError as problem:
            assert len(str(problem)) < 600
