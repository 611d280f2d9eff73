"""The card of the root digest: one printable page, so that the seal exists outside the bundle (law M07)."""

from __future__ import annotations

import html
import io
from importlib import resources
from typing import TYPE_CHECKING, Final

from hozen_hashes.errors import UsageError
from hozen_hashes.terminal import safe_text
from hozen_hashes.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_hashes.verify import VerificationReport

_GROUP: Final = 4
_PER_LINE: Final = 8
_LONGEST: Final = 200
_DRILL: Final = '<p class="drill">訓練 / DRILL</p>'


def card(report: VerificationReport, about: Mapping[str, object]) -> bytes:
    """Return the page: self-contained UTF-8 HTML without script or outside resource, Japanese and English.

    Args:
        report: of the bundle as it is now.
        about: its `bundle.json`; foreign text, shown inert.

    Raises:
        UsageError: there is no seal, or the QR library is not installed.
    """
    if report.seal is None:
        raise UsageError("the bundle has no root digest to put on a card")
    case, host = _part(about, "case"), _part(about, "host")
    values = {
        "bundle": _shown(report.bundle_id),
        "seal": _groups(report.seal),
        "case": _shown(case.get("id")),
        "host": _shown(host.get("hostname")),
        "operator": _shown(case.get("operator")),
        "certificate": _shown(None if report.signer is None else report.signer.certificate_sha256),
        "word": _shown(Words("ja").both(report.integrity)),
        "drill": _DRILL if case.get("drill") is True else "",
        "qr": _qr(f"hozen-seal/1 {report.bundle_id} {report.seal}"),
    }
    page = resources.files("hozen_hashes").joinpath("cardpage", "card.html").read_text("utf-8")
    for name, value in values.items():
        page = page.replace("{{" + name + "}}", value)
    return page.encode()


def _part(about: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = about.get(key)
    return found if isinstance(found, dict) else {}


def _shown(value: object) -> str:
    """Return foreign text for the page: no control or direction characters, no markup, no placeholder of ours."""
    text = safe_text(value[:_LONGEST]) if isinstance(value, str) else "-"
    return html.escape(text).replace("{", "&#123;")


def _groups(seal: str) -> str:
    words = [seal[at : at + _GROUP] for at in range(0, len(seal), _GROUP)]
    rows = [words[at : at + _PER_LINE] for at in range(0, len(words), _PER_LINE)]
    return "<br>".join(" ".join(row) for row in rows)


def _qr(text: str) -> str:
    try:
        import segno  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        raise UsageError(
            "the QR library is not installed", hint="install it with: pip install 'hozen[report]'"
        ) from None
    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(out, kind="svg", xmldecl=False, border=2, title="QR", omitsize=True)
    return out.getvalue().decode()
