"""State files of container runtimes without their secrets: JSON in, the same JSON redacted out, and who it is about.

Environments lose the values that are not on the redactor's list; command lines and all other texts go through its
rules, each text beside its name, so that `"Password": "x"` is known for what it is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from hozen_agent.proc.containernames import ID
from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.redaction.redact import Redactor

MAX_DEPTH: Final = 24
MAX_VALUES: Final = 200_000
MAX_NAME: Final = 4096
MAX_INNER: Final = 3  # JSON in a text in JSON
_ENVIRONMENTS: Final = frozenset({"env", "environment", "envs", "process.env"})
_COMMANDS: Final = frozenset({"cmd", "args", "command", "entrypoint", "createcommand", "onbuild"})
_VALUE: Final = re.compile(
    rb"(?P<before>[ ]*(?:-[ ]+)?)[\"']?value[\"']?[ \t]*:(?P<value>[^\r\n]*)"
)
_FLOW_VALUE: Final = re.compile(
    rb"(?P<head>[{,][ \t]*[\"']?value[\"']?[ \t]*:[ \t]*)(?!\[redacted)"
    rb"(?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|[^\s,}\"'][^,}\r\n]*)"
)


class NotStateError(Exception):
    """The file is not JSON within the bounds; nothing of it may be stored."""


def parse(data: bytes) -> object:
    """Return the JSON value of a state file.

    Raises:
        NotStateError: not JSON, nested deeper than MAX_DEPTH, or more than MAX_VALUES values.
    """
    # Before any is made: each takes up to a hundred bytes of memory, in the text it may be two.
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise NotStateError("nested too deep or too long")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise NotStateError("not JSON") from None
    _bounded(value)
    return value


def _bounded(value: object) -> None:
    todo, seen = [(value, 0)], 0
    while todo:
        one, depth = todo.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_VALUES:
            raise NotStateError("nested too deep or too long")
        children = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        todo.extend((child, depth + 1) for child in children)


class Cleaner:
    """Takes secrets out of parsed state files.

    Attributes:
        counts: how often each type of secret was removed.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._depth = 0
        self.counts: dict[str, int] = {}

    def clean(self, value: object, name: str = "") -> object:
        """Return the value without secrets; keys stay as they are."""
        low = name.lower()
        if isinstance(value, dict):
            inside = low in _ENVIRONMENTS
            return {
                key: self._variable(key, one) if inside else self.clean(one, key)
                for key, one in value.items()
            }
        if isinstance(value, list):
            if low in _ENVIRONMENTS:
                return [self._entry(one) for one in value]
            if low in _COMMANDS and all(isinstance(one, str) for one in value):
                return self._redactor.argv(value, self.counts) if value else value
            return [self.clean(one, name) for one in value]
        if not isinstance(value, str):
            return value
        return self._text(self._inner(value, name), name)

    def _inner(self, value: str, name: str) -> str:
        """Return JSON that lies in a text (an annotation with a pod's manifest) without secrets; other text as it is.

        What cannot be read is left to the rules for text.
        """
        if self._depth >= MAX_INNER or value.lstrip()[:1] not in {"{", "["}:
            return value
        try:
            inner = parse(_encoded(value))
        except NotStateError:
            return value
        self._depth += 1
        clean = self.clean(inner, name)
        self._depth -= 1
        return value if clean == inner else json.dumps(clean, separators=(",", ":"))

    def _entry(self, value: object) -> object:
        """Return one `NAME=value` of an environment, or one mapping of `name` and `value` as in a pod's manifest."""
        if isinstance(value, str):
            return _decoded(self._redactor.environ(_encoded(value), self.counts))
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            name = value["name"]
            return {k: self._variable(name, v) if k == "value" else v for k, v in value.items()}
        return self.clean(value)

    def _variable(self, name: str, value: object) -> object:
        if not isinstance(value, str):
            return self.clean(value, name)
        clean = self._redactor.environ(_encoded(f"{name}={value}"), self.counts)
        return _decoded(clean.partition(b"=")[2])

    def _text(self, value: str, name: str) -> str:
        """Return a text as the rules leave it by itself (it may be a command), and then beside its name."""
        raw = self._redactor.text(_encoded(value), self.counts)
        quoted = b"" if b'"' in raw or b"\\" in raw else b'"'
        before = _encoded(name) + b"=" + quoted
        whole = self._redactor.text(before + raw + quoted, self.counts)
        if whole.startswith(before) and whole.endswith(quoted):
            return _decoded(whole[len(before) : len(whole) - len(quoted)])
        return f"[redacted:name:{len(raw)}]"


def manifest(text: bytes) -> tuple[bytes, int]:
    """Return a pod's manifest in YAML or JSON with a word in place of every `value`, and how many there were.

    What an environment variable is called stands on another line, before or after; all of them go.
    """
    lines, count, inside = [], 0, -1
    for line in text.split(b"\n"):
        indent = len(line) - len(line.lstrip(b" "))
        if inside >= 0 and (indent > inside or not line.strip()):
            lines.append(b"")  # a block or a folded text goes on in lines that stand further right
            continue
        found = _VALUE.match(line)
        inside = len(found["before"]) if found else -1
        if found is None:
            lines.append(line)
            continue
        count += 1
        size = len(found["value"].strip())
        lines.append(found[0][: found.start("value")] + b" [redacted:env:%d]" % size)
    clean, more = _FLOW_VALUE.subn(rb"\g<head>[redacted:env:0]", b"\n".join(lines))
    return clean, count + more


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def dump(value: object) -> bytes:
    """Return the value as ASCII JSON, a line."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def describe(runtime: str, path: bytes, value: object) -> list[dict[str, object]]:
    """Return what a redacted state file says of containers, in the same words for every runtime."""
    many = value if isinstance(value, list) else [value]
    return [_one(runtime, path, entry) for entry in many[:10_000] if isinstance(entry, dict)]


def _one(runtime: str, path: bytes, state: Mapping[str, Any]) -> dict[str, object]:
    config, status = _of(state, "Config"), _of(state, "State")
    host = _of(state, "HostConfig") or state
    names = state.get("names")
    notes = _of(state, "annotations")
    found = {
        "id": _word(state.get("ID")) or _word(state.get("id")) or _id_in(path),
        "name": _word(state.get("Name")) or (_word(names[0]) if isinstance(names, list) and names else None),
        "image": config.get("Image") or notes.get("io.kubernetes.cri-o.ImageName") or state.get("image"),
        "created": state.get("Created") or state.get("created"),
        "started": status.get("StartedAt"),
        "finished": status.get("FinishedAt"),
        "running": status.get("Running"),
        "pid": status.get("Pid") or state.get("init_process_pid") or state.get("pid"),
        "privileged": host.get("Privileged"),
        "capabilities_added": host.get("CapAdd"),
        "network_mode": host.get("NetworkMode"),
        "pid_mode": host.get("PidMode") or None,
        "binds": host.get("Binds"),
        "restart_policy": _of(host, "RestartPolicy").get("Name"),
        "log_path": state.get("LogPath"),
        "command": _of(state, "process").get("args") or state.get("Args"),
        "bundle": state.get("bundle"),
    }  # fmt: skip
    kept = {key: value for key, value in found.items() if value is not None}
    return {"runtime": runtime, "sources": [percent_encode(path)], **kept}


def _word(value: object) -> str | None:
    """Return a name; whoever can write a state file can put anything in its place."""
    return value[:MAX_NAME] if isinstance(value, str) else None


def merged(records: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return one record for each container: what several files say of one is together, the first word counts."""
    found: dict[tuple[object, object], dict[str, object]] = {}
    for record in records:
        which = record.get("id") or record.get("name") or str(record["sources"])
        known = found.setdefault((record["runtime"], which), record)
        if known is not record:
            both = [*_list(known), *_list(record)]
            known.update({**record, **known, "sources": both})
    return list(found.values())


def _list(record: Mapping[str, object]) -> list[object]:
    sources = record.get("sources")
    return sources if isinstance(sources, list) else []


def _of(state: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = state.get(key)
    return inner if isinstance(inner, dict) else {}


def _id_in(path: bytes) -> str | None:
    """Return the identifier that the path of a state file holds: a component of 64 hexadecimal figures."""
    found = ID.search(path)
    return found[0].decode() if found else None
