"""Write the SYNTHETIC vectors: good bundles, and one per kind of tampering, with what must be found.

Run from the repository's root: `python -m tests.vectors.make_vectors [DIRECTORY]`. The same bytes each time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vectors import vector_keys as keys
from tests.vectors.vector_bag import BUNDLE_ID, Files, Recipe, build, digest, pack, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = keys.identity("root", ca=True, end=keys.ROOT_END)
MIDDLE = keys.identity("intermediate", ROOT, ca=True, end=keys.ROOT_END)
HOST = keys.identity("host", MIDDLE)
ALONE = keys.identity("one-capture")
FOREIGN_ROOT = keys.identity("foreign root", ca=True, end=keys.ROOT_END)
FOREIGN = keys.identity("foreign host", FOREIGN_ROOT)

LOG = "data/linux_logs/000002.log"
SWEEP = "data/processes/000001.tar"
RECORDS = "hozen/files/000001.jsonl"
SEGMENT = "hozen/journal/000001.jsonl"


@dataclass(frozen=True)
class Vector:
    """One file and what its check must say.

    Attributes:
        steps: numbers of the steps of bundle-v1 §11 that must be mismatches (at least these).
        differences: names of item differences that must be reported.
        recipe: whether the stock recipe ends with 0 when root and seal are given.
    """

    name: str
    data: bytes
    word: str = "mismatch"
    steps: tuple[int, ...] = ()
    differences: tuple[str, ...] = ()
    recipe: bool = False


def flip(data: bytes, at: int = -3) -> bytes:
    found = bytearray(data)
    found[at] ^= 0x01
    return bytes(found)


def good(**more: object) -> Files:
    return build(Recipe(signer=HOST, **more))  # type: ignore[arg-type]


def changed(path: str, change: Callable[[bytes], bytes] = flip) -> bytes:
    files = good()
    files[path] = change(files[path])
    return pack(files)


def without(path: str) -> bytes:
    files = good()
    del files[path]
    return pack(files)


def added(path: str, data: bytes = b"SYNTHETIC, added\n") -> bytes:
    return pack({**good(), path: data})


def good_vectors() -> Iterator[Vector]:
    files = good()
    ok = {"word": "match", "recipe": True}
    yield Vector("good", pack(files), **ok)  # type: ignore[arg-type]
    yield Vector("good-streamed", pack(files, streamed=True), **ok)  # type: ignore[arg-type]
    yield Vector("good-stored", pack(files, stored=True), **ok)  # type: ignore[arg-type]
    turned = pack(dict(sorted(files.items(), reverse=True)))
    yield Vector("good-reversed", turned, **ok)  # type: ignore[arg-type]
    cut = pack(good(end={"reason": "interrupted", "detail": "Ctrl-C"}))
    yield Vector("good-interrupted", cut, **ok)  # type: ignore[arg-type]
    yield Vector("good-open-journal", pack(good(end=None)), **ok)  # type: ignore[arg-type]
    alone = build(Recipe(signer=ALONE, kind="one-capture"))
    yield Vector("good-one-capture", pack(alone), word="not verifiable")


def content_vectors() -> Iterator[Vector]:
    yield Vector("evidence-flipped", changed(LOG), steps=(5,), differences=("changed",))
    yield Vector("evidence-longer", changed(LOG, lambda d: d + b"x"), steps=(5,))
    yield Vector("metadata-flipped", changed(RECORDS), steps=(4,), differences=("changed",))
    yield Vector("bundle-json-flipped", changed("hozen/bundle.json"), steps=(4,))
    yield Vector("readme-flipped", changed("README-VERIFY.txt"), steps=(4,))
    yield Vector(
        "manifest-flipped", changed("manifest-sha256.txt", lambda d: flip(d, 5)), steps=(4,)
    )
    yield Vector(
        "tagmanifest-flipped", changed("tagmanifest-sha256.txt", lambda d: flip(d, 5)), steps=(9,)
    )
    yield Vector("journal-flipped", changed(SEGMENT), steps=(4, 7))
    yield Vector("journal-signature-flipped", changed("hozen/journal/000001.sig"), steps=(4, 7))
    yield Vector("signature-flipped", changed("signatures/agent.p7s"), steps=(9,))
    yield Vector("start-flipped", changed("hozen/start.p7s"), steps=(4, 11))
    yield Vector("evidence-removed", without(LOG), steps=(5,), differences=("missing",))
    yield Vector("metadata-removed", without(RECORDS), steps=(4,), differences=("missing",))
    yield Vector("journal-removed", without(SEGMENT), steps=(4, 7), differences=("missing",))
    yield Vector("signature-stripped", without("signatures/agent.p7s"), steps=(9,))
    yield Vector("start-stripped", without("hozen/start.p7s"), steps=(4, 11))
    for where in (
        "data/linux_logs/000099.log",
        "hozen/extra.json",
        "signatures/other.p7s",
        "extra.txt",
    ):
        name = "added-" + where.split("/", maxsplit=1)[0].removesuffix(".txt")
        yield Vector(name, added(where), steps=(6,), differences=("extra",))
    renamed = {path.replace("000002.log", "000020.log"): data for path, data in good().items()}
    yield Vector("evidence-renamed", pack(renamed), steps=(5,), differences=("renamed",))


def container_vectors() -> Iterator[Vector]:
    files = good()
    whole = pack(files)
    pairs = list(files.items())
    yield Vector("duplicate-same", pack([*pairs, (LOG, files[LOG])]), steps=(1,))
    yield Vector("duplicate-other", pack([*pairs, (LOG, flip(files[LOG]))]), steps=(1,))
    yield Vector("duplicate-case", pack([*pairs, (LOG.upper(), files[LOG])]), steps=(1,))
    yield Vector("truncated", whole[: len(whole) * 2 // 3], steps=(1,))
    yield Vector("truncated-end", whole[:-30], steps=(1,))
    yield Vector("damaged-stream", _damaged(files), steps=(1,), differences=("unreadable",))
    yield Vector(
        "outside-top",
        pack([(f"{BUNDLE_ID}/{p}", d) for p, d in pairs] + [("x.txt", b"x")], top=""),
        steps=(1,),
    )
    yield Vector("link", _with_link(whole), steps=(1,))
    yield Vector("parent-path", pack([*pairs, ("data/../../../evil", b"x")]), steps=(1,))
    yield Vector("prepended", b"SYNTHETIC" + whole, steps=(1,))


def _damaged(files: Files) -> bytes:
    """Return a container in which one payload member's compressed bytes are damaged."""
    whole = bytearray(pack(files, stored=True))
    at = bytes(whole).index(files[LOG])
    whole[at + 7] ^= 0x10
    return bytes(whole)


def _with_link(whole: bytes) -> bytes:
    """Return the container with the log's central entry turned into a symbolic link."""
    name = f"{BUNDLE_ID}/{LOG}".encode()
    entry = whole.rindex(name) - 46
    assert whole[entry : entry + 4] == b"PK\x01\x02"
    return whole[: entry + 38] + (0o120777 << 16).to_bytes(4, "little") + whole[entry + 42 :]


def key_vectors() -> Iterator[Vector]:
    files = good()
    swapped = {**files, "signatures/agent.p7s": keys.p7s(b"another text\n", HOST)}
    yield Vector("signature-swapped", pack(swapped), steps=(9,))
    resigned = {**files, "signatures/agent.p7s": keys.p7s(files["tagmanifest-sha256.txt"], FOREIGN)}
    yield Vector("resigned-end", pack(resigned), steps=(10, 11))
    both = good(starter=FOREIGN)
    seal(both, FOREIGN)
    yield Vector("resigned-both", pack(both), steps=(10, 11))
    yield Vector("remade", pack(build(Recipe(signer=FOREIGN, key_prefix="foreign"))), steps=(10,))


def resealed_vectors() -> Iterator[Vector]:
    """Changes by somebody who holds the identity's key after the capture, so that only the journal tells."""

    def edit_log(files: Files) -> None:
        files[LOG] = flip(files[LOG])

    def edit_row(files: Files) -> None:
        files[RECORDS] = files[RECORDS].replace(b"auth.log", b"mail.log")

    def edit_segment(files: Files) -> None:
        files[SEGMENT] = files[SEGMENT].replace(b'"captured"', b'"truncated"', 1)

    def own_key(files: Files) -> None:
        edit_segment(files)
        forged = keys.key("forged")
        files["hozen/journal/000001.sig"] = keys.sign(forged, files[SEGMENT])
        files["hozen/journal/000001.pub"] = keys.public_pem(forged)

    def drop_last(files: Files) -> None:
        for path in [path for path in files if "/000002." in path and path.startswith("hozen/")]:
            del files[path]

    def add_item(files: Files) -> None:
        files["data/linux_logs/000099.log"] = b"SYNTHETIC, planted later\n"

    def add_tag(files: Files) -> None:
        files["hozen/extra.json"] = b"{}\n"

    def drop_row(files: Files) -> None:
        files[RECORDS] = files[RECORDS].split(b"\n", 1)[1]

    def unlist(files: Files) -> None:
        rows = files["manifest-sha256.txt"].splitlines(keepends=True)
        files["manifest-sha256.txt"] = b"".join(row for row in rows if LOG.encode() not in row)

    def no_end(epoch: int, lines: list[bytes]) -> list[bytes]:
        return lines[:-1] if epoch == 1 else lines

    def miscount(_epoch: int, lines: list[bytes]) -> list[bytes]:
        return [row.replace(b'"items":7', b'"items":6') for row in lines]

    yield Vector("resealed-evidence", pack(good(before_manifest=edit_log)), steps=(8,))
    yield Vector("resealed-metadata", pack(good(before_manifest=edit_row)), steps=(8,))
    yield Vector("resealed-journal", pack(good(before_manifest=edit_segment)), steps=(7,))
    yield Vector("resealed-journal-own-key", pack(good(before_manifest=own_key)), steps=(7,))
    yield Vector("resealed-epoch-dropped", pack(good(before_manifest=drop_last)), steps=(8,))
    yield Vector("resealed-item-added", pack(good(before_manifest=add_item)), steps=(8,))
    yield Vector("resealed-tag-added", pack(good(before_manifest=add_tag)), steps=(8,))
    yield Vector("resealed-row-dropped", pack(good(before_manifest=drop_row)), steps=(8,))
    yield Vector("resealed-unlisted", pack(good(before_seal=unlist)), steps=(6,))
    yield Vector("resealed-no-next", pack(good(edit_journal=no_end)), steps=(7,))
    yield Vector("resealed-miscounted", pack(good(edit_journal=miscount)), steps=(8,))


def higher_version(files: Files) -> None:
    files["hozen/bundle.json"] = files["hozen/bundle.json"].replace(b"bundle/1", b"bundle/2")


def unknown_critical(files: Files) -> None:
    files["hozen/bundle.json"] = files["hozen/bundle.json"].replace(
        b'"critical":[]', b'"critical":["unheard_of"]'
    )


def version_vectors() -> Iterator[Vector]:
    word = "not verifiable"
    yield Vector("version-2", pack(good(before_manifest=higher_version)), word=word, recipe=True)
    yield Vector(
        "critical-unknown", pack(good(before_manifest=unknown_critical)), word=word, recipe=True
    )


FAMILIES = (
    good_vectors, content_vectors, container_vectors, key_vectors, resealed_vectors, version_vectors,
)  # fmt: skip


def write(folder: Path) -> None:
    """Write all vectors, the roots and `expected.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = [vector for family in FAMILIES for vector in family()]
    for vector in vectors:
        (folder / f"{vector.name}.zip").write_bytes(vector.data)
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "foreign-root.pem").write_bytes(FOREIGN_ROOT.pem)
    (folder / "one-capture.pem").write_bytes(ALONE.pem)
    write_volumes(folder / "volumes", pack(good()))
    write_partial(folder / "partial", good())
    expected = {
        "about": "SYNTHETIC; made by tests/vectors/make_vectors.py; root given, seal of `good` in `seal`",
        "bundle_id": BUNDLE_ID,
        "seal": digest(good()["tagmanifest-sha256.txt"]),
        "vectors": {
            vector.name: {
                "word": vector.word, "steps": vector.steps, "differences": vector.differences,
                "recipe": vector.recipe,
            }
            for vector in vectors
        },
    }  # fmt: skip
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    lines = (f"{v.name} {'accept' if v.word == 'match' else 'refuse'}\n" for v in vectors)
    (folder / "expected.txt").write_text("".join(lines))


def write_volumes(folder: Path, whole: bytes, size: int = 4096) -> None:
    folder.mkdir(exist_ok=True)
    for number, start in enumerate(range(0, len(whole), size), start=1):
        name = f"{BUNDLE_ID}.zip.{number:03d}"
        (folder / name).write_bytes(whole[start : start + size])


def write_partial(folder: Path, files: Files) -> None:
    """Write what a capture leaves that was killed while it wrote epoch 2: container, torn, and sidecar."""
    sidecar = folder / f"{BUNDLE_ID}.journal"
    sidecar.mkdir(parents=True, exist_ok=True)
    written = dict(list(files.items())[: list(files).index("data/histories/000005.txt")])
    whole = pack(
        {**written, "data/histories/000005.txt": files["data/histories/000005.txt"]}, stored=True
    )
    torn = whole[: whole.index(files["data/histories/000005.txt"]) + 3]
    (folder / f"{BUNDLE_ID}.zip.partial").write_bytes(torn)
    for epoch in range(2):
        for ending in ("jsonl", "sig", "pub"):
            data = files[f"hozen/journal/{epoch:06d}.{ending}"]
            (sidecar / f"{epoch:06d}.{ending}").write_bytes(data)
    (sidecar / "000001.files.jsonl").write_bytes(files[RECORDS])
    (sidecar / "start.p7s").write_bytes(files["hozen/start.p7s"])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data")
