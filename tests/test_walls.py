"""The walls that a linter cannot hold: sizes, who writes, who prints, who opens sockets, and what is never called."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "agent/hozen_agent",
    "collector/hozen_collector",
    "config/hozen_config",
    "hashes/hozen_hashes",
)
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILE_WALL, FUNCTION_WALL = 400, 60
# Who may name the module `socket`: the courier speaks to the collector; netlink and packet sockets ask the kernel.
SOCKET_USERS = {
    "courier.py",
    "netlink.py",
    "auditlink.py",
    "packetring.py",
    "packetfile.py",
    "xtables.py",
}
# Law M01: words of programs and calls that would change the examined host.
CHANGES_THE_HOST = {
    "shutdown", "reboot", "poweroff", "halt", "systemctl", "service", "iptables", "nft", "ufw", "ifconfig", "kill",
    "killall", "pkill", "usermod", "userdel", "passwd", "mkfs", "rmmod", "insmod", "modprobe", "logout", "hwclock",
}  # fmt: skip


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def test_no_file_is_longer_than_the_wall() -> None:
    assert [name(p) for p in SOURCES if p.read_bytes().count(b"\n") > FILE_WALL] == []


def test_no_function_is_longer_than_the_wall() -> None:
    assert [
        f"{name(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        if "versions" not in path.parts  # a migration is a table of columns
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_WALL
    ] == []


def test_every_module_says_what_it_is() -> None:
    assert [name(p) for p in SOURCES if p.read_bytes() and not ast.get_docstring(tree(p))] == []


def test_only_commands_and_their_helpers_print() -> None:
    talkers = {"cli.py", "front.py", "group.py", "report.py"}
    assert [
        f"{name(path)}:{call.lineno}"
        for path in SOURCES
        if path.parent.name != "commands" and path.name not in talkers
        for call in calls(path)
        if ast.unparse(call.func) in {"print", "click.echo", "click.secho", "sys.stdout.write"}
    ] == []


def test_only_the_named_modules_of_the_agent_open_sockets() -> None:
    agent = [
        path for path in SOURCES if "hozen_agent" in path.parts and path.name not in SOCKET_USERS
    ]
    forbidden = {"socket", "_socket", "ssl", "http.client", "urllib.request", "asyncio"}
    assert [name(path) for path in agent if imports(path) & forbidden] == []


def test_the_agent_starts_no_program_that_changes_the_host() -> None:
    """Law M01, as far as a reader of the source can see it: no such program or call is named in an argument."""
    agent = [path for path in SOURCES if "hozen_agent" in path.parts]
    found = []
    for path in agent:
        for call in calls(path):
            if ast.unparse(call.func) in {
                "os.system",
                "os.popen",
                "os.reboot",
                "signal.pidfd_send_signal",
            }:
                found.append(f"{name(path)}:{call.lineno}")
            if ast.unparse(call.func).startswith(
                ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn")
            ):
                words = {
                    n.value
                    for n in ast.walk(call)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                }
                if {Path(word).name for word in words} & CHANGES_THE_HOST:
                    found.append(f"{name(path)}:{call.lineno}")
    assert found == []


def test_nothing_imports_the_tests() -> None:
    assert [
        name(p)
        for p in SOURCES
        if any(word.split(".")[0] in {"tests", "conftest"} for word in imports(p))
    ] == []


def test_the_base_installation_needs_no_extra() -> None:
    """`verify` must run with cryptography, click and pyyaml alone."""
    extras = {
        "isal",
        "psutil",
        "watchdog",
        "artifacts",
        "scapy",
        "netifaces",
        "starlette",
        "uvicorn",
        "sqlalchemy",
    }
    base = [
        path for path in SOURCES if "hozen_hashes" in path.parts or "hozen_config" in path.parts
    ]
    at_top = {
        f"{name(path)}: {word}"
        for path in base
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for word in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
        if word.split(".")[0] in extras
    }
    assert at_top == set()


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not in this environment")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
