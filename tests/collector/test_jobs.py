"""Work is promised with its cause, leased, tried again, and never forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hozen_collector import jobs
from hozen_collector.index.engine import Index
from hozen_hashes.errors import DeniedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def index(empty_collector: Path) -> Iterator[Index]:
    found = Index(empty_collector / "collector.sqlite")
    yield found
    found.close()


def promise(index: Index, key: str = "a") -> None:
    with index.write() as session:
        jobs.enqueue(session, "accept", {"upload": key}, key=key)


def test_a_promise_is_kept_or_broken_with_its_cause(index: Index) -> None:
    def refused() -> None:
        with index.write() as session:
            jobs.enqueue(session, "accept", {}, key="a")
            raise DeniedError("the cause did not happen")

    with pytest.raises(DeniedError):
        refused()
    assert jobs.claim(index, lease_seconds=60) is None


def test_a_job_is_done_once_and_in_order(index: Index) -> None:
    for key in ("a", "b", "a"):
        promise(index, key)
    first, second = (jobs.claim(index, lease_seconds=60) for _ in range(2))
    assert first is not None
    assert second is not None
    assert [first.args["upload"], second.args["upload"]] == ["a", "b"]
    assert jobs.claim(index, lease_seconds=60) is None
    with index.write() as session:
        jobs.finish(session, first)
    jobs.release_all(index, max_attempts=5)
    again = jobs.claim(index, lease_seconds=60)
    assert again is not None
    assert again.args == second.args
    assert jobs.claim(index, lease_seconds=60) is None


def test_a_lease_that_ran_out_is_free_and_one_that_is_extended_is_not(index: Index) -> None:
    promise(index)
    job = jobs.claim(index, lease_seconds=0)
    assert job is not None
    assert jobs.claim(index, lease_seconds=0) is not None
    jobs.extend(index, job, lease_seconds=60)
    assert jobs.claim(index, lease_seconds=60) is None


def test_a_failure_is_tried_again_until_it_is_final_and_once_more_at_the_next_start(
    index: Index, empty_collector: Path, tools: Any
) -> None:
    promise(index)
    for attempt in (1, 2, 3):
        job = jobs.claim(index, lease_seconds=60)
        assert job is not None
        assert job.attempts == attempt
        jobs.fail(index, job, "x", retry_seconds=0, passing=False, final=attempt == 3)
    assert jobs.claim(index, lease_seconds=60) is None
    assert tools.sql(empty_collector, "SELECT state, error FROM job") == [("failed", "x")]
    jobs.release_all(index, max_attempts=3)
    job = jobs.claim(index, lease_seconds=60)
    assert job is not None
    assert job.attempts == 3


def test_what_passes_by_itself_is_not_counted(index: Index) -> None:
    promise(index)
    for _ in range(10):
        job = jobs.claim(index, lease_seconds=60)
        assert job is not None
        assert job.attempts == 1
        jobs.fail(index, job, "full", retry_seconds=0, passing=True, final=False)


def test_a_job_that_never_ended_waits_so_that_others_come_first(index: Index) -> None:
    promise(index, "bad")
    for _ in range(3):
        assert jobs.claim(index, lease_seconds=0) is not None
    promise(index, "good")
    jobs.release_all(index, max_attempts=3)
    job = jobs.claim(index, lease_seconds=60)
    assert job is not None
    assert job.args == {"upload": "good"}
    assert jobs.claim(index, lease_seconds=60) is None
