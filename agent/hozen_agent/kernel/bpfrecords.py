"""Info structures of eBPF objects (linux/bpf.h) as records; bytes of any length are accepted."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes.names import percent_encode

if TYPE_CHECKING:
    from collections.abc import Sequence


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# enum bpf_prog_type, bpf_map_type, bpf_link_type, bpf_attach_type: a number that is not here stays a number.
PROGRAMS: Final = _words(
    "unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out "
    "lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2 "
    "sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm "
    "sk_lookup syscall netfilter"
)
MAPS: Final = _words(
    "unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash "
    "lru_percpu_hash lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash cgroup_storage "
    "reuseport_sockarray percpu_cgroup_storage queue stack sk_storage devmap_hash struct_ops ringbuf inode_storage "
    "task_storage bloom_filter user_ringbuf cgrp_storage arena insn_array"
)
LINKS: Final = _words(
    "unspec raw_tracepoint tracing cgroup iter netns xdp perf_event kprobe_multi struct_ops netfilter tcx "
    "uprobe_multi netkit sockmap"
)
ATTACH: Final = _words(
    "cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser "
    "sk_skb_stream_verdict cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect "
    "cgroup_inet6_connect cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg "
    "lirc_mode2 flow_dissector cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt "
    "cgroup_setsockopt trace_raw_tp trace_fentry trace_fexit modify_return lsm_mac trace_iter "
    "cgroup_inet4_getpeername cgroup_inet6_getpeername cgroup_inet4_getsockname cgroup_inet6_getsockname xdp_devmap "
    "cgroup_inet_sock_release xdp_cpumap sk_lookup xdp sk_skb_verdict sk_reuseport_select "
    "sk_reuseport_select_or_migrate perf_event trace_kprobe_multi lsm_cgroup struct_ops netfilter tcx_ingress "
    "tcx_egress trace_uprobe_multi cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg "
    "cgroup_unix_getpeername cgroup_unix_getsockname netkit_primary netkit_peer trace_kprobe_session "
    "trace_uprobe_session"
)
CGROUP_EVENTS: Final = tuple(i for i, name in enumerate(ATTACH) if name.startswith("cgroup_"))
_PERF_EVENTS: Final = _words("unspec uprobe uretprobe kprobe kretprobe tracepoint event")
# Where a link's structure keeps pointer and length of a name.
NAME_AT: Final = {
    "raw_tracepoint": (16, 24),
    "iter": (16, 24),
    "perf_event": (24, 32),
    "uprobe_multi": (16, 48),
}

# The union in struct bpf_link_info, by type: field, form, place, names of its numbers.
_TARGETS: Final[dict[str, tuple[tuple[str, str, int, tuple[str, ...]], ...]]] = {
    "tracing": (
        ("attach_type", "=I", 16, ATTACH), ("target_object", "=I", 20, ()), ("target_btf_id", "=I", 24, ()),
    ),
    "cgroup": (("cgroup_id", "=Q", 16, ()), ("attach_type", "=I", 24, ATTACH)),
    "netns": (("network_namespace", "=I", 16, ()), ("attach_type", "=I", 20, ATTACH)),
    "xdp": (("interface", "=I", 16, ()),),
    "tcx": (("interface", "=I", 16, ()), ("attach_type", "=I", 20, ATTACH)),
    "netkit": (("interface", "=I", 16, ()), ("attach_type", "=I", 20, ATTACH)),
    "struct_ops": (("map_id", "=I", 16, ()),),
    "netfilter": (
        ("family", "=I", 16, ()), ("hook", "=I", 20, ()), ("priority", "=i", 24, ()), ("flags", "=I", 28, ()),
    ),
    "kprobe_multi": (("functions", "=I", 24, ()), ("flags", "=I", 28, ())),
    "uprobe_multi": (("offsets", "=I", 52, ()), ("flags", "=I", 56, ()), ("pid", "=I", 60, ())),
    "perf_event": (("event", "=I", 16, _PERF_EVENTS), ("offset", "=I", 36, ())),
}  # fmt: skip


def word(table: Sequence[str], number: int) -> str:
    """Return the name of a number, or the number in figures."""
    return table[number] if number < len(table) else str(number)


def _name(raw: bytes) -> str:
    return percent_encode(raw.partition(b"\0")[0])


def program_record(info: bytes, instructions: bytes, maps: bytes) -> dict[str, object]:
    """Return what struct bpf_prog_info says; `load_time_ns` counts from boot (CLOCK_BOOTTIME)."""
    raw = info.ljust(232, b"\0")
    kind, number, tag, jited, xlated = struct.unpack_from("=II8sII", raw)
    loaded, uid = struct.unpack_from("=QI", raw, 40)
    interface, flags, _, netns = struct.unpack_from("=IIQQ", raw, 80)
    runs = struct.unpack_from("=QQQIII", raw, 192)
    return {
        "id": number,
        "type": word(PROGRAMS, kind),
        "name": _name(raw[64:80]),
        "tag": tag.hex(),
        "jited_bytes": jited,
        "translated_bytes": xlated,
        "translated_sha256": sha256(instructions).hexdigest() if instructions else None,
        "load_time_ns": str(loaded),
        "created_by_uid": uid,
        "map_ids": list(struct.unpack(f"={len(maps) // 4}I", maps[: len(maps) // 4 * 4])),
        "gpl_compatible": bool(flags & 1),
        "interface": interface or None,
        "network_namespace": netns or None,
        "run_time_ns": str(runs[0]),
        "run_count": str(runs[1]),
        "verified_instructions": runs[3],
        "attached_btf_object": runs[4] or None,
        "attached_btf_id": runs[5] or None,
    }


def map_record(info: bytes) -> dict[str, object]:
    """Return what struct bpf_map_info says: form and size, nothing of the contents."""
    raw = info.ljust(88, b"\0")
    kind, number, key, value, entries, flags = struct.unpack_from("=6I", raw)
    interface, _, _, netns = struct.unpack_from("=IIQQ", raw, 40)
    return {
        "id": number,
        "type": word(MAPS, kind),
        "name": _name(raw[24:40]),
        "key_bytes": key,
        "value_bytes": value,
        "max_entries": entries,
        "flags": f"0x{flags:x}",
        "interface": interface or None,
        "network_namespace": netns or None,
    }


def link_record(info: bytes, name: bytes) -> dict[str, object]:
    """Return what struct bpf_link_info says: which program is attached to what."""
    raw = info.ljust(72, b"\0")
    kind, number, program = struct.unpack_from("=3I", raw)
    return {
        "id": number,
        "type": word(LINKS, kind),
        "program_id": program,
        **_target(word(LINKS, kind), raw),
        **({"target": percent_encode(name)} if name else {}),
    }


def _target(kind: str, raw: bytes) -> dict[str, object]:
    """Return what a link of this type says of its place."""
    found: dict[str, object] = {}
    for name, form, at, table in _TARGETS.get(kind, ()):
        (value,) = struct.unpack_from(form, raw, at)
        found[name] = word(table, value) if table else str(value) if form == "=Q" else value
    return found
