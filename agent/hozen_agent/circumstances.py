"""What a person must know of the circumstances, on the screen and in the journal (design §5, law §10, §11.6).

A recent start of the computer, an operator who is its only administrator, and, when it is to be cut off from the
network, whether the cable may be pulled now. Hozen itself never isolates anything (law M01).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Protocol

from hozen_agent import administrators, isolation
from hozen_agent.context import FileRequest
from hozen_agent.reading.files import PASSWD_MAX, content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hozen_agent.context import Context
    from hozen_agent.destination import Destination
    from hozen_agent.session import Session
    from hozen_config.casefile import CaseFile
    from hozen_config.profile import Profile

RECENT: Final = 24 * 3600.0


class Screen(Protocol):
    """Where it is said."""

    def point_out(self, *, en: str, ja: str) -> None:
        """Say it in the person's language, as a warning."""


def point_out_reboot(
    host: Mapping[str, object], *, talk: Screen, note: Callable[[str], None]
) -> None:
    """Say how long ago the computer was started, when that is less than a day."""
    try:
        seconds = float(str(host.get("uptime_seconds")))
    except ValueError:
        return
    if seconds >= RECENT:
        return
    en = f"this computer was started {_ago(seconds)} before the capture: what was in memory before is lost"
    ja = f"この機器は取得の{_ago_ja(seconds)}前に起動しました。それ以前の揮発性情報は失われています"
    talk.point_out(en=en, ja=ja)
    note(en)


class Between:
    """Called once, when the volatile part is durable and before the bulk is read."""

    def __init__(
        self,
        profile: Profile,
        destination: Destination,
        *,
        talk: Screen,
        case: CaseFile,
        began: float,
    ) -> None:
        """Keep what is needed to judge."""
        self._profile = profile
        self._destination = destination
        self._talk = talk
        self._case = case
        self._began = began

    def __call__(self, session: Session, context: Context, put_off: tuple[str, ...]) -> None:
        """Say whether the cable may be pulled, if that is asked; then who administers this computer."""
        if self._profile.isolation is not None:
            said = isolation.advice(
                self._destination, seconds=time.monotonic() - self._began, put_off=put_off
            )
            for line in said.lines:
                self._talk.point_out(en=line.en, ja=line.ja)
            session.note(said.record)
            session.writer.close_epoch()
        self._administrators(session, context)

    def _administrators(self, session: Session, context: Context) -> None:
        passwd, group = (
            content(context, FileRequest(artifact="circumstances", path=path, max_bytes=PASSWD_MAX))
            for path in (b"/etc/passwd", b"/etc/group")
        )
        login = administrators.login_of_operator(passwd, os.environ)
        if login and administrators.administrators(passwd, group) == {login}:
            en = (
                f"the login of this capture, {login}, is the only administrator of this computer: "
                "somebody else should be there or sign as a witness"
            )
            ja = f"作業者のログイン名{login}は、この機器の唯一の管理者です。立会人又は第三者の署名を推奨します"
            self._talk.point_out(en=en, ja=ja)
            session.note(en)


def _ago(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def _ago_ja(seconds: float) -> str:
    return f"{seconds / 3600:.1f}時間" if seconds >= 7200 else f"{seconds / 60:.0f}分"  # noqa: PLR2004
