"""The verifier page and `hozen verify` share vectors, not code: they must say the same of every one of them."""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import AT, Verifier, chromium

from hozen_hashes.front import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "hashes" / "hozen_hashes" / "verifier_page"
HTML = FOLDER / "verifier.html"
DATA = ROOT / "tests" / "vectors" / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
FACTS = (
    "bundle_id", "form", "word", "exit_code", "integrity", "origin", "origin_by", "time", "existed_at",
    "certificates_judged_as_of", "seal", "signer", "journal", "counts", "steps_not_run",
)  # fmt: skip


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        page = Verifier(browser, HTML)
        yield page
        assert page.complaints == []


def by_command(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    main(["verify", *map(str, words), "--at", AT, "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["bundles"]
    return found


def steps(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            step["number"],
            step["result"],
            [note["key"] for note in step["notes"]],
            [(one["kind"], one["path"]) for one in step["differences"]],
            step.get("difference_count", step.get("count")),
        )
        for step in report["steps"]
    ]


def same(page: dict[str, Any], command: dict[str, Any]) -> None:
    assert {key: page[key] for key in FACTS} == {key: command[key] for key in FACTS}
    assert steps(page) == steps(command)


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("root", ["root.pem", "foreign-root.pem", None])
def test_page_and_command_agree_on_every_vector(
    verifier: Verifier, capsys: pytest.CaptureFixture[str], root: str | None
) -> None:
    every = [DATA / f"{name}.zip" for name in EXPECTED["vectors"]]
    # With the right root all; the other two change what steps 10 and 15 say, not what the bytes are.
    files = (
        every
        if root == "root.pem"
        else [one for one in every if one.name.startswith(("good", "re"))]
    )
    roots = [] if root is None else [DATA / root]
    option = [word for path in roots for word in ("--root", path)]
    wanted = by_command(capsys, *files, *option)
    for file, command in zip(files, wanted, strict=True):
        same(verifier.check([file], roots=roots), command)
    if root == "root.pem":
        words = [EXPECTED["vectors"][file.stem]["word"] for file in files]
        assert [one["word"] for one in wanted] == words


@pytest.mark.needs("chromium")
def test_page_and_command_agree_on_a_seal_that_was_kept(
    verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seal in (
        ("good", EXPECTED["seal"]),
        ("good", "0" * 64),
        ("remade", EXPECTED["seal"]),
    ):
        file = DATA / f"{name}.zip"
        [command] = by_command(capsys, file, "--seal", seal)
        same(verifier.check([file], seal=seal.upper()), command)


@pytest.mark.needs("chromium")
def test_page_and_command_agree_on_volumes(
    verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = sorted((DATA / "volumes").iterdir())
    [command] = by_command(capsys, parts[0], "--root", DATA / "root.pem")
    same(verifier.check(parts[::-1], roots=[DATA / "root.pem"]), command)
    assert verifier.check(parts[1:])["refusal"]["key"] == "volume-missing"


@pytest.mark.needs("chromium")
def test_what_is_no_bundle_gets_a_reason_and_no_word(verifier: Verifier, tmp_path: Path) -> None:
    for content in (b"", b"PK\x05\x06" + bytes(18), b"x" * 300):
        file = tmp_path / "other.zip"
        file.write_bytes(content)
        found = verifier.check([file])
        assert found["refusal"]["key"] == "not-a-bundle"
        assert "word" not in found


def stored(data: bytes, *, last: bool = False) -> bytes:
    return struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data


def container(payload: bytes, size: int, crc: int) -> bytes:
    """Return a container of one deflated payload file, its stream as given."""
    name = f"{EXPECTED['bundle_id']}/data/linux_logs/000001.log".encode()
    common = (0, 8, 0x00210000, crc, len(payload), size, len(name))
    local = struct.pack("<IHHHIIIIHH", 0x04034B50, 20, *common, 0) + name + payload
    central = (
        struct.pack(
            "<IHHHHIIIIHHHHHII", 0x02014B50, 0x314, 20, *common, 0, 0, 0, 0, 0o100444 << 16, 0
        )
        + name
    )
    return (
        local
        + central
        + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), len(local), 0)
    )


@pytest.mark.needs("chromium")
def test_stored_blocks_before_and_after_others_give_the_same_bytes(
    verifier: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = random.Random(7).randbytes(150_000)
    squeeze = zlib.compressobj(
        9, zlib.DEFLATED, -15, zdict=noise[-32768:]
    )  # refers back into the stored blocks
    tail = squeeze.compress(noise[-30_000:] * 3) + squeeze.flush()
    head = b"".join(stored(noise[at : at + 0xFFFF]) for at in range(0, len(noise), 0xFFFF))
    whole, ended = noise + noise[-30_000:] * 3, head + stored(b"", last=True)
    streams = {
        "mixed": (head + tail, whole), "stored": (ended, noise), "empty": (stored(b"", last=True), b""),
        "reserved": (head + b"\x07", noise), "torn": (head, noise), "more": (ended + b"x", noise),
        "length": (head + b"\x00\x01\x00\x01\x00a", noise), "long": (head + stored(b"abc")[:-1], noise),
    }  # fmt: skip
    for name, (stream, content) in streams.items():
        file = tmp_path / f"{name}.zip"
        file.write_bytes(container(stream, len(content), zlib.crc32(content)))
        [command] = by_command(capsys, file)
        page = verifier.check([file])
        same(page, command)
        fine = name in {"mixed", "stored", "empty"}
        assert (page["steps"][0]["result"] == "match") is fine, name


def test_the_command_writes_the_page_out_once(tmp_path: Path) -> None:
    target = tmp_path / "verifier.html"
    assert main(["verify", "--page", str(target)]) == 0
    assert target.read_bytes() == HTML.read_bytes()
    assert main(["verify", "--page", str(target)]) == 64


def test_the_committed_page_is_what_its_sources_make() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools" / "verifier_page.py", "--check"], check=False
    )
    assert made.returncode == 0, "run `make verifier` and commit verifier.html"


def test_the_page_loads_nothing_and_its_policy_forbids_to_send() -> None:
    page = HTML.read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", rules["script-src"])
    assert not re.search(
        r"<(?:link|img|iframe|object|embed|base)\b|\b(?:src|href)=|@import|url\(", page
    )
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", page
    )
    assert not re.search(
        r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts", page
    )


def test_every_reason_and_word_is_there_in_both_languages() -> None:
    own = json.loads((FOLDER / "words.json").read_text("utf-8"))
    shared = json.loads((ROOT / "hashes/hozen_hashes/messages/verify.json").read_text("utf-8"))
    source = "".join(path.read_text("utf-8") for path in sorted((FOLDER / "src").glob("*.js")))
    words = {group: shared.get(group, {}) | own.get(group, {}) for group in {*shared, *own}}
    for group in own.values():
        for key, texts in group.items():
            assert set(texts) == {"ja", "en"}, key
            blanks = [sorted(set(re.findall(r"\{[a-z_]+\}", text))) for text in texts.values()]
            assert blanks[0] == blanks[1], key
    makers = r"(?:formatError|limitError|signatureError|mismatchError|unverifiable)\('([a-z0-9-]+)'"
    used = {
        "reason": set(re.findall(makers, source))
        | set(re.findall(r"'((?:chain|segment|event|record|renamed)-[a-z-]+)'", source)),
        "note": set(re.findall(r"note\('([a-z-]+)'", source)),
        "page": set(re.findall(r"words\.page\('([a-z-]+)'", source)),
        "text": set(re.findall(r"words\.text\('([a-z-]+)'", source)),
    }
    used["reason"].discard("chain-root")  # a note of step 10
    for group, keys in used.items():
        assert keys <= set(words[group]), (group, keys - set(words[group]))
