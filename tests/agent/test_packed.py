"""Entries kept packed are the entries that were put in, however many there are."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.proc.packed import STRETCH, Entries
from hozen_agent.proc.sweep import ERROR, FILE, LINK

ENTRY = st.tuples(
    st.binary(max_size=40),
    st.sampled_from((FILE, LINK, ERROR)),
    st.binary(max_size=60),
    st.integers(0, 133),
)


def filled(count: int, *, body: bytes = b"") -> Entries:
    entries = Entries()
    for number in range(count):
        entries.tail.append((b"proc/%d/stat" % number, FILE, body + b"%d" % number, 0))
        entries.pack()
    return entries


@given(st.lists(ENTRY, max_size=30), st.integers(0, 3))
def test_what_goes_in_comes_out_in_order_each_time(
    some: list[tuple[bytes, str, bytes, int]], stretches: int
) -> None:
    entries = filled(stretches * STRETCH)
    entries.tail.extend(some)
    entries.pack()
    for _ in range(2):
        found = list(entries)
        assert found[stretches * STRETCH :] == some
        assert found[:1] == ([(b"proc/0/stat", FILE, b"0", 0)] if stretches else some[:1])


def test_a_small_host_has_nothing_packed() -> None:
    entries = filled(STRETCH - 1)
    assert len(entries.tail) == STRETCH - 1


def test_two_may_go_through_the_entries_at_once() -> None:
    entries = filled(2 * STRETCH + 5)
    assert all(one == other for one, other in zip(entries, entries, strict=True))


def test_packed_entries_take_a_fraction_of_their_memory() -> None:
    tracemalloc.start()
    try:
        entries = filled(16 * STRETCH, body=b"a line of /proc/PID/status and more of them " * 8)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(entries.tail) == 0
    assert held < 4 << 20  # 26 MiB of text
