"""Rule sets, tracked connections, IPsec and traffic control against the stock tools, in a network namespace of ours."""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import FIREWALL

from hozen_agent.net import netasks, nftrecords
from hozen_agent.net.firewallrecords import parse
from hozen_agent.net.nfttext import rule_set, rule_text
from hozen_agent.net.xtablerecords import table_records
from hozen_hashes.jsonl import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = (
    FIREWALL
    + """
ctx, pool = context_and_pool()
from hozen_agent.artifacts.firewall import collect
show(collect(ctx))
pool.stop()
def out(text):
    return subprocess.run(text, shell=True, capture_output=True, text=True).stdout
print("THEIRS " + json.dumps(dict(
    planted=planted, nft=out("nft -j -a list ruleset"), text=out("nft -a list ruleset"),
    old={name: out(name) for name in ("iptables-legacy-save", "ip6tables-legacy-save")},
    tc=out("tc -j qdisc show dev lo"), conntrack=out("conntrack -L -o id"), policy=out("ip xfrm policy"),
)))
"""
)
SETS = ("nft_table", "nft_chain", "nft_rule", "nft_set", "nft_element")
Found = tuple[list[Any], dict[str, Any], list[dict[str, Any]]]


@pytest.fixture
def found(isolated: Callable[..., str], tmp_path: object) -> Found:
    """What we recorded, what the tools say, and our records of all kinds."""
    import base64

    del tmp_path
    lines = isolated(PROGRAM).splitlines()
    theirs = json.loads(next(x for x in lines if x.startswith("THEIRS ")).removeprefix("THEIRS "))
    attempts = [json.loads(x) for x in lines if not x.startswith("THEIRS ")]
    for one in attempts:
        one["data"] = base64.b64decode(one["data"] or "")
    records = [
        json.loads(line)
        for one in attempts
        if one["ext"] == "jsonl"
        for line in one["data"].splitlines()
    ]
    return attempts, theirs, records


def of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in records if row["kind"] == kind]


def planted(theirs: dict[str, Any], what: str) -> None:
    if not theirs["planted"][what]:
        pytest.skip(f"this kernel or machine has no {what} to plant")


def text_of(attempts: list[Any]) -> str:
    return b"".join(one["data"] for one in attempts if one["ext"] == "txt").decode()


def test_nf_tables_are_recorded_as_nft_lists_them(found: Found) -> None:
    attempts, theirs, records = found
    planted(theirs, "nft")
    listed: dict[str, list[Any]] = {}
    for entry in json.loads(theirs["nft"])["nftables"]:
        for key, value in entry.items():
            listed.setdefault(key, []).append(value)
    for key in ("table", "chain", "rule"):
        ours = {(row["family"], row["handle"]) for row in of(records, f"nft_{key}")}
        assert ours == {(one["family"], str(one["handle"])) for one in listed[key]}
    chain = next(row for row in of(records, "nft_chain") if row["name"] == "c")
    theirs_c = next(one for one in listed["chain"] if one["name"] == "c")
    assert (chain["type"], chain["policy"]) == (theirs_c["type"], theirs_c["policy"])
    assert chain["hook"] == {"hook": theirs_c["hook"], "priority": theirs_c["prio"], "devices": []}
    sets = {row["name"] for row in of(records, "nft_set")}
    assert {"bad", "ports", "vm"} <= sets
    elements: dict[str, list[Any]] = {}
    for row in of(records, "nft_element"):
        elements.setdefault(row["set"], []).extend(row["elements"])
    assert {x["key"] for x in elements["ports"]} == {"0016", "01bb"}
    assert elements["vm"][0]["data"] == {"verdict": "drop"}
    assert "192.0.2.5 : drop" in text_of(attempts)


def test_rules_of_common_forms_read_as_nft_writes_them(found: Found) -> None:
    attempts, theirs, _ = found
    planted(theirs, "nft")
    text = text_of(attempts)

    def by_handle(listing: str) -> dict[str, str]:
        return {
            hit[2]: re.sub(r" (burst \d+( packets)?|with icmp\S* .*)$", "", hit[1].strip())
            for hit in re.finditer(r"^\t\t(.+) # handle (\d+)$", listing, re.MULTILINE)
        }

    for table in ("inet t", "ip nat"):
        ours, nft = (
            by_handle(listing.split(f"table {table} {{")[1].split("\n}\n")[0])
            for listing in (text, theirs["text"])
        )
        assert set(ours) == set(nft)
        for handle, rule in nft.items():
            if "vmap" in rule or "limit" in rule or "mark" in rule:
                continue  # shown in a form of ours
            ours_plain = re.sub(r"^(meta l4proto \w+|meta nfproto \w+) ", "", ours[handle])
            ours_plain = re.sub(r" meta l4proto \w+", "", ours_plain)
            assert ours_plain == rule
    assert "[ " not in text


def test_old_rule_tables_are_recorded_as_iptables_save_writes_them(found: Found) -> None:
    _, theirs, records = found
    planted(theirs, "old")
    for tool, family in (
        ("iptables-legacy-save", "iptables"),
        ("ip6tables-legacy-save", "ip6tables"),
    ):
        table = ""
        chains, rules = set(), []
        for line in theirs["old"][tool].splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                name, policy, _ = line[1:].split(" ", 2)
                chains.add((table, name, None if policy == "-" else policy))
            elif line.startswith("-A"):
                words = line.split()
                rules.append((table, words[1], words[-1]))
        ours = [row for row in records if row.get("family") == family]
        assert {
            (row["table"], row["chain"], row["policy"]) for row in of(ours, "xtables_chain")
        } == chains
        assert sorted(
            (row["table"], row["chain"], row["target"]) for row in of(ours, "xtables_rule")
        ) == sorted(rules)
    rule = next(row for row in of(records, "xtables_rule") if row["source"] == "10.1.0.0/16")
    assert (rule["in_interface"], rule["protocol"]) == ("lo", "tcp")
    assert rule["matches"][0]["destination_ports"] == [22, 22]
    rule = next(row for row in of(records, "xtables_rule") if row["inverted"] == ["source"])
    assert rule["matches"][0]["comment"] == "x%20y"
    rule = next(row for row in of(records, "xtables_rule") if row["target"] == "MASQUERADE")
    assert rule["out_interface"] == "eth+"


def test_tracked_connections_sets_policies_and_traffic_control(found: Found) -> None:
    _, theirs, records = found
    for what in ("conntrack", "ipset", "policy", "tc"):
        planted(theirs, what)
    (flow,) = of(records, "conntrack")
    assert f"id={flow['id']}" in theirs["conntrack"]
    assert flow["original"] == {
        "source": "192.0.2.1",
        "destination": "192.0.2.2",
        "protocol": "tcp",
        "source_port": 10,
        "destination_port": 20,
    }
    assert (flow["state"], "assured" in flow["status"]) == ("established", True)
    sets = {row["name"]: row["members"] for row in of(records, "ipset")}
    assert sets["x"] == [{"address": "192.0.2.3"}]
    assert sets["y"] == [{"address": "10.0.0.0", "prefix": 8, "port": 80, "protocol": "tcp"}]
    (policy,) = of(records, "xfrm_policy")
    assert (
        f"src {policy['selector']['source']} dst {policy['selector']['destination']}"
        in theirs["policy"]
    )
    assert (policy["direction"], policy["templates"][0]["protocol"]) == ("out", "esp")
    ours = {(row["type"], row["handle"]) for row in of(records, "qdisc")}
    assert ours == {(one["kind"], one["handle"]) for one in json.loads(theirs["tc"])}
    assert [row["handle"] for row in of(records, "class")] == ["1:1"]


def test_no_key_of_an_ipsec_state_is_anywhere(found: Found) -> None:
    attempts, theirs, records = found
    planted(theirs, "state")
    assert all(b"K" * 8 not in one["data"] and b"4b4b4b4b" not in one["data"] for one in attempts)
    (state,) = of(records, "xfrm_state")
    assert state["algorithms"] == {"auth": "hmac(sha1)", "crypt": "cbc(aes)"}
    assert next(one for one in attempts if one["ext"] == "pcap")["redacted"]["xfrm_state"] >= 2


def test_the_dialogue_opens_in_tcpdump(found: Found, tmp_path: Any) -> None:
    import shutil
    import subprocess

    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    attempts, _, _ = found
    file = tmp_path / "dialogue.pcap"
    file.write_bytes(next(one for one in attempts if one["ext"] == "pcap")["data"])
    done = subprocess.run(
        ["tcpdump", "-r", str(file), "-nn"], capture_output=True, text=True, check=True
    )
    assert "NETLINK" in done.stderr
    assert done.stdout.count("\n") > 20


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, payload: bytes) -> bytes:
    padded = payload + bytes(-len(payload) % 4)
    return struct.pack("=IHHII", 16 + len(payload), kind, 2, 1, 0) + padded


LEAF = st.builds(attribute, st.integers(1, 32), st.binary(max_size=24))
NESTED = st.recursive(
    LEAF,
    lambda inner: st.builds(
        lambda kind, parts: attribute(kind, b"".join(parts)),
        st.integers(1, 12),
        st.lists(inner, max_size=4),
    ),
    max_leaves=10,
)


@given(
    st.sampled_from(netasks.FIREWALL),
    st.binary(min_size=224, max_size=224),
    st.lists(NESTED, max_size=8),
    st.binary(max_size=40),
)
def test_any_answer_of_the_kernel_gives_records_that_can_be_written(
    one: netasks.Ask, fixed: bytes, parts: list[bytes], rest: bytes
) -> None:
    raw = message(one.reply, fixed[: one.fixed] + b"".join(parts)) + message(one.reply, rest) + rest
    learnt = netasks.Learnt()
    learnt.learn(one, raw)
    rows = list(parse(one, [raw]))
    for row in rows:
        dump_line(row)
    for question in netasks.FIREWALL:
        list(learnt.questions(question))
    found = {name: rows if one.name == name else [] for name in SETS}
    b"".join(rule_set(found))


NAMES = st.sampled_from(sorted(nftrecords.EXPRESSIONS))
VALUES = (
    st.none()
    | st.integers(0, 40)
    | st.sampled_from(["", "00", "0a000001", "ff", "zz", {"verdict": "drop"}])
)
EXPRESSION = st.builds(
    lambda name, fields: {**fields, "name": name},
    NAMES,
    st.dictionaries(
        st.sampled_from(
            [
                "dreg",
                "sreg",
                "base",
                "offset",
                "len",
                "key",
                "op",
                "data",
                "set",
                "flags",
                "mask",
                "type",
            ]
        ),
        VALUES,
    ),
)


@given(st.sampled_from(["inet", "ip", "ip6", "bridge"]), st.lists(EXPRESSION, max_size=6))
def test_any_expressions_become_text(family: str, expressions: list[dict[str, object]]) -> None:
    rule_text(family, expressions).encode("ascii")


@given(
    st.sampled_from(["iptables", "ip6tables", "arptables", "x"]),
    st.binary(max_size=90),
    st.binary(max_size=700),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_any_table_blob_gives_records_that_can_be_written(
    family: str, info: bytes, blob: bytes, target: int, after: int
) -> None:
    data = bytearray(bytes(40) + blob)
    for at in (88, 140):  # offsets that can be followed, where there is room
        if len(data) >= 40 + at + 4:
            struct.pack_into("=HH", data, 40 + at, target, after)
    head = family.encode() + b" filter\0"
    for row in table_records([head + info.ljust(84, b"\1"), head + bytes(data)]):
        dump_line(row)
