"""Container, running journal and spill files of one capture on one medium (bundle-v1 §6, §10)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from hozen_agent.addressees import Addressees
from hozen_agent.clock import utc_now
from hozen_agent.durable import ContainerFile, JournalDirectory, cannot_write, write_new
from hozen_agent.host import legible
from hozen_hashes.age import AgeWriter
from hozen_hashes.cms import sign_detached
from hozen_hashes.digest import Digest
from hozen_hashes.errors import CannotWriteError
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hozen_agent.addressees import Wrapped
    from hozen_agent.destination import Destination
    from hozen_hashes.age import Recipient
    from hozen_hashes.identity import Signer
    from hozen_hashes.journal import Segment
    from hozen_hashes.writer import Sealed, Sidecar, Sink

    Buffer = bytes | bytearray | memoryview

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Medium:
    """Where one bundle comes into being.

    Attributes:
        sink: takes the container's clear bytes.
        sidecar: keeps the running journal.
        recipients: age recipients, empty for a clear bundle.
        leftovers: what could not be tidied up after the bundle had its name, one sentence each.
        container: the file or volumes on the medium.
        temporary: what lay on the medium for a while.
    """

    def __init__(
        self, destination: Destination, bundle_id: str, *, addressees: Addressees | None = None
    ) -> None:
        """Create the partial container and the journal directory.

        Raises:
            CannotWriteError: the medium refuses.
        """
        self._destination = destination
        self.temporary = ["a probe file on the destination, removed at once"]
        self._addressees = addressees or Addressees()
        recipients = self._addressees.recipients
        ending = ".zip.age" if recipients else ".zip"
        self.container = ContainerFile(
            destination.fd, bundle_id + ending, volume_size=destination.volume_size
        )
        try:
            self._journal = JournalDirectory(destination.fd, bundle_id)
        except CannotWriteError:
            self.container.withdraw()
            raise
        self._bundle_id = bundle_id
        self._envelope = f"{bundle_id}.envelope"
        try:
            self._write_keys()
        except CannotWriteError:
            self.withdraw()
            raise
        self._encrypted: EncryptedSink | None = None
        self.leftovers: list[str] = []
        self.sink: Sink = self.container
        self.sidecar: Sidecar = self._journal
        self.recipients = tuple(str(r) for r in recipients)
        if recipients:
            self._encrypted = EncryptedSink(self.container, recipients)
            self.sink = self._encrypted
            self.sidecar = EncryptedJournal(self._journal, recipients)

    def withdraw(self) -> None:
        """Nothing of this capture stays on the medium: it ended before its start was signed and anything was read."""
        self.container.withdraw()
        with suppress(CannotWriteError):
            self._journal.remove()
        self._withdraw_keys()

    def encryption(self) -> dict[str, object]:
        """Return who can open the bundle, for `bundle.json` and `envelope.json` (bundle-v1 §10)."""
        keys = [
            {
                "file": name,
                "recipient": str(one.recipient),
                "certificate_sha256": one.certificate_sha256,
                "subject": one.subject,
                "sha256": hashlib.sha256(one.p7m).hexdigest(),
            }
            for name, one in self._keys()
        ]
        return {"recipients": list(self.recipients), **({"keys": keys} if keys else {})}

    def spill(self) -> BinaryIO:
        """Return a temporary file on the medium that has no name there.

        Raises:
            CannotWriteError: the medium refuses.
        """
        self.temporary.append("a list without a name on the destination")
        try:
            return tempfile.TemporaryFile(dir=f"/proc/self/fd/{self._destination.fd}")
        except OSError as error:
            raise cannot_write("a temporary list", error) from error

    def output(self) -> tuple[int, int, str]:
        """Return device and inode of the directory that is written into, and what our names there begin with."""
        state = os.fstat(self._destination.fd)
        return state.st_dev, state.st_ino, self._bundle_id

    def written(self) -> int:
        """Return the bytes of container and running journal so far."""
        return self.container.size + self._journal.written

    def complete(self, signer: Signer, sealed: Sealed, *, bundle_id: str) -> list[str]:
        """Finish the files, read them back, name them; return their names.

        Raises:
            CannotWriteError: the medium refused or gave back other bytes; the partial and its journal stay.
        """
        if self._encrypted is not None:
            self._encrypted.close()
        self.container.sync()
        if self.container.read_back() != self.container.sha256:
            raise CannotWriteError(
                "the medium gave back other bytes than were written",
                hint="keep the partial and its journal, capture again onto another medium",
            )
        if self._encrypted is not None:
            self._write_envelope(signer, sealed, bundle_id)
        names = self.container.publish()
        try:
            self._journal.remove()
        except CannotWriteError as error:
            # The bundle is whole and has its name; a journal that stays beside it says the same.
            self.leftovers.append(str(error))
        return names

    def facts(self) -> dict[str, object]:
        """Return what the bundle states about its destination (law M04)."""
        return {
            "path": legible(self._destination.path),
            "mount": self._destination.mount or None,
            "on_examined_host": self._destination.examined or None,
            "volume_size": str(self._destination.volume_size)
            if self._destination.volume_size
            else None,
            "free_bytes_at_start": str(self._destination.free),
        }

    def _write_envelope(self, signer: Signer, sealed: Sealed, bundle_id: str) -> None:
        envelope = dump_line(
            {
                "format": "hozen-envelope/1",
                "bundle_id": bundle_id,
                "ciphertext_sha256": self.container.sha256,
                "ciphertext_size": str(self.container.size),
                "seal": sealed.seal,
                **self.encryption(),
            }
        )
        digest = Digest()
        digest.update(envelope)
        signature = sign_detached(digest.digest(), signer, utc_now())
        self._put_beside(
            {"envelope.json": envelope, "envelope.p7s": signature, "agent.p7s": sealed.signature}
        )

    def _keys(self) -> list[tuple[str, Wrapped]]:
        return [(f"key-{n:02d}.p7m", one) for n, one in enumerate(self._addressees.wrapped, 1)]

    def _write_keys(self) -> None:
        """Put the enveloped one-time keys beside the ciphertext: a torn one can be opened too."""
        if self._addressees.wrapped:
            self._put_beside({name: one.p7m for name, one in self._keys()})

    def _put_beside(self, files: Mapping[str, bytes]) -> None:
        """Write new files into `<id>.envelope/`, durable; CannotWriteError when the medium refuses."""
        try:
            with suppress(FileExistsError):
                os.mkdir(self._envelope, 0o700, dir_fd=self._destination.fd)
            fd = os.open(self._envelope, _DIRECTORY, dir_fd=self._destination.fd)
        except OSError as error:
            raise cannot_write(self._envelope, error) from error
        try:
            for name, data in files.items():
                write_new(fd, name, data)
            os.fsync(fd)
            os.fsync(self._destination.fd)
        except OSError as error:
            raise cannot_write(self._envelope, error) from error
        finally:
            os.close(fd)

    def _withdraw_keys(self) -> None:
        for name, _ in self._keys():
            with suppress(OSError):
                os.unlink(f"{self._envelope}/{name}", dir_fd=self._destination.fd)
        with suppress(OSError):
            os.rmdir(self._envelope, dir_fd=self._destination.fd)


class EncryptedSink:
    """Encrypts the container on its way to the medium; the last incomplete 64 KiB wait for more."""

    def __init__(self, container: ContainerFile, recipients: Sequence[Recipient]) -> None:
        """Write the age header."""
        self._container = container
        self._age = AgeWriter(container.write, recipients)

    def write(self, data: Buffer) -> None:
        """Append clear bytes; CannotWriteError when the medium refuses."""
        self._age.write(data)

    def sync(self) -> None:
        """Return when all whole chunks are durable."""
        self._container.sync()

    def close(self) -> None:
        """Write the last chunk."""
        self._age.close()


class EncryptedJournal:
    """Keeps hashes, signatures and public keys in clear, and the journal's text for the recipients only."""

    def __init__(self, directory: JournalDirectory, recipients: Sequence[Recipient]) -> None:
        """Wrap the directory."""
        self._directory = directory
        self._recipients = recipients

    def put(self, segment: Segment, files: bytes) -> None:
        """Make one segment durable: its lists and text encrypted, the rest in clear."""
        pairs = [(f"{segment.stem}.files.jsonl.age", self._sealed(files))] if files else []
        pairs += [
            (f"{segment.stem}.pub", segment.public),
            (f"{segment.stem}.sig", segment.signature),
            (f"{segment.stem}.sha256", f"{segment.sha256}  {segment.stem}.jsonl\n".encode()),
            (f"{segment.stem}.jsonl.age", self._sealed(segment.text)),
        ]
        self._directory.put_files(pairs)

    def put_start(self, segment: Segment, start_p7s: bytes) -> None:
        """Make segment 0 durable with the identity's signature over it."""
        self._directory.put_files([("start.p7s.age", self._sealed(start_p7s))])
        self.put(segment, b"")

    def _sealed(self, data: bytes) -> bytes:
        out = bytearray()
        writer = AgeWriter(out.extend, self._recipients)
        writer.write(data)
        writer.close()
        return bytes(out)
