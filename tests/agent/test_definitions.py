from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent import definitions
from hozen_agent.filetree import walk
from hozen_hashes.errors import UsageError

GOOD = b"""# a user's own
name: MyLogs
doc: |
  Logs of
  my program.
sources:
- type: FILE
  attributes:
    paths: ['/opt/my/*.log', '%%users.homedir%%/.my/**', '/x/[ab]/y']
    separator: '/'
- type: COMMAND
  attributes: {cmd: /bin/rm, args: [x]}
- type: DIRECTORY
  attributes: {paths: [/opt/my]}
- type: ARTIFACT_GROUP
  attributes: {names: [LinuxAuthLogs]}
- type: FILE
  attributes: {paths: ['%%environ_systemroot%%\\x'], separator: '\\'}
  supported_os: [Windows]
supported_os: [Linux, Darwin]
urls: ['https://example.org']
---
name: OnlyWindows
doc: not for us
sources: [{type: REGISTRY_KEY, attributes: {keys: [x]}}]
supported_os: [Windows]
"""


def test_a_definition_is_read_with_everything_that_names_files() -> None:
    [mine] = definitions.parse_yaml(GOOD, what="my.yaml")
    assert mine.name == "MyLogs"
    assert mine.doc == "Logs of my program."
    assert mine.patterns == ("/opt/my/*.log", "%%users.homedir%%/.my/**3", "/x/?/y", "/opt/my")
    assert mine.groups == ("LinuxAuthLogs",)
    assert mine.left_out == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"name: A\ndoc: d\nsource: []\n", "my.yaml:3: unknown key 'source'"),
        (
            b"name: A\ndoc: d\nsources:\n- type: FILE\n  atributes: {}\n",
            "my.yaml:5: unknown key 'atributes'",
        ),
        (
            b"name: A\ndoc: d\nsources:\n- type: FILE\n  attributes:\n    path: [/x]\n",
            "my.yaml:6: unknown key 'path'",
        ),
        (b"name: A\ndoc: d\nsources:\n- type: FILES\n", "my.yaml:4: unknown type 'FILES'"),
        (b"name: A\ndoc: d\n", "my.yaml:1: no 'sources'"),
        (
            b"name: A\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: [x]}\n",
            "my.yaml:5: file pattern",
        ),
        (
            b"name: A\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: ['/%%x%%']}\n",
            "my.yaml:5: unknown variable",
        ),
        (
            b"name: A\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: [/a/../b]}\n",
            "my.yaml:5: file pattern",
        ),
        (b"name: 'a b'\ndoc: d\nsources: [{type: FILE}]\n", "my.yaml:1: 'a b' is not a name"),
        (b"name: A\nname: B\n", "my.yaml:2: key 'name' a second time"),
        (b"a: &x [1]\nb: *x\n", "my.yaml:2: an alias"),
        (b"a: [\n", "my.yaml:2"),
        (b"- a\n", "my.yaml:1: not a mapping"),
        (b"\xff\xfe\xff", "my.yaml"),
        (b"!!python/object/apply:os.system [x]", "my.yaml:1: not a mapping"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(text: bytes, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        definitions.parse_yaml(text, what="my.yaml")
    assert str(refused.value).startswith(complaint)
    assert refused.value.hint


def test_a_bomb_of_aliases_nesting_or_size_is_refused_quickly() -> None:
    for bomb in (
        b"a: &a [x,x]\nb: &b [*a,*a]\n",
        b"[" * 5000,
        b"{a: " * 5000,
        b"x" * (definitions.MAX_BYTES + 1),
        b"- " * 100_000,
        b"[a" + b",a" * 100_000 + b"]",
    ):
        with pytest.raises(UsageError):
            definitions.parse_yaml(bomb, what="bomb.yaml")


@given(st.binary(max_size=300))
def test_any_bytes_give_definitions_or_one_clear_error(data: bytes) -> None:
    try:
        definitions.parse_yaml(data, what="any.yaml")
    except UsageError as error:
        assert "any.yaml" in str(error)


def test_the_index_is_fresh() -> None:
    pytest.importorskip("artifacts")
    from hozen_agent import defindex

    assert Path(definitions.INDEX).read_bytes() == defindex.build()


def test_every_pattern_of_the_index_can_be_walked() -> None:
    assert len(definitions.known()) > 200
    for name in definitions.known():
        for pattern in definitions.expand(definitions.patterns_of(name), [b"/srv/u"]):
            assert walk.compile_pattern(pattern)
            assert b"%%" not in pattern


def test_our_definitions_take_in_those_of_the_project() -> None:
    found = definitions.own("HozenLinuxLogs")
    assert "/var/log/**32" in found
    assert set(definitions.patterns_of("LinuxAuthLogs")) <= set(found)


def test_groups_in_a_circle_are_refused() -> None:
    circle = definitions.Definition(name="A", doc="", patterns=(), groups=("A",), left_out=0)
    with pytest.raises(UsageError, match="belongs to itself"):
        definitions.patterns_of("A", among={"A": circle})
    with pytest.raises(UsageError, match="no artifact definition"):
        definitions.patterns_of("NoSuch")


def test_homes_come_from_passwd_and_hostile_ones_are_left_out() -> None:
    passwd = (
        b"root:x:0:0:r:/root:/bin/bash\nu:x:1:1:u:/home/u:/bin/sh\npg:x:2:2::/var/lib/pg/:/bin/sh\n"
        b"bad:x:3:3::/a/../b:/bin/sh\nstar:x:4:4::/x/*:/bin/sh\nnone:x:5:5::/nonexistent:/x\nweb:x:6:6::/var//www:/x\n"
        b"short:x\n\xff:x:7:7::/opt/\xff:/x\nempty:x:8:8:::/x\nslash:x:9:9::/:/x\ndeep:x:9:9::/home/a/b:/x\n"
    )
    assert definitions.homes_in(passwd) == (b"/var/lib/pg", b"/var/www", b"/opt/\xff", b"/home/a/b")


@given(st.binary(max_size=500))
def test_any_passwd_gives_homes_that_can_be_walked(passwd: bytes) -> None:
    for pattern in definitions.expand(["%%users.homedir%%/.x"], definitions.homes_in(passwd)):
        walk.compile_pattern(pattern)


def test_a_home_pattern_is_looked_for_in_every_home() -> None:
    found = definitions.expand(["%%users.homedir%%/.bash_history", "/etc/x"], [b"/srv/u"])
    assert found == [
        b"/root/.bash_history", b"/home/*/.bash_history", b"/var/home/*/.bash_history",
        b"/export/home/*/.bash_history", b"/usr/home/*/.bash_history", b"/srv/home/*/.bash_history",
        b"/var/lib/*/.bash_history", b"/var/www/.bash_history", b"/srv/u/.bash_history", b"/etc/x",
    ]  # fmt: skip
