from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_agent.filetree import walk
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Evidence = Any


def plant(evidence: Evidence, *paths: str) -> None:
    for path in paths:
        evidence.write(path)


def test_a_star_stays_in_its_directory(evidence: Evidence) -> None:
    plant(evidence, "/l/a.log", "/l/b.log.1", "/l/d/c.log", "/l/.hidden")
    assert evidence.find(b"/l/*") == [b"/l/.hidden", b"/l/a.log", b"/l/b.log.1"]
    assert evidence.find(b"/l/*.log*") == [b"/l/a.log", b"/l/b.log.1"]
    assert evidence.find(b"/l/?.log") == [b"/l/a.log"]
    assert evidence.find(b"/*/*/c.log") == [b"/l/d/c.log"]


def test_two_stars_go_down_as_far_as_they_say(evidence: Evidence) -> None:
    plant(evidence, "/r/1", "/r/a/2", "/r/a/b/3", "/r/a/b/c/4")
    assert evidence.find(b"/r/**") == [b"/r/1", b"/r/a/2", b"/r/a/b/3", b"/r/a/b/c/4"]
    assert evidence.find(b"/r/**2") == [b"/r/1", b"/r/a/2"]
    assert evidence.find(b"/r/**/3") == [b"/r/a/b/3"]
    assert evidence.find(b"/r/**/1") == [b"/r/1"]
    assert evidence.find(b"/r/**1/2") == [b"/r/a/2"]


def test_a_path_is_found_once_however_many_patterns_name_it(evidence: Evidence) -> None:
    plant(evidence, "/var/log/a.log", "/var/log/b")
    assert evidence.find(b"/var/log/**", b"/var/log/*.log", b"/var/log/a.log", b"/**") == [
        b"/var/log/a.log", b"/var/log/b"
    ]  # fmt: skip


def test_names_are_bytes(evidence: Evidence) -> None:
    names = [b"/d/\xff", b"/d/a\nb", b"/d/end ", b"/d/\xe3\x81\x82"]
    for name in names:
        evidence.write(name)
    assert sorted(evidence.find(b"/d/*")) == sorted(names)
    assert evidence.find(b"/d/\xff") == [b"/d/\xff"]
    assert evidence.find(b"/d/a?b") == [b"/d/a\nb"]


def test_what_does_not_exist_is_not_found(evidence: Evidence) -> None:
    assert evidence.find(b"/no/such", b"/no/**", b"/*/x") == []
    assert evidence.notes == []


def test_a_link_that_a_pattern_catches_is_found_but_not_followed(evidence: Evidence) -> None:
    plant(evidence, "/real/x", "/d/file")
    (evidence.root / "d/link").symlink_to("/real")
    (evidence.root / "d/loop").symlink_to("/d")
    assert evidence.find(b"/d/**") == [b"/d/file", b"/d/link", b"/d/loop"]


def test_a_link_that_a_pattern_names_is_found_and_leads_on(evidence: Evidence) -> None:
    plant(evidence, "/usr/lib/systemd/a.service", "/run/resolv")
    (evidence.root / "lib").symlink_to("usr/lib")
    (evidence.root / "etc").mkdir()
    (evidence.root / "etc/resolv.conf").symlink_to("../run/resolv")
    assert evidence.find(b"/lib/systemd/*", b"/etc/resolv.conf") == [
        b"/etc/resolv.conf", b"/lib", b"/usr/lib/systemd/a.service", b"/run/resolv"
    ]  # fmt: skip


def test_a_link_out_of_the_root_stays_in_the_root(evidence: Evidence) -> None:
    (evidence.root / "out").symlink_to("../../../../../../etc")
    assert evidence.find(b"/out/passwd") == [b"/out"]


def test_the_newest_comes_first_when_asked(evidence: Evidence) -> None:
    for number, name in enumerate(("/l/c", "/l/a", "/l/b")):
        os.utime(evidence.write(name), ns=(0, 10**18 + number))
    assert evidence.find(b"/l/*", newest=True) == [b"/l/b", b"/l/a", b"/l/c"]


def test_a_directory_that_cannot_be_listed_is_found_itself(isolated: Callable[..., str]) -> None:
    out = isolated(
        """
os.chmod("..", 0o755); os.chmod(".", 0o755); os.makedirs("h/shut/in"); os.chmod("h/shut", 0)
root = os.open("h", os.O_PATH | os.O_DIRECTORY)
from hozen_agent.workers import serve
from hozen_agent.workers.pool import ReaderPool
from hozen_agent.reading.reader import FileReader
from hozen_agent.filetree.finder import Finder
from hozen_agent.context import FileRequest
if os.geteuid() == 0:
    try:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    except OSError:
        print("denied"); raise SystemExit
pool = ReaderPool.start(root=root, proc=proc(), note=print)
for a in FileReader(pool)(FileRequest(artifact="t", path=p) for p in Finder(pool)([b"/**"])):
    print(a.source, a.outcome, a.reason)
pool.stop()
"""
    )
    assert "denied" in out


def test_listing_changes_no_access_time(evidence: Evidence) -> None:
    plant(evidence, "/d/e/f")
    for name in ("d", "d/e"):
        os.utime(evidence.root / name, ns=(10**18, 10**18))
    assert evidence.find(b"/**") == [b"/d/e/f"]
    assert [(evidence.root / n).stat().st_atime_ns for n in ("d", "d/e")] == [10**18] * 2


def test_a_great_many_files_are_found_in_bounded_memory(evidence: Evidence) -> None:
    for directory in range(10):
        (evidence.root / f"{directory}").mkdir()
        for number in range(300):
            (evidence.root / f"{directory}/{number}").touch()
    assert len(set(evidence.find(b"/**"))) == 3000


def test_a_tree_deeper_than_the_bound_is_noted(evidence: Evidence) -> None:
    place = os.open(evidence.root, os.O_RDONLY)
    for _ in range(walk.MAX_DEPTH + 10):
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    assert evidence.find(b"/**64/x", b"/d/**64") == []
    assert evidence.find(b"/**64/**64/x") == []
    assert any("deeper" in note for note in evidence.notes)


@pytest.mark.parametrize("bad", [b"relative", b"", b"/a/../b", b"/nul\0", b"/" + b"x" * 5000])
def test_a_pattern_that_is_no_absolute_path_is_refused(bad: bytes) -> None:
    with pytest.raises(UsageError):
        walk.compile_pattern(bad)


NAMES = st.sampled_from(["a", "b", "ab", "a.log", "c"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    files=st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8),
    pattern=st.lists(
        st.sampled_from(["a", "*", "?", "**", "**1", "a*", "*.log"]), min_size=1, max_size=4
    ),
)
def test_a_pattern_finds_what_its_regular_expression_matches(
    evidence: Evidence, files: list[list[str]], pattern: list[str]
) -> None:
    for parts in files:
        place = evidence.root.joinpath(*parts)
        if not place.exists() and not any(p.is_file() for p in place.parents):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    text = "".join(map(_regex, pattern[:-1])) + _last(pattern[-1])
    wanted = {
        path
        for found in evidence.root.rglob("*")
        if found.is_file()
        and re.fullmatch(text, path := "/" + str(found.relative_to(evidence.root)))
    }
    got = evidence.find(("/" + "/".join(pattern)).encode())
    assert {os.fsdecode(p) for p in got if (evidence.root / os.fsdecode(p)[1:]).is_file()} == wanted


def _regex(part: str) -> str:
    if part.startswith("**"):
        return "(?:/[^/]+){0,%s}" % (part[2:] or "64")
    return "/" + re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")


def _last(part: str) -> str:
    return _regex(part).replace("{0,", "{1,") if part.startswith("**") else _regex(part)


def test_a_search_that_finds_nothing_for_long_says_that_it_is_alive() -> None:
    from hozen_agent.workers import ring, serve

    shared = ring.Shared()
    events, free = os.pipe(), os.pipe()
    try:
        found = serve._Found(ring.Producer(shared, events=events[1], free=free[0]), timed=False)
        found._sent -= 5
        found._flush()
        reader = ring.Consumer(shared, events=events[0], free=free[1])
        assert reader.record(1.0)[0] == ring.Kind.ALIVE
    finally:
        for fd in (*events, *free):
            os.close(fd)


def test_a_path_reached_by_links_and_by_name_is_found_once(evidence: Evidence) -> None:
    plant(evidence, "/usr/lib/s/a", "/usr/lib/s/b")
    (evidence.root / "lib").symlink_to("usr/lib")
    (evidence.root / "lib64").symlink_to("lib")
    found = evidence.find(b"/lib/s/*", b"/lib64/s/*", b"/usr/lib/s/a")
    assert sorted(found) == [b"/lib", b"/lib64", b"/usr/lib/s/a", b"/usr/lib/s/b"]
