"""Chromium without any network, and the verifier page opened in it from disk as counsel would."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page

AT = "2026-12-01T00:00:00Z"
SECONDS = 1000  # Playwright counts milliseconds


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Give a browser in a network namespace of its own; `folder` takes what it writes."""
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError(2, "No such file or directory", "chromium")
    alone = "unshare -n" if os.geteuid() == 0 else "unshare -rn"
    wrapper = folder / "chromium-alone"
    wrapper.write_text(f'#!/bin/sh\nexec {alone} {shlex.quote(program)} "$@"\n')
    wrapper.chmod(0o755)
    environment: dict[str, str | float | bool] = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=wrapper, args=["--no-sandbox"], env=environment
        )
        try:
            yield browser
        finally:
            browser.close()


class Verifier:
    """The page in one tab: give it files, take its report."""

    def __init__(self, browser: Browser, html: Path, *, locale: str = "en-GB") -> None:
        self.complaints: list[str] = []
        context = browser.new_context(locale=locale, offline=True)
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(html.as_uri())

    def check(
        self,
        inside: Sequence[Path],
        *,
        roots: Sequence[Path] = (),
        log_keys: Sequence[Path] = (),
        tsa_roots: Sequence[Path] = (),
        seal: str = "",
        at: str = AT,
        seconds: float = 30,
    ) -> dict[str, Any]:
        """Return the report as the page saves it, or `{"refusal": …}` for what is no bundle."""
        page = self.page
        page.evaluate("hozenVerifier.clear()")
        fields = {"inside": inside, "roots": roots, "log-keys": log_keys, "tsa-roots": tsa_roots}
        for field, files in fields.items():
            if files:
                page.set_input_files(f"#{field}", list(files))
        page.fill("#seal", seal)
        page.fill("#at", at)
        page.click("#verify")
        page.wait_for_selector("#result", timeout=seconds * SECONDS)
        outcome: Mapping[str, Any] = page.evaluate("hozenVerifier.outcome")
        return dict(outcome.get("report") or outcome)
