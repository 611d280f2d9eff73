"""One export: from an opened source to finished files and their manifest."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hozen_collector.export.kinds import KINDS, Kind, Wish
from hozen_collector.export.manifest import Done, document, dumped
from hozen_collector.export.target import Stream, hashed, new_directory, new_file, new_path
from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from hozen_collector.export.source import Source

SUFFIX: Final = ".manifest.json"
_LEVEL: Final = 6
_COPY: Final = 1 << 20


def export(
    source: Source, kind: str, out: str, *, stdout: BinaryIO, items: tuple[int, ...] = ()
) -> dict[str, object]:
    """Write the export and its manifest, and return the manifest.

    Args:
        source: verified, or marked as not.
        kind: of KINDS.
        out: a new file or directory, or `-` for `stdout`; a name that ends with `.gz` or `.tgz` is compressed.
        stdout: what `-` means; the manifest is then not written anywhere.
        items: numbers, for the kind `items`.

    Raises:
        UsageError: the name is taken, or the kind cannot be written to a pipe.
        CannotWriteError: the operating system refused; nothing stays.
        MismatchError: the bundle changed since it was verified; nothing stays.
    """
    made = KINDS[kind](Wish(None if out == "-" else Path(out), items))
    if out == "-":
        done = _to_pipe(source, kind, made, stdout)
        return document(source, kind, done, datetime.now(UTC))
    path = Path(out)
    beside = path.with_name(path.name + SUFFIX)
    with new_file(beside) as manifest:
        done = _to_path(source, made, path)
        found = document(source, kind, done, datetime.now(UTC))
        manifest.write(dumped(found))
    return found


def _to_pipe(source: Source, kind: str, made: Kind, stdout: BinaryIO) -> Done:
    if made.write is not None:
        stream = Stream(stdout)
        done = made.write(source, stream)
        stream.flush()
        done.files.append(stream.written("-"))
        return done
    if made.make is None or made.shape == "directory":
        raise UsageError(f"{kind} is a directory of files", hint="Name a new directory.")
    with tempfile.TemporaryDirectory(prefix="hozen-export-") as folder:
        path = Path(folder) / "export"
        done = made.make(source, path)
        stream = Stream(stdout)
        with path.open("rb") as file:
            while chunk := file.read(_COPY):
                stream.write(chunk)
        stream.flush()
        done.files = [stream.written("-")]
        return done


def _to_path(source: Source, made: Kind, path: Path) -> Done:
    if made.write is not None:
        return _streamed(source, made, path)
    if made.make is None:
        raise UsageError("this kind writes nothing")
    if made.shape == "directory":
        with new_directory(path) as folder:
            done = made.make(source, folder)
            names = sorted(one for one in folder.rglob("*") if one.is_file())
            done.files = [hashed(one, f"{path.name}/{one.relative_to(folder)}") for one in names]
        return done
    with (
        new_path(path) as part,
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".hozen-") as near,
    ):
        new = Path(near) / "export"
        done = made.make(source, new)
        new.chmod(0o600)
        shutil.move(new, part)
        done.files = [hashed(part, path.name)]
    return done


def _streamed(source: Source, made: Kind, path: Path) -> Done:
    if made.write is None:
        raise UsageError("this kind writes no stream")
    with new_file(path) as stream:
        if path.suffix in (".gz", ".tgz"):
            # No name and no time in the header: the same bundle gives the same bytes.
            with gzip.GzipFile(
                filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0
            ) as packed:
                done = made.write(source, Stream(packed))  # type: ignore[arg-type]
        else:
            done = made.write(source, stream)
    done.files.append(stream.written(path.name))
    return done
