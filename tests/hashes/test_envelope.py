"""The envelope of an encrypted bundle: openssl's and ours are taken, and everything else is refused by name."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from envelopes import Encrypted, encrypt, vendor
from hypothesis import given
from hypothesis import strategies as st

from hozen_hashes import cms
from hozen_hashes.agekeys import new_identity
from hozen_hashes.envelope.enveloped import check_enveloped
from hozen_hashes.envelope.files import read_folder, read_openings
from hozen_hashes.envelope.opening import MAX_BYTES, OpeningStatement, parse_opening
from hozen_hashes.envelope.reading import digest_of, read_envelope
from hozen_hashes.errors import (
    BadDataError,
    FormatError,
    LimitError,
    MismatchError,
    NotVerifiableError,
    SignatureError,
    UsageError,
)
from hozen_hashes.identity import new_one_capture

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "hz-20261123T050000Z-web01-5f3a9c10"
SEAL = "4d" * 32
pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vendor")


@pytest.fixture(scope="module")
def made(folder: Path) -> Encrypted:
    """An envelope for the holders of an RSA and an EC certificate."""
    signer = new_one_capture("web01")
    container = io.BytesIO()
    with zipfile.ZipFile(container, "w") as file:
        sealed = cms.sign_detached(bytes.fromhex(SEAL), signer, datetime.now(UTC))
        file.writestr(f"{ID}/signatures/agent.p7s", sealed)
    people = (vendor(folder, "rsa", "first"), vendor(folder, "ec", "second"))
    return encrypt(ID, container.getvalue(), SEAL, signer, *people)


def test_a_whole_envelope_says_what_is_inside_and_for_whom(made: Encrypted) -> None:
    envelope = read_envelope(made.files)
    assert (envelope.bundle_id, envelope.seal) == (ID, SEAL)
    assert envelope.ciphertext_sha256 == made.sha256
    assert envelope.ciphertext_size == len(made.ciphertext)
    assert len(envelope.recipients) == 3
    assert [one.subject for one in envelope.keys] == ["CN=first", "CN=second"]
    assert [one.recipient for one in envelope.keys] == list(envelope.recipients[1:])
    assert envelope.size == sum(map(len, made.files.values()))


def test_an_envelope_without_certificates_is_one_too(made: Encrypted) -> None:
    files = {
        name: data
        for name, data in made.with_facts(keys=None).items()
        if not name.startswith("key-")
    }
    assert read_envelope(files).keys == ()


def test_sha256sum_prints_the_list_whose_hash_is_the_digest(
    made: Encrypted, tmp_path: Path
) -> None:
    for name, data in made.files.items():
        (tmp_path / name).write_bytes(data)
    script = "LC_ALL=C sha256sum -- * | sha256sum"
    done = subprocess.run(script, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert (
        done.stdout.split()[0].decode() == digest_of(made.files) == read_envelope(made.files).digest
    )


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("words", [(), ("-keyid",), ("-aes128",)])
def test_what_openssl_envelopes_for_one_recipient_is_taken(
    tmp_path: Path, kind: str, words: tuple[str, ...]
) -> None:
    pem = vendor(tmp_path, kind)
    base = ["openssl", "cms", "-encrypt", "-binary", "-outform", "DER"]
    command = [*base, *words, "-recip", str(pem)]
    secret = f"{new_identity().secret()}\n".encode()
    done = subprocess.run(command, input=secret, check=True, capture_output=True)
    check_enveloped(done.stdout)


def test_more_than_one_recipient_and_other_kinds_of_cms_are_refused(
    tmp_path: Path, made: Encrypted
) -> None:
    people = [vendor(tmp_path, "rsa", "one"), vendor(tmp_path, "ec", "two")]
    words = [word for one in people for word in ("-recip", str(one))]
    encrypt_ = ["openssl", "cms", "-encrypt", "-binary", "-outform", "DER"]
    others: list[list[str]] = [
        [*encrypt_, *words],
        [*encrypt_, "-stream", "-recip", str(people[0])],
        [*encrypt_, "-aes-128-gcm", "-recip", str(people[0])],
        [*encrypt_, "-pwri_password", "x", "-recip", str(people[0])],
        ["openssl", "cms", "-data_create", "-outform", "DER"],
    ]
    for command in others:
        done = subprocess.run(command, input=b"secret\n", check=True, capture_output=True)
        with pytest.raises(FormatError):
            check_enveloped(done.stdout)
    with pytest.raises(FormatError):
        check_enveloped(made.files["agent.p7s"])


def test_an_enveloped_key_cut_or_lengthened_anywhere_is_refused(made: Encrypted) -> None:
    for name in ("key-01.p7m", "key-02.p7m"):
        whole = made.files[name]
        check_enveloped(whole)
        for end in range(len(whole)):
            with pytest.raises(FormatError):
                check_enveloped(whole[:end])
        with pytest.raises(FormatError):
            check_enveloped(whole + b"\0")


@given(st.data())
def test_foreign_bytes_are_refused_in_one_way(data: Any) -> None:
    junk = data.draw(st.binary(max_size=200))
    with pytest.raises(BadDataError):
        check_enveloped(junk)


@given(st.data())
def test_a_changed_bit_is_refused_and_changes_the_digest(made: Encrypted, data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(made.files)))
    whole = bytearray(made.files[name])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    changed = made.files | {name: bytes(whole)}
    assert digest_of(changed) != digest_of(made.files)
    with pytest.raises((BadDataError, MismatchError)):
        read_envelope(changed)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.data())
def test_any_facts_are_an_envelope_or_refused(made: Encrypted, data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(made.facts)))
    value = data.draw(_JSON.filter(lambda value: value != made.facts[name]))
    if data.draw(st.booleans()):
        value = [made.facts["keys"][0] | {data.draw(st.sampled_from(["file", "subject"])): value}]
    try:
        envelope = read_envelope(made.with_facts(**{name: value}))
    except (BadDataError, MismatchError):
        return
    assert name == "keys"
    assert {one.file for one in envelope.keys} <= set(made.files)


def _without(name: str) -> Callable[[Encrypted], dict[str, bytes]]:
    return lambda made: {key: data for key, data in made.files.items() if key != name}


def _with(name: str, data: bytes) -> Callable[[Encrypted], dict[str, bytes]]:
    return lambda made: made.files | {name: data}


def _cut(name: str) -> Callable[[Encrypted], dict[str, bytes]]:
    return lambda made: made.files | {name: made.files[name][:-1]}


def _key(**changed: Any) -> Callable[[Encrypted], dict[str, bytes]]:
    return lambda made: made.with_facts(
        keys=[made.facts["keys"][0] | changed, made.facts["keys"][1]]
    )


def _facts(**changed: Any) -> Callable[[Encrypted], dict[str, bytes]]:
    return lambda made: made.with_facts(**changed)


def _twice(made: Encrypted) -> dict[str, bytes]:
    return made.with_facts(keys=[made.facts["keys"][0]] * 2)


def _double_recipient(made: Encrypted) -> dict[str, bytes]:
    return made.with_facts(recipients=made.facts["recipients"] * 2)


def _other_signer(made: Encrypted) -> dict[str, bytes]:
    return made.with_facts(new_one_capture("somebody"))


def _no_cms(made: Encrypted) -> dict[str, bytes]:
    junk = b"-----BEGIN CMS-----\n"
    key = made.facts["keys"][0] | {"sha256": hashlib.sha256(junk).hexdigest()}
    files = made.with_facts(keys=[key, made.facts["keys"][1]])
    return files | {"key-01.p7m": junk}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (_without("envelope.json"), FormatError, "no envelope.json"),
        (_without("agent.p7s"), FormatError, "no agent.p7s"),
        (_without("key-02.p7m"), FormatError, "no key-02.p7m"),
        (_with("key-03.p7m", b"0"), FormatError, "does not name key-03.p7m"),
        (_with("key-00.p7m", b"0"), FormatError, "not a file of an envelope"),
        (_with("../x", b"0"), FormatError, "not a file of an envelope"),
        (_with("key-01.p7m", bytes(16 * 1024 + 1)), LimitError, "larger than"),
        (_with("envelope.json", b"{" * (1 << 20) + b"}"), LimitError, "larger than"),
        (_with("envelope.json", b'{"format":"hozen-envelope/1","format":"x"}\n'), FormatError, "twice"),
        (_cut("key-01.p7m"), MismatchError, "not the file that"),
        (_cut("envelope.json"), SignatureError, "over content"),
        (_cut("envelope.p7s"), SignatureError, "not a signature"),
        (_cut("agent.p7s"), SignatureError, "not a signature"),
        (_no_cms, FormatError, "key-01.p7m is not an enveloped key"),
        (_other_signer, SignatureError, "different certificates"),
        (_facts(seal="00" * 32), MismatchError, "another seal"),
        (_facts(seal="00"), FormatError, "seal is no SHA-256"),
        (_facts(format="hozen-envelope/2"), FormatError, "not hozen-envelope/1"),
        (_facts(bundle_id="../../etc"), FormatError, "bundle id"),
        (_facts(ciphertext_size="01"), FormatError, "ciphertext_size"),
        (_facts(ciphertext_size=5), FormatError, "ciphertext_size"),
        (_facts(recipients=[]), FormatError, "recipients"),
        (_facts(recipients=["age1xyz"]), FormatError, "a recipient is not"),
        (_facts(recipients=[7]), FormatError, "a recipient is not"),
        (_facts(keys={}), FormatError, "keys is not a list"),
        (_facts(keys=[7]), FormatError, "not an object"),
        (_key(file="agent.p7s"), FormatError, "not in its form"),
        (_key(file="key-02.p7m"), MismatchError, "not the file that"),
        (_key(recipient=str(new_identity().recipient)), FormatError, "for nobody"),
        (_key(certificate_sha256="x"), FormatError, "certificate_sha256"),
        (_key(subject="x" * 9000), FormatError, "not in its form"),
        (_twice, FormatError, "named twice"),
        (_double_recipient, FormatError, "named twice"),
    ],
)  # fmt: skip
def test_an_envelope_that_is_not_whole_is_refused_for_its_reason(
    made: Encrypted, change: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read_envelope(change(made))


def test_only_plain_files_with_the_names_of_an_envelope_are_read(
    made: Encrypted, tmp_path: Path
) -> None:
    folder = made.put(tmp_path).parent / f"{ID}.envelope"
    (folder / "Thumbs.db").write_bytes(b"a file manager was here")
    assert read_folder(folder) == made.files
    assert read_folder(tmp_path / "absent") is None
    assert read_folder(tmp_path / f"{ID}.zip.age") is None
    key = folder / "key-01.p7m"
    key.unlink()
    key.symlink_to(folder / "agent.p7s")
    with pytest.raises(NotVerifiableError):
        read_folder(folder)
    key.unlink()
    os.mkfifo(key)
    with pytest.raises(NotVerifiableError, match="no plain file"):
        read_folder(folder)
    key.unlink()
    key.write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(LimitError):
        read_folder(folder)


def test_opening_statements_are_read_with_their_signatures(tmp_path: Path) -> None:
    assert read_openings(tmp_path / "absent") == {}
    for name in (
        "opened-01.txt",
        "opened-01.p7s",
        "opened-02.txt",
        "opened-00.txt",
        "opened-00.p7s",
        "x",
    ):
        (tmp_path / name).write_bytes(name.encode())
    assert read_openings(tmp_path) == {"opened-01": (b"opened-01.txt", b"opened-01.p7s")}


# -- the opening statement --------------------------------------------------------------------------------------------

STATED = OpeningStatement(
    bundle=ID, container_sha256="8b" * 32, container_size=18874368, seal=SEAL, signature="51" * 32,
    states="Opened and verified. / 開封し照合した。", time=1795572600 * 10**9,
)  # fmt: skip


def test_the_statement_on_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "format" / "envelope-v1.md").read_text()
    block = "hozen-opened/1\n" + page.split("hozen-opened/1\n")[1].split("```")[0]
    for short in ("8be0…3c", "4d1f…9b", "51c2…e0"):
        block = block.replace(short, short[:4] + "0" * 58 + short[-2:])
    assert parse_opening(block.encode()).states == "Opened and verified."


@given(st.text(max_size=300).filter(lambda text: text != "-"), st.integers(0, 2**62))
def test_a_statement_reads_back_as_it_was_written(states: str, size: int) -> None:
    words = {name: getattr(STATED, name) for name in OpeningStatement.__dataclass_fields__}
    try:
        made = OpeningStatement(**(words | {"states": states, "container_size": size}))
        text = made.encode()
    except UsageError:
        assert any(0xD800 <= ord(c) < 0xE000 for c in states)
        return
    assert parse_opening(text) == made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"hozen-opened/1", b"hozen-opened/2"),
        (b"integrity match", b"integrity mismatch"),
        (b"integrity match\n", b""),
        (b"bundle hz-", b"bundle xx-"),
        (b"container-size 1", b"container-size 01"),
        (b"container-size 1", b"container-size -1"),
        (b"4d4d", b"4D4d"),
        (b"Opened", b"%4Fpened"),
        (b"Opened", b"%FFpened"),
        (b".000000000Z", b"Z"),
        (b"\ntime", b"\ntime 1\ntime"),
        (b"match\n", b"match\r\n"),
    ],
)
def test_a_statement_in_another_form_is_refused(old: bytes, new: bytes) -> None:
    text = STATED.encode()
    assert old in text
    with pytest.raises(FormatError):
        parse_opening(text.replace(old, new, 1))
    with pytest.raises(FormatError):
        parse_opening(text[:-1])
    with pytest.raises(LimitError):
        parse_opening(text.ljust(MAX_BYTES + 1, b"\n"))
