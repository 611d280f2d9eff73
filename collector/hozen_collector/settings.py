"""What an operator may set; every default is right for one machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and times of one collector.

    Attributes:
        max_upload: largest container taken, bytes.
        max_open_uploads: unfinished uploads an identity may have.
        max_open_bytes: declared bytes of unfinished uploads an identity may have.
        free_space_floor: bytes that stay free on the collector's file system.
        upload_ttl: seconds after its last byte until an unfinished upload is swept.
        header_timeout: seconds a client has to send a request's headers.
        idle_timeout: seconds a client may be silent within a body.
        keep_alive: seconds an idle connection is kept.
        max_connections: connections at once on a listener.
        commit_bytes: bytes after which an offset is made durable within one request.
        commit_seconds: seconds after which it is.
        verify_seconds: seconds the verifier may take for a container.
        verify_memory: address space of the verifier process, bytes.
        transport_days: validity of a transport certificate.
        evidence_days: validity of an evidence certificate.
        lease_seconds: how long a job belongs to a worker that does not answer.
        job_attempts: how often a job that failed by our own fault is tried.
    """

    max_upload: int = 4 << 40
    max_open_uploads: int = 32
    max_open_bytes: int = 4 << 40
    free_space_floor: int = 256 << 20
    upload_ttl: int = 7 * 86400
    header_timeout: float = 15.0
    idle_timeout: float = 60.0
    keep_alive: int = 30
    max_connections: int = 256
    commit_bytes: int = 64 << 20
    commit_seconds: float = 1.0
    verify_seconds: int = 6 * 3600
    verify_memory: int = 4 << 30
    transport_days: int = 90
    evidence_days: int = 11 * 365
    lease_seconds: int = 60
    job_attempts: int = 5
