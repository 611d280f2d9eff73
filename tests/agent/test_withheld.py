from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.redaction import withheld
from hozen_hashes.errors import InternalError

SECRETS = {
    "private_key": [
        b"/home/u/.ssh/id_ed25519", b"/home/u/.ssh/id_work", b"/etc/ssh/ssh_host_rsa_key", b"/etc/cron.d/id_rsa",
        b"/etc/ssl/private/x", b"/var/log/server.KEY", b"/home/u/.gnupg/private-keys-v1.d/A.key", b"/x/tls-key.pem",
        b"/etc/letsencrypt/archive/example.org/privkey1.pem", b"/etc/wireguard/wg0.conf", b"/opt/a.p12",
    ],
    "password_hash": [b"/etc/shadow", b"/etc/shadow-", b"/etc/gshadow", b"/var/backups/shadow.bak",
    b"/root/anaconda-ks.cfg",
    b"/srv/www/.htpasswd"],
    "keytab": [b"/etc/krb5.keytab", b"/tmp/krb5cc_1000", b"/srv/http.keytab"],
    "credential": [
        b"/root/.netrc", b"/home/u/.pgpass", b"/home/u/.git-credentials", b"/home/u/.docker/config.json",
        b"/srv/app/.env",
        b"/root/.pm2/dump.pm2", b"/etc/zypp/credentials.d/SCC", b"/etc/wgetrc", b"/home/u/.curlrc",
        b"/etc/monit/monitrc", b"/var/lib/cloud/instance/scripts/part-001",
        b"/etc/cloud/cloud.cfg.d/90_dpkg_maas.cfg",
        b"/etc/NetworkManager/system-connections/wifi", b"/run/secrets/x", b"/etc/sssd/sssd.conf",
    ],
    "token": [b"/home/u/.aws/credentials", b"/root/.kube/config", b"/home/u/.config/gcloud/x/y",
    b"/home/u/.azure/t.json", b"/etc/cni/net.d/calico-kubeconfig", b"/etc/teleport.yaml"],
    "wallet": [b"/home/u/pass.kdbx", b"/home/u/.bitcoin/wallet.dat", b"/home/u/.password-store/a/b.gpg"],
    "browser_store": [
        b"/home/u/.mozilla/firefox/x.default/logins.json", b"/home/u/.mozilla/firefox/x/cookies.sqlite",
        b"/home/u/.config/google-chrome/Default/Login Data", b"/home/u/.config/chromium/Default/Cookies",
    ],
    "mail": [b"/var/mail/root", b"/var/spool/mail/u", b"/home/u/Maildir/cur/1", b"/root/mbox"],
    "process_memory": [b"/proc/1/environ", b"/proc/self/cmdline", b"/proc/12/task/12/environ", b"/proc/kcore"],
}  # fmt: skip
EVIDENCE = [
    b"/var/log/auth.log", b"/var/log/\xff", b"/home/u/.ssh/authorized_keys", b"/home/u/.ssh/known_hosts",
    b"/home/u/.ssh/id_rsa.pub", b"/etc/ssh/ssh_host_rsa_key.pub", b"/etc/ssh/sshd_config", b"/home/u/.bash_history",
    b"/etc/passwd", b"/etc/cron.d/job", b"/var/log/shadow", b"/var/log/maillog", b"/etc/systemd/system/x.service",
    b"/var/lib/dpkg/status", b"/proc/version", b"/home/u/.ssh/config", b"/var/log/krb5kdc.log", b"/etc/keys/x.txt",
    b"/var/lib/cloud/scripts/per-boot/x", b"/etc/cloud/cloud.cfg.d/10_x.cfg", b"/etc/monit/conf.d/x",
    b"/etc/zypp/x.conf",
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "path"), [(why, path) for why, paths in SECRETS.items() for path in paths]
)
def test_a_secret_is_known_by_its_name_or_place(why: str, path: bytes) -> None:
    assert withheld.by_name(path) == why


@pytest.mark.parametrize("path", [path for path in EVIDENCE if path != b"/var/log/shadow"])
def test_evidence_is_no_secret(path: bytes) -> None:
    assert withheld.by_name(path) == ""


@given(
    st.binary(max_size=60).filter(lambda b: b"\0" not in b),
    st.sampled_from(sorted(itertools.chain.from_iterable(SECRETS.values()))),
)
def test_a_quick_no_is_never_wrong(prefix: bytes, path: bytes) -> None:
    full = b"/" + prefix + path
    table = withheld._table()
    name = full[full.rfind(b"/") + 1 :]
    found = ""
    for rule in table.rules:
        if rule.pattern.match(name if rule.directory is None else full):
            found = "" if rule.why == "not" else rule.why
    assert withheld.by_name(full) == found


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    withheld.by_content(data)
    withheld.by_name(b"/" + data)
    withheld.pseudo_allowed(data)


def test_every_beginning_of_a_secret_is_looked_at() -> None:
    for magic, _ in withheld._BEGINNINGS:
        assert magic[0] in withheld.SUSPECT
    for text in (b"-----BEGIN", b"Bag Attributes", b"# created: ", b" ", b"\xef\xbb\xbf"):
        assert text[0] in withheld.SUSPECT


def test_passwd_with_an_old_hash_is_noticed() -> None:
    assert withheld.holds_hash(b"root:x:0:0\nold:aaJd8wZ0abcde:1:1:::\n")
    assert withheld.holds_hash(b"u:!$6$abc$def:1\n")
    assert not withheld.holds_hash(
        b"root:x:0:0:::\nu:*:1:\nv:!:2:\nw::3:\nlocked:*LK*:4:\n+::::::\n"
    )


@given(
    st.lists(
        st.from_regex(rb"[a-z]{1,8}:[./A-Za-z0-9$]{13,90}:[0-9]{0,5}:0:99999:7:::", fullmatch=True)
    )
)
def test_no_hash_remains_in_what_is_kept(lines: list[bytes]) -> None:
    kept = withheld.without_hashes(b"\n".join(lines))
    for line, result in zip(lines, kept.split(b"\n"), strict=False):
        assert line.split(b":")[1] not in result
        assert result.split(b":")[2:] == line.split(b":")[2:]


def test_a_line_without_fields_is_not_copied() -> None:
    assert withheld.without_hashes(b"$6$stray$hash\n\n") == b"[not a line of fields]\n\n"


def test_a_table_line_without_pattern_is_an_error() -> None:
    with pytest.raises(InternalError, match=":2:"):
        withheld.parse_table(b"# x\nprivate_key\n")


def test_a_key_behind_other_text_is_a_secret_only_where_keys_are_kept() -> None:
    text = b"the old server\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"
    assert withheld.by_content(text) == ""
    assert withheld.by_content(text, anywhere=True) == "private_key"
    for place in (
        b"/home/u/.ssh",
        b"/etc/ssh",
        b"/etc/ssh/old",
        b"/etc/ssl/private",
        b"/x/.ssh/a/b",
    ):
        assert withheld.key_place(place)
    for place in (b"/var/log", b"/var/log/sshd", b"/home/ssh-user", b""):
        assert not withheld.key_place(place)


def test_the_memory_of_a_process_is_a_secret_and_a_program_is_not() -> None:
    for kind, word in ((b"\x04\x00", "process_memory"), (b"\x02\x00", ""), (b"\x03\x00", "")):
        assert withheld.by_content(b"\x7fELF\x02\x01\x01" + bytes(9) + kind + bytes(40)) == word
    assert withheld.by_content(b"KDUMP   " + bytes(40)) == "process_memory"
    assert withheld.by_name(b"/var/crash/2026/vmcore") == "process_memory"
    assert withheld.by_name(b"/var/crash/2026/vmcore-dmesg.txt") == ""
    assert 0x7F in withheld.SUSPECT


def test_keystrokes_of_recorded_sessions_are_withheld_and_their_output_is_not() -> None:
    for name, word in (
        (b"ttyin", "keystrokes"),
        (b"stdin", "keystrokes"),
        (b"ttyout", ""),
        (b"log", ""),
    ):
        assert withheld.by_name(b"/var/log/sudo-io/00/00/01/" + name) == word
