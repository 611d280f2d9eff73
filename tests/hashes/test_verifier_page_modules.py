"""Single modules of the verifier page, run in Chromium and held against hashlib, cryptography and our JSON reader."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import Verifier, chromium
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hozen_hashes.errors import BadDataError
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("chromium")
ROOT = Path(__file__).parents[2]
HTML = ROOT / "hashes" / "hozen_hashes" / "verifier_page" / "verifier.html"

DATA = Path(__file__).parents[1] / "vectors" / "data"


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield Verifier(browser, HTML)


def module(name: str) -> str:
    """Return an expression whose value is what the module exports."""
    spec = importlib.util.spec_from_file_location(
        "verifier_page", ROOT / "tools" / "verifier_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    order: list[str] = []
    tool._visit(name, order, ())
    return "(() => {" + "".join(map(tool._scoped, order)) + f"return ${name};}})()"


def test_sha256_in_any_pieces_is_that_of_hashlib(verifier: Verifier) -> None:
    lengths = [*range(200), 1000, 4095, 65_537]
    found = verifier.page.evaluate(
        """([lengths]) => { const { Sha256 } = MODULE; return lengths.map((length) => {
            const data = Uint8Array.from({ length }, (_, at) => (at * 7 + length) & 255), hash = new Sha256();
            for (let at = 0, step = 1; at < length; at += step, step = (step * 3) % 131 || 1) {
              hash.update(data.subarray(at, at + step));
            }
            return [...hash.digest()]; }); }""".replace("MODULE", module("sha256")),
        [lengths],
    )
    for length, digest in zip(lengths, found, strict=True):
        data = bytes((at * 7 + length) & 255 for at in range(length))
        assert bytes(digest) == hashlib.sha256(data).digest(), length


def test_ed25519_of_the_page_and_of_the_browser_say_the_same(verifier: Verifier) -> None:
    cases = []
    for number in range(6):
        key, text = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32), b"text %d" % number
        public, signature = key.public_key().public_bytes_raw(), key.sign(text)
        order = (2**252 + 27742317777372353535851937790883648493).to_bytes(32, "little")
        scalar = (
            int.from_bytes(signature[32:], "little") + int.from_bytes(order, "little")
        ).to_bytes(32, "little")
        cases += [
            (public, signature, text, True), (public, signature, text + b"!", False),
            (public, signature[:-1] + bytes([signature[-1] ^ 1]), text, False),
            (public, bytes([signature[0] ^ 1]) + signature[1:], text, False),
            (public, signature[:32] + scalar, text, False),
            (bytes([public[0] ^ 1]) + public[1:], signature, text, False),
            (public, signature[:63], text, False), (b"\xff" * 32, signature, text, False),
        ]  # fmt: skip
    found = verifier.page.evaluate(
        """async ([cases]) => { const { verifyEd25519, verifyOwn } = MODULE;
            const sha512 = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-512', bytes));
            return Promise.all(cases.map(async (one) => {
              const [key, signature, text] = one.map((list) => Uint8Array.from(list));
              const own = signature.length === 64 && await verifyOwn(key, signature, text, sha512);
              return [await verifyEd25519(key, signature, text), own]; })); }""".replace(
            "MODULE", module("ed25519")
        ),
        [[[list(part) for part in case[:3]] for case in cases]],
    )
    assert found == [[case[3], case[3]] for case in cases]


TEXTS = [
    b"{}",
    b' {"a" : [1, -2, 0.5, 1e3, true, false, null, "x\\u00e9\\ud83d\\ude00"] }\n',
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":1}}',
    b"[]",
    b"1",
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":.5}',
    b'{"a":1.}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\ude00\\ud83d"}',
    b'{"a":9007199254740992}',
    b'{"a":9007199254740993}',
    b'{"a":-9007199254740993}',
    b'{"a":"\xc3\xa9"}',
    b'{"a":"\t"}',
    b'{"a":"\\x"}',
    b"{'a':1}",
    b'{"a":1,}',
    b'{"a":[1,]}',
    b'{"a"}',
    b'{"a":1}x',
    b'{"a":1}{}',
    b"",
    b"{",
    b'{"__proto__":1}',
    b'{"a":' + b"[" * 15 + b"]" * 15 + b"}",
    b'{"a":' + b"[" * 16 + b"]" * 16 + b"}",
    b'{"constructor":{"toString":1}}',
    b'{"a":"\x7f"}',
    b'{"":1}',
    b'{"a":-0}',
    b'{"a":1E+2}',
    b"\xef\xbb\xbf{}",
    b'{"a":nul}',
    b'{"a":"b}',
    b"{}\x00",
]


def test_json_is_accepted_and_refused_alike(verifier: Verifier) -> None:
    found = verifier.page.evaluate(
        """([texts]) => { const { parseObject } = MODULE; return texts.map((text) => {
            try { parseObject(Uint8Array.from(text), 'text'); return true; }
            catch (error) { if (!error.badData) throw error; return false; } }); }""".replace(
            "MODULE", module("json")
        ),
        [[list(text) for text in TEXTS]],
    )
    assert dict(zip(TEXTS, found, strict=True)) == {text: taken(text) for text in TEXTS}


def taken(text: bytes) -> bool:
    try:
        parse_object(text, what="text")
    except BadDataError:
        return False
    return True


def test_a_hostile_file_name_stays_a_name(verifier: Verifier, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}piz.zip"
    file.write_bytes(b"x")
    assert verifier.check([file])["refusal"]["key"] == "not-a-bundle"
    shown = verifier.page.inner_text(".files")
    assert "<img src=x onerror=alert(1)>\\u{202e}piz.zip" in shown
    assert verifier.page.locator("img").count() == 0


def test_without_the_cryptography_of_the_browser_there_is_no_verdict(verifier: Verifier) -> None:
    page = verifier.page
    blind = "Object.defineProperty(globalThis, 'crypto', { value: {} });"
    page.evaluate(f"hozenVerifier.code = {blind!r} + hozenVerifier.code")
    try:
        found = verifier.check([DATA / "good.zip"])
    finally:
        page.evaluate(f"hozenVerifier.code = hozenVerifier.code.slice({len(blind)})")
    assert found["refusal"]["key"] == "no-webcrypto"
    assert "report" not in found


def test_the_policy_stops_what_would_send(verifier: Verifier) -> None:
    by_image = """new Promise((done) => {
        const image = new Image();
        image.onerror = () => done('refused');
        image.onload = () => done('sent');
        image.src = 'https://192.0.2.1/x.png'; })"""
    for attempt in ("fetch('https://192.0.2.1/').then(() => 'sent', () => 'refused')", by_image):
        verifier.complaints.clear()
        assert verifier.page.evaluate(attempt) == "refused"
        assert "Content Security Policy" in " ".join(verifier.complaints)


def test_every_field_has_a_label_and_can_be_reached_by_the_keyboard(verifier: Verifier) -> None:
    page = verifier.page
    page.evaluate("hozenVerifier.clear()")
    assert page.evaluate(
        "[...document.querySelectorAll('input,select')].every((one) => one.labels.length === 1)"
    )
    reached = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert {
        "language",
        "inside",
        "folder",
        "roots",
        "log-keys",
        "tsa-roots",
        "seal",
        "operator",
        "at",
        "verify",
    } <= set(reached)
    assert json.loads(page.evaluate("JSON.stringify(document.documentElement.lang)")) == "en"
