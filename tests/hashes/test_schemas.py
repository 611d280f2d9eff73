"""The JSON Schemas describe what is written, and refuse what the typed readers refuse."""

from __future__ import annotations

import copy
import json
import zipfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from hozen_hashes import cli
from hozen_hashes.errors import BadDataError
from hozen_hashes.front import main
from hozen_hashes.journalrecords import parse_record, parse_row
from hozen_hashes.terminal import Lang

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "vectors" / "data"
NAMES = ["bundle", "files-line", "journal-record", "receipt", "verification"]


def validator(name: str) -> Any:
    text = resources.files("hozen_hashes").joinpath("schemas", f"{name}.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def lines(part: str) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(DATA / "good.zip") as archive:
        for name in archive.namelist():
            if part in name and name.endswith((".jsonl", "bundle.json")):
                yield from map(json.loads, archive.read(name).splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_of_the_draft_that_it_names(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(validator(name).schema)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("files-line", "/hozen/files/"),
        ("journal-record", "/hozen/journal/"),
        ("bundle", "/hozen/bundle.json"),
    ],
)
def test_the_vectors_are_what_the_schemas_describe(name: str, part: str) -> None:
    found = list(lines(part))
    assert found
    for one in found:
        validator(name).validate(one)


def test_the_output_of_verify_is_what_its_schema_describes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "nothing").write_bytes(bytes(99))
    names = [
        "good",
        "evidence-flipped",
        "truncated",
        "good-one-capture",
        "version-2",
        "evidence-renamed",
    ]
    files = [str(DATA / f"{name}.zip") for name in names]
    try:
        main(
            [
                "verify",
                "--json",
                *files,
                str(tmp_path / "nothing"),
                "--root",
                str(DATA / "root.pem"),
            ]
        )
    finally:
        cli.settings.lang, cli.settings.verbosity = Lang.EN, 0
    validator("verification").validate(json.loads(capsys.readouterr().out))


WRONG: list[Any] = [None, True, -1, 1.5, "", "x", [], {}, [[]], {"a": {}}]
READ = {
    "item", "outcome", "path", "size", "sha256", "record", "epoch", "bundle", "previous", "key", "opened", "reason",
    "items", "closed", "bytes", "plan_sha256", "identity", "type",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "part", "parse"),
    [
        ("files-line", "/hozen/files/", parse_row),
        ("journal-record", "/hozen/journal/", parse_record),
    ],
)
def test_the_readers_accept_no_wrong_type_that_the_schema_refuses_in_what_they_use(
    name: str, part: str, parse: Any
) -> None:
    schema = validator(name)
    for good in lines(part):
        used = READ & set(good) - {"type"}
        for key in used:
            for value in WRONG:
                bad = copy.deepcopy(good)
                bad[key] = value
                if schema.is_valid(bad) or isinstance(value, str):
                    continue
                with pytest.raises(BadDataError):
                    parse(json.dumps(bad).encode() + b"\n", what="line")
