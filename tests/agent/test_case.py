"""Missing case fields: asked for in the background, or refused."""

from __future__ import annotations

import threading

from hozen_agent.case import Asker, case_json, refuse
from hozen_config.casefile import CaseFile


def test_the_reading_goes_on_while_a_person_types() -> None:
    typed = threading.Event()

    def ask(field: str) -> str:
        typed.wait(10)
        return f" {field}! "

    asker = Asker(CaseFile(case="C-1", operator="A"), ask)
    assert not asker.done
    typed.set()
    case = asker.wait()
    assert (case.case, case.operator, case.purpose) == ("C-1", "A", "purpose!")
    assert not case.missing()


def test_a_terminal_that_goes_away_leaves_unknown_and_never_hangs() -> None:
    def gone(_field: str) -> str:
        raise EOFError

    case = Asker(CaseFile(), gone).wait()
    assert {case.case, case.owner, case.contact} == {"unknown"}


def test_a_pipe_is_told_which_options_are_missing() -> None:
    error = refuse(CaseFile(case="C-1").missing())
    assert "--operator" in str(error)
    assert "--case," not in str(error)
    assert error.exit_code == 64


def test_the_record_form_names_the_case_id() -> None:
    record = case_json(CaseFile(case="C-1", drill=True))
    assert record["id"] == "C-1"
    assert record["drill"] is True
    assert record["owner"] is None


def test_epochs_go_on_and_an_interrupt_is_heard_while_a_person_types() -> None:
    typed = threading.Event()
    asker = Asker(CaseFile(case="C-1"), lambda _field: "late" if typed.wait(10) else "")
    turns: list[int] = []

    def go_on() -> bool:
        turns.append(1)
        return len(turns) < 3

    case = asker.wait(go_on)
    typed.set()
    assert len(turns) == 3
    assert (case.case, case.operator) == ("C-1", "unknown")
    assert not case.missing()


def test_a_person_who_never_answers_does_not_keep_the_bundle_from_being_sealed() -> None:
    typed = threading.Event()
    asker = Asker(CaseFile(), lambda _field: "late" if typed.wait(10) else "")
    assert asker.wait(patience=0.0).operator == "unknown"
    typed.set()
