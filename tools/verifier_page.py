"""Assemble the offline verifier: modules, words and style in one HTML file that needs nothing else.

    python tools/verifier_page.py            write hashes/hozen_hashes/verifier_page/verifier.html
    python tools/verifier_page.py --check    end with 1 when that file is not what would be written

The modules are real ES modules, so that tools can check them; a page opened from disk may not load modules, so here
they become one script: each a function called once, in the order of their imports. Same sources, same bytes; no
clock, no network, no other program.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HASHES = ROOT / "hashes" / "hozen_hashes"
FOLDER = HASHES / "verifier_page"
TARGET = FOLDER / "verifier.html"
SHARED = ("result", "difference", "step", "note", "text")
_IMPORT = re.compile(r"^import \{ ([^}]*) \} from '\./([a-z0-9]+)\.js';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |function|class|const)", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)


def main(argv: list[str]) -> int:
    """Write the page, or compare it; return the exit code."""
    page = build()
    if "--check" not in argv:
        TARGET.write_bytes(page)
        return 0
    if TARGET.is_file() and TARGET.read_bytes() == page:
        return 0
    print("verifier.html is stale: run `make verifier`", file=sys.stderr)
    return 1


def build() -> bytes:
    """Return the bytes of the page."""
    style = (FOLDER / "page.css").read_text("utf-8")
    code = script()
    policy = (
        "default-src 'none'; "
        f"script-src '{_hash(code)}'; style-src '{_hash(style)}'; worker-src blob:; "
        "connect-src 'none'; img-src 'none'; base-uri 'none'; form-action 'none'"
    )
    page = (FOLDER / "page.html").read_text("utf-8")
    for mark, text in (("@POLICY@", policy), ("@STYLE@", style), ("@SCRIPT@", code)):
        page = page.replace(mark, text)
    return page.encode()


def script() -> str:
    """Return all modules as one script, in strict mode and a scope of its own."""
    order: list[str] = []
    _visit("main", order, ())
    unused = {path.stem for path in (FOLDER / "src").glob("*.js")} - set(order)
    if unused:
        raise SystemExit(f"no module imports {', '.join(sorted(unused))}")
    parts = [_scoped(name) for name in order]
    head = f"'use strict';\nconst WORDS = {_words()};\nconst VERSION = {json.dumps(_version())};\n"
    body = "(() => {\n" + head + "".join(parts) + "})();\n"
    if "</script" in body.lower() or "<!--" in body:
        raise SystemExit("the script would end its own element")
    return body


def _visit(name: str, order: list[str], above: tuple[str, ...]) -> None:
    """Append the module after everything that it imports."""
    if name in above:
        raise SystemExit(f"modules import each other: {' > '.join((*above, name))}")
    if name in order:
        return
    for match in _IMPORT.finditer(_source(name)):
        _visit(match[2], order, (*above, name))
    order.append(name)


def _source(name: str) -> str:
    return (FOLDER / "src" / f"{name}.js").read_text("utf-8")


def _scoped(name: str) -> str:
    """Return the module as a function that is called once and gives what it exports; imports become constants."""
    source = _source(name)
    exported = set(_EXPORTED.findall(source))
    for match in _IMPORT.finditer(source):
        wanted = set(match[1].replace(" ", "").split(","))
        if absent := wanted - set(_EXPORTED.findall(_source(match[2]))):
            raise SystemExit(
                f"{name}.js imports {', '.join(sorted(absent))}, which {match[2]}.js does not export"
            )
    code = _EXPORT.sub("", _IMPORT.sub(r"const { \1 } = $\2;\n", source))
    gives = ", ".join(sorted(exported))
    return f"// --- {name}.js ---\nconst ${name} = (() => {{\n{code}return {{ {gives} }};\n}})();\n"


def _words() -> str:
    """Return the sentences that the page needs: those of `hozen verify`, and its own, which win."""
    shared = json.loads((HASHES / "messages" / "verify.json").read_text("utf-8"))
    own = json.loads((FOLDER / "words.json").read_text("utf-8"))
    words = {
        group: {**shared.get(group, {}), **own.get(group, {})}
        for group in (*SHARED, "reason", "page")
    }
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _version() -> str:
    match = re.search(
        r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    if match is None:
        raise SystemExit("pyproject.toml states no version")
    return match[1]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
