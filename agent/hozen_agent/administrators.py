"""Who administers a Linux computer, by its own lists of users and groups (passwd(5), group(5))."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GROUPS: Final = frozenset({"sudo", "wheel", "admin"})
_NO_LOGIN: Final = ("nologin", "false", "sync", "halt", "shutdown")
_NOBODY: Final = 0xFFFF_FFFF


def administrators(passwd: bytes, group: bytes) -> set[str]:
    """Return the members of the administrators' groups; where there are none, the login accounts with uid 0.

    A member by primary group counts. A root account beside such a group is not counted: nobody in particular owns it.
    """
    users = list(_fields(passwd, 7))
    found: set[str] = set()
    for name, _, gid, members in _fields(group, 4):
        if name in _GROUPS:
            found |= {member for member in members.split(",") if member}
            found |= {user[0] for user in users if user[3] == gid}
    return found or {u[0] for u in users if u[2] == "0" and not u[6].endswith(_NO_LOGIN)}


def login_of_operator(passwd: bytes, env: Mapping[str, str]) -> str:
    """Return the account with which the person logged in: before sudo, else of the login session, else our own."""
    if env.get("SUDO_USER"):
        return env["SUDO_USER"]
    uid = _login_uid()
    return next((user[0] for user in _fields(passwd, 7) if user[2] == str(uid)), "")


def _login_uid() -> int:
    try:
        with open("/proc/self/loginuid", "rb") as file:
            uid = int(file.read(16))
    except (OSError, ValueError):
        return os.geteuid()
    return os.geteuid() if uid == _NOBODY else uid


def _fields(text: bytes, count: int) -> Iterator[list[str]]:
    for line in text.split(b"\n"):
        fields = line.decode("utf-8", "backslashreplace").split(":")
        if len(fields) == count:
            yield fields
