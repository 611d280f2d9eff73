"""The card of the root digest: printable, readable by a phone, and harmless whatever the bundle says."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hozen_hashes import card
from hozen_hashes.errors import UsageError
from hozen_hashes.front import main
from hozen_hashes.opened import open_bundle
from hozen_hashes.verify import Anchors, VerificationReport, verify

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[1] / "vectors" / "data"


@pytest.fixture(scope="module")
def report() -> VerificationReport:
    with open_bundle(str(DATA / "good.zip")) as opened:
        return verify(opened, anchors=Anchors(), at=datetime(2026, 12, 1, tzinfo=UTC))


def test_the_seal_on_the_card_is_taken_by_verify(tmp_path: Path) -> None:
    out = tmp_path / "card.html"
    assert main(["card", str(DATA / "good.zip"), "--out", str(out)]) == 0
    shown = re.search(r'<p class="seal">(.*?)</p>', out.read_text())
    assert shown is not None
    seal = shown[1].replace("<br>", " ")
    assert (
        main(["verify", str(DATA / "good.zip"), "--seal", seal, "--at", "2026-12-01T00:00:00Z"])
        == 0
    )


def test_a_changed_bundle_gets_no_card(tmp_path: Path) -> None:
    assert (
        main(["card", str(DATA / "evidence-flipped.zip"), "--out", str(tmp_path / "c.html")]) == 1
    )
    assert not (tmp_path / "c.html").exists()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "{{seal}}", "\u202egnp", "x" * 10_000, "\ud800"]
)
def test_foreign_text_stays_inert(report: VerificationReport, text: str) -> None:
    about: Mapping[str, object] = {
        "case": {"id": text, "operator": text},
        "host": {"hostname": text},
    }
    page = card.card(report, about).decode()
    assert "<script" not in page
    assert "\u202e" not in page
    assert len(page) < 20_000
    assert page.count(card._groups(str(report.seal))) == 1


def test_a_drill_says_so(report: VerificationReport) -> None:
    assert "訓練 / DRILL" in card.card(report, {"case": {"drill": True}}).decode()
    assert "訓練 / DRILL" not in card.card(report, {}).decode()


def test_without_a_seal_there_is_no_card(report: VerificationReport) -> None:
    with pytest.raises(UsageError):
        card.card(replace(report, seal=None), {})


@pytest.mark.needs("chromium", "zbarimg")
def test_a_phone_reads_the_seal_from_the_printed_card(
    tmp_path: Path, report: VerificationReport
) -> None:
    (tmp_path / "card.html").write_bytes(card.card(report, {}))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=900,1200",
               f"--screenshot={tmp_path / 'card.png'}", f"file://{tmp_path / 'card.html'}"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    done = subprocess.run(
        ["zbarimg", "-q", "--raw", str(tmp_path / "card.png")], capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["hozen-seal/1", str(report.bundle_id), str(report.seal)]
