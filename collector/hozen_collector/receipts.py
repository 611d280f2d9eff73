"""Receipts: made once for a leaf that a durable checkpoint covers, then kept as they are."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from hozen_collector import faults
from hozen_collector.clock import now_ns
from hozen_collector.index.models import Container, Leaf, Receipt
from hozen_hashes import cms
from hozen_hashes.errors import InternalError
from hozen_hashes.receipt import PROOF_NAME, parse_statement, receipt_files

if TYPE_CHECKING:
    from hozen_collector.index.engine import Index
    from hozen_collector.keys import Keys
    from hozen_collector.log import TransparencyLog
    from hozen_collector.witnesses.keeping import Cosignatures


class Receipts:
    """Makes and finds receipts. Methods block."""

    def __init__(
        self, index: Index, log: TransparencyLog, keys: Keys, cosignatures: Cosignatures
    ) -> None:
        self._index = index
        self._log = log
        self._keys = keys
        self._cosignatures = cosignatures

    def make(self, position: int) -> dict[str, str]:
        """Give the receipt of the leaf at `position`, base64 by file name; the same statement every time.

        The leaf is published first, so no receipt exists whose checkpoint is not durable. Witnesses are waited for
        as long as the settings say; what they cosign later is in the receipt whenever it is asked for again.
        """
        have = self._stored(position)
        if have is not None:
            return self._cosigned(position, have)
        self._log.publish()
        with self._index.read() as session:
            leaf = session.get(Leaf, position)
        if leaf is None:
            raise InternalError(f"there is no leaf {position}")
        digest = hashlib.sha256(leaf.text).digest()
        files = receipt_files(
            parse_statement(leaf.text),
            proof=self._log.proof(position),
            signature=cms.sign_detached(digest, self._keys.receipts, datetime.now(UTC)),
            log_key=self._keys.log_key,
        )
        encoded = {name: base64.b64encode(data).decode() for name, data in files.items()}
        with self._index.write() as session:
            if session.get(Receipt, position) is None:
                body = json.dumps(encoded).encode()
                session.add(Receipt(leaf=position, files=body, created=now_ns()))
        faults.reach("receipt-stored")
        self._cosignatures.wait(position)
        return self._cosigned(position, self._stored(position) or encoded)

    def find(self, key: str) -> dict[str, str] | None:
        """Give the receipt for a bundle id, seal or container hash; the first one where several fit."""
        query = (
            select(Receipt.leaf, Receipt.files)
            .join(Container, Container.leaf == Receipt.leaf)
            .where(or_(Container.sha256 == key, Container.seal == key, Container.bundle == key))
            .order_by(Container.sha256 != key, Receipt.leaf)
            .limit(1)
        )
        with self._index.read() as session:
            row = session.execute(query).first()
        found = None if row is None else _decoded(row.files)
        return None if row is None or found is None else self._cosigned(row.leaf, found)

    def _cosigned(self, position: int, files: dict[str, str]) -> dict[str, str]:
        """Give the same receipt with its proof to a checkpoint that witnesses cosigned, where there is one."""
        proof = self._cosignatures.proof(position)
        if proof is None:
            return files
        return {**files, PROOF_NAME: base64.b64encode(proof).decode()}

    def _stored(self, position: int) -> dict[str, str] | None:
        with self._index.read() as session:
            row = session.get(Receipt, position)
            return _decoded(row.files if row else None)


def _decoded(files: bytes | None) -> dict[str, str] | None:
    if files is None:
        return None
    return {str(name): str(data) for name, data in json.loads(files).items()}
