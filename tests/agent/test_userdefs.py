from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hozen_agent import userdefs
from hozen_agent.artifacts.registry import CATALOGUE
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Evidence = Any

MINE = b"""name: MyAppLogs
doc: What my program wrote.
sources:
- type: FILE
  attributes: {paths: ['/opt/my/**', '%%users.homedir%%/.my/log']}
"""


@pytest.fixture(autouse=True)
def catalogue() -> Iterator[None]:
    """Leave the catalogue as it was."""
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


def test_a_definition_of_the_user_is_captured_under_the_same_rules(evidence: Evidence) -> None:
    evidence.write("/opt/my/a/b", b"1")
    evidence.write("/home/u/.my/log", b"2")
    evidence.write("/opt/my/id_rsa", b"SECRET")
    assert userdefs.enter(MINE, what="mine.yaml") == ["user_my_app_logs"]
    found = evidence.collect("user_my_app_logs")
    assert {path: entries[0][1] for path, entries in found.items()} == {
        b"/opt/my/a/b": b"1", b"/home/u/.my/log": b"2", b"/opt/my/id_rsa": b""
    }  # fmt: skip
    assert found[b"/opt/my/id_rsa"][0][0].withheld == "private_key"


def test_a_name_that_is_taken_and_a_definition_without_files_are_refused() -> None:
    userdefs.enter(MINE, what="mine.yaml")
    with pytest.raises(UsageError, match="is there already"):
        userdefs.enter(MINE, what="mine.yaml")
    command = b"name: Run\ndoc: d\nsources: [{type: COMMAND, attributes: {cmd: /bin/ls}}]\n"
    with pytest.raises(UsageError, match="names no files"):
        userdefs.enter(command, what="x.yaml")


def test_a_group_of_unknown_definitions_is_refused() -> None:
    text = b"name: G\ndoc: d\nsources: [{type: ARTIFACT_GROUP, attributes: {names: [Nope]}}]\n"
    with pytest.raises(UsageError, match="Nope"):
        userdefs.enter(text, what="x.yaml")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("MyAppLogs", "user_my_app_logs"),
        ("A", "user_a"),
        ("a_b__C", "user_a_b_c"),
        ("X" * 90, "user_" + "x" * 43),
    ],
)
def test_a_family_has_a_name_that_a_bundle_allows(name: str, family: str) -> None:
    assert userdefs.family_name(name) == family
