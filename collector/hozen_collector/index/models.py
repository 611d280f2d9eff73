"""What the collector remembers. Times are nanoseconds since 1970 UTC; hashes are lower-case hexadecimal SHA-256."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The metadata that migrations are compared with."""

    # SQLite's INTEGER has 64 bits, and only it numbers rows by itself.
    type_annotation_map: ClassVar = {
        int: BigInteger().with_variant(Integer, "sqlite"),
        str: Text,
        bytes: LargeBinary,
    }


class Token(Base):
    """A right to enrol; only the hash of its secret is kept."""

    __tablename__ = "token"
    id: Mapped[str] = mapped_column(primary_key=True)
    secret_sha256: Mapped[str]
    hosts: Mapped[str]
    uses_left: Mapped[int]
    expires: Mapped[int]
    created: Mapped[int]


class Agent(Base):
    """An enrolled identity; by `transport_key` (SHA-256 of its public key) a lost answer can be asked for again."""

    __tablename__ = "agent"
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"))
    transport_key: Mapped[str] = mapped_column(unique=True)
    enrolled: Mapped[int]
    revoked: Mapped[int | None]


class Certificate(Base):
    """A certificate that this collector issued; `usage` is transport or evidence."""

    __tablename__ = "certificate"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), index=True)
    usage: Mapped[str]
    der: Mapped[bytes]
    not_after: Mapped[int]
    revoked: Mapped[int | None]


class Upload(Base):
    """One tus upload.

    `offset` counts durable bytes; `state` is receiving, verifying, accepted, quarantined, expired or terminated.
    """

    __tablename__ = "upload"
    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    bundle: Mapped[str]
    case_id: Mapped[str]
    seal: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    kind: Mapped[str]
    length: Mapped[int]
    offset: Mapped[int]
    state: Mapped[str]
    reasons: Mapped[str]
    created: Mapped[int]
    touched: Mapped[int]
    __table_args__ = (Index("upload_open", "state", "agent_id"),)


class Container(Base):
    """A container that was received whole: archived (`state` accepted) or quarantined."""

    __tablename__ = "container"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    bundle: Mapped[str] = mapped_column(index=True)
    seal: Mapped[str] = mapped_column(index=True)
    case_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    filename: Mapped[str]
    state: Mapped[str]
    word: Mapped[str]
    integrity: Mapped[str]
    origin: Mapped[str]
    reasons: Mapped[str]
    signer: Mapped[str]
    signer_name: Mapped[str]
    vouched: Mapped[bool]
    sender: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    sealed: Mapped[str]
    arrived: Mapped[int]
    variant_of: Mapped[str | None]
    leaf: Mapped[int | None] = mapped_column(ForeignKey("leaf.position"))


class Leaf(Base):
    """One entry of the log. The order of `position` is the authority; tiles are made from it."""

    __tablename__ = "leaf"
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event: Mapped[str]
    text: Mapped[bytes]
    bundle: Mapped[str] = mapped_column(index=True)
    created: Mapped[int]


class Receipt(Base):
    """The files of the receipt for one leaf, as a JSON object of base64; made once, never altered."""

    __tablename__ = "receipt"
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"), primary_key=True)
    files: Mapped[bytes]
    created: Mapped[int]


class Start(Base):
    """A capture that announced itself: the signed first journal segment."""

    __tablename__ = "start"
    signature_sha256: Mapped[str] = mapped_column(primary_key=True)
    bundle: Mapped[str] = mapped_column(index=True)
    segment: Mapped[bytes]
    signature: Mapped[bytes]
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"))


class Custody(Base):
    """A signed custody event that was pushed for a seal."""

    __tablename__ = "custody"
    event_sha256: Mapped[str] = mapped_column(primary_key=True)
    seal: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    event: Mapped[bytes]
    signature: Mapped[bytes]
    signer: Mapped[str]
    attachments: Mapped[str]
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    arrived: Mapped[int]
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"))


class Envelope(Base):
    """An envelope of an archived encrypted container (envelope-v1); its files lie beside it under `digest`.

    `seal_signature` is the SHA-256 of its `agent.p7s`. `recipients` counts them, `keys` is a JSON list of the subjects
    that the signer names. `vouched`: the signer's certificate was one of ours.
    """

    __tablename__ = "envelope"
    digest: Mapped[str] = mapped_column(primary_key=True)
    container: Mapped[str] = mapped_column(ForeignKey("container.sha256"), index=True)
    seal_signature: Mapped[str]
    size: Mapped[int]
    recipients: Mapped[int]
    keys: Mapped[str]
    signer: Mapped[str]
    signer_name: Mapped[str]
    vouched: Mapped[bool]
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"))
    arrived: Mapped[int]
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"))


class Opening(Base):
    """What a person states who opened an encrypted container elsewhere (envelope-v1 §4): a claim, never checked here.

    `stated` is the claimed time; `agent_id` is None where an administrator took the statement in.
    """

    __tablename__ = "opening"
    signature_sha256: Mapped[str] = mapped_column(primary_key=True)
    container: Mapped[str] = mapped_column(ForeignKey("container.sha256"), index=True)
    statement: Mapped[bytes]
    signature: Mapped[bytes]
    signer: Mapped[str]
    signer_name: Mapped[str]
    states: Mapped[str]
    stated: Mapped[int]
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agent.id"))
    arrived: Mapped[int]
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"))


class Stamp(Base):
    """A time stamp of an authority (timestamp-v1); its raw reply lies in `stamps/` under `sha256`.

    `kind` is seal, checkpoint or renewal. `target` is the SHA-256 of the stamped bytes, `subject` that of what the
    first stamp of a chain of renewals was over. `stamped` is the authority's time, `arrived` the collector's; `ends`
    is when the authority's certificate ends, `renew_at` when a renewal is due.
    `size` is the size of a stamped checkpoint, else 0.
    """

    __tablename__ = "stamp"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    target: Mapped[str]
    authority: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    stamped: Mapped[int]
    arrived: Mapped[int]
    ends: Mapped[int]
    algorithms: Mapped[str]
    renew_at: Mapped[int] = mapped_column(index=True)
    tier: Mapped[str]
    tier_as_of: Mapped[str]
    size: Mapped[int]
    bundle: Mapped[str]
    case_id: Mapped[str]
    seal: Mapped[str] = mapped_column(index=True)
    leaf: Mapped[int] = mapped_column(ForeignKey("leaf.position"))
    __table_args__ = (UniqueConstraint("target", "authority"),)


class Witness(Base):
    """A witness of the log that is asked, or was; `key` is its public key. `failures` counts those in a row."""

    __tablename__ = "witness"
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    asked: Mapped[bool]
    failures: Mapped[int]
    error: Mapped[str]
    failed: Mapped[int | None]


class Cosignature(Base):
    """A witness's line for one checkpoint, whose note with the log's signature is `note`; never altered.

    `stated` is the witness's time in seconds since 1970.
    """

    __tablename__ = "cosignature"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    size: Mapped[int]
    note: Mapped[bytes]
    key: Mapped[str]
    line: Mapped[str]
    stated: Mapped[int]
    arrived: Mapped[int]
    __table_args__ = (UniqueConstraint("size", "key"),)


class Job(Base):
    """Work that was promised in the same transaction as its cause. A lease that ran out is free to be claimed."""

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    task: Mapped[str]
    args: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(index=True)
    not_before: Mapped[int]
    attempts: Mapped[int]
    error: Mapped[str]


class Access(Base):
    """Who saw what (law M21); each row carries the hash of the one before it."""

    __tablename__ = "access"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]
    actor: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    previous: Mapped[str]
    sha256: Mapped[str]
