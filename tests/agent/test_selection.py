"""Between artifacts and reader: one attempt for every request, files left out are listed, spent limits read nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hozen_agent.context import FileRequest
from hozen_agent.items import Outcome
from hozen_agent.reading.files import whole
from hozen_agent.reading.reader import FileReader
from hozen_agent.reading.selection import OUTSIDE, Selection
from hozen_agent.reading.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OLD, NEW = 1_700_000_000, 1_795_000_000
WINDOW = Window(since=1_790_000_000 * 10**9)


def ask(evidence: Any, *names: str, room: Callable[[str], int] = lambda _: 1 << 40) -> Any:
    chosen = Selection(
        FileReader(evidence.pool), room=room, window=WINDOW, over_time=frozenset({"logs"})
    )
    requests = [FileRequest(artifact="logs", path=name.encode()) for name in names]
    return [(attempt, whole(attempt)[0]) for attempt in chosen(requests)]


def aged(evidence: Any, path: str, seconds: int, data: bytes = b"x\n") -> None:
    os.utime(evidence.write(path, data), (seconds, seconds))


def test_files_outside_the_window_are_listed_and_not_read(evidence: Any) -> None:
    aged(evidence, "/var/log/a", OLD, b"12345")
    aged(evidence, "/var/log/b", NEW)
    (old, data), (new, kept), (gone, _) = ask(evidence, "/var/log/a", "/var/log/b", "/var/log/c")
    assert (old.withheld, old.kind, data, old.left_out) == (OUTSIDE, "metadata", b"", ((0, 5),))
    assert "before the window" in old.reason
    assert old.stat.size == 5
    assert (new.outcome, kept) == (None, b"x\n")
    assert gone.outcome is Outcome.MISSING


def test_the_order_of_many_requests_is_kept(evidence: Any) -> None:
    names = [f"/var/log/{n}" for n in range(150)]
    for n, name in enumerate(names):
        aged(evidence, name, OLD if n % 3 == 0 else NEW)
    found = ask(evidence, *names)
    assert [a.source.decode() for a, _ in found] == names
    assert [a.withheld == OUTSIDE for a, _ in found] == [n % 3 == 0 for n in range(150)]


def test_other_artifacts_are_taken_whatever_their_age(evidence: Any) -> None:
    aged(evidence, "/etc/passwd", OLD)
    chosen = Selection(FileReader(evidence.pool), room=lambda _: 99, window=WINDOW)
    taken = [whole(a)[0] for a in chosen([FileRequest(artifact="accounts", path=b"/etc/passwd")])]
    assert taken == [b"x\n"]


@pytest.mark.parametrize("window", [True, False])
def test_once_a_limit_is_spent_files_are_listed_and_not_read(
    evidence: Any, *, window: bool
) -> None:
    aged(evidence, "/var/log/a", NEW, b"1234567")
    chosen = Selection(
        FileReader(evidence.pool),
        room=lambda _: 0,
        window=WINDOW if window else None,
        over_time=frozenset({"logs"}),
    )
    [attempt] = chosen([FileRequest(artifact="logs", path=b"/var/log/a")])
    assert (attempt.outcome, attempt.data, attempt.left_out) == (Outcome.FAILED, None, ((0, 7),))
    assert "size limit of the profile was spent" in attempt.reason
    assert attempt.stat is not None


def test_no_more_is_asked_for_than_there_is_room(evidence: Any) -> None:
    aged(evidence, "/var/log/a", NEW, b"x" * 200_000)
    [(attempt, data)] = ask(evidence, "/var/log/a", room=lambda _: 1000)
    assert len(data) == 1000
    assert attempt.coming == 1000
