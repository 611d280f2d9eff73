"""The text databases of dpkg and apk: every form is read or passed over, none is an error."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.pkg import apk, dpkg
from hozen_agent.pkg.model import Claim, Package

_LINES = st.lists(
    st.sampled_from(
        [b"Package: a", b"Version: 1", b"Conffiles:", b" /etc/x " + b"a" * 32, b"", b"P:x", b"F:usr/bin", b"R:y",
         b"Z:Q1", b"Z:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=", b"a:0:0:755", b"\xff\xfe", b"a" * 32 + b"  usr/bin/x"]
    )
    | st.binary(max_size=30),
    max_size=30,
)  # fmt: skip


@given(_LINES)
def test_any_text_is_read_or_passed_over(lines: list[bytes]) -> None:
    text = b"\n".join(lines)
    assert all(isinstance(p, Package) for p in dpkg.packages(text))
    assert all(c.path.startswith(b"/") for c in dpkg.conffiles(text))
    assert all(len(c.digest) == 32 for c in dpkg.md5sums(b"p", text))
    assert all(isinstance(e, (Package, Claim)) for e in apk.entries(text))
    dpkg.diversions(text)
    dpkg.listed(text)
    list(dpkg.logged(text))


@pytest.mark.needs("dpkg-query")
def test_packages_of_a_real_host_are_those_that_dpkg_names() -> None:
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${Status}\n"],
        capture_output=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    status = Path("/var/lib/dpkg/status").read_bytes()
    ours = [b" ".join((p.name, p.version, p.architecture, p.state)) for p in dpkg.packages(status)]
    assert sorted(ours) == sorted(told)


def test_what_the_log_says_is_kept_as_written() -> None:
    text = b"2026-11-01 10:00:00 startup archives unpack\n2026-11-01 10:00:01 install nc:amd64 <none> 1.2-3\n"
    (entry,) = dpkg.logged(text)
    assert list(entry.values()) == ["2026-11-01 10:00:01", "install", "nc:amd64", "<none>", "1.2-3"]


def test_the_name_of_a_list_gives_its_package() -> None:
    assert dpkg.package_of(b"libc6:amd64.list") == b"libc6"
    assert dpkg.package_of(b"bash.md5sums") == b"bash"
    assert dpkg.package_of(b"python3.11-minimal.list") == b"python3.11-minimal"
