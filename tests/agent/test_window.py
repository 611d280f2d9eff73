"""The span of time of --since and --until: what is read as a time, and which files lie outside."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent import planning
from hozen_agent.items import FileStat
from hozen_agent.reading.window import Window, parse_window, since
from hozen_config.profile import load_profile
from hozen_hashes.errors import UsageError

NOW = 1_795_410_000 * 10**9
DAY = 86_400 * 10**9


def stat(*, mtime: int, btime: int | None) -> FileStat:
    return FileStat(
        mode=0o100644, uid=0, gid=0, dev=1, ino=2, nlink=1, size=3, atime=0, mtime=mtime, ctime=0, btime=btime,
    )  # fmt: skip


def test_relative_times_count_back_from_now() -> None:
    window = parse_window("7d", "12h", now=NOW)
    assert window == Window(since=NOW - 7 * DAY, until=NOW - DAY // 2)


def test_a_time_with_a_zone_is_taken_as_it_is() -> None:
    window = parse_window("2026-11-16T09:00:00+09:00", None, now=NOW)
    assert window is not None
    assert window.as_json() == {"since": "2026-11-16T00:00:00.000000000Z", "until": None}


@pytest.mark.parametrize("text", ["yesterday", "2026-11-16", "2026-11-16T09:00:00", "7", "-3d"])
def test_what_is_no_time_or_lacks_its_zone_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse_window(text, None, now=NOW)


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(UsageError, match="--until is not after"):
        parse_window("1d", "2d", now=NOW)


def test_what_is_recent_begins_with_the_window_or_the_usual_time_before_its_end() -> None:
    assert since(None, 86_400, now=NOW) == NOW - DAY
    assert since(Window(since=NOW - 9 * DAY), 86_400, now=NOW) == NOW - 9 * DAY
    assert since(Window(until=NOW - 3 * DAY), 86_400, now=NOW) == NOW - 4 * DAY


def test_no_words_are_no_window() -> None:
    assert parse_window(None, None) is None


def test_a_rotated_log_that_overlaps_the_window_is_kept() -> None:
    window = Window(since=NOW - 7 * DAY, until=NOW - 3 * DAY)
    assert window.outside(stat(mtime=NOW - 5 * DAY, btime=NOW - 12 * DAY)) == ""  # ends within
    assert window.outside(stat(mtime=NOW, btime=NOW - 4 * DAY)) == ""  # begins within
    assert window.outside(stat(mtime=NOW, btime=None)) == ""  # nobody knows when it was made
    assert "before the window" in window.outside(stat(mtime=NOW - 8 * DAY, btime=None))
    assert "after the window" in window.outside(stat(mtime=NOW, btime=NOW - DAY))


@given(st.integers(-(2**60), 2**62), st.none() | st.integers(-(2**60), 2**62))
def test_any_time_of_a_file_has_an_answer(mtime: int, btime: int | None) -> None:
    window = Window(since=NOW - DAY, until=NOW)
    why = window.outside(stat(mtime=mtime, btime=btime))
    assert bool(why) == (mtime < NOW - DAY or (btime is not None and btime > NOW))


def test_the_plan_says_where_the_window_leaves_out_files_and_where_it_marks_them() -> None:
    choice = planning.Choice(window=Window(since=NOW))
    plan = planning.make_plan(load_profile("standard")[0], profile_sha256="", choice=choice)
    window = json.loads(plan.to_json())["window"]
    assert "linux_logs" in window["applies_to"]
    assert window["marks_changes_of"] == ["executables", "filesystem"]
