"""What a bundle says of its own making: redaction, footprint, algorithms, clock (bundle-v1 §12, law M04, M09)."""

from __future__ import annotations

import json
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from hozen_agent.redaction.redact import Redactor

if TYPE_CHECKING:
    from synthetic_host import Host

_PROFILE = """name: small
version: 1
description: {en: "one file", ja: "一つ"}
artifacts: [clock]
limits: {free_space_floor: 1MiB, free_space_floor_share: 0%}
"""
_KEY = """openssl ecparam -name secp384r1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key.pem
openssl req -x509 -key key.pem -subj /CN=Sato -days 30 -out cert.pem && cat key.pem cert.pem >sato.pem
"""


@pytest.mark.slow
def test_a_bundle_says_how_it_was_made_and_what_was_not_measured(
    host: Host, case_options: str
) -> None:
    (host.work / "small.yaml").write_text(_PROFILE, encoding="utf-8")
    subprocess.run(_KEY, shell=True, cwd=host.work, check=True, capture_output=True)
    run = host.run(
        "mkdir usb/$'odd\\xff'; printf 'web\\37701' >/proc/sys/kernel/hostname\n"
        f"hozen capture {case_options} --profile ./small.yaml --identity sato.pem --allow-local "
        "--out usb/$'odd\\xff' && mv usb/$'odd\\xff'/*.zip made.zip"
    )
    assert run.returncode == 0, run.stderr
    with zipfile.ZipFile(host.work / "made.zip") as archive:
        [name] = [one for one in archive.namelist() if one.endswith("/hozen/bundle.json")]
        said = json.loads(archive.read(name))
    assert said["redaction"] == {"enabled": True, "rules_sha256": Redactor().rules_sha256}
    assert said["algorithms"]["signature"] == ["ecdsa-p384-sha256"]
    assert said["clock"]["synchronised"] in {True, False, None}
    assert int(said["footprint"]["bytes_written"]) > 1000
    assert said["footprint"]["files_opened"] > 10
    assert "files_opened" not in said["footprint"]["not_measured"]
    assert said["host"]["hostname"] == r"web\xff01"
    assert said["destination"]["path"].endswith(r"odd\xff")


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_keep_the_bundle_from_being_pushed(
    host: Host, case_options: str
) -> None:
    (host.work / "small.yaml").write_text(_PROFILE, encoding="utf-8")
    run = host.run(
        f"hozen capture {case_options} --profile ./small.yaml --allow-local --out usb "
        "--collector https://127.0.0.1:1 | true; echo ${PIPESTATUS[0]}"
    )
    assert "hozen: error: this computer is not enrolled with https://127.0.0.1:1" in run.stderr
    assert run.stdout == "141\n"
