"""Settings of an installed agent (`agent.yaml`) and of a collector (`collector.yaml`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hozen_config import bind as b
from hozen_config.loader import load_mapping
from hozen_config.profile import read_file
from hozen_config.timestamps import TimestampSettings
from hozen_config.witnesses import WitnessSettings

_URL = re.compile(r"https://[A-Za-z0-9.\-:\[\]]+(?:/[A-Za-z0-9._~/-]*)?")
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What a computer that is prepared for captures knows beforehand; options of a call come first."""

    collector: str | None = b.key(
        b.text(pattern=_URL.fullmatch, example="https://collector.example:8443"),
        "where bundles are sent",
        default=None,
    )
    profile: str = b.key(b.text(), "profile of a capture that names none", default="standard")
    out: str | None = b.key(b.text(), "destination of a capture that names none", default=None)
    identity: str | None = b.key(
        b.text(), "file with the evidence key and certificate", default=None
    )
    recipients: tuple[str, ...] = b.key(
        b.listing(b.text(), limit=20), "age recipients that bundles are encrypted to", default=()
    )
    roots: tuple[str, ...] = b.key(
        b.listing(b.text(), limit=20),
        "files with the certificates that are trusted when checking",
        default=(),
    )
    case_file: str | None = b.key(
        b.text(), "file with the identification fields of the case", default=None
    )
    lang: str | None = b.key(b.choice("ja", "en"), "language of the output", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """Limits and times of one collector; every default is right for one machine."""

    max_upload: int = b.key(b.size(low=1 << 20), "largest container taken", default=4 << 40)
    max_open_uploads: int = b.key(
        b.number(1, 10_000), "unfinished uploads an identity may have", default=32
    )
    max_open_bytes: int = b.key(
        b.size(low=1 << 20),
        "declared bytes of unfinished uploads an identity may have",
        default=4 << 40,
    )
    free_space_floor: int = b.key(
        b.size(), "bytes that stay free on the archive's file system", default=256 << 20
    )
    upload_ttl: int = b.key(
        b.duration(low=60),
        "time after its last byte until an unfinished upload is swept",
        default=int(7 * _DAY),
    )
    header_timeout: float = b.key(
        b.duration(low=1, high=600), "time a client has to send a request's headers", default=15.0
    )
    idle_timeout: float = b.key(
        b.duration(low=1, high=3600), "time a client may be silent within a body", default=60.0
    )
    keep_alive: int = b.key(
        b.duration(low=1, high=3600), "time an idle connection is kept", default=30
    )
    max_connections: int = b.key(
        b.number(1, 100_000), "connections at once on a listener", default=256
    )
    commit_bytes: int = b.key(
        b.size(low=1 << 16, high=1 << 30),
        "bytes after which an offset is made durable",
        default=64 << 20,
    )
    commit_seconds: float = b.key(
        b.duration(low=0.05, high=60), "time after which an offset is made durable", default=1.0
    )
    verify_seconds: int = b.key(
        b.duration(low=10), "time the verifier may take for a container", default=6 * 3600
    )
    verify_memory: int = b.key(
        b.size(low=256 << 20), "address space of the verifier process", default=4 << 30
    )
    transport_days: int = b.key(
        b.number(1, 398), "validity of a transport certificate, in days", default=90
    )
    evidence_days: int = b.key(
        b.number(3650, 36_500), "validity of an evidence certificate, in days", default=11 * 365
    )
    lease_seconds: int = b.key(
        b.duration(low=5, high=3600),
        "time a job belongs to a worker that does not answer",
        default=60,
    )
    job_attempts: int = b.key(
        b.number(1, 100),
        "how often a job that failed by the collector's own fault is tried",
        default=5,
    )
    timestamps: TimestampSettings = b.key(
        b.section(TimestampSettings), "trusted time (RFC 3161)", default=TimestampSettings
    )
    witnesses: WitnessSettings = b.key(
        b.section(WitnessSettings),
        "who cosigns the log (C2SP tlog-witness)",
        default=WitnessSettings,
    )


def load_agent_settings(path: str) -> AgentSettings:
    """Return the settings in `agent.yaml`.

    Raises:
        UsageError: the file cannot be read or is not such a file; with file, line and key.
    """
    return b.bind(AgentSettings, load_mapping(read_file(Path(path)), file=path))


def load_collector_settings(path: str) -> CollectorSettings:
    """Return the settings in `collector.yaml`; errors as load_agent_settings."""
    return b.bind(CollectorSettings, load_mapping(read_file(Path(path)), file=path))
