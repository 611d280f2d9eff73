"""Junk in any file of a bundle is a mismatch with a reason: no crash, no hang, no match."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_hashes.certificates import load_certificates
from hozen_hashes.contents import read_contents
from hozen_hashes.errors import BadDataError
from hozen_hashes.opened import PipeBundle, ZipBundle
from hozen_hashes.verify import Anchors, VerificationReport, Word, verify
from hozen_hashes.verify.asjson import as_json
from hozen_hashes.verify.items import Items, Numbers
from hozen_hashes.verify.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "vectors" / "data"
BUNDLE = json.loads((DATA / "expected.json").read_text())["bundle_id"]
ROOTS = tuple(load_certificates((DATA / "root.pem").read_bytes()))
AT = datetime(2026, 12, 1, tzinfo=UTC)


def files() -> dict[str, bytes]:
    with zipfile.ZipFile(DATA / "good.zip") as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


GOOD = files()
TAGS = [path for path in GOOD if not path.startswith("data/")]


def packed(changed: dict[str, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**GOOD, **changed}.items():
            archive.writestr(f"{BUNDLE}/{path}", data)
    out.seek(0)
    return out


def check(changed: dict[str, bytes]) -> VerificationReport:
    report = verify(ZipBundle(packed(changed)), anchors=Anchors(roots=ROOTS), at=AT)
    json.dumps(as_json(report))
    return report


BOMBS = {
    "nothing": b"",
    "deep": b"[" * 500_000 + b"]" * 500_000 + b"\n",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
    "digits": b'{"item":' + b"9" * 900_000 + b"}\n",
    "long line": b'{"type":"note","text":"' + b"x" * (2 << 20) + b'"}\n',
    "endless lines": b"\n" * 300_000,
    "keys": b"{" + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}\n",
    "not text": bytes(range(256)) * 50,
    "null": b"null\n",
    "exponent": b'{"item":1e999,"type":"item"}\n',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_in_any_tag_file_is_a_mismatch(bomb: str) -> None:
    for path in TAGS:
        report = check({path: BOMBS[bomb]})
        assert report.word is Word.MISMATCH, path


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_does_not_stop_inspect_with_anything_but_a_format_error(bomb: str) -> None:
    for path in ("hozen/bundle.json", "hozen/files/000001.jsonl"):
        found = read_contents(ZipBundle(packed({path: BOMBS[bomb]})))
        assert found.problem or bomb in {"nothing", "keys"}


def test_a_tag_file_that_only_looks_like_a_segment_is_harmless() -> None:
    report = check({"hozen/journal/999999.jsonl": b"{}\n", "hozen/journal/4294967296.pub": b"x"})
    assert report.word is Word.MISMATCH


JUNK = st.binary(max_size=64) | st.sampled_from([b"{}\n", b"[]\n", b'{"type":"end"}\n', b"\n"])


@settings(max_examples=120, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(sorted(GOOD)), JUNK, min_size=1, max_size=3),
    piped=st.booleans(),
)
def test_junk_in_any_file_is_a_mismatch(changes: dict[str, bytes], piped: bool) -> None:
    stream = packed(changes)
    bundle = PipeBundle(stream.read) if piped else ZipBundle(stream)
    report = verify(bundle, anchors=Anchors(roots=ROOTS), at=AT)
    assert (report.word is Word.MATCH) == all(GOOD[path] == data for path, data in changes.items())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**54) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(key=st.sampled_from(sorted(json.loads(GOOD["hozen/bundle.json"]))), value=JSON)
def test_any_type_in_any_key_of_bundle_json_is_judged_not_crashed_on(key: str, value: Any) -> None:
    stated = {**json.loads(GOOD["hozen/bundle.json"]), key: value}
    report = check({"hozen/bundle.json": json.dumps(stated).encode() + b"\n"})
    assert report.word is Word.MISMATCH  # the tag manifest has the hash of the sealed file


@given(order=st.permutations(range(1, 12)))
def test_numbers_may_come_in_any_order_but_once(order: list[int]) -> None:
    numbers = Numbers()
    assert all(numbers.add(number) for number in order)
    assert (numbers.low, numbers.without_gap) == (11, True)
    assert not any(numbers.add(number) for number in order)
    assert not numbers.add(0)
    assert numbers.add(13)
    assert not numbers.without_gap


def test_what_is_left_alone_is_a_problem() -> None:
    items = Items()
    items.finish()
    assert items.problems == []


SOURCES = ["found", "listed", "claimed"]


def steps(path: str, values: dict[str, int]) -> Iterator[tuple[str, str, int]]:
    for source, value in values.items():
        yield source, path, value


@settings(max_examples=200, deadline=None)
@given(
    said=st.dictionaries(
        st.sampled_from(["data/a/000001.log", "data/a/000002.log", "data/a/000003.log"]),
        st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 2), min_size=1),
        max_size=3,
    ),
    data=st.data(),
)
def test_the_ledger_tells_the_same_in_any_order(said: dict[str, dict[str, int]], data: Any) -> None:
    calls = [call for path, values in said.items() for call in steps(path, values)]
    results = []
    for order in (calls, data.draw(st.permutations(calls))):
        ledger = Ledger(needs_record=lambda _path: True)
        for source, path, value in order:
            digest = bytes([value]) * 32
            if source == "found":
                ledger.found(path, digest, value)
            elif source == "listed":
                ledger.listed(path, digest.hex())
            else:
                ledger.claimed(path, digest.hex(), value)
        results.append(ledger.finish())
    assert results[0] == results[1]
    agreeing = all(
        set(values) == set(SOURCES) and len(set(values.values())) == 1 for values in said.values()
    )
    nothing = not (results[0].differences or results[0].extra or results[0].records)
    assert nothing == agreeing


def test_a_manifest_of_a_bag_that_names_itself_or_the_signature_is_malformed() -> None:
    for line in (b"0" * 64 + b"  signatures/agent.p7s\n", b"0" * 64 + b"  data/a/000001.log\n"):
        report = check({"tagmanifest-sha256.txt": GOOD["tagmanifest-sha256.txt"] + line})
        assert report.word is Word.MISMATCH
        assert "wrong manifest" in str(report.step(4).notes)


def test_bad_data_stays_bad_data() -> None:
    with pytest.raises(BadDataError):
        verify(ZipBundle(io.BytesIO(b"x")), anchors=Anchors(), at=AT)
