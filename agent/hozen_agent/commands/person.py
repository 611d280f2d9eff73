"""The person at the terminal during a capture, or the pipe that stands for nobody."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from hozen_agent.case import LABELS
from hozen_agent.commands import screen
from hozen_hashes import cli
from hozen_hashes.terminal import shows_japanese

_EVERY = 0.2
_PATIENCE = 2.0
_CARD = (
    (
        "Do not power off, reboot, wipe or clean this machine.",
        "電源を切らない・再起動しない・初期化やウイルス駆除をしない。",
    ),
    ("Do not save anything onto it.", "保存先を対象機器にしない。"),
    ("Write down the time and what you do.", "時刻と操作を記録する。"),
)


class Person:
    """Talks on standard error, asks on the terminal itself; a terminal that goes away ends nothing.

    Attributes:
        interactive: whether somebody can answer.
    """

    def __init__(self, *, passphrase_file: str | None) -> None:
        """Look whether there is a terminal; standard input may be something else."""
        self._screen = screen.unblock()
        self.interactive = _has_terminal()
        self._passphrase_file = passphrase_file
        self._live = sys.stderr.isatty()
        self._shown = 0.0
        self._name = ""
        self._asking = False

    def card(self) -> list[str]:
        """Show what must not be done meanwhile, in both languages (law §11.6); return what the journal says of it.

        A pipe has nobody who reads; a terminal without Japanese letters gets the English lines.
        """
        if not self._live or cli.settings.verbosity < 0:
            return []
        languages = ["en", "ja"] if shows_japanese(os.environ) else ["en"]
        for en, ja in _CARD:
            cli.tell(en)
            if "ja" in languages:
                cli.tell(ja)
        return [
            f"the card of what to do and not to do was shown before the start ({', '.join(languages)})"
        ]

    def point_out(self, *, en: str, ja: str) -> None:
        """Say what the person must know, in their language, whatever -q silences."""
        self._clear()
        cli.warn(cli.pick(en=en, ja=ja))

    def patient(self) -> None:
        """Everything is sealed: the last lines may wait a little for a stopped terminal."""
        if self._screen is not None:
            self._screen.patience = _PATIENCE

    def say(self, text: str) -> None:
        """Tell something about the work."""
        self._clear()
        cli.tell(text)

    def step(self, number: int, total: int, name: str) -> None:
        """Tell that an artifact begins."""
        self._name = f"[{number}/{total}] {name}"
        if self._asking:
            return  # a question stands there, with half an answer
        self._clear()
        cli.tell(self._name)

    def moved(self, items: int, size: int) -> None:
        """Renew the progress line of a terminal; a pipe gets one line an artifact only."""
        if not self._live or self._asking or cli.settings.verbosity < 0:
            return
        moment = time.monotonic()
        if moment - self._shown < _EVERY:
            return
        self._shown = moment
        self._write(f"\r\x1b[Khozen: {self._name}: {items} items, {size / (1 << 20):.1f} MiB")

    def ask(self, field: str) -> str:
        """Return the answer to one case field; OSError when nobody is there any more."""
        self._asking = True
        en, ja = LABELS[field]
        self._clear()
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                return _answer(terminal, cli.pick(en=en, ja=f"{ja} / {en}"))
            finally:
                os.close(terminal)
        finally:
            self._asking = False

    def interrupted(self) -> None:
        """Tell that sealing begins; past Python's streams, which refuse to be entered twice."""
        self._write("\nhozen: stopping: what was read is being sealed; once more aborts at once\n")

    def secret(self, what: str) -> bytes | None:
        """Return the passphrase or PIN of the identity, from file, standard input or terminal."""
        return cli.read_passphrase(self._passphrase_file, prompt=f"{what} of the identity")

    def _clear(self) -> None:
        if self._live and self._shown:
            self._shown = 0.0
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            data = text.encode("ascii", "replace")
            if self._screen is not None:
                self._screen.write(data)


def _answer(terminal: int, label: str) -> str:
    """Return one line, plain text of at most 500 characters; EOFError when the terminal is gone."""
    os.write(terminal, f"{label}: ".encode())
    line = os.read(terminal, 4096)
    if not line:
        raise EOFError
    return "".join(c for c in line.decode("utf-8", "replace").strip() if c.isprintable())[:500]


def _has_terminal() -> bool:
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
