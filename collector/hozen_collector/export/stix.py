"""STIX 2.1: one bundle of observed data (processes, connections, files of persistence), for sharing what was seen.

Identifiers are made of the seal and the record, so that the same bundle gives the same text: those of files,
directories and addresses by their properties (version 5), all others in the form of version 4, which the standard asks
for. Times are the capture's.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from hozen_collector.export import facts, inert, manifest
from hozen_collector.export.manifest import Done
from hozen_hashes.errors import FormatError
from hozen_hashes.names import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream
    from hozen_hashes.journalrecords import Row

_NAMESPACE: Final = UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # STIX 2.1 §2.9
_TRANSPORT: Final = ("tcp", "udp", "raw", "icmp", "sctp", "dccp")
_EPOCH: Final = "1970-01-01T00:00:00.000Z"

Thing = dict[str, object]


def write(source: Source, out: Stream) -> Done:
    """Write the bundle; `counts` has the objects of each type."""
    found = facts.gather(source)
    made = _Objects(source)
    for record in found.processes:
        made.process(record)
    for record in found.connections:
        made.connection(record)
    for row in found.files:
        made.file(row)
    things = made.all()
    out.write(manifest.dumped({"type": "bundle", "id": made.own("bundle", ""), "objects": things}))
    counts: dict[str, int] = {}
    for one in things:
        counts[str(one["type"])] = counts.get(str(one["type"]), 0) + 1
    return Done(counts=counts, notes=found.notes)


@dataclass(slots=True)
class _Objects:
    """The objects of one bundle, each once."""

    source: Source
    _things: dict[str, Thing] = field(default_factory=dict)
    _processes: dict[int, Thing] = field(default_factory=dict)

    def all(self) -> list[Thing]:
        """Return every object, with what names where they come from first."""
        for record in self._processes.values():
            parent = self._processes.get(int(str(record.pop("_parent"))))
            if parent is not None and parent is not record:
                record["parent_ref"] = parent["id"]
        seen = list(self._things)
        begin, end = self._time("start"), self._time("end")
        about = manifest.origin(self.source)
        seal = f"seal {about['seal']}"
        identity: Thing = {
            "type": "identity", "spec_version": "2.1", "id": self.own("identity", "hozen"), "created": begin,
            "modified": begin, "name": "Hozen", "identity_class": "system",
            "description": f"bundle {about['bundle_id']}, {seal}",
        }  # fmt: skip
        if not seen:
            return [identity]
        observed: Thing = {
            "type": "observed-data", "spec_version": "2.1", "id": self.own("observed-data", "capture"),
            "created_by_ref": identity["id"], "created": end, "modified": end, "first_observed": begin,
            "last_observed": max(begin, end), "number_observed": 1, "object_refs": seen,
            "labels": self._labels(),
            "external_references": [
                {"source_name": "hozen-bundle", "external_id": about["bundle_id"], "description": seal}
            ],
        }  # fmt: skip
        return [identity, observed, *self._things.values()]

    def own(self, kind: str, name: str) -> str:
        """Return an identifier that belongs to this seal."""
        digest = sha256(f"hozen:{self.source.report.seal}:{kind}:{name}".encode()).digest()
        return f"{kind}--{UUID(bytes=digest[:16], version=4)}"

    def process(self, record: facts.Record) -> None:
        pid = record.get("pid")
        if not isinstance(pid, int) or pid < 0:
            return
        thing: Thing = {"id": self.own("process", f"{pid}:{record.get('start_ticks')}"), "pid": pid}
        if when := self._when(record.get("started")):
            thing["created_time"] = when
        if line := facts.command_line(record):
            thing["command_line"] = line
        exe, digest = record.get("exe"), record.get("exe_sha256")
        if isinstance(exe, str) and isinstance(digest, str):
            thing["image_ref"] = self._file(inert.name(exe), digest, None)
        parent = record.get("ppid")
        made = self._add("process", thing)
        made["_parent"] = parent if isinstance(parent, int) else 0
        self._processes[pid] = made

    def connection(self, record: facts.Record) -> None:
        (near, port), (far, other) = facts.end_of(record, "local"), facts.end_of(record, "remote")
        source = self._address(near)
        if source is None:
            return
        proto = next((one for one in _TRANSPORT if str(record.get("proto")).startswith(one)), "ip")
        version = "ipv6" if ":" in near else "ipv4"
        own = f"{record.get('netns')}:{record.get('inode')}:{near}:{port}:{far}:{other}"
        thing: Thing = {
            "id": self.own("network-traffic", own),
            "src_ref": source, "src_port": port, "protocols": [version, proto],
        }  # fmt: skip
        target = self._address(far) if other else None
        if target is not None:
            thing |= {"dst_ref": target, "dst_port": other}
        self._add("network-traffic", thing)

    def file(self, row: Row) -> None:
        size = row.stored.size
        self._file(facts.path_of(row), str(row.stored.sha256), size)

    def _file(self, path: str, digest: str, size: int | None) -> str:
        folder, _, name = path.rpartition("/")
        hashes = {"SHA-256": digest}
        place = self._named("directory", {"path": folder or "/"}, {"path": folder or "/"})
        known: Thing = {"hashes": hashes, "name": name or path, "parent_directory_ref": place}
        thing: Thing = dict(known)
        if size is not None:
            thing["size"] = size
        return self._named("file", known, thing)

    def _address(self, text: str) -> str | None:
        try:
            version = ipaddress.ip_address(text).version
        except ValueError:
            return None
        value: Thing = {"value": text}
        return self._named(f"ipv{version}-addr", value, value)

    def _named(self, kind: str, known: Thing, thing: Thing) -> str:
        """Add an object whose identifier is made of its own properties (STIX 2.1 §2.9), and return the identifier."""
        text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        name = f"{kind}--{uuid5(_NAMESPACE, text)}"
        if name not in self._things:
            self._add(kind, {"id": name, **thing})
        return name

    def _add(self, kind: str, thing: Thing) -> Thing:
        made = {"type": kind, "spec_version": "2.1", **thing}
        self._things[str(made["id"])] = made
        return made

    def _labels(self) -> list[str]:
        marks = ["hozen"] if self.source.verified else ["hozen", "unverified"]
        return [*marks, "drill"] if self.source.part("case").get("drill") is True else marks

    def _time(self, key: str) -> str:
        return self._when(self.source.part("clock").get(key)) or _EPOCH

    def _when(self, value: object) -> str | None:
        try:
            return rfc3339(parse_rfc3339(str(value)))[:23] + "Z"
        except FormatError:
            return None
