"""An encrypted capture that was killed: the recipient proves it, nobody else reads it."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from envelopes import vendor
from provable import judge

from hozen_hashes.age import read_identities
from hozen_hashes.envelope.sidecar import check_clear
from hozen_hashes.errors import NotVerifiableError
from hozen_hashes.holder.keys import CertificateKey, read_holders

if TYPE_CHECKING:
    from pathlib import Path

    from synthetic_host import Host

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.holder.keys import Holder

pytestmark = [pytest.mark.needs("age"), pytest.mark.needs("age-keygen")]

_PROFILE = """name: logs
version: 1
description: {en: "logs only", ja: "ログのみ"}
artifacts: [linux_logs]
limits: {free_space_floor: 1MiB, free_space_floor_share: 0%}
epoch: {seconds: 2s, bytes: 256KiB}
"""
_LOGS = r"""
head -c 4000000 /dev/urandom | split -b 20000 -a 3 --additional-suffix=.log - /var/log/small
head -c 3000000 /dev/urandom >/var/log/zbig.log
"""
_KEY = r"age-keygen -o key.txt 2>/dev/null; TO=$(sed -n 's/.*public key: //p' key.txt)"
_LAST_CHUNK = 64 << 10
_CERTIFICATES = "--recipient rsa.pem --recipient ec.pem"
# What an unencrypted medium shows at once: ZIP members, journal records, names, the case, and bytes of the evidence.
# Six bytes and more: four of them stand in some hundred megabytes of ciphertext by chance.
_CLEAR = (
    *(b"PK\x03\x04\x14\x00", b"PK\x03\x04\x2d\x00"),
    *(b'"type":', b"linux_logs", b"smalla", b"Sato Hanako", b"BEGIN CERTIFICATE"),
)


@pytest.fixture(autouse=True)
def _profile(host: Host) -> None:
    (host.work / "logs.yaml").write_text(_PROFILE, encoding="utf-8")


def capture(case: str, out: str = "usb", more: str = '--recipient "$TO"') -> str:
    return f"hozen -q capture {case} --profile ./logs.yaml --allow-local --out {out} {more}"


def _killed(
    host: Host, case: str, *, times: int, seed: int, more: str = '--recipient "$TO"'
) -> list[Path]:
    """Kill captures at random moments of random epochs; return the folders with a partial."""
    chance = random.Random(seed)
    moments = [(n * 16 // times, chance.uniform(0, 0.06)) for n in range(times)]
    if times == 1:
        moments = [(4, 0.03)]
    script = "\n".join(
        f"""mkdir k{n}; {capture(case, out=f"k{n}", more=more)} & pid=$!
        until compgen -G "k{n}/*.journal/{epoch:06d}.sig" >/dev/null || ! kill -0 $pid; do sleep 0.005; done
        sleep {wait:.3f}; kill -9 $pid; wait $pid 2>/dev/null"""
        for n, (epoch, wait) in enumerate(moments)
    )
    run = host.run(
        f"{script}\nhozen salvage k0/*.journal; echo open $?",
        setup=f"{_LOGS}\n{_KEY}",
        timeout=20 + 12 * times,
    )
    assert "open 2" in run.stdout, run.stderr
    assert "error: 検証不能" in run.stderr
    assert "--identity" in run.stderr
    assert "without a key: " in run.stdout
    folders = [host.work / f"k{n}" for n in range(times)]
    return [folder for folder in folders if not list(folder.glob("*.zip.age"))]


def _judge_all(folders: list[Path], *holders: Holder) -> tuple[int, int]:
    epochs = items = 0
    for folder in folders:
        remains = judge(folder, holders=holders, held_back=_LAST_CHUNK)
        epochs, items = max(epochs, remains.epochs), max(items, remains.items)
        assert remains.report.start is not None
        _judge_without_a_key(next(folder.glob("*.journal")), remains.report.journal.proved)
        assert [word for word in _CLEAR if _on_medium(folder, word)] == []
    return epochs, items


def _judge_without_a_key(journal: Path, proved: int) -> None:
    """The clear part shows as many signed segments as the recipient can prove, and nothing else but a torn newest."""
    clear = check_clear(journal)
    assert clear.signed >= proved
    assert all(epoch == clear.epochs - 1 for epoch, _ in clear.problems)


def _age_key(host: Host) -> list[Identity]:
    return read_identities((host.work / "key.txt").read_text(encoding="ascii"))


def _certificate_keys(host: Host) -> list[Holder]:
    """Return the keys for `_CERTIFICATES`."""
    found: list[Holder] = []
    for kind in ("rsa", "ec"):
        key = (host.work / f"{kind}.key").read_bytes()
        found += read_holders(key, kind, lambda: None)
    return found


def _killed_for_certificates(host: Host, case: str, *, times: int, seed: int) -> list[Path]:
    for kind in ("rsa", "ec"):
        vendor(host.work, kind, name=kind)
    return _killed(host, case, times=times, seed=seed, more=_CERTIFICATES)


def _on_medium(folder: Path, word: bytes) -> bool:
    return any(word in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_kill_9_of_an_encrypted_capture_loses_one_epoch_and_one_chunk(
    host: Host, case_options: str
) -> None:
    torn = _killed(host, case_options, times=10, seed=3)
    assert len(torn) >= 8, "most kills must hit a running capture"
    epochs, items = _judge_all(torn, *_age_key(host))
    assert epochs >= 5
    assert items >= 20


@pytest.mark.slow
def test_kill_9_at_30_points_of_encrypted_captures(host: Host, case_options: str) -> None:
    torn = _killed(host, case_options, times=32, seed=4)
    assert len(torn) >= 24, "most kills must hit a running capture"
    epochs, items = _judge_all(torn, *_age_key(host))
    assert epochs >= 10
    assert items >= 100


@pytest.mark.needs("openssl")
def test_a_killed_capture_for_certificates_is_proved_with_either_key(
    host: Host, case_options: str
) -> None:
    torn = _killed_for_certificates(host, case_options, times=1, seed=5)
    assert len(torn) == 1, "the kill must hit a running capture"
    found = {_judge_all(torn, key) for key in _certificate_keys(host)}
    assert len(found) == 1, "both holders prove the same"
    assert found.pop()[0] >= 4
    with pytest.raises(NotVerifiableError, match="none of the given keys"):
        _judge_all(torn, CertificateKey(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.slow
@pytest.mark.needs("openssl")
def test_kill_9_at_30_points_of_captures_for_certificates(host: Host, case_options: str) -> None:
    torn = _killed_for_certificates(host, case_options, times=36, seed=6)
    assert len(torn) >= 30, "thirty kills must hit a running capture"
    found = {_judge_all(torn, key) for key in _certificate_keys(host)}
    ((epochs, items),) = found  # both holders prove the same
    assert epochs >= 10
    assert items >= 100


@pytest.mark.needs("openssl")
def test_a_finished_encrypted_bundle_opens_with_age_and_its_envelope_with_openssl(
    host: Host, case_options: str
) -> None:
    script = f"""
        {capture(case_options)} || exit 9
        age -d -i key.txt usb/*.zip.age >clear.zip; echo "age $?"
        hozen verify --json usb/*.zip.age --identity key.txt >verdict.json
        unzip -q clear.zip -d clear; echo "unzip $?"
        cd usb/*.envelope
        openssl cms -verify -noverify -binary -inform DER -in envelope.p7s -content envelope.json -out /dev/null
        echo "envelope $?"
        cmp agent.p7s ../../clear/*/signatures/agent.p7s; echo "seal $?"
        cd ../..; {capture(case_options, out="open", more="")} """
    run = host.run(script, setup=f"{_LOGS}\n{_KEY}\nmkdir open")
    said = [line for line in run.stdout.splitlines() if line.endswith(" 0")]
    assert said == ["age 0", "unzip 0", "envelope 0", "seal 0"], run.stdout + run.stderr
    assert '"integrity": "match"' in (host.work / "verdict.json").read_text(encoding="utf-8")
    usb = host.work / "usb"
    envelope = json.loads(next(usb.glob("*.envelope/envelope.json")).read_text(encoding="ascii"))
    ciphertext = next(usb.glob("*.zip.age")).read_bytes()
    tags = next((host.work / "clear").glob("*/tagmanifest-sha256.txt")).read_bytes()
    assert envelope["ciphertext_sha256"] == hashlib.sha256(ciphertext).hexdigest()
    assert envelope["ciphertext_size"] == str(len(ciphertext))
    assert envelope["seal"] == hashlib.sha256(tags).hexdigest()
    assert not list(usb.glob("*.journal"))
    assert any(word in ciphertext for word in _CLEAR) is False
    assert _on_medium(host.work / "open", b"PK\x03\x04\x14\x00"), (
        "the search finds what is in clear"
    )


def test_the_running_journal_of_an_encrypted_capture_opens_with_age(
    host: Host, case_options: str
) -> None:
    script = f"""
        {capture(case_options)} & pid=$!
        until ls usb/*.journal/000003.jsonl.age >/dev/null 2>&1; do sleep 0.01; done
        kill -9 $pid; wait $pid 2>/dev/null; cd usb/*.journal
        for n in 000000 000001 000002; do
          age -d -i ../../key.txt $n.jsonl.age >../../$n.jsonl || exit 9
          openssl dgst -sha256 -verify $n.pub -signature $n.sig ../../$n.jsonl
        done
        cat 000000.sha256 000001.sha256 000002.sha256 >../../sums; cd ../..; sha256sum -c sums
        hozen salvage --json --identity key.txt usb/*.partial >salvage.json; echo "salvage $?"
        hozen salvage --identity key.txt usb/*.partial --to proved >/dev/null; echo "to $?" """
    run = host.run(script, setup=f"{_LOGS}\n{_KEY}")
    assert run.stdout.count("Verified OK") == 3, run.stderr
    assert run.stdout.count(": OK") == 3
    assert {"salvage 0", "to 0"} <= set(run.stdout.splitlines()), run.stderr
    salvaged = json.loads((host.work / "salvage.json").read_text(encoding="utf-8"))
    assert salvaged["segments"]["proved"] >= 3
    proved = [one for one in salvaged["proved"] if one["path"].startswith("data/")]
    for one in proved:
        ending = ".prefix" if one["extent"] == "prefix" else ""
        data = (host.work / "proved" / (one["path"] + ending)).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
