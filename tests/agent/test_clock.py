"""The clock family: the record of this machine's clock, and 未測定 where nothing was measured."""

from __future__ import annotations

import io
import json
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from hozen_agent.artifacts import clock
from hozen_agent.kernel import timex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any as Shown  # conftest.Shown: tests are no package

    from hozen_agent.context import Context

COLLECT = "from hozen_agent.artifacts.clock import collect\nshow(collect(context(offset={})))\n"


def test_the_clocks_are_read_together_and_an_unmeasured_offset_is_said(
    collected: Callable[..., list[Shown]],
) -> None:
    before = time.time_ns()
    attempts = collected(COLLECT.format(None))
    (record,) = attempts[0].records()
    assert before <= int(record["clocks_ns"]["realtime"]) <= time.time_ns()
    assert int(record["clocks_ns"]["boottime"]) >= int(record["clocks_ns"]["monotonic"])
    assert record["offset_to_collector"]["measured"] is False
    assert record["offset_to_collector"]["word"] == "未測定"
    assert record["offset_to_collector"]["reason"]
    assert record["boot_id"]
    assert isinstance(record["discipline"]["synchronised"], bool)
    with tarfile.open(fileobj=io.BytesIO(attempts[1].data or b"")) as tar:
        assert "proc/uptime" in tar.getnames()


def test_a_measured_offset_is_given_with_its_uncertainty(
    collected: Callable[..., list[Shown]],
) -> None:
    (record,) = collected(COLLECT.format("(-12.5, 3.0)"))[0].records()
    assert record["offset_to_collector"] == {
        "measured": True,
        "milliseconds": -12.5,
        "uncertainty_ms": 3.0,
    }


def test_the_family_completes_on_trees_with_gaps(
    tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    record, texts = clock.collect(context_of(tmp_path))
    (line,) = record.data or ()
    found = json.loads(bytes(line))
    assert found["zone"]["file"] == "/usr/share/zoneinfo/Asia/Tokyo"
    assert found["boot_id"] is None
    assert b"ERRORS.jsonl" in b"".join(bytes(piece) for piece in texts.data or ())


def test_reading_the_discipline_sets_nothing() -> None:
    first, second = timex.read_discipline(), timex.read_discipline()
    assert first["tick_us"] == second["tick_us"]
    assert first["frequency_ppm"] == second["frequency_ppm"]
    json.dumps(first)


def test_a_system_without_adjtimex_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    with pytest.raises(OSError, match="not implemented"):
        timex.read_discipline()
