"""The collector's copy of a bundle is written out, under the names of bundle-v1 §10 (envelope-v1 §5).

Every byte is compared with its hash on the way. That it was given out is in the access log and in the transparency log
before the first byte is.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select

from hozen_collector import durable, leaves
from hozen_collector.access import record_access
from hozen_collector.archive import beside
from hozen_collector.archive.filesystem import FilesystemArchive
from hozen_collector.index.models import Container, Envelope, Leaf, Opening, Receipt
from hozen_collector.intake import store
from hozen_hashes.digest import Digest
from hozen_hashes.envelope.reading import digest_of
from hozen_hashes.errors import MismatchError, UsageError
from hozen_hashes.statement import parse_statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy.orm import Session

    from hozen_collector.index.engine import Index
    from hozen_collector.layout import Layout
    from hozen_hashes.note import VerifierKey

_PIECE: Final = 1 << 20
_SUFFIX: Final = {"bundle": ".zip", "partial": ".zip.partial", "encrypted": ".zip.age"}
_MOST: Final = 99  # opened-01 to opened-99


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is to be written; `envelopes` are digests in the order of their directories."""

    container: Container
    receipt: dict[str, bytes]
    envelopes: tuple[str, ...]
    openings: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and the leaf that says so."""

    container: Container
    files: tuple[Path, ...]
    leaf: int


def export(
    layout: Layout, index: Index, log_key: VerifierKey, key: str, out: Path, *, actor: str
) -> Exported:
    """Write what is held of a bundle into `out`.

    Args:
        layout: of the collector.
        index: of the collector.
        log_key: of its log.
        key: container SHA-256, seal or bundle id of an accepted container.
        out: a new or empty directory.
        actor: who takes it, for both logs.

    Raises:
        UsageError: nothing accepted has this key, or `out` is not empty.
        MismatchError: the archive holds other bytes than it should; what was written until then stays.
        CannotWriteError: a disk refuses.
    """
    with index.read() as session:
        found = _find(session, key)
    _make_empty(out)
    about = {"address": "local", "action": "export", "subject": found.container.sha256}
    record_access(index, actor=actor, **about)
    with index.write() as session:
        leaf = leaves.append(session, log_key, _event(session, found.container, actor))
    archive = FilesystemArchive(layout.archive)
    files = [_write_container(archive, found.container, out)]
    for number, digest in enumerate(found.envelopes, 1):
        files.append(_write_envelope(archive, found.container, digest, out, number))
    files += _write_proofs(found, out)
    return Exported(container=found.container, files=tuple(files), leaf=leaf)


def _find(session: Session, key: str) -> Copy:
    fits = or_(Container.sha256 == key, Container.seal == key, Container.bundle == key)
    query = select(Container).where(fits, Container.state == store.ACCEPTED)
    container = session.scalar(query.order_by(Container.sha256 != key, Container.leaf).limit(1))
    if container is None or container.leaf is None:
        raise UsageError(
            f"nothing accepted here is called {key[:80]!r}",
            hint="Give the container's SHA-256, the seal or the bundle id; see: hozen collector status",
        )
    receipt = session.get(Receipt, container.leaf)
    files = json.loads(receipt.files) if receipt is not None else {}
    kept = select(Envelope.digest).where(Envelope.container == container.sha256)
    said = select(Opening.statement, Opening.signature).where(Opening.container == container.sha256)
    return Copy(
        container=container,
        receipt={name: base64.b64decode(data) for name, data in files.items()},
        envelopes=tuple(session.scalars(kept.order_by(Envelope.vouched.desc(), Envelope.leaf))),
        openings=tuple(
            (text, signature)
            for text, signature in session.execute(said.order_by(Opening.leaf).limit(_MOST))
        ),
    )


def _event(session: Session, container: Container, actor: str) -> leaves.Event:
    """Give the leaf: an archived bundle was given out (receipt-v1 §4)."""
    taken_in = session.get(Leaf, container.leaf)
    stated = parse_statement(taken_in.text) if taken_in is not None else None
    return leaves.Event(
        event="export",
        bundle=container.bundle,
        case=container.case_id,
        seal=container.seal or None,
        seal_state=stated.seal_state if stated is not None else None,
        container_sha256=container.sha256,
        container_size=container.size,
        signature_sha256=stated.signature_sha256 if stated is not None else None,
        actor=actor,
    )


def _make_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty", hint="Give a new directory.")
    durable.make_directory(out.absolute())


def _write_container(archive: FilesystemArchive, container: Container, out: Path) -> Path:
    path = out / (container.bundle + _SUFFIX[container.kind])
    digest = Digest()
    with durable.writing(path.name):
        source = archive.path(container.sha256)
        with source.open("rb") as archived, path.open("xb") as file:
            path.chmod(0o600)
            while piece := archived.read(_PIECE):
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    durable.sync_directory(out)
    if digest.hexdigest() != container.sha256:
        raise _altered(f"the container {container.sha256}")
    return path


def _write_envelope(
    archive: FilesystemArchive, container: Container, digest: str, out: Path, number: int
) -> Path:
    files = beside.read_files(archive.envelope(container.sha256, digest))
    if digest_of(files) != digest:
        raise _altered(f"the envelope {digest} of {container.sha256}")
    more = f"-{number}" if number > 1 else ""
    return _write_files(out / f"{container.bundle}.envelope{more}", files)


def _write_proofs(found: Copy, out: Path) -> list[Path]:
    proofs = out / f"{found.container.bundle}.proofs"
    written = [_write_files(proofs / "receipt", found.receipt)] if found.receipt else []
    for number, (text, signature) in enumerate(found.openings, 1):
        stem = f"opened-{number:02d}"
        written.append(_write_files(proofs, {f"{stem}.txt": text, f"{stem}.p7s": signature}))
    return list(dict.fromkeys(written))


def _write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    durable.make_directory(folder)
    for name, data in files.items():
        durable.create_file(folder / name, data)
    return folder


def _altered(what: str) -> MismatchError:
    return MismatchError(
        f"the archive holds other bytes than it should: {what}",
        hint="Keep the archive as it is; compare with other copies.",
    )
