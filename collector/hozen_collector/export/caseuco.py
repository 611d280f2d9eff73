"""CASE 1.x / UCO as JSON-LD: the investigation, who captured with what, the device, processes, connections, files.

The context stands in the text, so that no reader has to fetch one. Identifiers are made of the seal.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from hozen_collector.export import facts, inert, manifest
from hozen_collector.export.manifest import Done
from hozen_hashes import __version__
from hozen_hashes.errors import FormatError
from hozen_hashes.names import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from hozen_collector.export.source import Source
    from hozen_collector.export.target import Stream
    from hozen_hashes.journalrecords import Row

_UCO: Final = "https://ontology.unifiedcyberontology.org/uco/"
_CONTEXT: Final = {
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "kb": "http://example.org/kb/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "uco-action": _UCO + "action/",
    "uco-core": _UCO + "core/",
    "uco-identity": _UCO + "identity/",
    "uco-observable": _UCO + "observable/",
    "uco-tool": _UCO + "tool/",
    "uco-types": _UCO + "types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

Node = dict[str, object]


def write(source: Source, out: Stream) -> Done:
    """Write the graph; `counts` has the nodes of each kind."""
    found = facts.gather(source)
    graph = _Graph(source)
    graph.capture()
    for record in found.processes:
        graph.process(record)
    for record in found.connections:
        graph.connection(record)
    for row in found.files:
        graph.file(facts.path_of(row), str(row.stored.sha256), row)
    graph.close()
    out.write(manifest.dumped({"@context": _CONTEXT, "@graph": graph.nodes}))
    return Done(counts={"nodes": len(graph.nodes), **graph.counts}, notes=found.notes)


@dataclass(slots=True)
class _Graph:
    """The nodes of one bundle."""

    source: Source
    nodes: list[Node] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    _observed: list[str] = field(default_factory=list)
    _processes: dict[int, tuple[Node, object]] = field(default_factory=dict)
    _record: Node = field(default_factory=dict)

    def capture(self) -> None:
        """Add who captured what, when, with which tool, and the sealed set itself."""
        case, host, clock = (self.source.part(key) for key in ("case", "host", "clock"))
        tool = self._add(
            "uco-tool:Tool", "tool", {"uco-core:name": "Hozen", "uco-tool:version": __version__}
        )
        operator = self._add(
            "uco-identity:Identity",
            "operator",
            {"uco-core:name": inert.line(case.get("operator")) or "unknown"},
        )
        device = self._add(
            "uco-observable:Device",
            "device",
            {"uco-core:name": inert.line(host.get("hostname")) or "unknown"},
        )
        set_of_bytes = self._sealed()
        self._record = {
            "@id": self._id("case-investigation:ProvenanceRecord", "record"),
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": self._said(),
        }
        if exhibit := case.get("exhibit"):
            self._record["case-investigation:exhibitNumber"] = inert.line(exhibit)
        self._observed += [device, set_of_bytes]
        action = self._add(
            "case-investigation:InvestigativeAction", "capture",
            {
                "uco-core:name": "capture", **self._time("uco-action:startTime", clock.get("start")),
                **self._time("uco-action:endTime", clock.get("end")), "uco-action:instrument": {"@id": tool},
                "uco-action:performer": {"@id": operator}, "uco-action:object": {"@id": device},
                "uco-action:result": [{"@id": self._record["@id"]}],
            },
        )  # fmt: skip
        self._add(
            "case-investigation:Investigation", "case",
            {"uco-core:name": inert.line(case.get("id")) or "unknown", "uco-core:object": [{"@id": action}]},
        )  # fmt: skip

    def close(self) -> None:
        """Add the record of everything observed, and the parents of processes."""
        for facet, parent in self._processes.values():
            known = self._known.get(f"pid {parent}")
            if known is not None:
                facet["uco-observable:parent"] = {"@id": known}
        self._record["uco-core:object"] = [{"@id": one} for one in self._observed]
        self.nodes.append(self._record)

    def process(self, record: facts.Record) -> None:
        pid = record.get("pid")
        if not isinstance(pid, int):
            return
        facet: Node = {
            **self._facet("ProcessFacet", f"process {pid} {record.get('start_ticks')}"),
            "uco-observable:pid": {"@type": "xsd:integer", "@value": str(pid)},
            **self._time("uco-observable:observableCreatedTime", record.get("started")),
        }
        if line := facts.command_line(record):
            facet["uco-observable:arguments"] = line
        exe, digest = record.get("exe"), record.get("exe_sha256")
        if isinstance(exe, str) and isinstance(digest, str):
            facet["uco-observable:binary"] = {"@id": self.file(inert.name(exe), digest, None)}
        name = inert.name(str(record.get("name") or pid))
        node = self._observable(
            "Process", f"{pid} {record.get('start_ticks')}", facet, {"uco-core:name": name}
        )
        self._known.setdefault(f"pid {pid}", node)
        self._processes[len(self._processes)] = (facet, record.get("ppid"))

    def connection(self, record: facts.Record) -> None:
        (near, port), (far, other) = facts.end_of(record, "local"), facts.end_of(record, "remote")
        source = self._address(near)
        if source is None:
            return
        name = f"{record.get('netns')} {record.get('inode')} {near} {port} {far} {other}"
        facet: Node = {
            **self._facet("NetworkConnectionFacet", name),
            "uco-core:description": inert.line(f"{record.get('proto')} {record.get('state')}"),
            "uco-observable:src": {"@id": source},
            "uco-observable:sourcePort": {"@type": "xsd:integer", "@value": str(port)},
        }
        target = self._address(far) if other else None
        if target is not None:
            facet["uco-observable:dst"] = {"@id": target}
            facet["uco-observable:destinationPort"] = {"@type": "xsd:integer", "@value": str(other)}
        self._observable("NetworkConnection", name, facet)

    def file(self, path: str, digest: str, row: Row | None) -> str:
        """Add a file by path and hash, once; return its identifier."""
        key = f"file {digest} {path}"
        if key in self._known:
            return self._known[key]
        place: Node = {
            **self._facet("FileFacet", key), "uco-observable:filePath": path,
            "uco-observable:fileName": path.rpartition("/")[2],
        }  # fmt: skip
        if row is not None:
            place["uco-observable:sizeInBytes"] = {
                "@type": "xsd:integer",
                "@value": str(row.stored.size),
            }
        node = self._observable("File", key, [place, self._content(key, digest)])
        self._known[key] = node
        return node

    def _sealed(self) -> str:
        report = self.source.report
        place: Node = {
            **self._facet("FileFacet", "sealed"),
            "uco-observable:fileName": "tagmanifest-sha256.txt",
        }
        name: Node = {"uco-core:name": f"sealed text of {report.bundle_id}"}
        return self._observable(
            "File", "sealed", [place, self._content("sealed", str(report.seal))], name
        )

    def _said(self) -> str:
        about = manifest.origin(self.source)
        mark = "" if self.source.verified else "NOT VERIFIED; "
        drill = "DRILL; " if self.source.part("case").get("drill") is True else ""
        return f"{drill}{mark}bundle {about['bundle_id']}, seal {about['seal']}, integrity {about['integrity']}"

    def _content(self, key: str, digest: str) -> Node:
        value = {"@type": "xsd:hexBinary", "@value": digest.upper()}
        hashed = {
            "@id": self._id("uco-types:Hash", key), "@type": "uco-types:Hash", "uco-types:hashMethod": "SHA256",
            "uco-types:hashValue": value,
        }  # fmt: skip
        return {**self._facet("ContentDataFacet", key), "uco-observable:hash": [hashed]}

    def _address(self, text: str) -> str | None:
        try:
            version = ipaddress.ip_address(text).version
        except ValueError:
            return None
        if text not in self._known:
            kind = f"IPv{version}Address"
            facet = {**self._facet(f"{kind}Facet", text), "uco-observable:addressValue": text}
            self._known[text] = self._observable(kind, text, facet)
        return self._known[text]

    def _observable(
        self, kind: str, name: str, facets: Node | list[Node], more: Node | None = None
    ) -> str:
        listed = facets if isinstance(facets, list) else [facets]
        node = self._add(
            f"uco-observable:{kind}", name, {**(more or {}), "uco-core:hasFacet": listed}
        )
        if name != "sealed":
            self._observed.append(node)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return node

    def _facet(self, kind: str, name: str) -> Node:
        return {"@id": self._id(f"uco-observable:{kind}", name), "@type": f"uco-observable:{kind}"}

    def _add(self, kind: str, name: str, values: Node) -> str:
        node = self._id(kind, name)
        self.nodes.append({"@id": node, "@type": kind, **values})
        return node

    def _id(self, kind: str, name: str) -> str:
        local = kind.partition(":")[2]
        return (
            f"kb:{local}-{uuid5(NAMESPACE_URL, f'hozen:{self.source.report.seal}:{kind}:{name}')}"
        )

    def _time(self, key: str, value: object) -> Node:
        try:
            text = rfc3339(parse_rfc3339(str(value)))
        except FormatError:
            return {}
        return {key: {"@type": "xsd:dateTime", "@value": text[:26] + "Z"}}
