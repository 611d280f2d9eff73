"""Uploads in the database and their files: created, brought forward, ended. Every function here blocks."""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import CursorResult, func, select, update

from hozen_collector import durable, faults, jobs
from hozen_collector.clock import SECOND, now_ns
from hozen_collector.durable import FullError
from hozen_collector.index.models import Upload
from hozen_collector.intake import blockfile
from hozen_collector.problem import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_collector.index.engine import Index
    from hozen_collector.intake.declared import Declared
    from hozen_collector.layout import Layout
    from hozen_config.settings import CollectorSettings as Settings

RECEIVING: Final = "receiving"
VERIFYING: Final = "verifying"
ACCEPTED: Final = "accepted"
QUARANTINED: Final = "quarantined"
EXPIRED: Final = "expired"
TERMINATED: Final = "terminated"
FINISHED: Final = frozenset({VERIFYING, ACCEPTED, QUARANTINED})
ACCEPT_TASK: Final = "accept"


class UploadStore:
    """The uploads of one collector."""

    def __init__(self, index: Index, layout: Layout, settings: Settings) -> None:
        self._index = index
        self._layout = layout
        self._settings = settings

    def path(self, upload_id: str) -> Path:
        """Give where the bytes of an upload lie while it is not accepted."""
        return self._layout.uploads / f"{upload_id}.part"

    def create(self, agent_id: str, declared: Declared, length: int) -> Upload:
        """Make an upload with room set aside for all of it, durably.

        Raises:
            RefusedError: 413, larger than allowed or beyond the quota of the identity.
            FullError: there is not enough room; nothing was written.
        """
        self._check_quota(agent_id, length)
        self.check_space(length, "this container")
        now = now_ns()
        upload = Upload(
            id=secrets.token_hex(16),
            agent_id=agent_id,
            bundle=declared.bundle,
            case_id=declared.case,
            seal=declared.seal,
            sha256=declared.sha256,
            filename=declared.filename,
            kind=declared.kind,
            length=length,
            offset=0,
            state=RECEIVING,
            reasons="[]",
            created=now,
            touched=now,
        )
        self._create_file(upload.id, length)
        try:
            with self._index.write() as session:
                session.add(upload)
        except BaseException:
            self.path(upload.id).unlink(missing_ok=True)
            raise
        faults.reach("upload-created")
        return upload

    def get(self, upload_id: str, *, agent_id: str) -> Upload:
        """Give the upload of this identity.

        Raises:
            RefusedError: 404, unknown or another's; 410, expired or terminated.
        """
        with self._index.read() as session:
            upload = session.get(Upload, upload_id)
        if upload is None or upload.agent_id != agent_id:
            raise RefusedError(404, "there is no such upload", hint="Create a new one.")
        if upload.state in (EXPIRED, TERMINATED):
            raise RefusedError(410, f"the upload was {upload.state}", hint="Create a new one.")
        return upload

    def commit(self, upload_id: str, offset: int) -> None:
        """Acknowledge bytes that are durable; at the full length the verification is promised with it.

        Raises:
            RefusedError: 410, the upload was ended meanwhile.
        """
        with self._index.write() as session:
            upload = session.get(Upload, upload_id)
            if upload is None or upload.state != RECEIVING or offset > upload.length:
                raise RefusedError(410, "the upload was ended meanwhile")
            upload.offset = max(upload.offset, offset)
            upload.touched = now_ns()
            if upload.offset == upload.length:
                upload.state = VERIFYING
                jobs.enqueue(session, ACCEPT_TASK, {"upload": upload_id}, key=f"accept:{upload_id}")

    def end(self, upload_id: str, state: str, *, untouched_since: int | None = None) -> None:
        """Give an unfinished upload up: its row stays, its bytes go. One that was gone on with meanwhile is left."""
        limit = now_ns() if untouched_since is None else untouched_since
        with self._index.write() as session:
            ended = session.execute(
                update(Upload)
                .where(Upload.id == upload_id, Upload.state == RECEIVING, Upload.touched <= limit)
                .values(state=state, touched=now_ns())
            )
        if cast("CursorResult[object]", ended).rowcount == 1:
            durable.remove(self.path(upload_id))

    def expired(self) -> tuple[int, list[str]]:
        """Give the unfinished uploads that nobody went on with since a time, and that time."""
        limit = now_ns() - self._settings.upload_ttl * SECOND
        with self._index.read() as session:
            query = select(Upload.id).where(Upload.state == RECEIVING, Upload.touched <= limit)
            return limit, list(session.scalars(query))

    def expires(self, upload: Upload) -> int:
        """Give when an unfinished upload will be swept."""
        return upload.touched + self._settings.upload_ttl * SECOND

    def sweep_files(self) -> None:
        """Remove files that no unfinished upload owns; at start, before anything is served."""
        with self._index.read() as session:
            live = (RECEIVING, VERIFYING)
            owned = set(session.scalars(select(Upload.id).where(Upload.state.in_(live))))
        for path in self._layout.uploads.glob("*.part"):
            if path.name.removesuffix(".part") not in owned:
                durable.remove(path)

    def check_space(self, length: int, what: str) -> None:
        """Return when there is room for `length` bytes above the floor; raises FullError."""
        with durable.writing("the upload"):
            free = shutil.disk_usage(self._layout.uploads).free
        if length + self._settings.free_space_floor > free:
            raise FullError(
                f"the collector has no room for {what}",
                hint="Free space on the collector's disk, then push again; nothing was lost.",
            )

    def _create_file(self, upload_id: str, length: int) -> None:
        path = self.path(upload_id)
        with durable.writing("the upload"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                blockfile.reserve(descriptor, length)
                os.fsync(descriptor)
            except OSError:
                path.unlink(missing_ok=True)
                raise
            finally:
                os.close(descriptor)
        durable.sync_directory(path.parent)

    def _check_quota(self, agent_id: str, length: int) -> None:
        if length > self._settings.max_upload:
            raise RefusedError(
                413, f"the container is larger than {self._settings.max_upload} bytes"
            )
        query = select(func.count(), func.coalesce(func.sum(Upload.length), 0)).where(
            Upload.agent_id == agent_id, Upload.state == RECEIVING
        )
        with self._index.read() as session:
            count, size = session.execute(query).one()
        if (
            count >= self._settings.max_open_uploads
            or size + length > self._settings.max_open_bytes
        ):
            raise RefusedError(
                413,
                "this identity has too many unfinished uploads",
                hint="Finish or delete one (DELETE), then try again.",
            )
