"""The interfaces family in a network namespace of its own."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any as Shown  # conftest.Shown: tests are no package


def test_each_table_comes_raw_and_parsed_and_once_more_by_the_libraries(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        """
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
from hozen_agent.artifacts.interfaces import collect
show(collect(context()))
"""
    )
    by_source: dict[str, list[Shown]] = {}
    for attempt in attempts:
        by_source.setdefault(attempt.source, []).append(attempt)
    for name in ("link", "address", "route", "rule", "neighbour"):
        raw, parsed = by_source[f"netlink:{name}"]
        assert (raw.ext, parsed.ext) == ("nl", "jsonl")
        assert raw.data
        assert parsed.derived_from == [raw.tag]
    names = [row["name"] for row in by_source["netlink:link"][1].records()]
    assert "lo" in names
    (tables,) = by_source["/proc/PID/net"]
    with tarfile.open(fileobj=io.BytesIO(tables.data or b"")) as tar:
        members = tar.getnames()
    assert any(name.endswith("/net/dev") for name in members)
    assert any(name.endswith("/net/route") for name in members)
    assert [row["name"] for row in by_source["psutil"][0].records()] == ["lo"]


def test_a_kernel_without_netlink_gives_a_failed_attempt_with_its_reason(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        """
import hozen_agent.netlink as netlink
def refuse(table, **rest):
    raise OSError(97, "Address family not supported by protocol")
netlink.dump = refuse
from hozen_agent.artifacts.interfaces import collect
show(collect(context()))
"""
    )
    failed = [attempt for attempt in attempts if attempt.source.startswith("netlink:")]
    assert len(failed) == 5
    assert all(attempt.outcome == "failed" for attempt in failed)
    assert all("not supported" in attempt.reason for attempt in failed)
