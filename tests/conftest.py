"""Stock tools: a test that needs one which is not installed is skipped by name, and fails where all must be there.

`make test` must pass on a bare Debian 12. CI installs every tool and sets HOZEN_REQUIRE_TOOLS=1, so that a skip there
is a failure and no comparison with a stock tool is lost silently.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

TOOLS = frozenset({
    "7z", "age", "age-keygen", "bsdtar", "chromium", "conntrack", "faketime", "gcc", "gdb", "git", "ip", "ipset",
    "iptables-legacy", "mactime", "nft", "openssl", "readelf", "softhsm2-util", "ss", "strace", "tcpdump", "tshark",
    "unzip", "xxd", "yara", "zbarimg", "zip",
})  # fmt: skip
# Tests whose scripts call a tool themselves, so that nothing is raised when it is missing.
WITHIN_SCRIPTS = {"test_receipt_script.py": "xxd", "[sh -c zip ": "zip"}
REQUIRED = os.environ.get("HOZEN_REQUIRE_TOOLS") == "1"
_ABSENT = re.compile(r"No such file or directory: '([\w-]+)'|\b([\w-]+): (?:command )?not found")
_NAMED = re.compile(rf"(?<![\w-])({'|'.join(sorted(TOOLS, key=len, reverse=True))})(?![\w-])")


# Time limits belong to the whole test (pytest-timeout): a single slow example says that the machine was busy.
settings.register_profile(
    "hozen", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("hozen")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long or unprintable values by their argument: random keys would differ from worker to worker."""
    if isinstance(val, str | bytes) and (
        len(val) > 40 or not (val.isascii() and str(val).isprintable())
    ):
        return argname
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an absent tool: by mark, `@pytest.mark.needs("xxd")`, or by the list above."""
    for item in items:
        tools = [tool for mark in item.iter_markers("needs") for tool in mark.args]
        tools += [tool for part, tool in WITHIN_SCRIPTS.items() if part in item.nodeid]
        for tool in tools:
            if shutil.which(tool) is None:
                item.add_marker(pytest.mark.skip(reason=f"{tool} is not installed"))


def _skip_without_tool(problem: Exception) -> None:
    """Skip when the problem is that a tool is absent, also when a program of the test's own met it."""
    if isinstance(problem, FileNotFoundError):
        tools = [os.path.basename(os.fsdecode(problem.filename or ""))]
    else:
        tools = [found for pair in _ABSENT.findall(str(problem)) for found in pair if found]
    for tool in tools:
        if tool in TOOLS and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except (FileNotFoundError, AssertionError) as absent:
        _skip_without_tool(absent)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except (FileNotFoundError, AssertionError) as absent:
        _skip_without_tool(absent)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRED and report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        if _NAMED.search(reason):
            report.outcome = "failed"
            report.longrepr = f"HOZEN_REQUIRE_TOOLS=1, but: {reason}"
    return report
