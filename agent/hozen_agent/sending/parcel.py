"""What is to be pushed, known before a byte is sent: bundle, seal and container (bundle-v1 §3, §9, §10)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hozen_hashes.digest import Digest
from hozen_hashes.errors import BadDataError, FormatError, NotVerifiableError, UsageError
from hozen_hashes.jsonl import parse_object
from hozen_hashes.names import check_bundle_id, split_member_name
from hozen_hashes.volumes import open_container
from hozen_hashes.zipread import open_entry, read_directory, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from hozen_hashes.zipread import Entry

SEALED: Final = "tagmanifest-sha256.txt"
SIGNATURE: Final = "signatures/agent.p7s"
FACTS: Final = "hozen/bundle.json"
_WANTED: Final = frozenset({SEALED, SIGNATURE, FACTS})
UNKNOWN: Final = "unknown"
_SMALL: Final = 1 << 20
_MAX_SEALED: Final = 512 << 20
_EARLY: Final = 8  # members before and with segment 0 (bundle-v1 §5)
_PIECE: Final = 1 << 20
_NAME: Final = re.compile(
    r"(?P<id>hz-.+?)\.zip(?P<kind>|\.age|\.partial|\.age\.partial)(?:\.[0-9]{3})?"
)
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_CASE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One container and what is said about it.

    Attributes:
        path: the container, or its first volume.
        kind: `bundle`, `partial` or `encrypted`.
        seal: computed here; for an encrypted one what its envelope says; None for a partial.
        sha256, size: of the container; volumes count as one.
        signature_sha256: of `agent.p7s`, or None.
    """

    path: Path
    kind: str
    bundle_id: str
    case: str
    seal: str | None
    sha256: str
    size: int
    signature_sha256: str | None

    @property
    def filename(self) -> str:
        """The plain name under which it is sent."""
        suffix = {"bundle": ".zip", "partial": ".zip.partial", "encrypted": ".zip.age"}
        return self.bundle_id + suffix[self.kind]

    @property
    def proofs(self) -> Path:
        """The directory of what came later, beside the container (bundle-v1 §10)."""
        return self.path.parent / f"{self.bundle_id}.proofs"

    @property
    def envelope(self) -> Path:
        """The directory of an encrypted container's clear envelope (envelope-v1 §1)."""
        return self.path.parent / f"{self.bundle_id}.envelope"

    def open(self) -> BinaryIO:
        """Return the container's bytes; errors as `open_container`."""
        return open_container(self.path)


@dataclass(frozen=True, slots=True)
class _Words:
    """What a container says about itself."""

    bundle_id: str
    case: str = UNKNOWN
    seal: str | None = None
    signature_sha256: str | None = None


def read_parcel(path: Path, *, moved: Callable[[int], object] = lambda _size: None) -> Parcel:
    """Return the parcel that a file, or the first of its volumes, makes.

    Args:
        path: `….zip`, `….zip.partial`, `….zip.age`, or volumes of one of them.
        moved: told how many bytes were read.

    Raises:
        UsageError: there is nothing, or nothing that can be pushed.
        FormatError, LimitError: not a container of Hozen.
        DeniedError, NotVerifiableError: it cannot be read.
    """
    kind = _kind(path)
    with open_container(path) as file:
        try:
            words = _read[kind](path, file)
            file.seek(0)
            sha256, size = _hash(file, moved)
        except OSError as error:
            raise NotVerifiableError(f"{path} cannot be read: {error.strerror}") from None
    return Parcel(
        path=path,
        kind=kind,
        bundle_id=words.bundle_id,
        case=words.case,
        seal=words.seal,
        sha256=sha256,
        size=size,
        signature_sha256=words.signature_sha256,
    )


def look(path: Path) -> tuple[str, str | None, Path]:
    """Return bundle id, seal if it can be known, and the proofs directory of what `path` names.

    Args:
        path: a container, the first of its volumes, or `<id>.proofs/` itself.

    Raises:
        UsageError: it names neither, or nothing is there.
    """
    if path.name.endswith(".proofs") and path.is_dir():
        return bundle_name(path.with_name(path.name.removesuffix(".proofs") + ".zip")), None, path
    seal = None
    try:
        with open_container(path) as file:
            words = _read[_kind(path)](path, file)
        bundle_id, seal = words.bundle_id, words.seal
    except BadDataError:  # a note about a damaged bundle is the one that matters most
        bundle_id = bundle_name(path)
    return bundle_id, seal, path.parent / f"{bundle_id}.proofs"


def bundle_name(path: Path) -> str:
    """Return the bundle id that a file name promises.

    Raises:
        UsageError: the name is not one of a container.
    """
    match = _NAME.fullmatch(path.name)
    try:
        return check_bundle_id(match["id"] if match else "")
    except FormatError:
        raise UsageError(
            f"{path.name} is not the name of a bundle", hint="Bundles are called hz-….zip."
        ) from None


def _kind(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    suffix = match["kind"] if match else ""
    if suffix == ".age.partial":
        raise UsageError(
            f"{path.name} is an unfinished encrypted capture",
            hint="Its recipient can open it; it has no seal.",
        )
    return {"": "bundle", ".age": "encrypted", ".partial": "partial"}[suffix]


def _of_bundle(_path: Path, file: BinaryIO) -> _Words:
    """Read a finished container: seal and signature from its members."""
    found = [
        (*split_member_name(one.name), one) for one in read_directory(file) if not one.directory
    ]
    entries = {path: entry for _, path, entry in found if path in _WANTED}
    if SEALED not in entries or len({bundle_id for bundle_id, _, _ in found}) != 1:
        raise FormatError(
            "the container has no seal", hint="Prove what it holds with: hozen salvage"
        )
    seal = Digest()
    for piece in open_entry(file, entries[SEALED]):
        seal.update(piece)
        if seal.size > _MAX_SEALED:
            raise FormatError(f"{SEALED} is too large")
    signature = _member(file, entries, SIGNATURE)
    facts = _object(_member(file, entries, FACTS))
    return _Words(
        found[0][0],
        _case(facts),
        seal.hexdigest(),
        hashlib.sha256(signature).hexdigest() if signature else None,
    )


def _of_partial(_path: Path, file: BinaryIO) -> _Words:
    """Read an unfinished container as far as its first journal segment."""
    bundle_id, case = "", UNKNOWN
    try:
        for number, member in enumerate(walk(file.read)):
            bundle_id, inside = split_member_name(member.name)
            data = _bounded(member.chunks())
            if inside == "hozen/journal/000000.jsonl":
                lines = data.split(b"\n", 2)
                case = _case(_object(lines[1])) if len(lines) > 1 else UNKNOWN
                break
            if number >= _EARLY:
                break
    except BadDataError:
        if not bundle_id:
            raise
    return _Words(check_bundle_id(bundle_id), case)


def _of_encrypted(path: Path, _file: BinaryIO) -> _Words:
    """Read the clear envelope beside an encrypted container."""
    bundle_id = bundle_name(path)
    folder = path.parent / f"{bundle_id}.envelope"
    facts = _object(_small_file(folder / "envelope.json"))
    seal = facts.get("seal")
    if facts.get("bundle_id") != bundle_id or not isinstance(seal, str) or not _HEX.fullmatch(seal):
        raise FormatError(f"{folder.name}/envelope.json is not the envelope of {path.name}")
    signature = folder / "agent.p7s"
    digest = hashlib.sha256(_small_file(signature)).hexdigest() if signature.exists() else None
    return _Words(bundle_id, _case(facts), seal, digest)


_read = {"bundle": _of_bundle, "partial": _of_partial, "encrypted": _of_encrypted}


def _hash(file: BinaryIO, moved: Callable[[int], object]) -> tuple[str, int]:
    digest = Digest()
    while piece := file.read(_PIECE):
        digest.update(piece)
        moved(digest.size)
    return digest.hexdigest(), digest.size


def _member(file: BinaryIO, entries: dict[str, Entry], path: str) -> bytes:
    """Return a small member, or nothing where there is none."""
    return _bounded(open_entry(file, entries[path])) if path in entries else b""


def _bounded(pieces: Iterator[bytes]) -> bytes:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > _SMALL:
            raise FormatError("a member that should be small is not")
    return bytes(data)


def _small_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SMALL)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}",
            hint="An encrypted bundle is pushed with its .envelope beside it.",
        ) from None


def _object(data: bytes) -> dict[str, object]:
    """Return a JSON object; an empty one where it cannot be read: the collector judges, not the sender."""
    try:
        return parse_object(data, what="bundle.json")
    except BadDataError:
        return {}


def _case(facts: dict[str, object]) -> str:
    """Return the case number, as far as it can be sent."""
    case = facts.get("case")
    number = case.get("id") if isinstance(case, dict) else case
    text = "".join(c for c in number if c.isprintable())[:_CASE] if isinstance(number, str) else ""
    return text or UNKNOWN
