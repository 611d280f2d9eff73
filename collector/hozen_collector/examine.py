"""What is asked of a container before it is accepted: its hash as read back, then the lawyer's own verification."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO, Final

from hozen_collector.events import common_name, nanoseconds
from hozen_collector.identity.authority import fingerprint
from hozen_collector.verdict import MATCH, MISMATCH, NOT_VERIFIABLE, Verdict, clean
from hozen_hashes import cms
from hozen_hashes.digest import Digest
from hozen_hashes.errors import BadDataError, HozenError, LimitError
from hozen_hashes.names import split_member_name
from hozen_hashes.zipread import open_entry, read_directory

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.ziprules import Entry

_READ: Final = 1 << 20


def examine(path: Path, kind: str, roots_pem: bytes) -> Verdict:
    """Give the verdict on a container; nothing foreign makes this raise."""
    with path.open("rb", buffering=0) as file:
        digest = Digest()
        while chunk := file.read(_READ):
            digest.update(chunk)
        words = {"container_sha256": digest.hexdigest(), "container_size": digest.size}
        try:
            return _bundle(file, words, roots_pem)
        except HozenError as error:
            return Verdict(integrity=MISMATCH, reasons=(clean(str(error)),), **words)


def _bundle(file: BinaryIO, words: dict, roots_pem: bytes) -> Verdict:
    entries = {split_member_name(e.name): e for e in read_directory(file)}
    bundle = next(iter(entries))[0]
    tag = _member(file, entries[bundle, "tagmanifest-sha256.txt"])
    p7s = _member(file, entries[bundle, "signatures/agent.p7s"])
    seal = hashlib.sha256(tag).digest()
    signed = cms.verify_detached(p7s, seal)
    return Verdict(
        **words,
        integrity=MATCH,
        bundle=bundle,
        seal=seal.hex(),
        signer=fingerprint(signed.certificate),
        signer_name=common_name(signed.certificate),
        sealed_at=nanoseconds(signed.signing_time),
    )


def _member(file: BinaryIO, entry: Entry) -> bytes:
    return b"".join(open_entry(file, entry))
