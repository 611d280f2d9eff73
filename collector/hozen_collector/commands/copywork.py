"""What `hozen collector export` and `hozen collector opened` do."""

from __future__ import annotations

import contextlib
import os
import pwd
from typing import TYPE_CHECKING, Final

from hozen_collector import keys
from hozen_collector.archive import copying
from hozen_collector.index.engine import Index
from hozen_collector.layout import existing
from hozen_collector.sealed import openings
from hozen_hashes.cli import emit_json, pick, say, tell
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hozen_collector.layout import Layout

_MAX_FILE: Final = 1 << 20


def export(directory: Path, key: str, *, out: Path, as_json: bool) -> None:
    """Write the collector's copy of a bundle into an empty directory; errors as `copying.export`."""
    layout = existing(directory.absolute())
    log_key = keys.read_keys(layout).log_key
    with _opened(layout) as index:
        done = copying.export(layout, index, log_key, key, out, actor=_account())
    about = done.container
    names = [str(one) for one in done.files]
    if as_json:
        facts = {"bundle_id": about.bundle, "seal": about.seal, "container_sha256": about.sha256}
        more = {"kind": about.kind, "leaf": done.leaf, "files": names}
        emit_json({"format": "hozen-collector-export/1", **facts, **more})
        return
    for name in names:
        say(name)
    tell(
        pick(
            en=f"leaf {done.leaf} of the log says that this copy was given out",
            ja=f"写しの払出しを、ログの {done.leaf} 番として記録しました",
        )
    )


def opened(directory: Path, statement: Path, *, as_json: bool) -> None:
    """Take in a signed opening statement that came by another way than a push.

    Raises:
        UsageError: a file cannot be read.
        HozenError: as `openings.read` and `openings.log`.
    """
    text, signature = _bytes(statement), _bytes(statement.with_suffix(".p7s"))
    signed = openings.read(text, signature)
    layout = existing(directory.absolute())
    log_key = keys.read_keys(layout).log_key
    container = signed.statement.container_sha256
    with _opened(layout) as index:
        leaf = openings.log(index, log_key, None, container, signed)
    who = signed.signed.certificate.subject.rfc4514_string()
    if as_json:
        facts = {"bundle_id": signed.statement.bundle, "container_sha256": container}
        emit_json({"format": "hozen-collector-opened/1", **facts, "signer": who, "leaf": leaf})
        return
    say(
        pick(
            en=f"logged as leaf {leaf}, a claim by {who}; nothing was opened here",
            ja=f"{who} の申告としてログの {leaf} 番に記録しました。ここでは開封していません",
        )
    )


@contextlib.contextmanager
def _opened(layout: Layout) -> Iterator[Index]:
    index = Index(layout.database)
    try:
        index.migrate()
        yield index
    finally:
        index.close()


def _account() -> str:
    """Give who runs this, for the logs."""
    number = os.getuid()
    with contextlib.suppress(KeyError):
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"[:64]
    return f"uid {number}"


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="Give opened-NN.txt with its .p7s beside it.",
        ) from None
