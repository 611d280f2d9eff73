"""A round is made and opened: one test object for each recipient, encrypted to that one alone (drill-v1 §2)."""

from __future__ import annotations

import re
import secrets
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.age import AgeReader, AgeWriter, new_identity
from hozen_hashes.agekeys import Identity
from hozen_hashes.cmswrap import envelop
from hozen_hashes.drill.rounds import FACTS, Entry, Opened, answer_digest, present, write_round
from hozen_hashes.envelope.enveloped import MAX_BYTES
from hozen_hashes.envelope.files import read_plain
from hozen_hashes.errors import (
    BadDataError,
    CannotWriteError,
    FormatError,
    MismatchError,
    NotVerifiableError,
    UsageError,
)
from hozen_hashes.holder.keys import CertificateKey
from hozen_hashes.newfile import check_absent, write_new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hozen_hashes.drill.named import Asked
    from hozen_hashes.drill.rounds import Round
    from hozen_hashes.holder.keys import Holder

MAX_OBJECT: Final = 256 * 1024
_OBJECT: Final = "hozen-drill-object/1"
# More than one chunk of age, so that an opening shows what opening a bundle needs.
_PADDING: Final = 100_000
_ANSWER: Final = re.compile(rb"answer ([0-9a-f]{64})\n")
_SECOND: Final = 10**9


def make_round(folder: Path, asked: Sequence[Asked], *, now: int) -> Path:
    """Add a round to a drill folder, which is made when it is absent; return the round's directory.

    It is there whole or not at all.

    Raises:
        UsageError: a round of this second is there, or a recipient whose key cannot be used.
        CannotWriteError: the operating system refused.
    """
    made = now // _SECOND * _SECOND
    name = f"{datetime.fromtimestamp(made // _SECOND, UTC):%Y%m%dT%H%M%SZ}"
    target = folder / name
    check_absent(target)
    files: dict[str, bytes] = {}
    entries = tuple(_entry(number, one, name, files) for number, one in enumerate(asked, 1))
    files[FACTS] = write_round(made, entries)
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(exist_ok=True)
        temporary.mkdir()
        try:
            for file, data in files.items():
                write_new(temporary / file, data)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise CannotWriteError(f"cannot write {target}: {error.strerror}") from None
    return target


def _entry(number: int, asked: Asked, name: str, files: dict[str, bytes]) -> Entry:
    answer, stem = secrets.token_hex(32), f"{number:03d}"
    text = f"{_OBJECT}\nround {name}\nrecipient {asked.name}\nanswer {answer}\n".encode()
    recipient, subject, key = asked.recipient, "", b""
    if asked.certificate is not None:
        once = new_identity()
        recipient, subject = once.recipient, asked.certificate.subject.rfc4514_string()
        key = files[f"{stem}.p7m"] = envelop(f"{once.secret()}\n".encode(), asked.certificate)
    assert recipient is not None  # noqa: S101 - one of the two is there
    sealed = bytearray()
    writer = AgeWriter(sealed.extend, [recipient])
    writer.write(text + b"." * _PADDING + b"\n")
    writer.close()
    files[f"{stem}.age"] = bytes(sealed)
    return Entry(
        number=number,
        name=asked.name,
        subject=subject,
        object_sha256=sha256(sealed).hexdigest(),
        key_sha256=sha256(key).hexdigest() if key else "",
        answer_sha256=answer_digest(answer),
    )


def open_entry(one: Round, entry: Entry, holders: Sequence[Holder], *, now: int) -> Opened | None:
    """Return what the opening of a test object states, or None when none of the holders can open it.

    Raises:
        MismatchError: the object, or its one-time key, is not the one that the round names.
        FormatError: what was inside is no test object of this round.
        LimitError, NotVerifiableError: as `read_plain`.
    """
    sealed = _read(one.folder / f"{entry.stem}.age", MAX_OBJECT, entry.object_sha256)
    identities = [holder for holder in holders if isinstance(holder, Identity)]
    if entry.key_sha256:
        p7m = _read(one.folder / f"{entry.stem}.p7m", MAX_BYTES, entry.key_sha256)
        identities += _opened(p7m, holders)
    text = _decrypt(sealed, identities)
    return None if text is None else stated(one, entry, text, now=now)


def stated(one: Round, entry: Entry, text: bytes, *, now: int) -> Opened:
    """Return the opening of a decrypted test object; raises FormatError when it is not this recipient's."""
    answer = _ANSWER.search(text[:4096])
    if answer is None or answer_digest(answer[1].decode()) != entry.answer_sha256:
        raise FormatError(f"{entry.stem}: what was opened is not the test object of this round")
    return Opened(
        round_sha256=one.sha256, recipient=entry.name, answer=answer[1].decode(), time=now
    )


def _read(path: Path, limit: int, wanted: str) -> bytes:
    data = read_plain(path, limit)
    if sha256(data).hexdigest() != wanted:
        raise MismatchError(f"{path.name} is not the file that {FACTS} names")
    return data


def _opened(p7m: bytes, holders: Sequence[Holder]) -> list[Identity]:
    found = []
    for holder in holders:
        if isinstance(holder, CertificateKey):
            try:
                found.append(holder.once(p7m))
            except (BadDataError, NotVerifiableError):
                continue  # another holder's
    return found


def _decrypt(sealed: bytes, identities: Sequence[Identity]) -> bytes | None:
    if not identities:
        return None
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        part = sealed[at : at + size]
        at += len(part)
        return part

    try:
        reader = AgeReader(read, identities)
    except NotVerifiableError:
        return None
    return reader.read(MAX_OBJECT)


def keep(one: Round, entry: Entry, text: bytes, signature: bytes | None) -> Path:
    """Write an opening into its round, with its signature if there is one; return the file.

    Raises:
        UsageError: this recipient has opened this round already.
        CannotWriteError: the operating system refused.
    """
    path = one.folder / f"{entry.stem}.opened.txt"
    write_new(path, text)
    if signature is not None:
        write_new(path.with_suffix(".p7s"), signature)
    return path


def is_open(one: Round, entry: Entry) -> bool:
    """Return whether an opening of this recipient lies in the round, whatever it says."""
    try:
        return present(one.folder / f"{entry.stem}.opened.txt", MAX_OBJECT) is not None
    except (BadDataError, NotVerifiableError):
        return True


def chosen(rounds: Sequence[Round], name: str | None) -> Round:
    """Return the newest round, or the named one; raises UsageError when it is not there."""
    if name is None:
        return rounds[-1]
    for one in rounds:
        if one.folder.name == name:
            return one
    raise UsageError(f"there is no round {name}", hint=f"The newest is {rounds[-1].folder.name}.")
