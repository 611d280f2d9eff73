"""Profiles, case files and settings: what is packaged, what is refused, and where the error points."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_config import bind
from hozen_config.models import (
    REQUIRED,
    AgentSettings,
    CaseFile,
    CollectorSettings,
    Profile,
    case_from_environment,
    case_from_options,
    load_agent_settings,
    load_case_file,
    load_collector_settings,
    load_profile,
    profile_names,
)
from hozen_hashes.errors import HozenError, UsageError

MINIMAL = """\
name: mine
version: 1
description: {en: Mine, ja: 自作}
artifacts:
  - processes
  - name: linux_logs
    limits: {item: 2MiB}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_packaged_profiles_load_and_hash_as_their_bytes() -> None:
    assert profile_names() == ["full", "minimal", "pre-isolation", "standard"]
    for name in profile_names():
        profile, digest = load_profile(name)
        assert profile.name == name
        assert profile.redaction
        packaged = Path(importlib.import_module("hozen_config").__file__ or "").parent / "profiles"
        assert digest == hashlib.sha256((packaged / f"{name}.yaml").read_bytes()).hexdigest()


def test_minimal_takes_no_personal_content() -> None:
    names = {artifact.name for artifact in load_profile("minimal")[0].artifacts}
    assert names.isdisjoint({"linux_logs", "systemd_journal", "shell_histories", "ssh_access"})


def test_standard_takes_everything_and_full_only_more_of_it() -> None:
    standard, full = load_profile("standard")[0], load_profile("full")[0]
    taken = [a.name for a in full.artifacts]
    wanted = [a.name for a in standard.artifacts if a.name != "executables"]
    assert taken == wanted, (
        "all executables include those that `executables` looks at: nothing is hashed twice"
    )
    assert not any(a.optional for a in full.artifacts if a.name == "executables_all")
    assert full.limits.total > standard.limits.total
    assert (full.requires_reason, full.requires_encryption) == (True, True)
    assert (standard.requires_reason, standard.requires_encryption) == (False, False)


@pytest.mark.parametrize("name", ["minimal", "standard", "full"])
def test_volatile_evidence_comes_first(name: str) -> None:
    names = [artifact.name for artifact in load_profile(name)[0].artifacts]
    assert names[:4] == ["processes", "sockets", "sessions", "clock"]
    first = [
        n for n in names if n in {"interfaces", "kernel", "linux_logs", "accounts", "packages"}
    ]
    assert first[:2] == ["interfaces", "kernel"]


def test_the_packaged_profiles_name_every_artifact_of_the_agent() -> None:
    families = Path(importlib.import_module("hozen_agent").__file__ or "").parent / "artifacts"
    for module in families.glob("*.py"):
        if module.stem not in {"__init__", "registry"}:
            importlib.import_module(f"hozen_agent.artifacts.{module.stem}")
    catalogue = importlib.import_module("hozen_agent.artifacts.registry").CATALOGUE
    if len(catalogue) < 13:
        pytest.skip("the agent's artifacts are not complete yet")
    assert {artifact.name for artifact in load_profile("standard")[0].artifacts} == set(catalogue)


def test_a_profile_of_ones_own_takes_the_defaults(tmp_path: Path) -> None:
    profile, _ = load_profile(written(tmp_path, MINIMAL))
    assert profile.limits.deadline == 4 * 3600
    assert profile.limits_of("linux_logs").item == 2 << 20
    assert profile.limits_of("linux_logs").family == profile.limits.family
    assert profile.limits_of("processes").item == profile.limits.item


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        (("version: 1", "versoin: 1"), ":2:1: versoin: unknown key", "did you mean `version`?"),
        (("version: 1\n", ""), ":1:1: version: missing", "add `version:`"),
        (("version: 1", "version: x"), ":2:10: version: 'x' is no whole number", "write a number"),
        (("version: 1", "version: 0"), ":2:10: version: 0 is outside 1 to 1e+06", "choose"),
        (("version: 1", "version:"), ":2:9: version: the value is missing", "write a value"),
        (("version: 1", "version: [1]"), ":2:10: version: one value is expected here", ""),
        (
            ("item: 2MiB", "item: lots"),
            ":7:20: artifacts[2].limits.item: 'lots' is not a number",
            "write a size",
        ),
        (
            ("item: 2MiB", "itme: 2MiB"),
            ":7:14: artifacts[2].limits.itme: unknown key",
            "did you mean `item`?",
        ),
        (
            ("- processes", "- linux_logs"),
            ":6:5: artifacts[2]: `linux_logs` is listed twice",
            "keep one",
        ),
        (
            ("- processes", "- Processes"),
            ":5:5: artifacts[1].name: 'Processes' is not of the expected form",
            "",
        ),
        (
            ("{en: Mine, ja: 自作}", "Mine"),
            ":3:14: description: keys and values are expected here",
            "",
        ),
        (
            ("en: Mine", 'en: "Mi\\u202ene"'),
            ":3:19: description.en: the text holds a character",
            "plain",
        ),
        (
            ("version: 1", "version: 1\nredaction: yes"),
            ":3:12: redaction: 'yes' is neither true nor false",
            "",
        ),
        (
            ("version: 1", "version: 1\nepoch: {seconds: 3s}"),
            ":3:18: epoch.seconds: 3 is outside 0.05 to 2",
            "",
        ),
        (
            ("version: 1", "version: 1\nlimits: {io_class: idel}"),
            ":3:20: limits.io_class: 'idel' is none of the known words",
            "did you mean `idle`?",
        ),
    ],
)
def test_each_error_says_file_line_key_and_what_to_do(
    tmp_path: Path, change: tuple[str, str], said: str, hint: str
) -> None:
    path = written(tmp_path, MINIMAL.replace(*change))
    with pytest.raises(UsageError) as caught:
        load_profile(path)
    assert str(caught.value).startswith(path + said)
    assert hint in caught.value.hint


def test_an_empty_list_of_artifacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a list of artifacts is expected"):
        load_profile(written(tmp_path, MINIMAL.partition("artifacts:")[0] + "artifacts: []\n"))


def test_an_unknown_artifact_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL.replace("- processes", "- proceses"))
    with pytest.raises(UsageError) as caught:
        load_profile(path, known={"processes", "linux_logs"})
    assert str(caught.value) == f"{path}:5:5: artifacts[1]: there is no artifact `proceses`"
    assert caught.value.hint == "did you mean `processes`?"
    load_profile(written(tmp_path, MINIMAL), known={"processes", "linux_logs"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [("standrad", "did you mean `standard`?"), ("zzz", "known here: full, minimal, pre-isolation")],
)
def test_an_unknown_profile_is_refused_with_the_known_ones(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="there is no profile") as caught:
        load_profile(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["/none/mine.yaml", "mine\0.yaml", "/"])
def test_an_unreadable_profile_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_profile(name)


def test_a_case_file_says_what_is_still_missing(tmp_path: Path) -> None:
    path = written(tmp_path, "case: C-1\noperator: 山田 太郎\nauthority: unknown\ndrill: true\n")
    case = load_case_file(path)
    assert case.missing() == ("organisation", "contact", "purpose", "owner")
    assert (case.operator, case.authority, case.drill) == ("山田 太郎", "unknown", True)


def test_a_blank_field_is_refused_because_unknown_must_be_typed(tmp_path: Path) -> None:
    for blank in ("owner:", "owner: ''", "owner: ' '"):
        with pytest.raises(UsageError, match="owner"):
            load_case_file(written(tmp_path, blank + "\n"))


def test_the_nearer_source_of_a_field_wins() -> None:
    call = CaseFile(case="C-2", drill=False)
    merged = call.over(CaseFile(case="C-1", operator="file", drill=True))
    assert (merged.case, merged.operator, merged.drill) == ("C-2", "file", True)


def test_fields_come_from_the_environment() -> None:
    case = case_from_environment(
        {
            "HOZEN_CASE": "C-9",
            "HOZEN_CASE_NAME": "Exercise",
            "HOZEN_OWNER": "unknown",
            "HOZEN_DRILL": "true",
            "PATH": "/",
        }
    )
    assert (case.case, case.name, case.owner, case.drill) == ("C-9", "Exercise", "unknown", True)
    with pytest.raises(UsageError, match="HOZEN_OWNER"):
        case_from_environment({"HOZEN_OWNER": "a\x1bb"})


@pytest.mark.parametrize("odd", ["A\nPayload-Oxum: 1.1", "A\udcff", "x" * 5001, "\x1b[2J"])
def test_options_keep_the_same_rules_as_the_file(odd: str) -> None:
    assert case_from_options({"operator": "Sato", "owner": ""}) == CaseFile(operator="Sato")
    with pytest.raises(UsageError, match="--operator"):
        case_from_options({"operator": odd})


def test_every_required_field_is_a_field() -> None:
    assert set(REQUIRED) < {field.name for field in dataclasses.fields(CaseFile)}


def test_settings_load(tmp_path: Path) -> None:
    agent = load_agent_settings(
        written(
            tmp_path,
            "collector: https://c.example:8443\nrecipients: age1x\nroots: [a.pem, b.pem]\nlang: ja\n",
        )
    )
    assert agent.recipients == ("age1x",)
    assert agent.roots == ("a.pem", "b.pem")
    collector = load_collector_settings(written(tmp_path, "max_upload: 1TiB\nupload_ttl: 2d\n"))
    assert (collector.max_upload, collector.upload_ttl) == (1 << 40, 172_800)
    with pytest.raises(UsageError, match="collector: 'http://c' is not of the expected form"):
        load_agent_settings(written(tmp_path, "collector: http://c\n"))


def test_a_list_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 20 entries"):
        load_agent_settings(written(tmp_path, "roots: [" + "a," * 21 + "]\n"))


@pytest.mark.parametrize("model", [Profile, CaseFile, AgentSettings, CollectorSettings])
def test_every_key_is_described(model: type) -> None:
    def walk(one: type) -> None:
        for field in dataclasses.fields(one):
            kind = field.metadata["kind"]
            assert field.metadata["doc"]
            assert kind.name
            if kind.model is not None:
                walk(kind.model)

    walk(model)


_VALUES = st.recursive(
    st.sampled_from(
        ["standard", "1", "2s", "4GiB", "true", "~", "''", "processes", '"\\x00"', "5%", "- a"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(
            st.sampled_from(["name", "limits", "item", "en", "ja", "zz"]), inner, max_size=3
        ).map(lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs.items()) + "}"),
    ),
    max_leaves=6,
)
_KEYS = [field.name for model in (Profile, AgentSettings) for field in dataclasses.fields(model)]


@given(st.dictionaries(st.sampled_from([*_KEYS, "nmae"]), _VALUES, max_size=6), st.booleans())
def test_a_random_profile_is_bound_or_refused_in_words(pairs: dict[str, str], agent: bool) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in pairs.items())
    from hozen_config.loader import load_mapping

    try:
        bind.bind(AgentSettings if agent else Profile, load_mapping(text.encode(), file="x"))
    except HozenError as error:
        assert str(error).startswith("x:")
