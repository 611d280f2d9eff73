from __future__ import annotations

from typing import Any

from hozen_agent.artifacts import persistence  # noqa: F401 - enters the family
from hozen_agent.items import Outcome

Evidence = Any
PLACES = [
    "/etc/crontab", "/etc/cron.d/x", "/etc/cron.daily/y", "/var/spool/cron/crontabs/root", "/var/spool/cron/root",
    "/var/spool/at/a0001", "/etc/anacrontab", "/etc/systemd/system/evil.service", "/run/systemd/system/t.timer",
    "/usr/lib/systemd/system/s.service", "/usr/lib/systemd/system-generators/g",
    "/home/u/.config/systemd/user/u.service",
    "/etc/init.d/d", "/etc/rc.local", "/etc/udev/rules.d/9.rules", "/etc/xdg/autostart/a.desktop",
    "/home/u/.config/autostart/b.desktop", "/etc/profile.d/p.sh", "/home/u/.bashrc", "/root/.profile",
    "/etc/update-motd.d/m",
    "/etc/pam.d/sshd", "/etc/ld.so.preload", "/etc/ld.so.conf.d/l.conf", "/etc/modprobe.d/m.conf",
    "/usr/lib/x86_64-linux-gnu/security/pam_evil.so", "/etc/.git/hooks/post-commit",
    "/run/systemd/transient/t.service",
    "/etc/inetd.conf", "/etc/logrotate.d/l", "/usr/lib/systemd/system-sleep/z", "/usr/libexec/sudo/evil.so",

    "/usr/lib/python3/dist-packages/evil.pth", "/usr/local/lib/python3.11/dist-packages/sitecustomize.py",
    "/etc/initramfs-tools/hooks/h", "/usr/lib/dracut/modules.d/99evil/module-setup.sh", "/etc/pacman.d/hooks/p.hook",
    "/etc/dnf/plugins/d.conf", "/etc/containers/systemd/q.container", "/etc/init/up.conf",
    "/etc/dbus-1/system.d/b.conf",
    "/var/lib/postgresql/.bashrc", "/etc/udev/rules.d/u.rules", "/home/u/.ssh/rc", "/etc/binfmt.d/e.conf",
    "/etc/apt/apt.conf.d/99hook", "/etc/NetworkManager/dispatcher.d/n", "/etc/bash.bashrc", "/root/.zshrc",
]  # fmt: skip


def test_every_place_that_starts_something_is_captured_once(evidence: Evidence) -> None:
    for place in PLACES:
        evidence.write(place, b"run " + place.encode())
    found = evidence.collect("persistence")
    assert sorted(found) == sorted(place.encode() for place in PLACES)
    assert all(
        len(entries) == 1 and entries[0][1] == b"run " + path for path, entries in found.items()
    )


def test_an_absent_preload_file_is_a_finding(evidence: Evidence) -> None:
    found = evidence.collect("persistence")
    assert found[b"/etc/ld.so.preload"][0][0].outcome is Outcome.MISSING


def test_a_unit_enabled_by_link_and_a_merged_lib_are_recorded_as_they_are(
    evidence: Evidence,
) -> None:
    evidence.write("/usr/lib/systemd/system/a.service", b"[Unit]")
    (evidence.root / "lib").symlink_to("usr/lib")
    wants = evidence.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "a.service").symlink_to("/lib/systemd/system/a.service")
    found = evidence.collect("persistence")
    link = found[b"/etc/systemd/system/multi-user.target.wants/a.service"][0][0]
    assert link.link_target == b"/lib/systemd/system/a.service"
    assert found[b"/lib"][0][0].kind == "link"
    assert [data for _, data in found[b"/usr/lib/systemd/system/a.service"]] == [b"[Unit]"]


def test_a_key_among_the_jobs_is_withheld(evidence: Evidence) -> None:
    evidence.write("/etc/cron.d/id_rsa", b"SECRET")
    evidence.write("/etc/profile.d/x", b"-----BEGIN PRIVATE KEY-----\nSECRET")
    found = evidence.collect("persistence")
    for path in (b"/etc/cron.d/id_rsa", b"/etc/profile.d/x"):
        assert (found[path][0][0].withheld, found[path][0][1]) == ("private_key", b"")


def test_settings_of_systemd_are_captured_and_keys_of_its_network_are_left_to_their_family(
    evidence: Evidence,
) -> None:
    kept = [
        "/etc/systemd/system.conf", "/etc/systemd/logind.conf.d/l.conf", "/etc/systemd/user/u.service",
        "/etc/systemd/system-generators/g", "/etc/systemd/nspawn/c.nspawn",
        "/etc/systemd/system/a.service.d/override.conf", "/etc/systemd/user.conf.d/z.conf",
    ]  # fmt: skip
    for place in (*kept, "/etc/systemd/network/wg0.netdev"):
        evidence.write(place, b"PrivateKey=x")
    found = evidence.collect("persistence")
    assert {path for path in found if path.startswith(b"/etc/systemd/")} == {
        p.encode() for p in kept
    }
