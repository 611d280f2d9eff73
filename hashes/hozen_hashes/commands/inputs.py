"""Options that several reading commands share: roots, log keys, age identities, times, each read from its file."""

from __future__ import annotations

import functools
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_hashes import cli
from hozen_hashes.errors import FormatError, UsageError
from hozen_hashes.tokenuri import is_token_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from hozen_hashes.cosignature import WitnessKey
    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.note import VerifierKey
    from hozen_hashes.revocation import RevocationList
    from hozen_hashes.verify.tiers import TsaList

_MAX_FILE = 1 << 20
_SEAL = re.compile(r"[0-9a-f]{64}")


def read_file(path: str | Path, *, what: str, limit: int = _MAX_FILE) -> bytes:
    """Return a small file.

    Raises:
        UsageError: it cannot be read.
        FormatError: it is larger than the limit, 1 MiB if none is given.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the {what} {path}: {error.strerror}", hint="give a readable file"
        ) from error
    if len(data) > limit:
        raise FormatError(f"{path} is larger than {limit} bytes; it is no {what}")
    return data


def roots(files: Iterable[str]) -> tuple[x509.Certificate, ...]:
    """Return the certificates of all PEM files; FormatError for a file without one."""
    from hozen_hashes.certificates import load_certificates

    found: list[x509.Certificate] = []
    for file in files:
        certificates = load_certificates(read_file(file, what="root certificate"))
        if not certificates:
            raise FormatError(f"{file} holds no certificate", hint="--root takes a PEM file")
        found.extend(certificates)
    return tuple(found)


def log_keys(files: Iterable[str]) -> tuple[VerifierKey, ...]:
    """Return the log keys of all files, one vkey line each."""
    from hozen_hashes.note import parse_vkey

    return tuple(parse_vkey(read_file(file, what="log key").rstrip(b"\r\n")) for file in files)


def witness_keys(given: Iterable[str], required: int | None) -> tuple[WitnessKey, ...]:
    """Return the witness keys, each given as a vkey line or as the file that holds one.

    Raises:
        UsageError: a file cannot be read, or more witnesses are required than keys were given.
        FormatError: no key of a witness.
    """
    from hozen_hashes.cosignature import parse_witness_vkey

    found = []
    for one in given:
        line = one.encode(errors="replace") if "+" in one and not os.path.isfile(one) else None  # noqa: PTH113 - a key may be too long for a path
        data = read_file(one, what="witness key") if line is None else line
        found.append(parse_witness_vkey(data.rstrip(b"\r\n")))
    count = len({key.public_bytes for key in found})
    if required is not None and required > count:
        raise UsageError(
            f"--witnesses {required} asks for more than the {count} keys that were given",
            hint="give one --witness-key for each witness; one key under two names counts once",
        )
    return tuple(found)


def tsa_list(file: str | None) -> TsaList | None:
    """Return the list of time-stamping authorities, or None when none was named."""
    from hozen_hashes.verify.tiers import read_tsa_list

    return None if file is None else read_tsa_list(read_file(file, what="TSA list"))


def revoked(files: tuple[str, ...]) -> tuple[RevocationList, ...]:
    """Return the lists of revoked certificates, one a file; FormatError for a file without one."""
    from hozen_hashes import revocation

    if len(files) > revocation.MAX_LISTS:
        raise UsageError(
            f"more than {revocation.MAX_LISTS} files for --revoked",
            hint="give the newest of each authority",
        )
    what, limit = "list of revoked certificates", 2 * revocation.MAX_LIST_BYTES
    return tuple(
        revocation.read_list(read_file(file, what=what, limit=limit), name=Path(file).name)
        for file in files
    )


def holders(files: Iterable[str], passphrase_file: str | None = None) -> tuple[Holder, ...]:
    """Return what the files can open: age identities, and private keys of certificates (PEM, PKCS #12).

    A passphrase is asked for once, and only when a key needs one.

    Raises:
        UsageError: a file cannot be read, a key in a token, or a passphrase that does not open its key.
        FormatError: a file that is neither kind.
    """
    from hozen_hashes.holder.keys import read_holders

    ask = functools.cache(
        lambda: cli.read_passphrase(passphrase_file, prompt="Passphrase of the key")
    )
    found: list[Holder] = []
    for file in files:
        if is_token_uri(file):
            raise UsageError(
                "a key in a token does not open bundles here",
                hint="Let openssl open key-NN.p7m with the token (docs/how-to/encrypt.md), and give what comes out.",
            )
        found.extend(read_holders(read_file(file, what="key"), file, ask))
    return tuple(found)


def seal(text: str | None) -> str | None:
    """Return the seal in its one spelling; blanks, as on a printed card, and upper case are taken."""
    if text is None:
        return None
    found = re.sub(r"[\s:-]", "", text).lower()
    if not _SEAL.fullmatch(found):
        raise UsageError(
            "--seal is not 64 hexadecimal digits", hint="copy the root digest from the card or form"
        )
    return found


def moment(text: str | None) -> datetime:
    """Return the time that `--at` names, or the present.

    Raises:
        UsageError: neither RFC 3339 with a zone nor seconds since 1970.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        if text.isascii() and text.isdecimal():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise _no_time(text) from error
    if found.tzinfo is None:
        raise _no_time(text)
    return found.astimezone(UTC)


def _no_time(text: str) -> UsageError:
    return UsageError(
        f"--at {text!r} is not a time", hint="write 2028-06-30T09:00:00Z, or seconds since 1970"
    )
