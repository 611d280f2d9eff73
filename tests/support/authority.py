"""A real time-stamping authority: openssl's own, with keys of its own, at any time that libfaketime gives it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """[tsa]
default_tsa = here
[here]
serial = ./serial
signer_cert = ./tsa.pem
certs = ./chain.pem
signer_key = ./tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
tsa_name = yes
ess_cert_id_alg = sha256
"""
_USAGE = "extendedKeyUsage=critical,{purpose}\nkeyUsage=critical,digitalSignature\n"
_ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority in a directory of its own; `root` is the PEM that a verifier is given."""

    folder: Path
    root: Path

    def stamp(self, data: bytes, *, at: str = "", hash_name: str = "sha256") -> bytes:
        """Return the raw reply over `data`, made at the given time (`2026-11-24 00:00:00`, UTC)."""
        (self.folder / "data").write_bytes(data)
        query = ("openssl", "ts", "-query", "-data", "data", f"-{hash_name}", "-cert")
        return self.reply(run(self.folder, *query), at=at)

    def reply(self, query: bytes, *, at: str = "") -> bytes:
        """Return the raw reply to a request that somebody else made."""
        (self.folder / "query").write_bytes(query)
        clock = ("faketime", "-f", f"@{at}") if at else ()
        files = ("-queryfile", "query", "-config", "tsa.cnf", "-out", "reply")
        run(self.folder, *clock, "openssl", "ts", "-reply", *files)
        return (self.folder / "reply").read_bytes()


def new_authority(
    folder: Path,
    name: str = "SYNTHETIC TSA",
    *,
    begins: str = "20260101000000Z",
    ends: str = "20300101000000Z",
    purpose: str = "timeStamping",
    rsa: bool = False,
) -> Authority:
    """Make root, signing key and configuration; the signer's certificate is valid from `begins` to `ends`."""
    folder.mkdir(parents=True)
    for key in ("ca", "tsa"):
        kind = ("RSA", "rsa_keygen_bits:3072") if rsa else ("EC", "ec_paramgen_curve:P-256")
        run(
            folder,
            "openssl",
            "genpkey",
            "-algorithm",
            kind[0],
            "-pkeyopt",
            kind[1],
            "-out",
            f"{key}.key",
        )
    run(folder, "faketime", "-f", "@2020-01-01 00:00:00", "openssl", "req", "-x509", "-new", "-key", "ca.key",
        "-subj", f"/CN={name} root", "-days", "20000", "-out", "ca.pem")  # fmt: skip
    run(
        folder,
        "openssl",
        "req",
        "-new",
        "-key",
        "tsa.key",
        "-subj",
        f"/CN={name}",
        "-out",
        "tsa.csr",
    )
    (folder / "usage").write_text(_USAGE.format(purpose=purpose))
    (folder / "index").write_text("")
    (folder / "ca.cnf").write_text("[ca]\ndatabase=index\nserial=caserial\nnew_certs_dir=.\ndefault_md=sha256\n"
                                   "policy=any\n[any]\ncommonName=supplied\n")  # fmt: skip
    (folder / "caserial").write_text("01\n")
    issue = (
        "-in",
        "tsa.csr",
        "-cert",
        "ca.pem",
        "-keyfile",
        "ca.key",
        "-extfile",
        "usage",
        "-notext",
    )
    dates = ("-startdate", begins, "-enddate", ends, "-out", "tsa.pem")
    run(folder, "openssl", "ca", "-batch", "-config", "ca.cnf", "-name", "ca", *issue, *dates)
    # As OpenSSL's own configuration has it: the reply's certificates then come in an order that is not DER's.
    (folder / "chain.pem").write_bytes((folder / "ca.pem").read_bytes())
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIG)
    return Authority(folder, folder / "ca.pem")


def run(folder: Path, *command: str) -> bytes:
    """Run a stock tool in `folder`; its standard output."""
    # LD_PRELOAD of faketime is its own affair; TZ keeps its clock in UTC.
    environment = {**_ENVIRONMENT, "TZ": "UTC"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr.decode(errors="replace"))
    return done.stdout
