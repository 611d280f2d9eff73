"""Makes definitions/index.json from our YAML and the `artifacts` package: `python -m hozen_agent.defindex`.

The index keeps name, one-line description and file patterns; it spares a capture the loading of 700 YAML documents. The
definitions of the package are under the Apache License 2.0, copyright the ForensicArtifacts project.
"""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path

from hozen_agent import definitions

_HERE = Path(definitions.INDEX).parent


def _of_package() -> list[definitions.Definition]:
    """Return the Linux definitions of the installed package."""
    found: dict[str, definitions.Definition] = {}
    for file in metadata.files("artifacts") or ():
        if file.suffix == ".yaml" and file.parent.name == "data":
            text = Path(str(file.locate())).read_bytes()
            for entry in definitions.parse_yaml(text, what=file.name, strict=False):
                found[entry.name] = entry
    return list(found.values())


def _own() -> list[definitions.Definition]:
    return [
        entry
        for file in sorted(_HERE.glob("*.yaml"))
        for entry in definitions.parse_yaml(file.read_bytes(), what=file.name)
    ]


def build() -> bytes:
    """Return the index as it must be for the installed package and our files."""
    ours, theirs = _own(), _of_package()
    known = {entry.name for entry in (*ours, *theirs)}
    entries = [
        {
            "name": entry.name,
            "origin": origin,
            "doc": entry.doc[:300],
            "patterns": list(entry.patterns),
            "groups": [name for name in entry.groups if name in known],
            "left_out": entry.left_out,
        }
        for origin, part in (("hozen", ours), ("forensicartifacts", theirs))
        for entry in sorted(part, key=lambda entry: entry.name)
    ]
    head = {
        "format": "hozen-definitions/1",
        "origins": {
            "hozen": "MIT",
            "forensicartifacts": f"artifacts {metadata.version('artifacts')}, Apache-2.0, ForensicArtifacts project",
        },
        "definitions": entries,
    }
    return json.dumps(head, ensure_ascii=True, indent=1).encode() + b"\n"


def main() -> None:
    """The index lies beside the definitions."""
    part = f"{definitions.INDEX}.part"
    Path(part).write_bytes(build())
    os.replace(part, definitions.INDEX)


if __name__ == "__main__":
    main()
