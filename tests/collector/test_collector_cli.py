"""`hozen collector` as a custodian calls it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hozen_collector.commands.collector import collector
from hozen_collector.commands.work import _check_host
from hozen_collector.identity.tokens import parse_token
from hozen_collector.index.engine import Index
from hozen_collector.layout import Layout
from hozen_collector.overview import overview
from hozen_hashes.errors import UsageError
from hozen_hashes.note import parse_vkey

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str) -> Any:
    return CliRunner().invoke(collector, list(words), catch_exceptions=True)


def test_init_prints_the_card_and_keeps_a_copy(tmp_path: Path) -> None:
    root = tmp_path / "new" / "c"
    done = run("init", str(root), "--name", "law", "--host", "collector.example", "--host", "::1")
    assert done.exit_code == 0
    card = (root / "card.txt").read_text()
    assert card in done.stdout
    key = parse_vkey((root / "keys" / "log.vkey").read_bytes())
    assert key.name == "collector.example/law"
    assert key.sha256 in card.replace(" ", "").replace("\n", "")
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", root / "keys" / "ca.pem"],
        capture_output=True,
        check=True,
    ).stdout
    fingerprint = shown.decode().strip().partition("=")[2].replace(":", "").lower()
    assert fingerprint in card.replace(" ", "").replace("\n", "")
    assert "PRIVATE" not in done.stdout + card


def test_init_refuses_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    done = run("init", str(tmp_path))
    assert isinstance(done.exception, UsageError)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a+b", "x" * 41])
def test_init_refuses_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    assert isinstance(run("init", str(tmp_path / "c"), "--name", name).exception, UsageError)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("host", ["", "a b", "../x", "A.example", "x+y"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        _check_host(host)


def test_a_token_goes_to_a_closed_file_and_nowhere_else(
    empty_collector: Path, tmp_path: Path
) -> None:
    out = tmp_path / "token"
    done = run("token", "new", str(empty_collector), "--out", str(out), "--count", "3")
    assert done.exit_code == 0
    assert "hozen-token" not in done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert parse_token(out.read_text()).id
    again = run("token", "new", str(empty_collector), "--out", str(out))
    assert isinstance(again.exception, UsageError)
    printed = run("token", "new", str(empty_collector), "--out", "-", "--expires", "7d")
    assert parse_token(printed.stdout).id
    wrong = run("token", "new", str(empty_collector), "--out", "-", "--expires", "soon")
    assert isinstance(wrong.exception, UsageError)


def test_status_tells_people_and_programs_what_is_there(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer, case="C-77 \x9b31m")
    bundle.case = "C-77"
    client.push(bundle)
    found = json.loads(run("status", str(running.root), "--json").stdout)
    assert found["format"] == "hozen-collector-status/1"
    assert bundle.seal in [held["seal"] for held in found["accepted"]]
    text = run("status", str(running.root)).stdout
    assert bundle.bundle_id in text
    assert "Bundles received: 1" in text
    index = Index(running.root / "collector.sqlite")
    japanese = "\n".join(overview(Layout(running.root), index).lines("ja"))
    index.close()
    assert "受領したバンドル: 1" in japanese
    assert "一致" in japanese


def test_a_directory_that_is_no_collector_is_said_to_be_none(tmp_path: Path) -> None:
    for words in (("status", str(tmp_path)), ("token", "new", str(tmp_path), "--out", "-")):
        done = run(*words)
        assert isinstance(done.exception, UsageError)
        assert "init" in done.exception.hint


def test_a_setting_that_is_unknown_ends_the_start_with_its_line(
    empty_collector: Path, tmp_path: Path
) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("max_upload: 1GiB\nmax_uplod: 2\n")
    done = run("serve", str(empty_collector), "--config", str(config))
    assert isinstance(done.exception, UsageError)
    assert "collector.yaml:2" in str(done.exception)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hozen_collector.commands.collector import collector;"
        "print([m for m in ('sqlalchemy', 'uvicorn', 'cryptography') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.strip() == b"[]"
