"""What a client declares is read strictly, whatever the bytes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_collector.archive.filesystem import FilesystemArchive
from hozen_collector.intake import headers
from hozen_collector.intake.declared import KINDS, Declared, parse_metadata
from hozen_collector.problem import RefusedError
from hozen_hashes.errors import FormatError, InternalError

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(
    seal=HEX,
    sha256=HEX,
    case=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200),
    filename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}\.zip", fullmatch=True),
    kind=st.sampled_from(KINDS),
)
def test_a_declaration_reads_back_as_it_was_written(**words: str) -> None:
    declared = Declared(bundle="hz-20261123T050000Z-web01-5f3a9c10", **words)
    assert parse_metadata(declared.encode()) == declared


@given(st.text(max_size=300))
def test_any_other_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(FormatError):
        parse_metadata(text)


@given(
    st.dictionaries(
        st.sampled_from(["bundle", "case", "seal", "sha256", "filename", "kind", "x"]),
        st.binary(max_size=80),
    )
)
def test_any_words_are_refused_or_in_their_form(words: dict[str, bytes]) -> None:
    text = ",".join(f"{name} {base64.b64encode(data).decode()}" for name, data in words.items())
    with pytest.raises(FormatError):
        parse_metadata(text)


@given(st.text(max_size=40))
def test_a_number_in_a_header_is_plain_decimal(text: str) -> None:
    try:
        found = headers.upload_offset({"upload-offset": text})
    except RefusedError as error:
        assert error.status == 400
    else:
        assert text.isascii()
        assert int(text) == found < 1 << 63


@given(data=st.binary(max_size=100), algorithm=st.sampled_from(headers.ALGORITHMS))
def test_a_checksum_header_is_the_digest_it_says(data: bytes, algorithm: str) -> None:
    digest = hashlib.new(algorithm, data).digest()
    words = {"upload-checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}
    checksum = headers.upload_checksum(words)
    assert checksum is not None
    running = checksum.new()
    running.update(data)
    assert running.digest() == checksum.digest


@given(st.text())
def test_the_archive_has_no_path_for_what_is_no_hash(text: str) -> None:
    with pytest.raises(InternalError):
        FilesystemArchive(None).path(text)  # type: ignore[arg-type]


def test_the_archive_never_replaces_what_it_holds(tmp_path: Any) -> None:
    archive = FilesystemArchive(tmp_path / "archive")
    source = tmp_path / "x"
    source.write_bytes(b"evidence")
    sha256 = hashlib.sha256(b"evidence").hexdigest()
    archive.put_once(source, sha256, 8)
    archive.put_once(source, sha256, 8)
    assert archive.path(sha256).read_bytes() == b"evidence"
    archive.path(sha256).chmod(0o600)
    archive.path(sha256).unlink()
    archive.path(sha256).write_bytes(b"rotten!!")
    with pytest.raises(InternalError, match="other bytes"):
        archive.put_once(source, sha256, 8)
    assert archive.path(sha256).read_bytes() == b"rotten!!"
