"""The first sweep never fails before somebody can be told."""

from __future__ import annotations

import pytest

from hozen_agent import stage0
from hozen_hashes.errors import DeniedError


def test_an_unreadable_procfs_is_one_error_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage0, "_PROC", "/nowhere/proc")
    monkeypatch.setattr(stage0, "taken", [])
    stage0.early()
    with pytest.raises(DeniedError) as caught:
        stage0.take()
    assert caught.value.exit_code == 77
    assert caught.value.hint
