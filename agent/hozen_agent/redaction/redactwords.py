"""Secrets in the words of a command line: behind options, in assignments, and in the ways of known programs.

Works on a list of words in place. A word with blanks that is itself a command line (`sh -c '…'`, a process title) is
cut into words by the caller and comes here again with `script=True`.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # stage 0: `typing` is loaded later
if TYPE_CHECKING:
    from collections.abc import Callable

    from hozen_agent.redaction.redactrules import Rules

    Mark = Callable[[bytes, bytes], bytes]

_SEPARATORS = frozenset(
    (b";", b"|", b"&", b"&&", b"||", b"(", b")", b"{", b"}", b"\n", b"then", b"do")
)
_MAX_NAME = 96
_SHORTEST = 3  # `-p` alone says nothing; the known programs have their own rules
_PLAIN_OPTION = re.compile(rb"--?[A-Za-z][A-Za-z-]*(?:=.*)?", re.DOTALL)
_NAME = re.compile(rb"[-+]{0,2}[A-Za-z_\x80-\xff][\w.:/\[\]\x80-\xff-]*")
_HEADER = re.compile(rb"(?:-H)?([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]*")
_RUNS = re.compile(rb"-[a-z]{0,3}c")
_CLUSTER = re.compile(rb"-[A-Za-z#0-9]{1,12}")

Options = list[tuple[bytes, bytes, bytes]]


class Words:
    """Goes over one command line; `mark(type, secret)` gives the marker and counts it."""

    __slots__ = ("_mark", "_name", "_options", "_pending", "_rules", "_runs", "_script", "_used")

    def __init__(self, rules: Rules, mark: Mark, *, script: bool) -> None:
        self._rules = rules
        self._mark = mark
        self._script = script
        self._name = b""
        self._options: Options = []
        self._used: set[bytes] = set()
        self._runs = False
        self._pending: tuple[bytes, bytes] | None = None  # type and how

    def redact(self, words: list[bytes]) -> None:
        """Replace the secrets in `words`; words that are empty or blank are left alone."""
        last = None
        for index, word in enumerate(words):
            if not word or word.isspace():
                continue
            if word in _SEPARATORS:
                self._name, self._options, self._pending = b"", [], None
                self._used.clear()
                continue
            quote, inner = _unquote(word)
            changed = self._word(inner)
            if changed is not None:
                words[index] = quote + changed + quote
            last = index
        if last is not None and any(how == b"last" for _, _, how in self._options):
            quote, inner = _unquote(words[last])
            words[last] = quote + self._mark(b"password", inner) + quote

    def _word(self, word: bytes) -> bytes | None:
        pending, self._pending = self._pending, None
        runs, self._runs = self._runs, _RUNS.fullmatch(word) is not None
        if runs and not self._script and b" " in word:
            return None  # `sh -c 'PASS=x program'`: a script, which the caller cuts into its words
        if pending is not None:
            changed = self._awaited(word, *pending)
            if changed is not None:
                return changed
        changed = self._known(word)
        if changed is not None or self._pending is not None:
            return changed
        if not word.startswith(b"-"):
            self._program(word)
        return self._named(word)

    def _awaited(self, word: bytes, kind: bytes, how: bytes) -> bytes | None:
        """The word after an option that announces a secret."""
        if how == b"named":
            # `--ask-password --verbose`: an option follows, so the first one was a switch.
            return None if _PLAIN_OPTION.fullmatch(word) else self._mark(kind, word)
        if how.startswith(b"part"):
            return self._part(word, kind, how[4:])
        return self._mark(kind, word)

    def _part(self, word: bytes, kind: bytes, separator: bytes) -> bytes | None:
        user, found, secret = word.partition(separator)
        return user + found + self._mark(kind, secret) if found and secret else None

    def _program(self, word: bytes) -> None:
        name = word.rpartition(b"/")[2].lower().removesuffix(b".exe")
        if name in self._rules.programs:
            # Added, not exchanged: a word that only looks like a program must not hide the real one.
            self._name = name
            self._use(name)
        elif self._name:
            self._use(self._name + b" " + name)
        elif name in self._rules.parents:
            self._name = name

    def _use(self, program: bytes) -> None:
        if program not in self._used:
            self._used.add(program)
            self._options += self._rules.programs.get(program, [])

    def _known(self, word: bytes) -> bytes | None:
        for kind, option, how in self._options:
            if how.startswith(b"whole"):
                if not word.startswith((b"-", b"/", b"@", b".")):
                    changed = self._sql(word, kind, how[5:])
                    if changed is not None:
                        return changed
            elif word == option:
                if how != b"attached":
                    self._pending = (kind, how)
                    return None
            elif how.startswith(b"part"):
                changed = self._user_option(word, kind, option, how)
                if changed is not None or self._pending is not None:
                    return changed
            elif how in {b"attached", b"both"} and option and word.startswith(option):
                return option + self._mark(kind, word[len(option) :])
        return None

    def _sql(self, word: bytes, kind: bytes, separator: bytes) -> bytes | None:
        """`name=secret`; or `user/secret@host`, where the secret ends at the last `@`."""
        user, found, rest = word.partition(separator)
        ends = separator == b"/" and b"@" in rest
        secret, at, host = rest.rpartition(b"@") if ends else (rest, b"", b"")
        if not found or not secret:
            return None
        return user + found + self._mark(kind, secret) + at + host

    def _user_option(self, word: bytes, kind: bytes, option: bytes, how: bytes) -> bytes | None:
        """`-uuser:secret`, `--user=user:secret`, and `-su user:secret`."""
        if option.startswith(b"--"):
            if word.startswith(option + b"="):
                changed = self._part(word[len(option) + 1 :], kind, how[4:])
                return None if changed is None else option + b"=" + changed
        elif word.startswith(option):
            changed = self._part(word[len(option) :], kind, how[4:])
            return None if changed is None else option + changed
        elif _CLUSTER.fullmatch(word) and word.endswith(option[1:]):
            self._pending = (kind, how)
        return None

    def _named(self, word: bytes) -> bytes | None:
        """`--name=secret`, `NAME=secret`, `Name: secret`, and `--name` before a secret."""
        name, equals, value = word.partition(b"=")
        if equals and len(name) <= _MAX_NAME and _NAME.fullmatch(name):
            kind = self._rules.secret_name(name)
            if kind and value:
                quote, inner = _unquote(value)
                return name + equals + quote + self._mark(kind, inner) + quote
        header = None if self._script else _HEADER.match(word)
        if header and (kind := self._rules.secret_name(header[1])):
            value = word[header.end() :]
            return header[0] + self._mark(kind, value) if value else None
        if word.startswith(b"-") and not equals and _SHORTEST <= len(word) <= _MAX_NAME:
            kind = self._rules.secret_name(word) if _NAME.fullmatch(word) else None
            self._pending = (kind, b"named") if kind else None
        return None


def _unquote(word: bytes) -> tuple[bytes, bytes]:
    if len(word) > 1 and word[:1] in {b"'", b'"'} and word.endswith(word[:1]):
        return word[:1], word[1:-1]
    return b"", word
