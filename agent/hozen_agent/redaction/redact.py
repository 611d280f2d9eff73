"""Secrets leave command lines and environments before anything is hashed or stored (bundle-v1 §8, law M16, P02).

A marker `[redacted:TYPE:BYTES]` takes the place of a secret: its type and length, no digest that could be guessed.
Bytes in, bytes out; any bytes are accepted. Work is linear: every pattern is bounded, and long inputs were cut when
they were read.
"""

from __future__ import annotations

import binascii
import os
import re

from hozen_agent.redaction import redactrules
from hozen_agent.redaction.redactwords import Words
from hozen_hashes.digest import sha256_hex

TYPE_CHECKING = False  # stage 0: `typing` is loaded later
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Counts = dict[str, int]
    Rule = Callable[[bytes], Iterator[tuple[int, int, bytes]]]  # start, end, type

_MARKER = re.compile(rb"\[redacted:[a-z0-9_]{1,24}:[0-9]{1,12}\]")
_SHELL_WORDS = re.compile(
    rb"(\s+|&&|\|\||[;|&(){}]|(?:[^\s'\";|&(){}]|'[^']*'|\"(?:[^\"\\]|\\.)*\"|['\"])+)", re.DOTALL
)
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_NOT_NAME = re.compile(rb"[^\w.\x80-\xff-]")
_TOKEN = re.compile(rb"[a-z0-9_-]+")
_WORD = re.compile(rb"[^\s'\"]+")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_DEEPEST = 3  # a script in a script; an encoding in an encoding
_SHORTEST_COPY = 6  # a removed value at least this long is also removed where it is repeated
_MOST_COPIES = 64
_CACHE = 8 << 20  # bytes of texts whose clean form is remembered


class Redactor:
    """Applies the rules; one for a capture.

    Attributes:
        enabled: False returns everything as it came (for kept originals, and to prove that a test finds its plants).
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._rules, self._raw = redactrules.load()
        self._named: re.Pattern[bytes] | None = None
        self._room = _CACHE
        self._cache: dict[tuple[bytes, bool], tuple[bytes, Counts]] = {}

    @property
    def rules_sha256(self) -> str:
        """SHA-256 of `definitions/redaction.txt`, to be recorded."""
        return sha256_hex(self._raw)

    def command_line(self, raw: bytes, counts: Counts) -> bytes:
        """Return /proc/PID/cmdline (NUL after each argument) or a process title without its secrets."""
        return self._cleaned(raw, counts, title=False)

    def environ(self, raw: bytes, counts: Counts) -> bytes:
        """Return NUL-separated variables; only values of listed names stay, and those without their secrets."""
        if not self.enabled:
            return raw
        return b"\0".join(self._variable(entry, counts) for entry in raw.split(b"\0"))

    def text(self, raw: bytes, counts: Counts) -> bytes:
        """Return free text (a process name, the kernel's command line) without its secrets."""
        return self._cleaned(raw, counts, title=True)

    def argv(self, argv: Sequence[str], counts: Counts | None = None) -> list[str]:
        """Return our own arguments without secrets; their number stays."""
        raw = b"\0".join(os.fsencode(word) for word in argv)
        clean = self.command_line(raw, {} if counts is None else counts)
        return [os.fsdecode(word) for word in clean.split(b"\0")] if argv else []

    def _cleaned(self, raw: bytes, counts: Counts, *, title: bool) -> bytes:
        """Many processes have the same name or command line; each is gone over once."""
        if not self.enabled or not raw:
            return raw
        known = self._cache.get((raw, title))
        if known is None:
            fresh: Counts = {}
            one = _Pass(self._rules, self._pattern, fresh)
            known = (one.script(raw, 0) if title else one.command_line(raw), fresh)
            if len(raw) <= self._room:
                self._room -= len(raw)
                self._cache[raw, title] = known
        for kind, number in known[1].items():
            counts[kind] = counts.get(kind, 0) + number
        return known[0]

    def _variable(self, entry: bytes, counts: Counts) -> bytes:
        name, equals, value = entry.partition(b"=")
        if not entry or (equals and not value):
            return entry
        if equals and self._rules.keeps(name):
            return name + equals + self.text(value, counts)
        counts["env"] = counts.get("env", 0) + 1
        if not equals:
            return b"[redacted:env:%d]" % len(entry)
        return self.text(name, counts) + b"=[redacted:env:%d]" % len(value)

    def _pattern(self) -> re.Pattern[bytes]:
        """`name = value` in running text; punctuation ends a value only where something else begins."""
        if self._named is None:
            stop = rb"[\s\"'&;,|<>)\]}\x00]"
            value = rb"(?:[^%b]|[&;,|<>)\]}](?!%b|$|[\w.%%-]{1,40}[=:]))" % (stop[1:-1], stop)
            self._named = re.compile(
                rb"(?P<name>(?<!/)%b[\w.-]{0,32})(?P<between>\\?[\"']?[ \t]{0,3}(?:=>|:=|={1,2}|:(?!//)|%%3[dDaA])"
                rb"[ \t]{0,3})"
                rb"(?:\\?\"(?P<double>[^\"\\]{1,4096})|\\?'(?P<single>[^'\\]{1,4096})|(?!\\[\"'])(?P<bare>%b{1,4096}))"
                % (self._rules.secret_names, value),
                re.IGNORECASE,
            )
        return self._named


class _Pass:
    """One text on its way through the rules."""

    __slots__ = ("_active", "_counts", "_pattern", "_removed", "_rules")

    def __init__(
        self, rules: redactrules.Rules, pattern: Callable[[], re.Pattern[bytes]], counts: Counts
    ) -> None:
        self._rules = rules
        self._pattern = pattern
        self._counts = counts
        self._removed: set[bytes] = set()
        self._active: list[Rule] | None = None

    def command_line(self, raw: bytes) -> bytes:
        if not self._suspicious(raw):
            return raw
        self._active = self._rules.active(raw)
        words = raw.split(b"\0")
        if len(words) - (words[-1] == b"") == 1:  # a title, or a program alone: cut at blanks
            return self._copies(self.script(words[0], 0) + raw[len(words[0]) :])
        Words(self._rules, self._mark, script=False).redact(words)
        return self._copies(b"\0".join(self.script(word, 1) for word in words))

    def script(self, text: bytes, depth: int) -> bytes:
        """Redact text that may be a command line of its own, with blanks and quotes."""
        if not self._suspicious(text):
            return text
        if self._active is None:
            self._active = self._rules.active(text)
        if any(blank in text for blank in (b" ", b"\t", b"\n")) and depth < _DEEPEST:
            words = _SHELL_WORDS.findall(text)
            Words(self._rules, self._mark, script=True).redact(words)
            for index, word in enumerate(words):
                if len(word) > 2 and word[:1] in {b"'", b'"'} and word[-1:] == word[:1]:  # noqa: PLR2004
                    words[index] = word[:1] + self.script(word[1:-1], depth + 1) + word[:1]
            text = b"".join(words)
        pieces = [text]
        for rule in (*self._active, self._names):
            pieces = self._apply(rule, pieces)
        for index in range(0, len(pieces), 2):
            pieces[index] = self._decoded(pieces[index], depth)
        return b"".join(pieces)

    def _apply(self, rule: Rule, pieces: list[bytes]) -> list[bytes]:
        """Apply a rule to the text between the markers, so that none takes a marker for text.

        In `pieces` text and markers take turns, text first and last.
        """
        result: list[bytes] = []
        for index, piece in enumerate(pieces):
            if index % 2:
                result.append(piece)
            elif b"[redacted:" in piece:
                markers = [*_MARKER.findall(piece), b""]
                for text, marker in zip(_MARKER.split(piece), markers, strict=True):
                    result += (*self._cut(rule, text), marker)
                result.pop()
            else:
                result += self._cut(rule, piece)
        return result

    def _cut(self, rule: Rule, text: bytes) -> Iterator[bytes]:
        """Yield text and markers in turn, text first and last."""
        done = 0
        for start, end, kind in rule(text):
            if start >= done and end > start:
                yield text[done:start]
                yield self._mark(kind, text[start:end])
                done = end
        yield text[done:]

    def _names(self, text: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Find `name = secret` in running text."""
        low = text.lower()
        if not any(word in low for word in redactrules.NAME_WORDS):
            return
        for match in self._pattern().finditer(text):
            before = text[max(0, match.start() - 40) : match.end("name")]
            kind = self._rules.secret_name(_NOT_NAME.split(before)[-1])
            if kind:
                start, end = match.span(match.lastindex or 0)
                yield start, end, kind

    def _suspicious(self, text: bytes) -> bool:
        low = text.lower()
        return (
            any(word in low for word in self._rules.words)
            or not self._rules.tokens.isdisjoint(_TOKEN.findall(low))
            or b"%" in text
            or _ENCODED.search(text) is not None
        )

    def _mark(self, kind: bytes, secret: bytes) -> bytes:
        if _MARKER.fullmatch(secret) or not secret:
            return secret
        name = kind.decode()
        self._counts[name] = self._counts.get(name, 0) + 1
        if len(secret) >= _SHORTEST_COPY and len(self._removed) < _MOST_COPIES:
            self._removed.add(secret)
        return b"[redacted:%b:%d]" % (kind, len(secret))

    def _copies(self, text: bytes) -> bytes:
        """Remove what was recognised in one place also where it is repeated bare."""
        for secret in sorted(self._removed, key=len, reverse=True):
            if secret in text:
                self._counts["copy"] = self._counts.get("copy", 0) + text.count(secret)
                text = text.replace(secret, b"[redacted:copy:%d]" % len(secret))
        return text

    def _decoded(self, text: bytes, depth: int) -> bytes:
        """Remove words whose percent, base64 or hexadecimal form hides a secret."""
        if depth >= _DEEPEST:
            return text
        if b"%" in text:
            text = _WORD.sub(lambda m: self._hidden(m[0], _unpercent(m[0]), depth), text)
        return _ENCODED.sub(lambda m: self._hidden(m[0], _plain(m[0]), depth), text)

    def _hidden(self, word: bytes, plain: bytes, depth: int) -> bytes:
        if not plain or plain == word or not self._suspicious(plain):
            return word
        inner: Counts = {}
        probe = _Pass(self._rules, self._pattern, inner)
        probe.script(plain, depth + 1)
        return self._mark(b"encoded", word) if inner else word


def _unpercent(word: bytes) -> bytes:
    return b"" if b"%" not in word else _PERCENT.sub(lambda m: bytes((int(m[1], 16),)), word)


def _plain(word: bytes) -> bytes:
    """Return what base64 (either alphabet, padded or not) or hexadecimal says, or nothing when it is no text."""
    for decode in (_unhex, _unbase64):
        plain = decode(word)
        if plain and len(plain.translate(None, _PRINTABLE)) * 10 <= len(plain):
            return plain
    return b""


def _unhex(word: bytes) -> bytes:
    try:
        return binascii.unhexlify(word)
    except ValueError:
        return b""


def _unbase64(word: bytes) -> bytes:
    body = word.rstrip(b"=").translate(_TO_STANDARD)
    try:
        return binascii.a2b_base64(body[: len(body) - (len(body) % 4 == 1)] + b"==")
    except ValueError:
        return b""
