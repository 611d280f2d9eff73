"""The interfaces family in a network namespace of its own."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from networks import POOLED

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any as Shown  # conftest.Shown: tests are no package


PLANTED = (
    POOLED
    + """
subprocess.run("ip link set lo up; mount -t tmpfs t /run; ip netns add dark; ip link add v0 type veth peer name v1 "
               "netns dark; ip -n dark addr add 192.0.2.77/24 dev v1", shell=True, check=True)
ctx, pool = context_and_pool()
from hozen_agent.artifacts.interfaces import collect
show(collect(ctx))
pool.stop()
"""
)


def test_each_namespace_comes_as_dialogue_and_records_and_ours_once_more_by_the_libraries(
    collected: Callable[..., list[Shown]],
) -> None:
    by_source: dict[str, list[Shown]] = {}
    for attempt in collected(PLANTED):
        by_source.setdefault(attempt.source, []).append(attempt)
    spaces = [source for source in by_source if source.startswith("netlink@net:[")]
    assert len(spaces) == 2
    names, addresses = [], []
    for source in spaces:
        raw, parsed = by_source[source]
        assert (raw.ext, parsed.ext) == ("pcap", "jsonl")
        assert raw.data
        assert parsed.derived_from == [raw.tag]
        assert {row["netns"] for row in parsed.records()} == {source[13:-1]}
        names.append({row["name"] for row in parsed.records() if row["kind"] == "link"})
        addresses += [row["address"] for row in parsed.records() if row["kind"] == "address"]
    assert names == [{"lo", "v0"}, {"lo", "v1"}]
    assert "192.0.2.77" in addresses
    (tables,) = by_source["/proc/PID/net"]
    with tarfile.open(fileobj=io.BytesIO(tables.data or b"")) as tar:
        members = tar.getnames()
    assert any(name.endswith("/net/dev") for name in members)
    assert any(name.endswith("/net/route") for name in members)
    assert {row["name"] for row in by_source["psutil"][0].records()} == {"lo", "v0"}


def test_without_reading_helpers_the_dialogue_is_a_failed_attempt_with_its_reason(
    collected: Callable[..., list[Shown]],
) -> None:
    attempts = collected(
        """
from hozen_agent.artifacts.interfaces import collect
show(collect(context()))
"""
    )
    failed = [attempt for attempt in attempts if attempt.source.startswith("netlink@")]
    assert [attempt.failure for attempt in failed] == [
        ["failed", "not attempted: no reader is left"]
    ]
