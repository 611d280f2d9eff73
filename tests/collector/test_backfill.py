"""Bundles older than an authority are stamped by it too, and stamps lie beside their containers in the archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from authority import new_authority
from envelopes import pushed, send
from tsaserver import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tsaserver import Behaviour

pytestmark = pytest.mark.needs("openssl", "faketime")


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behaviour]:
    folder = tmp_path_factory.mktemp("tsa") / "one"
    with serving(new_authority(folder, "ONE", ends="20350101000000Z")) as found:
        yield found


def settings(path: Path, tsa: Behaviour, *names: str) -> Path:
    lines = ["timestamps:", "  checkpoint_every: 3650d", "  retry: 100ms", "  authorities:"]
    for name in names:
        lines += [f"  - name: {name}", f"    url: {tsa.url}", f"    roots: [{tsa.authority.root}]"]
    path.write_text("\n".join(lines) + "\n")
    return path


def seals(root: Path, tools: Any) -> set[tuple[str, str]]:
    """Return (authority, bundle) of every stamp of a machine seal."""
    query = "SELECT authority, bundle FROM stamp WHERE kind = 'seal'"
    return {(authority, bundle) for authority, bundle in tools.sql(root, query)}


def until(root: Path, tools: Any, wanted: set[tuple[str, str]]) -> None:
    deadline = time.monotonic() + 20
    while seals(root, tools) != wanted:
        assert time.monotonic() < deadline, (wanted, seals(root, tools))
        time.sleep(0.1)


def copies(root: Path) -> dict[str, bytes]:
    """Return every reply in the archive by container and file name."""
    found = (root / "archive").glob("*/*.stamps/*/*.tsr")
    return {f"{one.parts[-3]}/{one.name}": one.read_bytes() for one in found}


def test_older_bundles_are_stamped_by_each_authority_that_comes(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    running = serve(empty_collector)
    client = tools.enrol(empty_collector, running.port)
    plain = tools.make_bundle(client.signer)
    client.push(plain)
    enciphered = pushed(client, tools)
    assert send(client, enciphered).status == 201
    alone = pushed(client, tools)  # nobody ever sent its envelope: its machine seal is unknown here
    assert running.stop() == 0
    old = {plain.bundle_id, enciphered.bundle_id}

    again = serve(empty_collector, config=settings(tmp_path / "c.yaml", tsa, "one"))
    until(empty_collector, tools, {("one", name) for name in old})
    client.port = again.port
    young = tools.make_bundle(client.signer)
    client.push(young)
    until(empty_collector, tools, {("one", name) for name in (*old, young.bundle_id)})
    assert again.stop() == 0

    third = serve(empty_collector, config=settings(tmp_path / "c.yaml", tsa, "one", "two"))
    both = {(by, name) for by in ("one", "two") for name in (*old, young.bundle_id)}
    until(empty_collector, tools, both)
    assert third.stop() == 0
    beside = copies(empty_collector)
    containers = (plain.sha256, enciphered.sha256, young.sha256)
    assert beside.keys() == {f"{c}.stamps/{by}.tsr" for c in containers for by in ("one", "two")}
    assert not any(key.startswith(alone.sha256) for key in beside)
    rows = dict(tools.sql(empty_collector, "SELECT sha256, authority FROM stamp WHERE kind='seal'"))
    for key, reply in beside.items():
        sha256 = hashlib.sha256(reply).hexdigest()
        assert key.endswith(f"/{rows.pop(sha256)}.tsr")
        assert (empty_collector / "stamps" / sha256[:2] / sha256).read_bytes() == reply
    assert rows == {}


def test_stamps_from_before_are_written_beside_their_containers_once(
    tsa: Behaviour, empty_collector: Path, serve: Any, tools: Any, tmp_path: Path
) -> None:
    config = settings(tmp_path / "c.yaml", tsa, "one")
    running = serve(empty_collector, config=config)
    client = tools.enrol(empty_collector, running.port)
    bundle = tools.make_bundle(client.signer)
    client.push(bundle)
    until(empty_collector, tools, {("one", bundle.bundle_id)})
    assert running.stop() == 0
    before = copies(empty_collector)
    assert before.keys() == {f"{bundle.sha256}.stamps/one.tsr"}
    asked = tsa.asked
    place = empty_collector / "archive" / bundle.sha256[:2] / f"{bundle.sha256}.stamps"
    for folder in place.iterdir():
        assert folder.stat().st_mode & 0o222 == 0
        os.chmod(folder, 0o700)
    shutil.rmtree(place)
    tools.sql(empty_collector, "DELETE FROM job WHERE key LIKE 'stamp:copies:%'")
    again = serve(empty_collector, config=config)
    deadline = time.monotonic() + 20
    while copies(empty_collector) != before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert again.stop() == 0
    assert tsa.asked == asked
