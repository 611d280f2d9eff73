"""`hozen key drill` as a custodian and the holders of the keys use it: real keys, openssl and age."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import vendor
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes.drill import named, rounds
from hozen_hashes.errors import BadDataError, FormatError, LimitError, UsageError
from hozen_hashes.identity import KeyIdentity, write_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.needs("openssl"),
    pytest.mark.needs("age"),
    pytest.mark.needs("age-keygen"),
]
_MAIN = "import sys; from hozen_hashes.front import main; sys.exit(main())"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `hozen key drill …` in the test's directory, without a terminal."""

    def call(*words: str, rc: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, "key", "drill", *words], cwd=tmp_path, text=True, capture_output=True,
            check=False, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == rc, done.stdout + done.stderr
        assert "AGE-SECRET-KEY-1" not in done.stdout + done.stderr
        return done

    return call


@pytest.fixture
def age(tmp_path: Path) -> str:
    """Make the identity `age.txt`; return its recipient."""
    made = subprocess.run(
        ["age-keygen", "-o", "age.txt"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return made.stderr.split()[-1]


def state_of(run: Run, *words: str, rc: int) -> dict[str, Any]:
    found = json.loads(run("status", "drill", "--json", *words, rc=rc).stdout)
    assert found["exit_code"] == rc
    return {one["name"]: one for one in found["recipients"]} | {"problems": found["problems"]}


def states(run: Run, *words: str, rc: int) -> list[str]:
    found = state_of(run, *words, rc=rc)
    del found["problems"]
    return [one["state"] for one in found.values()]


def the_round(folder: Path) -> Path:
    return max((folder / "drill").iterdir())


def test_each_recipient_opens_with_the_own_key_and_the_status_follows(
    tmp_path: Path, run: Run, age: str
) -> None:
    for kind in ("rsa", "ec"):
        vendor(tmp_path, kind, name=kind)
    run(
        "new",
        "--recipient",
        age,
        "--recipient",
        "rsa.pem",
        "--recipient",
        "ec.pem",
        "--out",
        "drill",
    )
    assert states(run, rc=2) == ["never"] * 3
    run("open", "drill", "--identity", "ec.key")
    assert states(run, rc=2) == ["never", "never", "opened"]
    run("open", "drill", "--identity", "rsa.key", "--identity", "age.txt")
    assert states(run, rc=0) == ["opened"] * 3
    assert states(run, "--at", "2099-01-01T00:00:00Z", rc=2) == ["overdue"] * 3
    shown = run("status", "drill").stdout
    assert shown.count("opened  20") == 3
    assert "CN=rsa" in shown
    again = run("open", "drill", "--identity", "age.txt", rc=64)
    assert "already" in again.stderr


def test_a_lost_key_is_told_and_a_strange_key_opens_nothing(
    tmp_path: Path, run: Run, age: str
) -> None:
    for name in ("ours", "other"):
        vendor(tmp_path, "ec", name=name)
    run("new", "--recipient", "ours.pem", "--out", "drill")
    refused = run("open", "drill", "--identity", "other.key", "--identity", "age.txt", rc=2)
    assert "none of the given keys" in refused.stderr
    assert states(run, rc=2) == ["never"]
    assert age


def test_what_openssl_and_age_open_is_taken_as_the_answer(
    tmp_path: Path, run: Run, age: str
) -> None:
    vendor(tmp_path, "rsa", name="rsa")
    run("new", "--recipient", age, "--recipient", "rsa.pem", "--out", "drill")
    script = f"""
        age -d -i age.txt {the_round(tmp_path)}/001.age >one
        openssl cms -decrypt -inform DER -inkey rsa.key -in {the_round(tmp_path)}/002.p7m >once
        age -d -i once {the_round(tmp_path)}/002.age >two"""
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    run("open", "drill", "--answer", "one")
    run("open", "drill", "--answer", "two")
    assert states(run, rc=0) == ["opened", "opened"]
    run("open", "drill", "--answer", "two", rc=64)
    (tmp_path / "no").write_bytes((tmp_path / "two").read_bytes().replace(b"answer ", b"answer 0"))
    run("open", "drill", "--answer", "no", rc=2)
    answer = (tmp_path / "one").read_text(encoding="ascii").split("answer ")[1][:64]
    digest = json.loads((the_round(tmp_path) / "round.json").read_bytes())["recipients"][0]
    assert rounds.answer_digest(answer) == digest["answer_sha256"]
    assert answer.encode() not in (the_round(tmp_path) / "round.json").read_bytes()


def test_a_signed_result_counts_under_its_root_and_an_unsigned_one_does_not(
    tmp_path: Path, run: Run, age: str, issue: Any
) -> None:
    ages: dict[str, Any] = {
        "begin": datetime(2020, 1, 1, tzinfo=UTC),
        "end": datetime(2999, 1, 1, tzinfo=UTC),
    }
    root = issue("Root", ca=True, **ages)
    me = root.issue("Sato", **ages)
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "me.pem").write_bytes(
        write_identity(KeyIdentity(me.key, me.certificate, me.chain), None)
    )
    (tmp_path / "other.pem").write_bytes(issue("Other", ca=True, **ages).pem)
    run("new", "--recipient", age, "--out", "drill")
    run("open", "drill", "--identity", "age.txt", "--signer", "me.pem")
    (standing,) = (
        one for name, one in state_of(run, "--root", "root.pem", rc=0).items() if name != "problems"
    )
    assert standing["signer"] == "CN=Sato"
    assert state_of(run, "--root", "other.pem", rc=1)["problems"]
    (the_round(tmp_path) / "001.opened.p7s").unlink()
    assert states(run, rc=0) == ["opened"]
    (problem,) = state_of(run, "--root", "root.pem", rc=1)["problems"]
    assert problem["reason"] == "it is not signed"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("001.opened.txt", lambda data: data.replace(b"answer ", b"answer f")[:-1]),
        ("001.opened.txt", lambda data: data.replace(data[data.index(b"answer ") + 7 :][:64], b"0" * 64)),
        ("001.opened.txt", lambda data: data.replace(b"time 20", b"time 19")),
        ("001.opened.txt", lambda data: data.replace(b"time 20", b"time 21")),
        ("001.opened.txt", lambda data: data + b"\n"),
        ("001.opened.txt", lambda data: data * 100),
        ("round.json", lambda data: data.replace(b'"subject":null', b'"subject":"CN=x"')),
    ],
    ids=["longer", "answer", "past", "future", "tail", "large", "round"],
)  # fmt: skip
def test_a_changed_result_is_a_mismatch(
    tmp_path: Path, run: Run, age: str, file: str, change: Callable[[bytes], bytes]
) -> None:
    run("new", "--recipient", age, "--out", "drill")
    run("open", "drill", "--identity", "age.txt")
    path = the_round(tmp_path) / file
    path.write_bytes(change(path.read_bytes()))
    found = state_of(run, rc=1)
    assert found[age]["state"] == "never"
    assert found["problems"]


def test_a_changed_test_object_is_a_mismatch(tmp_path: Path, run: Run, age: str) -> None:
    run("new", "--recipient", age, "--out", "drill")
    path = the_round(tmp_path) / "001.age"
    path.write_bytes(path.read_bytes() + b"x")
    run("open", "drill", "--identity", "age.txt", rc=1)
    path.unlink()
    os.mkfifo(path)
    run("open", "drill", "--identity", "age.txt", rc=2)


def test_a_case_file_and_a_profile_say_who_is_expected(tmp_path: Path, run: Run, age: str) -> None:
    vendor(tmp_path, "ec", name="ec")
    shown = subprocess.run(
        ["openssl", "x509", "-in", "ec.pem", "-noout", "-fingerprint", "-sha256"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    fingerprint = shown.stdout.strip().partition("=")[2]
    (tmp_path / "case.yaml").write_text(f"case: C-1\nrecipients:\n  - {age}\n", encoding="ascii")
    (tmp_path / "profile.yaml").write_text(
        f"name: x\nartifacts: [a, b]\nrecovery_recipients: ['{fingerprint}']\n", encoding="ascii"
    )
    both = ("--case", "case.yaml", "--profile", "profile.yaml")
    missing = run("new", *both, "--out", "drill", rc=64)
    assert fingerprint.replace(":", "").lower() in missing.stderr
    run("new", "--case", "case.yaml", "--out", "drill")
    run("open", "drill", "--identity", "age.txt")
    assert states(run, rc=0) == ["opened"]
    assert states(run, *both, rc=2) == ["opened", "never"]
    run("new", *both, "--recipient", "ec.pem", "--out", "two")
    assert len(rounds.read_rounds(tmp_path / "two")[0].entries) == 2


def test_an_older_round_counts_until_it_is_too_old(tmp_path: Path, run: Run, age: str) -> None:
    run("new", "--recipient", age, "--out", "drill")
    run("open", "drill", "--identity", "age.txt")
    first = the_round(tmp_path)
    second = tmp_path / "drill" / "20990101T000000Z"
    second.mkdir()
    for file in ("round.json", "001.age"):
        (second / file).write_bytes((first / file).read_bytes())
    assert states(run, rc=0) == ["opened"]
    run("open", "drill", "--round", first.name, "--identity", "age.txt", rc=64)
    run("open", "drill", "--round", "20000101T000000Z", "--identity", "age.txt", rc=64)


def test_what_is_no_drill_folder_or_no_recipient_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    run("status", "empty", rc=64)
    run("status", "absent", rc=64)
    run("status", "empty", "--max-age", "180", rc=64)
    run("new", "--out", "drill", rc=64)
    run("new", "--recipient", "age1nothing", "--out", "drill", rc=64)
    run("open", "empty", rc=64)
    assert not (tmp_path / "drill").exists()


@given(st.binary(max_size=300))
def test_any_bytes_of_a_result_end_in_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(FormatError):
        rounds.parse_opened(data)


@given(st.text(max_size=200))
def test_any_text_as_a_list_of_recipients_ends_in_an_error_of_ours_or_words(text: str) -> None:
    try:
        found = named.names_in(text.encode("utf-8", "surrogatepass"), file="case.yaml")
    except (FormatError, LimitError):
        return
    assert all(isinstance(one, str) for one in found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("recipients: [a, b]\nother: [c]\n", ["a", "b"]),
        ("other:\n  recipients: [c]\nrecovery_recipients:\n- d\n", ["d"]),
        ("", []),
    ],
)
def test_only_the_outermost_lists_are_read(text: str, found: list[str]) -> None:
    assert named.names_in(text.encode(), file="x") == found


@pytest.mark.parametrize(
    "text",
    ["- recipients: [a]\n", "recipients: a\n", "recipients: {a: b}\n", "recipients: [[a]]\n",
     "a: &x b\nc: *x\n", "a: [\n", "\xff"],
)  # fmt: skip
def test_a_list_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadDataError):
        named.names_in(text.encode("latin-1"), file="x")


def test_names_are_read_in_the_spellings_of_people() -> None:
    assert named.canonical("AB:" * 31 + "AB") == "sha256:" + "ab" * 32
    with pytest.raises(UsageError):
        named.canonical("ab" * 31)
