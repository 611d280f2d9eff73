"""Every kind of evidence that the field knows leads to families that exist, or to a reason."""

from __future__ import annotations

from hozen_agent.artifacts.registry import CATALOGUE
from hozen_agent.coverage import ROWS
from hozen_agent.planning import load_families


def test_each_row_leads_to_families_that_exist_or_to_a_reason() -> None:
    load_families()
    for row in ROWS:
        assert row.families or row.note, row.kind
        assert set(row.families) <= set(CATALOGUE), row.kind


def test_no_kind_is_there_twice() -> None:
    kinds = [row.kind for row in ROWS]
    assert len(kinds) == len(set(kinds)) == 61
