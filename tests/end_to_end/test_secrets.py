"""Secrets planted in processes and files of a host never leave it, in no form and by no way (law M16, P01, P02)."""

from __future__ import annotations

import base64
import json
import string
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from bundles import Bundle, only_bundle
from plants import Plants, forms
from synthetic_host import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

_PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"
_HASH = "$6$salt${}"
_KEEPASS = b"\x03\xd9\xa2\x9ag\xfbK\xb5"
_CORE = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00\x3e\x00"
# Everything law M16 and P01 name, below a home; planted there, and where logs are captured.
_STORES = {
    ".ssh/id_rsa": _PEM,
    ".ssh/work laptop": _PEM,
    ".ssh/backup.txt": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" + _PEM,
    ".ssh/putty": "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{}\n",
    ".ssh/noted": "the key of the old server:\n" + _PEM,
    ".gnupg/private-keys-v1.d/AB12.key": "(11:private-key{})",
    ".gnupg/secring.gpg": "\x95{}",
    ".aws/credentials": "[default]\naws_secret_access_key = {}\n",
    ".kube/config": "users:\n- user:\n    token: {}\n",
    ".netrc": "machine x login y password {}\n",
    ".pgpass": "db:5432:*:app:{}\n",
    ".my.cnf": "[client]\npassword={}\n",
    ".git-credentials": "https://alice:{}@git.example\n",
    ".docker/config.json": '{{"auths":{{"r.example":{{"auth":"{}"}}}}}}\n',
    ".config/gcloud/application_default_credentials.json": '{{"refresh_token":"{}"}}\n',
    ".config/gh/hosts.yml": "github.com:\n  oauth_token: {}\n",
    ".azure/msal_token_cache.json": '{{"secret":"{}"}}\n',
    ".mozilla/firefox/a.default/logins.json": '{{"logins":[{{"encryptedPassword":"{}"}}]}}\n',
    ".mozilla/firefox/a.default/cookies.sqlite": "SQLite format 3\0{}",
    ".mozilla/firefox/a.default/key4.db": "SQLite format 3\0{}",
    ".config/google-chrome/Default/Login Data": "SQLite format 3\0{}",
    ".config/google-chrome/Default/Cookies": "SQLite format 3\0{}",
    ".local/share/keyrings/login.keyring": "GnomeKeyring\n\r\0\n{}",
    "passwords.kdbx": "\x03{}",
    ".bitcoin/wallet.dat": "\0\0{}",
    ".password-store/bank.gpg": "\x85{}",
    ".thunderbird/a.default/Mail/Local Folders/Inbox": "From x\nSubject: {}\n",
    "Maildir/cur/1.host:2,S": "From: x\n\n{}\n",
    "mbox": "From x\n\n{}\n",
    ".google_authenticator": "{}\n",
    "web/.htpasswd": "alice:" + _HASH + "\n",
    "web/server.p12": "\x30\x82{}",
    "web/server.key": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
    "web/both.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
    "krb5.keytab": "\x05\x02{}",
    "krb5cc_1000": "\x05\x04{}",
}
_SYSTEM = {
    "/etc/gshadow": "sudo:" + _HASH + "::sato\n",
    "/etc/shadow-": "root:" + _HASH + ":20000:0:99999:7:::\n",
    "/etc/security/opasswd": "sato:1000:1:" + _HASH + "\n",
    "/etc/passwd-": "root:" + _HASH + ":0:0:root:/root:/bin/bash\n",
    "/etc/group-": "sudo:" + _HASH + ":27:sato\n",
    "/etc/ssh/ssh_host_rsa_key": _PEM,
    "/etc/ssh/former": _PEM,
    "/etc/krb5.keytab": "\x05\x02{}",
    "/etc/ssl/private/web.pem": _PEM,
    "/etc/sssd/sssd.conf": "[domain/x]\nldap_default_authtok = {}\n",
    "/var/mail/sato": "From x\n\n{}\n",
    "/var/log/renamed.log": _PEM,
    "/var/log/deep/kee.pass": _KEEPASS.decode("latin-1") + "{}",
    "/var/log/core.4711": _CORE.decode("latin-1") + "{}",
    "/var/log/crash/202611230500/vmcore": "KDUMP   {}",
    "/var/log/crash/_usr_bin_app.0.crash": "ProblemType: Crash\nProcEnviron:\n X={}\n",
    "/etc/default/app.env.d/.env": "X={}\n",
}
# Where nothing of a capture looks: content of the people, or no place of its own.
_NOT_ASKED_FOR = {
    *(
        name
        for name in _STORES
        if name.startswith(("web/", ".thunderbird/", "Maildir/", "mbox", "krb5"))
    ),
    "/var/mail/sato",
    "/etc/default/app.env.d/.env",
}
# Evidence byte for byte, whatever people wrote into it.
_EVIDENCE = {
    "/var/log/app.log": "login with password={} failed\n",
    "/home/sato/.bash_history": "mysql -p{} shop\n",
    "/root/.mysql_history": "SET PASSWORD = '{}'\n",
    "/etc/systemd/system/app.service": "[Service]\nEnvironment=PASSWORD={}\n",
    "/etc/cron.d/backup": "* * * * * root curl -u a:{} https://x\n",
}


def _commands(plants: Plants) -> list[list[str]]:
    """Return command lines, each with a secret of its own."""
    new, hexadecimal = plants.new, "0123456789abcdef"
    upper = string.ascii_uppercase + "234567"
    odd = string.ascii_letters + string.digits + '"%é\\&+'
    encoded = base64.b64encode(f"password={new('base64 word')}".encode()).decode()
    hexed = f"password={new('hex word')}".encode().hex()
    basic = base64.b64encode(f"alice:{new('basic')}".encode()).decode()
    jwt = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return [
        ["prog", f"--password={new('--password=')}"],
        ["prog", "--password", new("--password")],
        ["prog", f"--password={new('--password= odd', alphabet=odd)}", "--next"],
        ["prog", f"--db-pass={new('--db-pass=')}", "-v"],
        ["mysql", "-uroot", f"-p{new('mysql -p')}", "shop"],
        ["/usr/bin/mysqldump", f"-p{new('mysqldump -p')}"],
        ["sudo", "-u", "app", "mysql", f"-p{new('sudo mysql -p')}"],
        ["sshpass", "-p", new("sshpass -p"), "ssh", "root@x"],
        ["curl", "-u", f"alice:{new('curl -u')}", "https://x"],
        ["curl", "-H", f"Authorization: Bearer {new('bearer')}"],
        ["curl", "-H", f"Authorization: Basic {basic}"],
        ["curl", "-H", f"X-Api-Key: {new('x-api-key')}"],
        ["curl", "-H", f"Cookie: sid={new('cookie')}"],
        ["curl", "-d", json.dumps({"user": "a", "password": new("json field", alphabet=odd)})],
        ["curl", f"https://x/?access_token={new('access_token')}&y=2"],
        ["git", "clone", f"https://alice:{new('userinfo')}@git.example/x.git"],
        ["git", "clone", f"https://{new('token as user')}@git.example/x.git"],
        ["psql", f"postgres://app:{quote(new('userinfo odd', alphabet=odd), safe='')}@db/shop"],
        ["sh", "-c", f"PGPASSWORD={new('sh -c variable')} psql -h db"],
        ["bash", "-c", f"echo {new('echo to sudo')} | sudo -S id"],
        ["ssh", "x", f"mysql -p{new('ssh mysql')} shop"],
        ["aws", "configure", "set", "aws_access_key_id", new("AKIA", alphabet=upper, length=16, before="AKIA")],
        ["env", f"AWS_SECRET_ACCESS_KEY={new('aws secret', length=40)}", "aws", "s3", "ls"],
        ["prog", "--token", new("--token")],
        ["prog", f"--api-key={new('--api-key')}"],
        ["prog", f"--client-secret={new('--client-secret')}"],
        ["prog", new("ghp_", length=36, before="ghp_")],
        ["prog", new("glpat", length=20, before="glpat-")],
        ["prog", new("xoxb", alphabet=string.digits, length=30, before="xoxb-1234-")],
        ["prog", new("sk_live", length=24, before="sk_live_")],
        ["prog", new("do_v1", alphabet=hexadecimal, length=64, before="dop_v1_")],
        ["prog", f"{jwt}.{new('jwt', length=40)}.{new('jwt signature', length=43)}"],
        ["prog", f"-----BEGIN RSA PRIVATE KEY-----\n{new('pem')}\n-----END RSA PRIVATE KEY-----"],
        ["prog", encoded],
        ["prog", hexed],
        ["prog", f"https%3A%2F%2Falice%3A{new('percent url')}%40x"],
        ["openssl", "enc", "-k", new("openssl -k")],
        ["openssl", "rsa", "-passin", f"pass:{new('pass:')}"],
        ["docker", "login", "-u", "a", "-p", new("docker login -p")],
        ["smbclient", "-U", f"alice%{new('smb')}", "//x/y"],
        ["redis-cli", "-a", new("redis -a")],
        ["7z", "a", f"-p{new('7z -p')}", "x.7z"],
        ["htpasswd", "-b", "file", "alice", new("htpasswd")],
        ["prog", f"password: {new('password:')}"],
        # A title without NUL bytes, as programs write it over their arguments.
        [f"worker: connect db --password={new('title')} idle"],
    ]  # fmt: skip


def _environments(plants: Plants) -> list[list[str]]:
    new = plants.new
    odd = string.ascii_letters + string.digits + ' "%é\\'
    return [
        ["PATH=/bin", f"DB_PASSWORD={new('env DB_PASSWORD')}"],
        [f"AWS_SECRET_ACCESS_KEY={new('env aws', length=40)}", f"INNOCENT={new('env innocent')}"],
        [f"ODD={new('env odd', alphabet=odd)}", new("env without =")],
        [f"https_proxy=http://u:{new('env proxy')}@proxy:3128", "TZ=UTC"],
        [f"SSH_ORIGINAL_COMMAND=mysql -p{new('env original command')} shop"],
        [f"BASH_FUNC_x%%=() {{ curl -u a:{new('env function')}; }}"],
    ]


@dataclass
class Planted:
    """What was planted: secrets of processes, of files that are withheld, and of files that are evidence."""

    processes: Plants
    withheld: Plants
    evidence: Plants
    paths: list[str]

    @property
    def secret(self) -> dict[str, bytes]:
        return {**self.processes.secrets, **self.withheld.secrets}


@pytest.fixture
def planted(host: Host) -> Planted:
    """Write what the host is to hold; `start` makes it."""
    processes, withheld, evidence = Plants(1), Plants(2), Plants(3)
    files: dict[str, str] = {}
    paths: list[str] = []
    for base in ("/home/sato/", "/var/log/leak/"):
        for name, form in _STORES.items():
            path = base + name
            files[path] = form.format(withheld.new(path))
            if base != "/home/sato/" or name not in _NOT_ASKED_FOR:
                paths.append(path)
    for path, form in _SYSTEM.items():
        files[path] = form.format(withheld.new(path))
    paths += [path for path in _SYSTEM if path not in _NOT_ASKED_FOR]
    for path, form in _EVIDENCE.items():
        files[path] = form.format(evidence.new(path))
    plan = {
        "files": {p: base64.b64encode(c.encode("latin-1")).decode() for p, c in files.items()},
        "processes": [
            *({"argv": argv, "env": ["PATH=/bin"]} for argv in _commands(processes)),
            *({"argv": ["prog"], "env": env} for env in _environments(processes)),
        ],
        "names": [
            [f"pin={processes.new('name', length=11)}", f"pwd={processes.new('thread', length=11)}"]
        ],
    }
    (host.work / "plants.json").write_text(json.dumps(plan), encoding="utf-8")
    (host.work / "off.yaml").write_text(_OFF, encoding="utf-8")
    return Planted(processes, withheld, evidence, paths)


# A checkout below /tmp would be taken as what people leave there, with every vector that it holds.
_CHECKOUT = " --without temporary_files" if ROOT.is_relative_to("/tmp") else ""
_OFF = """name: off
version: 1
description: {en: "redaction off", ja: "墨消しなし"}
artifacts: [processes]
redaction: false
"""
_START = f"""
mount -t tmpfs tmpfs /var/mail
python {ROOT}/tests/support/plant_host.py plants.json ready & planter=$!
until [ -e ready ]; do kill -0 $planter || exit 9; sleep 0.02; done
rm plants.json  # it lies below /tmp, where a capture takes what people leave behind
"""
_ENROL = """
hozen collector init store --name t --host 127.0.0.1 >/dev/null
hozen collector serve store --listen 127.0.0.1:0 --status 127.0.0.1:0 --ready-fd 5 5>address >store.log 2>&1 &
until [ -s address ]; do sleep 0.05; done
url=$(sed -n 's/^ready: \\([^ ]*\\).*/\\1/p' address)
hozen collector token new store --out token.txt && hozen enroll --to $url --token-file token.txt >/dev/null
"""


def _files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _opened(blobs: dict[str, bytes]) -> dict[str, bytes]:
    """Return the blobs with the decompressed members of each container among them."""
    found = dict(blobs)
    for name, blob in blobs.items():
        if blob.startswith(b"PK\x03\x04"):
            found |= {f"{name}:{path}": data for path, data in Bundle(blob).members.items()}
    return found


def test_the_search_finds_a_secret_in_every_form() -> None:
    plants = Plants(9)
    secret = plants.new("one", alphabet='abc"\\é%& ').encode()
    for number, form in enumerate(sorted(forms(secret))):
        assert plants.found({"blob": b"before" + form + b"after"}), (number, form)
    for before in (b"", b"x", b"xy", b"xyz"):
        assert plants.found({"blob": base64.b64encode(before + secret + b"tail")})
    assert not plants.found({"blob": secret[:-1]})


def test_with_redaction_off_every_planted_process_secret_is_found(
    host: Host, planted: Planted, case_options: str
) -> None:
    run = host.run(
        f"""hozen key new --age --out key >/dev/null; age=$(grep -o 'age1[0-9a-z]*' key | head -n 1)
        hozen -q capture {case_options} --profile ./off.yaml --allow-local --out usb --recipient "$age" """,
        setup=_START,
    )
    assert run.returncode == 0, run.stderr
    sealed, plain = only_bundle(host.work / "usb", ".zip.age"), host.work / "plain.zip"
    subprocess.run(
        ["age", "-d", "-i", str(host.work / "key"), "-o", str(plain), str(sealed)], check=True
    )
    bundle = Bundle(plain)
    assert bundle.about["redaction"]["enabled"] is False
    found = planted.processes.found(bundle.members)
    assert set(found) == set(planted.processes.secrets)
    derived = {name for name, places in found.items() if any(p.endswith(".jsonl") for p in places)}
    assert len(derived) > 40


def test_no_planted_secret_leaves_the_host_in_any_form_by_any_way(
    host: Host, planted: Planted, case_options: str
) -> None:
    script = f"""
        hozen -v capture {case_options}{_CHECKOUT} --allow-local --out usb --collector $url --json >said.json 2>talk.txt
        echo "code $?"
        hozen inspect --json usb/*.zip >inspect.json; hozen inspect usb/*.zip >inspect.txt
        hozen verify usb/*.zip >verify.txt 2>&1
        hozen extract usb/*.zip --to extracted >/dev/null 2>&1; echo "extract $?" """
    run = host.run(script, setup=_START + _ENROL)
    talk = (host.work / "talk.txt").read_text(encoding="utf-8")
    assert run.stdout == "code 0\nextract 0\n", run.stdout + run.stderr + talk
    blobs = _opened(_files_below(host.work))
    blobs["streams"] = (run.stdout + run.stderr).encode()
    containers = [name for name, blob in blobs.items() if blob.startswith(b"PK\x03\x04")]
    assert {name.partition("/")[0] for name in containers} >= {"usb", "store"}
    assert planted.processes.found(blobs) == {}
    assert planted.withheld.found(blobs) == {}
    bundle = Bundle(only_bundle(host.work / "usb"))
    stays = planted.evidence.found(bundle.members)
    assert set(stays) == set(planted.evidence.secrets)


def test_withheld_files_are_items_with_their_metadata_and_the_reason(
    host: Host, planted: Planted, case_options: str
) -> None:
    run = host.run(
        f"hozen -q capture {case_options}{_CHECKOUT} --allow-local --out usb", setup=_START
    )
    assert run.returncode == 0, run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    silent = []
    for path in planted.paths:
        items = [i for i in bundle.of(path.encode("latin-1")) if i.get("withheld")]
        if not any(i["stat"] and (i["path"] is None or i["method"] == "derived") for i in items):
            silent.append(path)
    assert silent == []
    aging = bundle.one(b"/etc/shadow", method="derived")
    assert b"HASHOF" not in bundle.content(aging)
    assert b"20000" in bundle.content(aging)


def test_redacted_items_say_so_with_type_and_count(
    host: Host, planted: Planted, case_options: str
) -> None:
    assert planted.paths
    run = host.run(
        f"hozen -q capture {case_options}{_CHECKOUT} --allow-local --out usb", setup=_START
    )
    assert run.returncode == 0, run.stderr
    bundle = Bundle(only_bundle(host.work / "usb"))
    marked = [i for i in bundle.items if i.get("redacted")]
    assert {i["kind"] for i in marked} == {"snapshot", "record"}
    assert all(i["redacted"]["count"] == sum(i["redacted"]["types"].values()) for i in marked)
    with_marker = {
        i["item"] for i in bundle.items if i["path"] and b"[redacted:" in bundle.content(i)
    }
    assert with_marker == {i["item"] for i in marked}
    assert bundle.about["counts"]["redactions"] == sum(i["redacted"]["count"] for i in marked)
