from __future__ import annotations

import contextlib
from typing import Any

from hozen_agent.artifacts import ssh  # noqa: F401 - enters the family
from hozen_agent.items import Outcome

Evidence = Any


def test_access_is_captured_and_private_keys_are_only_named(evidence: Evidence) -> None:
    evidence.write("/etc/passwd", b"git:x:1:1::/srv/git:/bin/sh\n")
    public = {
        b"/root/.ssh/authorized_keys": b"ssh-ed25519 AAAA eve\n", b"/home/u/.ssh/known_hosts": b"|1|x\n",
        b"/home/u/.ssh/id_rsa.pub": b"ssh-rsa AAAA\n", b"/srv/git/.ssh/authorized_keys2": b"z\n",
        b"/etc/ssh/sshd_config": b"PermitRootLogin yes\n", b"/etc/ssh/sshd_config.d/x.conf": b"Port 2222\n",
        b"/etc/ssh/ssh_host_rsa_key.pub": b"ssh-rsa\n", b"/home/u/.ssh/config": b"Host x\n",
    }  # fmt: skip
    private = {
        b"/home/u/.ssh/id_rsa": b"SECRET", b"/home/u/.ssh/id_work": b"SECRET", b"/etc/ssh/ssh_host_rsa_key": b"SECRET",
        b"/home/u/.ssh/renamed": b"-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n",
    }  # fmt: skip
    for path, data in (public | private).items():
        evidence.write(path, data)
    found = evidence.collect("ssh_access")
    assert {p: e[0][1] for p, e in found.items() if not e[0][0].withheld} == public
    assert {p for p, e in found.items() if e[0][0].withheld == "private_key"} == set(private)
    assert all(found[p][0][0].stat is not None for p in private)
    assert b"SECRET" not in b"".join(e[0][1] for e in found.values())


def test_a_host_without_ssh_says_so(evidence: Evidence) -> None:
    found = evidence.collect("ssh_access")
    assert found[b"/etc/ssh/sshd_config"][0][0].outcome is Outcome.MISSING


def test_sockets_of_agents_are_named_and_not_connected_to(evidence: Evidence) -> None:
    import socket

    place = evidence.root / "tmp/ssh-XXXXabc/agent.123"
    place.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        server.setblocking(False)
        (attempt, data), *_ = evidence.collect("ssh_access")[b"/tmp/ssh-XXXXabc/agent.123"]
        with contextlib.suppress(BlockingIOError):
            server.accept()
            raise AssertionError("connected")
    assert (attempt.withheld, data) == ("agent_socket", b"")
