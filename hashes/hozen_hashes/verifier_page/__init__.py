"""The offline verifier for counsel: one HTML file that needs nothing else (docs/adr/0018).

`verifier.html` is made from `src/`, `words.json`, `page.css` and `page.html` by `tools/verifier_page.py`.
"""

from __future__ import annotations

import re
from importlib import resources

from hozen_hashes.errors import InternalError

_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([ -!#-~]+)">')


def verifier_html() -> bytes:
    """Return the page, the same bytes wherever it is served or written."""
    return resources.files("hozen_hashes").joinpath("verifier_page", "verifier.html").read_bytes()


def verifier_policy() -> str:
    """Return the content security policy that the page itself states, for a server's header."""
    match = _POLICY.search(verifier_html())
    if match is None:
        raise InternalError("the verifier page states no policy")
    return match[1].decode("ascii")
