"""Differences of gathered facts: nothing differs from itself, sides mirror, gaps never count, hostile text is inert."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.diff import GROUPS, Comparison, State, show
from hozen_hashes.diff.compare import compare
from hozen_hashes.diff.facts import Fact, Gap
from hozen_hashes.diff.filenames import raw_name
from hozen_hashes.diff.gather import Gathered
from hozen_hashes.diff.groups import of_file
from hozen_hashes.diff.page import page
from hozen_hashes.diff.records import READERS
from hozen_hashes.diff.refine import folded
from hozen_hashes.diff.texts import of_line
from hozen_hashes.terminal import Lang

FAMILY = "persistence"
facts = st.lists(
    st.builds(
        Fact,
        group=st.sampled_from(sorted(GROUPS)),
        key=st.text(max_size=8),
        value=st.text(max_size=8),
        artifact=st.just(FAMILY),
        item=st.integers(1, 99),
    ),
    max_size=30,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def side(
    *given: Fact, gaps: list[Gap] | None = None, families: frozenset[str] | None = None
) -> Gathered:
    held = frozenset({FAMILY}) if families is None else families
    return Gathered("hz-x", {}, held, list(given), gaps or [])


def fact(key: str, value: str, *, group: str = "unit", package: str = "") -> Fact:
    return Fact(group, key, value, FAMILY, 7, package)


@given(facts)
def test_nothing_differs_from_itself(held: list[Fact]) -> None:
    assert compare(side(*held), side(*reversed(held))) == []


@given(facts, facts)
def test_both_directions_mirror_each_other(one: list[Fact], other: list[Fact]) -> None:
    mirror = {State.NEW: State.GONE, State.GONE: State.NEW, State.CHANGED: State.CHANGED}
    there = {
        (d.group, d.key): (d.state, d.before, d.after) for d in compare(side(*one), side(*other))
    }
    back = compare(side(*other), side(*one))
    assert {(d.group, d.key): (mirror[d.state], d.after, d.before) for d in back} == there


@given(facts, facts)
def test_every_key_with_other_values_is_told_once(one: list[Fact], other: list[Fact]) -> None:
    def values(given: list[Fact], name: tuple[str, str]) -> set[str]:
        return {fact.value for fact in given if (fact.group, fact.key) == name}

    names = {(fact.group, fact.key) for fact in [*one, *other]}
    told = [(d.group, d.key) for d in compare(side(*one), side(*other))]
    assert sorted(told) == sorted(n for n in names if values(one, n) != values(other, n))


def test_what_a_capture_did_not_obtain_is_neither_new_nor_gone() -> None:
    found = compare(
        side(gaps=[Gap("unit", "/a", "item 3 denied: EACCES")]),
        side(fact("/a", "1"), fact("/b", "1")),
    )
    assert [(d.key, d.state) for d in found] == [("/a", State.NOT_COMPARABLE), ("/b", State.NEW)]
    assert found[0].reason == "earlier capture: item 3 denied: EACCES"


def test_a_gap_of_a_whole_group_counts_for_each_key_and_a_changed_key_needs_none() -> None:
    gaps = [Gap("unit", "", "item 3 timed_out: x")]
    found = compare(side(fact("/a", "1")), side(fact("/a", "2"), gaps=gaps))
    assert found[0].state is State.CHANGED
    found = compare(side(fact("/a", "1")), side(gaps=gaps))
    assert found[0].state is State.NOT_COMPARABLE


def test_a_family_that_was_not_asked_for_says_nothing() -> None:
    (found,) = compare(side(fact("/a", "1")), side(families=frozenset({"processes"})))
    assert found.state is State.NOT_COMPARABLE
    assert found.reason == "persistence is not in the later capture"


def test_only_programs_that_the_package_vouches_for_fold_into_its_line() -> None:
    held = [("/same", "same"), ("/differs", "differs"), ("/unnamed", "")]
    before = [fact(key, "1", group="executable", package="p") for key, _ in held]
    after = [fact(key, "2", group="executable", package="p") for key, _ in held]
    versions = [fact("dpkg p", number, group="package", package="p") for number in "12"]
    found = folded(
        compare(side(*before, versions[0]), side(*after, versions[1])), {k: v for k, v in held if v}
    )
    assert [(d.key, d.folded) for d in found] == [("/differs", 0), ("/unnamed", 0), ("dpkg p", 1)]


def test_a_program_that_vanished_while_its_package_expects_it_stays_a_line_of_its_own() -> None:
    before = [fact("/gone", "1", group="executable", package="p")]
    versions = [fact("dpkg p", number, group="package", package="p") for number in "12"]
    every = compare(side(*before, versions[0]), side(versions[1]))
    assert [d.key for d in folded(every, {"/gone": "missing"})] == ["/gone", "dpkg p"]
    assert [(d.key, d.folded) for d in folded(every, {})] == [("dpkg p", 1)]


@given(st.sampled_from(sorted(READERS)), st.dictionaries(st.text(max_size=9), json_values))
def test_a_record_of_any_form_gives_facts_or_none(
    reader: tuple[str, str], record: dict[str, object]
) -> None:
    for group, key, value, package in READERS[reader](record):
        assert group in GROUPS
        assert all(isinstance(one, str) for one in (key, value, package))


@given(st.sampled_from(["/etc/passwd", "/home/%FF/.ssh/authorized_keys"]), st.binary(max_size=60))
def test_any_line_of_a_host_file_gives_facts_or_none(source: str, line: bytes) -> None:
    for group, _, _, _ in of_line(source, line):
        assert group in GROUPS


def test_paths_fall_into_the_group_a_person_would_look_for() -> None:
    assert of_file("persistence", "/etc/cron.d/x") == "cron"
    assert of_file("persistence", "/var/spool/cron/crontabs/root") == "cron"
    assert of_file("persistence", "/etc/systemd/system/a.service") == "unit"
    assert of_file("persistence", "/home/a/.config/systemd/user/b.timer") == "unit"
    assert of_file("persistence", "/etc/profile.d/x.sh") == "startup"
    assert of_file("kernel", "/etc/ld.so.preload") == "setting"
    assert of_file("kernel", "/proc/sys/kernel/x") is None
    assert of_file("linux_logs", "/var/log/auth.log") is None


def test_names_of_the_body_file_are_read_back_to_bytes() -> None:
    assert raw_name(rb"/tmp/a%7Cb\\c\x0a%25\xff") == b"/tmp/a|b\\c\n%\xff"


def test_hostile_text_is_inert_in_lines_page_and_document() -> None:
    evil = "<script>alert(1)</script>\x1b[31m%0A%E2%80%AE\u202e=cmd()\ud800"
    one, other = side(), side(fact(evil, evil))
    found = Comparison(one, other, (("agent", evil, evil),), tuple(compare(one, other)))
    text = "\n".join([*show.lines(found, Lang.JA, everything=True), *show.notices(found, Lang.EN)])
    assert not set(text) & {"\x1b", "\u202e", "\ud800"}
    html = page(found, Lang.JA, ("match", "match")).decode("utf-8")
    assert "一致 match" in html
    assert "<script" not in html
    assert not set(html) & {"\x1b", "\u202e"}
    document = json.dumps(show.as_json(found, ("match", "match")))
    assert document.isascii()


def test_every_group_has_a_name_in_both_languages() -> None:
    assert all(english and japanese for english, japanese in GROUPS.values())
