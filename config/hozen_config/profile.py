"""Profiles: what a capture takes, in which order, and how much of the host it may use."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_config import bind as b
from hozen_config.loader import MAX_BYTES, Mapping, Node, Scalar, Sequence, load_mapping, refuse
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
_ARTIFACT = re.compile(r"[a-z][a-z0-9_]{0,47}")
_PACKAGED = Path(__file__).parent / "profiles"
_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the profile is for, in both languages."""

    en: str = b.key(b.text(), "one sentence in English")
    ja: str = b.key(b.text(), "the same in Japanese")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLimits:
    """Bounds of one artifact; None takes the profile's own."""

    item: int | None = b.key(
        b.size(low=1), "largest single item; the rest of it is left out", default=None
    )
    family: int | None = b.key(b.size(low=1), "largest sum of the artifact's items", default=None)
    deadline: float | None = b.key(
        b.duration(low=0.1), "longest time for the artifact", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileArtifact:
    """One artifact of the profile; its place in the list is its place in time."""

    name: str = b.key(
        b.text(pattern=_ARTIFACT.fullmatch, example="linux_logs"), "name of the artifact"
    )
    limits: ArtifactLimits = b.key(
        b.section(ArtifactLimits), "its own bounds", default=ArtifactLimits
    )
    optional: bool = b.key(
        b.flag(), "taken only when --with asks for it; its place and bounds are kept", default=False
    )
    yields: bool = b.key(
        b.flag(),
        "bulk: it never takes the part of `total` that is reserved for others",
        default=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """How long a part of the journal stays open; the bundle format sets the upper bounds."""

    seconds: float = b.key(b.duration(low=0.05, high=2), "longest time of an epoch", default=2.0)
    bytes: int = b.key(
        b.size(low=1 << 16, high=64 << 20), "most payload of an epoch", default=64 << 20
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the capture may use of the host and of the destination."""

    item: int = b.key(
        b.size(low=1), "largest single item; the rest of it is left out", default=1 << 30
    )
    family: int = b.key(b.size(low=1), "largest sum of one artifact's items", default=16 << 30)
    total: int = b.key(b.size(low=1), "largest sum of all items", default=64 << 30)
    reserved_share: float = b.key(
        b.share(high=0.9),
        "part of `total` that artifacts marked `yields` leave to the others",
        default=0.05,
    )
    deadline: float = b.key(
        b.duration(low=1, high=7 * _DAY), "longest time of the capture", default=4 * 3600.0
    )
    free_space_floor: int = b.key(
        b.size(),
        "bytes that stay free on the destination, whatever is still to come",
        default=256 << 20,
    )
    free_space_floor_share: float = b.key(
        b.share(high=0.9),
        "part of the destination that stays free; the larger of both floors holds",
        default=0.02,
    )
    nice: int = b.key(b.number(0, 19), "niceness while files are read", default=19)
    io_class: str = b.key(
        b.choice("idle", "best-effort", "none"), "I/O priority class", default="idle"
    )
    cpu_share: float = b.key(
        b.share(low=0.01),
        "part of all processors' time that may be used while files are read",
        default=0.5,
    )
    memory: int = b.key(
        b.size(low=64 << 20), "most private memory of each process (RLIMIT_DATA)", default=512 << 20
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """The window of the artifact `packets`; it ends at the first of its bounds."""

    seconds: float = b.key(
        b.duration(low=0.1, high=3600), "how long packets are taken", default=10.0
    )
    bytes: int = b.key(
        b.size(low=1 << 20, high=64 << 30), "most bytes of the packet file", default=256 << 20
    )
    packets: int = b.key(b.number(1, 10**9), "most packets", default=5_000_000)
    payload: bool = b.key(b.flag(), "keep packets whole, instead of their headers", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A complete profile.

    Attributes:
        artifacts: in the order of capture, the most volatile first (law M02).
    """

    name: str = b.key(b.text(pattern=_NAME.fullmatch, example="standard"), "name of the profile")
    version: int = b.key(b.number(1, 10**6), "raised with each change of the profile")
    description: Description = b.key(b.section(Description), "what it is for")
    artifacts: tuple[ProfileArtifact, ...] = b.key(
        b.Kind(
            "list of names or sections",
            lambda node, path: _artifacts(node, path),  # noqa: PLW0108 - defined below the class
            ProfileArtifact,
        ),
        "what is captured, in this order",
    )
    limits: Limits = b.key(b.section(Limits), "what the capture may use", default=Limits)
    packets: Packets = b.key(
        b.section(Packets), "the window of the artifact `packets`", default=Packets
    )
    epoch: Epoch = b.key(b.section(Epoch), "length of the journal's epochs", default=Epoch)
    redaction: bool = b.key(
        b.flag(), "redact command lines and environments before storing", default=True
    )
    requires_reason: bool = b.key(b.flag(), "a capture needs --reason TEXT", default=False)
    requires_encryption: bool = b.key(b.flag(), "a capture needs --recipient", default=False)
    recovery_recipients: tuple[str, ...] = b.key(
        b.listing(b.text(limit=200), limit=20),
        "one of these must be a recipient: age1… or SHA-256 of a certificate",
        default=(),
    )
    isolation: float | None = b.key(
        b.duration(low=1, high=3600),
        "time of the volatile part, after which the screen says whether the cable may be pulled",
        default=None,
    )

    def names(self, *, added: Collection[str] = (), removed: Collection[str] = ()) -> list[str]:
        """Return the artifacts that are taken, in order, with the optional ones that `added` asks for.

        What `added` names beyond the profile has no place here; the caller finds one.
        """
        return [
            one.name
            for one in self.artifacts
            if one.name not in removed and (not one.optional or one.name in added)
        ]

    def yields(self, artifact: str) -> bool:
        """Return whether the artifact leaves the reserved part of the total to others."""
        return any(one.yields for one in self.artifacts if one.name == artifact)

    def limits_of(self, artifact: str) -> ArtifactLimits:
        """Return the bounds that hold for one artifact: its own, else the profile's."""
        own = next((a.limits for a in self.artifacts if a.name == artifact), ArtifactLimits())
        return ArtifactLimits(
            item=own.item or self.limits.item,
            family=own.family or self.limits.family,
            deadline=own.deadline or self.limits.deadline,
        )


def _artifacts(node: Node, path: str) -> tuple[ProfileArtifact, ...]:
    """Return the listed artifacts; an entry is a name, or a section with a name and limits."""
    if not isinstance(node, Sequence) or not node.items:
        refuse(
            node.place,
            "a list of artifacts is expected here",
            key=path,
            hint="write `- processes` lines",
        )
    found: dict[str, ProfileArtifact] = {}
    for position, item in enumerate(node.items, 1):
        where = f"{path}[{position}]"
        entry = (
            Mapping(item.place, {"name": item}, {"name": item.place})
            if isinstance(item, Scalar)
            else item
        )
        one = b.bind(ProfileArtifact, entry, path=where)
        if one.name in found:
            refuse(item.place, f"`{one.name}` is listed twice", key=where, hint="keep one of them")
        found[one.name] = one
    return tuple(found.values())


def profile_names() -> list[str]:
    """Return the names of the packaged profiles."""
    return sorted(path.stem for path in _PACKAGED.glob("*.yaml"))


def load_profile(name_or_path: str, *, known: Collection[str] | None = None) -> tuple[Profile, str]:
    """Return a profile and the SHA-256 of its file's bytes.

    Args:
        name_or_path: the name of a packaged profile, or a file (anything with `/` or a `.yaml` or `.yml` ending).
        known: the artifacts that exist here; a profile that names another one is refused with its line.

    Raises:
        UsageError: there is no such profile, or the file is not one.
    """
    data = _read(name_or_path)
    file = name_or_path if _is_path(name_or_path) else f"{name_or_path}.yaml"
    node = load_mapping(data, file=file)
    profile = b.bind(Profile, node)
    if known is not None:
        _check_known(node, profile, known)
    return profile, hashlib.sha256(data).hexdigest()


def _is_path(word: str) -> bool:
    return "/" in word or word.endswith((".yaml", ".yml"))


def _read(word: str) -> bytes:
    if not _is_path(word) and word not in profile_names():
        names = profile_names()
        raise UsageError(
            f"there is no profile {word!r}",
            hint=f"{b.did_you_mean(word, names)} (a file is given by its path, such as ./mine.yaml)",
        )
    return read_file(Path(word) if _is_path(word) else _PACKAGED / f"{word}.yaml")


def read_file(path: Path) -> bytes:
    """Return the bytes of a configuration file, one more than allowed at most.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise UsageError(
            f"cannot read {path}: {reason}", hint="check the path and its permissions"
        ) from problem


def _check_known(node: Mapping, profile: Profile, known: Collection[str]) -> None:
    listed = node.entries["artifacts"]
    places = [item.place for item in listed.items] if isinstance(listed, Sequence) else []
    for position, (one, place) in enumerate(zip(profile.artifacts, places, strict=True), 1):
        if one.name not in known:
            key = f"artifacts[{position}]"
            refuse(
                place,
                f"there is no artifact `{one.name}`",
                key=key,
                hint=b.did_you_mean(one.name, known),
            )
