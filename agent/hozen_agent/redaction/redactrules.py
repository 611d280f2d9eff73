"""The redaction rules, read once from `definitions/redaction.txt`; that file says what each line means.

Plain lines, not YAML: the rules are needed before the first hash, and a YAML parser would cost more than the sweep.
Patterns are compiled when a text first holds one of their words.
"""

from __future__ import annotations

import os
import re

from hozen_hashes.errors import InternalError

TYPE_CHECKING = False  # stage 0: `typing` is loaded later
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Find = Callable[[bytes], Iterator[tuple[int, int, bytes]]]

# Words without which no `name` rule can match; each name rule is checked against them by a test.
NAME_WORDS = (
    *b"pass pwd pw psw pswd psk otp pin token jwt bearer sas author x-amz secret key wif cookie sess".split(),
    *b"cred connection dsn webhook".split(),
    "パスワード".encode(),
    "暗証番号".encode(),
    "秘密".encode(),
)


class Shape:
    """A form that is a secret wherever it stands."""

    __slots__ = ("_compiled", "kind", "pattern", "words")

    def __init__(self, kind: bytes, words: tuple[bytes, ...], pattern: bytes) -> None:
        self.kind = kind
        self.words = words
        self.pattern = pattern
        self._compiled: re.Pattern[bytes] | None = None

    def find(self, text: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield start, end and type of each secret in `text`."""
        if self._compiled is None:
            self._compiled = re.compile(self.pattern, re.DOTALL)
        for match in self._compiled.finditer(text):
            start, end = match.span(match.lastindex or 0)
            yield start, end, self.kind


class Rules:
    """All rules, in the order of the file.

    Attributes:
        names: (type, pattern) of names whose value is a secret.
        programs: program name to its (type, option, how).
        words: no name or shape matches a text that holds none of them (lower case).
        tokens: no program rule applies to a text without one of these tokens.
        parents: programs of which only a subcommand has options here.
    """

    __slots__ = (
        "_exempt",
        "_kept",
        "_kept_prefixes",
        "_names",
        "_not",
        "_secret",
        "names",
        "parents",
        "programs",
        "shapes",
        "tokens",
        "words",
    )

    def __init__(self, lines: list[bytes]) -> None:
        self.names: list[tuple[bytes, bytes]] = []
        self.shapes: list[Shape] = []
        self.programs: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
        self._not: list[bytes] = []
        self._kept: set[bytes] = set()
        self._kept_prefixes: tuple[bytes, ...] = ()
        self._secret: re.Pattern[bytes] | None = None
        self._exempt: re.Pattern[bytes] | None = None
        self._names: list[tuple[bytes, re.Pattern[bytes]]] = []
        for line in lines:
            if line and not line.startswith(b"#"):
                self._enter(line)
        shape_words = {word for shape in self.shapes for word in shape.words}
        # As tokens without what stands behind a dot: `secretsdump.py` is looked for as `secretsdump`.
        self.tokens = frozenset(re.split(rb"[ .]", name)[0] for name in self.programs)
        self.parents = {name.partition(b" ")[0] for name in self.programs if b" " in name}
        self.words = tuple(dict.fromkeys((*NAME_WORDS, *sorted(shape_words))))

    def _enter(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if word == b"name":
            kind, _, pattern = rest.partition(b" ")
            self.names.append((kind, pattern))
        elif word == b"not":
            self._not.append(rest)
        elif word == b"shape":
            kind, words, pattern = rest.split(b" ", 2)
            self.shapes.append(Shape(kind, tuple(words.split(b"|")), pattern))
        elif word == b"program":
            self._program(rest.split(b" "))
        elif word == b"env":
            if rest.endswith(b"*"):
                self._kept_prefixes += (rest[:-1],)
            self._kept.add(rest)
        else:
            raise InternalError(f"redaction rules: unknown line {word!r}")

    def _program(self, fields: list[bytes]) -> None:
        kind, programs, *rest = fields
        options, how = rest if len(rest) > 1 else (b"", rest[0])
        for program in programs.split(b","):
            own = self.programs.setdefault(program.replace(b"+", b" "), [])
            own += [(kind, option, how) for option in options.split(b",")]

    def active(self, text: bytes) -> list[Find]:
        """Return the shapes that may occur in `text`, in their order."""
        low = text.lower()
        return [shape.find for shape in self.shapes if any(word in low for word in shape.words)]

    def keeps(self, variable: bytes) -> bool:
        """Tell whether the value of this environment variable is kept."""
        return variable in self._kept or variable.startswith(self._kept_prefixes)

    @property
    def secret_names(self) -> bytes:
        """One pattern for all names, to be used with re.IGNORECASE."""
        return b"(?:" + b"|".join(pattern for _, pattern in self.names) + b")"

    def secret_name(self, name: bytes) -> bytes | None:
        """Return the type of secret that a value of this name is, or None."""
        if self._secret is None or self._exempt is None:
            self._secret = re.compile(self.secret_names, re.IGNORECASE)
            self._exempt = re.compile(b"|".join(self._not), re.IGNORECASE)
        if not self._secret.search(name) or self._exempt.search(name):
            return None
        if not self._names:
            self._names = [(kind, re.compile(p, re.IGNORECASE)) for kind, p in self.names]
        return next(kind for kind, pattern in self._names if pattern.search(name))


def load() -> tuple[Rules, bytes]:
    """Return the rules and the exact bytes of their file."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "definitions", "redaction.txt")
    loader = __spec__.loader
    if loader is None or not hasattr(loader, "get_data"):
        raise InternalError("redaction rules: the package has no data loader")
    raw: bytes = loader.get_data(path)
    return Rules(raw.split(b"\n")), raw
