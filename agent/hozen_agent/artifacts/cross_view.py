"""Several views of the same thing against each other: processes, modules, ports, the loader, directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_agent.artifacts.registry import artifact
from hozen_agent.clock import now
from hozen_agent.items import Attempt, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.context import Context
    from hozen_agent.crossview.views import Part

_NAME = "cross_view"
_SOURCE = b"/proc,/sys,directories"


@artifact(
    name=_NAME,
    rank=20,
    personal="personal",
    en="The same things asked in several ways (processes, modules, ports, preloaded libraries, directories): proves "
    "where the answers differed twice; not why, and not what every way hides alike.",
    ja="プロセス、モジュール、ポート、事前読込みライブラリ、ディレクトリを複数の方法で問い合わせ、2回続けて食い違った点を示す。"
    "理由と、全ての方法から隠されたものは示さない。",
    reads=("/proc", "kill(2) with signal 0", "/sys/fs/cgroup/**/cgroup.procs", "/sys/module", "sock_diag(7)",
           "/etc/ld.so.preload", "/proc/PID/environ", "directories of programs and settings (names only)"),
    needs_root=True,
)  # fmt: skip
def collect(ctx: Context) -> Iterator[Attempt]:
    """Yield for each part the raw views as one snapshot, and the record made of them."""
    for name, compare in _parts():
        started = now()
        try:
            part = compare(ctx)
        except OSError as error:
            yield Attempt(
                artifact=_NAME, source=_SOURCE, method="syscall", kind="snapshot", personal="personal",
                outcome=Outcome.FAILED, reason=f"{name}: {error.strerror or error}", started=started, ended=now(),
            )  # fmt: skip
            continue
        yield from _attempts(part, started)


def _parts() -> Iterator[tuple[str, Callable[[Context], Part]]]:
    """Each is loaded when its turn comes: only a capture pays for it."""
    from hozen_agent.crossview import asking, loader, modules, ports, processes

    yield "processes", processes.compare
    yield "ports", ports.compare
    yield "modules", modules.compare
    yield "loader", loader.compare
    yield "directories", asking.compare


def _attempts(part: Part, started: tuple[int, int]) -> Iterator[Attempt]:
    from hozen_agent.reading.ustar import tar_stream

    raw = f"cross-view-{part.name}"
    source = b"cross-view:" + part.name.encode()
    ended = now()
    if part.raw:
        yield Attempt(
            artifact=_NAME, source=source, method="syscall", kind="snapshot", personal="personal", ext="tar",
            data=tar_stream(part.raw, seconds=started[0] // 1_000_000_000), started=started, ended=ended, tag=raw,
        )  # fmt: skip
    yield Attempt(
        artifact=_NAME, source=source, method="derived", personal="personal", ext="jsonl", data=(part.text(),),
        derived_from=(raw,) if part.raw else (), started=started, ended=ended,
    )  # fmt: skip
