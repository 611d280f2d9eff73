"""`hozen capture --recipient vendor.pem`: opened by openssl and age alone, finished or torn (bundle-v1 §10)."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from synthetic_host import Host

pytestmark = [
    pytest.mark.needs("age"),
    pytest.mark.needs("age-keygen"),
    pytest.mark.needs("openssl"),
]

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1MiB, free_space_floor_share: 0%}
epoch: {seconds: 0.2s, bytes: 256KiB}
"""
_KEYS = r"""
age-keygen -o key.txt 2>/dev/null; TO=$(sed -n 's/.*public key: //p' key.txt)
head -c 3000000 /dev/urandom >/var/log/big.log
"""
_OPEN = "openssl cms -decrypt -inform DER -inkey {key} -in {p7m} | age -d -i - {file}"


@pytest.fixture(autouse=True)
def _profile(host: Host) -> None:
    for name, kind in (
        ("rsa", ["rsa:3072"]),
        ("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("other", ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ):
        subprocess.run(  # here, because the synthetic host has no openssl.cnf
            ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out",
             f"{name}.pem", "-days", "30", "-subj", f"/CN=Vendor {name.upper()}"],
            cwd=host.work, check=True, capture_output=True,
        )  # fmt: skip
    (host.work / "word").write_text("a passphrase\n", encoding="ascii")
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-inkey", "ec.key", "-in", "ec.pem", "-out", "ec.p12",
         "-passout", "file:word"],
        cwd=host.work, check=True, capture_output=True,
    )  # fmt: skip
    der = ssl.PEM_cert_to_DER_cert((host.work / "rsa.pem").read_text(encoding="ascii"))
    (host.work / "rsa.sha256").write_text(hashlib.sha256(der).hexdigest(), encoding="ascii")
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")
    (host.work / "recovery.yaml").write_text(
        _PROFILE.replace("name: logs", "name: recovery") + "recovery_recipients: [RECOVERY]\n",
        encoding="utf-8",
    )


def _capture(case: str, more: str, *, out: str = "usb", profile: str = "logs") -> str:
    return f"hozen capture {case} --profile ./{profile}.yaml --allow-local --out {out} {more}"


def test_each_holder_of_a_certificate_opens_the_bundle_with_openssl_and_age(
    host: Host, case_options: str
) -> None:
    rsa = _OPEN.format(key="rsa.key", p7m="usb/*.envelope/key-01.p7m", file="usb/*.zip.age")
    curve = _OPEN.format(key="ec.key", p7m="usb/*.envelope/key-02.p7m", file="usb/*.zip.age")
    script = f"""
        {_capture(case_options, '--recipient rsa.pem --recipient ec.pem --recipient "$TO"')} || exit 9
        {rsa} | sha256sum; {curve} | sha256sum; age -d -i key.txt usb/*.zip.age >clear.zip; sha256sum <clear.zip
        hozen verify --json usb/*.zip.age --identity key.txt >verdict.json
        unzip -q clear.zip -d clear
        hozen verify usb/*.zip.age --identity ec.p12 --passphrase-file word >/dev/null; echo "p12 $?"
        hozen inspect usb/*.zip.age --identity rsa.key >/dev/null; echo "inspect $?"
        hozen extract usb/*.zip.age --identity rsa.key --to out >/dev/null; echo "extract $?"
        hozen verify usb/*.zip.age --identity other.key; echo "other $?"
        hozen verify usb/*.zip.age --identity pkcs11:token=card; echo "token $?" """
    run = host.run(script, setup=_KEYS)
    sums = [line for line in run.stdout.splitlines() if line.endswith("  -")]
    assert len(sums) == 3, run.stderr
    # Without a root the origin is not verifiable, whoever opened it: 2, and nothing is said about keys.
    told = {"p12 2", "inspect 0", "extract 0", "other 2", "token 64"}
    assert told <= set(run.stdout.splitlines()), run.stdout + run.stderr
    assert run.stderr.count("none of the given keys opens this encrypted bundle") == 1
    assert list((host.work / "out").rglob("*.csv"))
    assert len(set(sums)) == 1
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")
    folder = next((host.work / "usb").glob("*.envelope"))
    envelope = json.loads((folder / "envelope.json").read_text(encoding="ascii"))
    inside = json.loads(
        next((host.work / "clear").glob("*/hozen/bundle.json")).read_text(encoding="utf-8")
    )
    assert inside["encryption"]["keys"] == envelope["keys"]
    assert [one["subject"] for one in envelope["keys"]] == ["CN=Vendor RSA", "CN=Vendor EC"]
    assert len(envelope["recipients"]) == 3
    first = envelope["keys"][0]
    assert (
        first["certificate_sha256"]
        == (host.work / "rsa.sha256").read_text(encoding="ascii").strip()
    )
    assert first["sha256"] == hashlib.sha256((folder / first["file"]).read_bytes()).hexdigest()


def test_a_torn_capture_is_opened_by_the_holder_of_the_certificate(
    host: Host, case_options: str
) -> None:
    script = f"""
        {_capture(case_options, "--recipient ec.pem")} & pid=$!
        until ls usb/*.journal/000001.jsonl.age >/dev/null 2>&1 || ! kill -0 $pid; do sleep 0.01; done
        kill -9 $pid; wait $pid 2>/dev/null
        openssl cms -decrypt -inform DER -inkey ec.key -in usb/*.envelope/key-01.p7m >once.txt
        hozen salvage --json --identity once.txt usb/*.journal >salvage.json; echo "salvage $?"
        hozen salvage --identity ec.key usb/*.journal >own.txt; echo "own $?"
        hozen salvage --identity other.key usb/*.journal; echo "other $?" """
    run = host.run(script, setup=_KEYS)
    assert {"salvage 0", "own 0", "other 2"} <= set(run.stdout.splitlines()), run.stderr
    assert "only one recipient" in run.stderr
    salvaged = json.loads((host.work / "salvage.json").read_text(encoding="utf-8"))
    assert salvaged["segments"]["proved"] >= 2


def test_a_recipient_that_the_case_file_does_not_name_is_refused(
    host: Host, case_options: str
) -> None:
    script = f"""
        echo "recipients: [$(cat rsa.sha256)]" >case.yaml
        {_capture(case_options, "--case-file case.yaml --recipient ec.pem")}; echo "other $?"
        {_capture(case_options, '--case-file case.yaml --recipient "$TO"')}; echo "age $?"
        sed "s/RECOVERY/$TO/" -i recovery.yaml
        {_capture(case_options, "--recipient rsa.pem", profile="recovery")}; echo "recovery $?"
        {_capture(case_options, "", profile="recovery")}; echo "clear $?"
        ls usb | wc -l
        {_capture(case_options, "--case-file case.yaml --recipient rsa.pem")}; echo "named $?"
        mkdir two; {_capture(case_options, '--recipient rsa.pem --recipient "$TO"', out="two", profile="recovery")}
        echo "both $?" """
    run = host.run(script, setup=_KEYS)
    said = run.stdout.splitlines()
    assert {"other 64", "age 64", "recovery 64", "clear 64", "0", "named 0", "both 0"} <= set(
        said
    ), run.stdout + run.stderr
    assert "is not in the case file" in run.stderr
    assert "recovery recipient" in run.stderr
