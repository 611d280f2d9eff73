"""The pages tell the truth: generated ones are fresh, links lead somewhere, and no text promises a legal effect."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
)
PACKAGES = (
    "agent/hozen_agent",
    "collector/hozen_collector",
    "config/hozen_config",
    "hashes/hozen_hashes",
)
TEXTS = PAGES + sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*")
    if path.suffix in {".py", ".txt", ".html", ".yaml", ".jinja", ".j2", ".js", ".json"}
)
# Law M19. 完全性 (integrity) and 不完全 are words of the trade; 完全 as praise is not.
PROMISES = re.compile(
    r"legally (?:admissible|valid|binding)|admissible in court|court[- ](?:proof|ready|admissible)|tamper[- ]?proof"
    r"|unforgeable|irrefutable|conclusive(?:ly)? proo?f|forensically sound|cannot be (?:tampered|forged)"
    r"|impossible to (?:alter|forge|tamper)|guarantee\w* (?:authenticity|admissibility|integrity)"
    r"|(?<!width:)(?<!width: )100 ?[%\uff05]"
    r"|証拠能力(?:を|が)|法的(?:に有効|効力を)|改(?:ざん|竄)(?:は)?(?:不可能|できない|されない|を防止)|(?<!不)完全(?!性)|絶対"
    r"|裁判で(?:必ず|使え|通用)|確実に証明",
    re.IGNORECASE,
)
JA = (
    "本ソフトウェアは電磁的記録の取得、記録及び同一性の検証を補助するものであり、法的助言を行うものではありません。"
    "証拠としての取扱い、報告義務の有無及び期限は、弁護士その他の専門家に確認してください。"
)
EN = (
    "This software helps to acquire and record electronic records and to verify that they are unchanged since "
    "acquisition. It gives no legal advice. Ask a lawyer about evidential use, duties to report and deadlines."
)
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_text_promises_a_legal_effect() -> None:
    found = [
        f"{name(path)}:{number}: {hit[0]}"
        for path in TEXTS
        for number, line in enumerate(read(path).splitlines(), 1)
        if (hit := PROMISES.search(line))
    ]
    assert found == []


@pytest.mark.parametrize(
    "words",
    [
        "legally admissible",
        "tamper-proof",
        "改ざん不可能",
        "完全な証拠",
        "100%",
        "100％ certain",
        "max width 100 % safe",
        "証拠能力を保証",
        "改ざんできない",
    ],
)
def test_the_list_of_promises_sees_them(words: str) -> None:
    assert PROMISES.search(f"… {words} …")


@pytest.mark.parametrize(
    "words",
    [
        "完全性",
        "不完全",
        "改ざん検知",
        "tamper detection",
        "admissibility",
        "width: 100%",
        "width:100%",
    ],
)
def test_the_list_of_promises_spares_the_words_of_the_trade(words: str) -> None:
    assert not PROMISES.search(f"… {words} …")


def test_every_link_leads_to_a_file() -> None:
    broken = [
        f"{name(page)}: {target}"
        for page in PAGES
        for target in _LINK.findall(
            re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", read(page), flags=re.DOTALL)
        )
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_both_readmes_carry_the_disclaimer_and_the_two_commands() -> None:
    assert JA in read(ROOT / "README.ja.md")
    assert EN in " ".join(read(ROOT / "README.md").split())
    for page in ("README.md", "README.ja.md"):
        text = read(ROOT / page)
        assert "make demo" in text
        assert "make test" in text


def test_each_guide_has_a_japanese_page() -> None:
    guides = {
        path.name
        for folder in ("tutorial", "how-to")
        for path in (ROOT / "docs" / folder).glob("*.md")
    }
    assert guides <= {path.name for path in (ROOT / "docs" / "ja").glob("*.md")}


def test_the_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_page_or_source_names_a_path_of_somebody_s_machine() -> None:
    skip = {"test_docs.py"}
    sources = [
        *TEXTS, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").iterdir(), ROOT / "Makefile", ROOT / ".ci" / "run",
    ]  # fmt: skip
    assert [
        name(p)
        for p in sources
        if p.name not in skip
        and p.is_file()
        and re.search(r"/work/(?:main|shared)|/tmp/brief|\.pyenv", read(p))
    ] == []


def test_each_option_in_the_pages_exists() -> None:
    """Every `hozen …` line of a guide uses a command and options that the reference page lists."""
    reference = read(ROOT / "docs" / "reference" / "cli.md")
    known = set(re.findall(r"--[a-z][a-z-]+", reference))
    commands = set(re.findall(r"^## `hozen ([a-z ]+)`", reference, re.MULTILINE))
    wrong = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL):
            for line in re.sub(r"\\\n", " ", block).splitlines():
                call = re.match(r"(?:sudo )?\S*\bhozen ([a-z]+)( [a-z]+\b)?(.*)", line)
                if call is None:
                    continue
                first, second, rest = call[1], call[2] or "", call[3].split("#")[0]
                if first not in commands or (
                    second
                    and any(c.startswith(first + " ") for c in commands)
                    and first + second not in commands
                ):
                    wrong.append(f"{name(page)}: hozen {first}{second}")
                wrong += [
                    f"{name(page)}: {word}"
                    for word in re.findall(r"--[a-z][a-z-]+", rest)
                    if word not in known
                ]
    assert wrong == []
