from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hozen_agent.workers import ring

if TYPE_CHECKING:
    from collections.abc import Iterator

Ends = tuple[ring.Producer, ring.Consumer, list[int]]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both sides of a ring in one process."""
    shared = ring.Shared()
    events, free = os.pipe(), os.pipe()
    descriptors = [*events, *free]
    yield (
        ring.Producer(shared, events=events[1], free=free[0]),
        ring.Consumer(shared, events=events[0], free=free[1]),
        descriptors,
    )
    for fd in descriptors:
        os.close(fd)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 8, 9, 4096, 300_000, ring.ROOM]), max_size=30))
def test_records_of_any_size_arrive_in_order_and_unchanged(sizes: list[int]) -> None:
    shared = ring.Shared()
    events, free = os.pipe(), os.pipe()
    out = ring.Producer(shared, events=events[1], free=free[0])
    reader = ring.Consumer(shared, events=events[0], free=free[1])

    def produce() -> None:
        for number, size in enumerate(sizes):
            out.put(ring.Kind.DATA, number % 7, 0, bytes([number % 256]) * size)
        out.put(ring.Kind.END, 0, 0, b"")
        out.roll()

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        for number, size in enumerate(sizes):
            kind, code, _, at, length = reader.record(10)
            assert (kind, code, length) == (ring.Kind.DATA, number % 7, size)
            assert bytes(shared.view[at : at + length]) == bytes([number % 256]) * size
        assert reader.record(10)[0] == ring.Kind.END
    finally:
        thread.join(10)
        for fd in (*events, *free):
            os.close(fd)


def test_what_a_silent_worker_committed_is_taken_before_it_is_given_up(ends: Ends) -> None:
    out, reader, _ = ends
    out.put(ring.Kind.DATA, 0, 0, b"one")
    out.put(ring.Kind.DATA, 0, 0, b"two")  # the slot is never completed
    assert [reader.record(0.1)[4], reader.record(0.1)[4]] == [3, 3]
    with pytest.raises(ring.WorkerSilentError):
        reader.record(0.1)


def test_a_worker_that_wakes_up_is_read_on(ends: Ends) -> None:
    out, reader, _ = ends
    out.put(ring.Kind.DATA, 0, 0, b"one")
    reader.record(0.05)
    out.put(ring.Kind.DATA, 1, 0, b"later")
    assert reader.record(0.05)[1] == 1
    out.roll()
    out.put(ring.Kind.DATA, 2, 0, b"next slot")  # a second roll would wait for the reader
    assert reader.record(0.05)[1] == 2


def test_a_worker_that_is_gone_is_told_from_a_silent_one(ends: Ends) -> None:
    out, reader, descriptors = ends
    out.put(ring.Kind.DATA, 0, 0, b"last words")
    os.close(descriptors[1])
    descriptors[1] = os.open(os.devnull, os.O_RDONLY)
    assert reader.record(5)[4] == 10
    with pytest.raises(ring.WorkerGoneError):
        reader.record(5)
