"""What a reader must know before the differences: other hosts, versions, profiles, a restart, the order in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hozen_hashes.diff.gather import Gathered

NOTES: Final[dict[str, tuple[str, str]]] = {
    "other_host": (
        "the captures are not of the same host: {before}, {after}",
        "対象機器が異なります: {before}、{after}",
    ),
    "order": (
        "the later capture began before the earlier one: {before}, {after}",
        "後の取得が前の取得より先に始まっています: {before}、{after}",
    ),
    "agent": (
        "the agent's version changed: {before}, {after}; some differences may come from that",
        "エージェントの版が異なります: {before}、{after}。差異の一部はこれによる可能性があります",
    ),
    "profile": (
        "the profile changed: {before}, {after}; what only one of them asks for is not compared",
        "プロファイルが異なります: {before}、{after}。一方だけが対象とするものは比較しません",
    ),
    "rebooted": (
        "the host was started again between the captures",
        "二つの取得の間に対象機器が再起動されています",
    ),
    "unfinished": ("a capture was not finished: {before}, {after}", "完了していない取得があります: {before}、{after}"),
}  # fmt: skip


def notes(before: Gathered, after: Gathered) -> Iterator[tuple[str, str, str]]:
    """Yield (note, value before, value after) of what the two bundles say of themselves."""
    one, other = before.about, after.about
    if _of(one, "host", "machine_id_sha256") != _of(other, "host", "machine_id_sha256"):
        yield "other_host", _of(one, "host", "hostname"), _of(other, "host", "hostname")
    began = _of(one, "clock", "start"), _of(other, "clock", "start")
    if began[1] < began[0]:
        yield "order", *began
    if _agent(one) != _agent(other):
        yield "agent", _agent(one), _agent(other)
    if _of(one, "profile", "sha256") != _of(other, "profile", "sha256"):
        yield "profile", _profile(one), _profile(other)
    if _of(one, "host", "boot_id") != _of(other, "host", "boot_id"):
        yield "rebooted", _of(one, "host", "boot_id"), _of(other, "host", "boot_id")
    ends = _of(one, "journal", "reason"), _of(other, "journal", "reason")
    if ends != ("complete", "complete"):
        yield "unfinished", *ends


def _agent(about: Mapping[str, object]) -> str:
    return f"{_of(about, 'agent', 'version')} ({_of(about, 'agent', 'self_sha256')[:12]})"


def _profile(about: Mapping[str, object]) -> str:
    return f"{_of(about, 'profile', 'name')} ({_of(about, 'profile', 'sha256')[:12]})"


def _of(about: Mapping[str, object], part: str, key: str) -> str:
    found = about.get(part)
    value = found.get(key) if isinstance(found, dict) else None
    return "-" if value is None else str(value)
