"""Containers: one record each, mapped to processes, and no value of an environment in what is stored."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.artifacts import containers
from hozen_agent.items import Outcome
from hozen_agent.proc.containernames import container_of
from hozen_agent.proc.sweep import Sweep
from hozen_agent.reading.files import whole
from hozen_agent.redaction import containerstate
from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from hozen_agent.items import Attempt

Evidence = Any
ID = "3f" * 32
OTHER = "a7" * 32
SECRET = "Zq7pl4nt9"
DOCKER = {
    "ID": ID, "Name": "/web", "Created": "2026-11-01T00:00:00Z", "LogPath": f"/var/lib/docker/containers/{ID}/x.log",
    "State": {"Running": True, "Pid": 4242, "StartedAt": "2026-11-23T01:00:00Z"},
    "Config": {
        "Image": "nginx:1", "Env": ["PATH=/usr/bin", f"DB_PASSWORD={SECRET}1", f"INNOCENT={SECRET}2"],
        "Cmd": ["run", f"--password={SECRET}3"], "Labels": {"api_token": f"{SECRET}4", "note": "plain words"},
        "Healthcheck": {"Test": ["CMD-SHELL", f"curl -u admin:{SECRET}5 http://127.0.0.1/"]},
    },
}  # fmt: skip
HOSTCONFIG = {
    "Privileged": True, "Binds": ["/:/host"], "NetworkMode": "host", "CapAdd": ["SYS_ADMIN"],
    "RestartPolicy": {"Name": "always"},
}  # fmt: skip
OCI = {"process": {"args": ["/bin/sh"], "env": [f"TOKEN={SECRET}6"]}, "annotations": {}}
XML = f"<domain><name>vm</name><graphics type='vnc' passwd='{SECRET}7'/></domain>"


def collected(evidence: Evidence, *cgroups: tuple[int, bytes]) -> list[tuple[Attempt, bytes]]:
    entries = [(b"proc/%d/cgroup" % pid, "file", text, 0) for pid, text in cgroups]
    sweep = Sweep(entries, started=(0, 0), ended=(0, 0), processes=len(entries), complete=True)
    context = replace(evidence.context(), sweep=sweep, redactor=Redactor())
    return [(attempt, whole(attempt)[0]) for attempt in containers.collect(context)]


def records(found: list[tuple[Attempt, bytes]]) -> list[dict[str, Any]]:
    (data,) = [data for attempt, data in found if attempt.source == b"/proc/*/cgroup"]
    return [json.loads(line) for line in data.splitlines()]


def test_a_container_of_docker_has_one_record_with_its_processes(evidence: Evidence) -> None:
    place = f"/var/lib/docker/containers/{ID}"
    evidence.write(f"{place}/config.v2.json", json.dumps(DOCKER).encode())
    evidence.write(f"{place}/hostconfig.json", json.dumps(HOSTCONFIG).encode())
    scope = f"0::/system.slice/docker-{ID}.scope\n".encode()
    found = collected(evidence, (4242, scope), (4243, scope), (1, b"0::/init.scope\n"))
    (record,) = records(found)
    assert (record["runtime"], record["id"], record["name"]) == ("docker", ID, "/web")
    assert record["pids"] == [4242, 4243]
    assert (record["privileged"], record["binds"]) == (True, ["/:/host"])
    assert record["restart_policy"] == "always"
    assert len(record["sources"]) == 2


def test_no_secret_of_any_runtime_is_stored_but_the_original_keeps_it(evidence: Evidence) -> None:
    evidence.write(f"/var/lib/docker/containers/{ID}/config.v2.json", json.dumps(DOCKER).encode())
    task = f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{OTHER}/config.json"
    evidence.write(task, json.dumps(OCI).encode())
    evidence.write("/etc/libvirt/qemu/vm.xml", XML.encode())
    evidence.write("/var/lib/lxc/c1/config", f"lxc.environment = PASSWORD={SECRET}8\n".encode())
    found = collected(evidence)
    for attempt, data in found:
        assert SECRET.encode() not in data, attempt.source
    config = next(a for a, _ in found if a.source.endswith(b"config.v2.json"))
    assert SECRET.encode() in b"".join(bytes(part) for part in (config.unredacted or list)())
    assert sum((config.redacted or {}).values()) >= 4
    clean = json.loads(next(d for a, d in found if a.source.endswith(b"config.v2.json")))
    assert clean["Config"]["Env"][0] == "PATH=/usr/bin"
    assert clean["Config"]["Labels"]["note"] == "plain words"
    assert {r["runtime"] for r in records(found)} == {"docker", "containerd", "libvirt", "lxc"}


def test_a_container_that_only_its_processes_show_has_a_record(evidence: Evidence) -> None:
    text = f"0::/kubepods.slice/pod1.slice/cri-containerd-{OTHER}.scope\n".encode()
    (record,) = records(collected(evidence, (77, text)))
    assert record == {"runtime": "containerd", "id": OTHER, "seen_in": ["cgroup"], "pids": [77]}


def test_state_that_is_not_json_is_named_and_nothing_of_it_stored(evidence: Evidence) -> None:
    path = f"/var/lib/docker/containers/{ID}/config.v2.json"
    evidence.write(path, f'{{"Env":["PASSWORD={SECRET}"'.encode())
    found = collected(evidence)
    attempt = next(a for a, _ in found if a.source == path.encode())
    assert (attempt.outcome, attempt.data) == (Outcome.FAILED, None)
    assert "not JSON" in attempt.reason


def test_a_host_without_containers_says_so(evidence: Evidence) -> None:
    (attempt, _), *_ = collected(evidence)
    assert attempt.outcome is Outcome.EMPTY


def test_names_of_control_groups_lead_to_containers() -> None:
    for text, expected in (
        (f"0::/system.slice/docker-{ID}.scope", ("docker", ID)),
        (f"12:cpu:/docker/{ID}", ("docker", ID)),
        (f"0::/machine.slice/libpod-{ID}.scope", ("podman", ID)),
        (f"0::/kubepods/burstable/pod1/{ID}", ("kubernetes", ID)),
        ("0::/lxc.payload.web1", ("lxc", "web1")),
        ("0::/lxc/web2", ("lxc", "web2")),
        ("0::/machine.slice/systemd-nspawn@deb.service/payload", ("systemd-nspawn", "deb")),
        ("0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt", ("libvirt", "1-vm")),
        ("0::/user.slice/user-0.slice/session-1.scope", None),
    ):
        assert container_of(text.encode() + b"\n") == expected


KEYS = st.sampled_from(["Env", "Cmd", "env", "Config", "State"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_cleaned_described_and_written(value: object) -> None:
    clean = containerstate.Cleaner(Redactor()).clean(value)
    json.loads(containerstate.dump(clean))
    for record in containerstate.describe("docker", b"/x", clean):
        json.dumps(record)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        containerstate.parse(data)
    except containerstate.NotStateError as refusal:
        assert str(refusal)


def test_deep_and_long_state_is_refused() -> None:
    for text in (b"[" * 100_000, b"[" * 30 + b"]" * 30, b"[" + b"0," * 200_001 + b"0]"):
        try:
            containerstate.parse(text)
        except containerstate.NotStateError:
            continue
        raise AssertionError(text[:40])


def test_a_state_file_of_a_user_can_hold_anything_in_place_of_a_name(evidence: Evidence) -> None:
    place = "/home/eve/.local/share/containers/storage/overlay-containers"
    evidence.write("/etc/passwd", b"eve:x:1000:1000::/home/eve:/bin/sh\n")
    strange = [{"id": {"a": 1}}, {"id": [ID], "names": [{}]}, {"ID": 7, "Name": []}]
    evidence.write(f"{place}/containers.json", json.dumps(strange).encode())
    found = collected(evidence, (7, f"0::/docker/{OTHER}\n".encode()))
    assert {record["runtime"] for record in records(found)} == {"podman", "docker"}


def test_more_values_than_memory_allows_are_refused_before_they_are_made() -> None:
    for text in (b"[" + b"[]," * 2_000_000 + b"0]", b"[" * 3_000_000):
        tracemalloc.start()
        try:
            with pytest.raises(containerstate.NotStateError):
                containerstate.parse(text)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_json_in_a_text_loses_its_secrets_too() -> None:
    pod = {
        "spec": {
            "containers": [
                {"env": [{"name": "DB_PASSWORD", "value": SECRET}, {"name": "X", "value": SECRET}]}
            ]
        }
    }
    notes = {
        "last-applied": json.dumps(pod),
        "io.kubernetes.cri-o.Annotations": json.dumps({"deep": json.dumps(pod)}),
    }
    cleaner = containerstate.Cleaner(Redactor())
    clean = containerstate.dump(cleaner.clean({"annotations": notes, "plain": '{"a": 1}'}))
    assert SECRET.encode() not in clean
    assert json.loads(clean)["plain"] == '{"a": 1}'
    assert cleaner.counts["env"] >= 3


@pytest.mark.parametrize(
    "env",
    [
        f"    - name: DB_PASSWORD\n      value: {SECRET}\n", f"    - value: '{SECRET}'\n      name: X\n",
        f"    - name: X\n      value: |\n        first {SECRET}\n\n        second {SECRET}\n",
        f'    - {{name: X, value: "a\\" {SECRET}"}}\n', f"    - {{name: X, value: {SECRET} }}\n",
        f"    - name: X\n      value:\n        {SECRET}\n",
        f'    {{"name":"X",\n    "value":"{SECRET}"\n    }}\n',
        f'    {{"name":"X","value":"{SECRET}"}}\n', f'    - name: X\n      value: "one\n        {SECRET}"\n',
    ],
)  # fmt: skip
def test_a_manifest_keeps_no_value_of_an_environment(env: str) -> None:
    text = f"spec:\n  containers:\n  - env:\n{env}    image: web:1\n".encode()
    clean, count = containerstate.manifest(text)
    assert SECRET.encode() not in clean
    assert (count > 0, clean.endswith(b"    image: web:1\n")) == (True, True)


def test_a_manifest_on_the_host_is_stored_without_values(evidence: Evidence) -> None:
    text = f"- name: DB_PASSWORD\n  value: {SECRET}\n".encode()
    evidence.write("/etc/kubernetes/manifests/web.yaml", text)
    (attempt, data) = next(
        (a, d) for a, d in collected(evidence) if a.source == b"/etc/kubernetes/manifests/web.yaml"
    )
    assert (data, attempt.redacted) == (
        b"- name: DB_PASSWORD\n  value: [redacted:env:9]\n",
        {"env": 1},
    )
