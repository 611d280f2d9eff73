from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hozen_agent.reading.mounts import MountTable, is_remote, parse_mountinfo

TABLE = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw,nosuid - proc proc rw
24 22 0:21 / /sys rw - sysfs sysfs rw
30 22 8:2 / /var rw - xfs /dev/sda2 rw
31 22 0:40 / /mnt/nfs rw - nfs4 server:/export rw,vers=4.2
32 22 0:41 / /mnt/a\040b\012c rw - fuse.sshfs host:/ rw
33 22 0:42 / /auto rw - autofs systemd-1 rw
34 33 0:43 / /auto rw - ext4 /dev/sdb rw
35 22 0:44 / /over rw - overlay overlay rw,lowerdir=/usr:/mnt/nfs/lower,upperdir=/var/up,workdir=/var/w
36 22 0:45 / /plain rw - overlay overlay rw,lowerdir=/usr,upperdir=/var/up,workdir=/var/w
37 31 8:5 / /mnt/nfs/local rw - ext4 /dev/sdc rw
38 22 0:46 / /autoonly rw master:2 - autofs /etc/auto rw
a bad line
39 22 x:y / /broken rw - ext4 x rw
"""


def test_every_line_of_the_documented_form_is_a_mount() -> None:
    found = parse_mountinfo(TABLE)
    assert [m.mount_id for m in found] == [22, 23, 24, 30, 31, 32, 33, 34, 35, 36, 37, 38]
    assert found[5].point == b"/mnt/a b\nc"


def test_remote_mounts_are_stayed_out_of_by_the_text_of_the_path() -> None:
    table = MountTable(parse_mountinfo(TABLE))
    assert table.skips(b"/mnt/nfs/deep/file") == (b"/mnt/nfs", b"nfs4")
    assert table.skips(b"/mnt/nfs") == (b"/mnt/nfs", b"nfs4")
    assert table.skips(b"/mnt/nfs2") is None
    assert table.skips(b"/mnt/a b\nc/x") == (b"/mnt/a b\nc", b"fuse.sshfs")
    assert table.skips(b"/autoonly/x") == (b"/autoonly", b"autofs")
    assert table.skips(b"/var/log/x") is None


def test_a_local_disk_below_a_remote_mount_is_stayed_out_of_too() -> None:
    table = MountTable(parse_mountinfo(TABLE))
    assert table.skips(b"/mnt/nfs/local/x") is not None


def test_of_several_mounts_on_one_point_the_last_counts() -> None:
    assert MountTable(parse_mountinfo(TABLE)).skips(b"/auto/x") is None


def test_an_overlay_over_a_remote_layer_is_remote() -> None:
    table = MountTable(parse_mountinfo(TABLE))
    assert table.skips(b"/over/x") == (b"/over", b"overlay over nfs4")
    assert table.skips(b"/plain/x") is None


def test_a_named_mount_is_entered() -> None:
    table = MountTable(parse_mountinfo(TABLE), named=[b"/mnt/nfs"])
    assert table.skips(b"/mnt/nfs/x") is None


def test_a_remote_root_is_not_skipped_or_nothing_would_be_left() -> None:
    table = MountTable(parse_mountinfo(b"1 0 0:9 / / rw - nfs server:/ rw\n"))
    assert table.skips(b"/etc/passwd") is None


def test_the_table_can_be_seen_from_a_directory() -> None:
    table = MountTable(parse_mountinfo(TABLE), root=b"/mnt")
    assert table.skips(b"/nfs/x") == (b"/nfs", b"nfs4")
    assert table.points[b"/"].kind == b"ext4"
    assert b"/var" not in table.points


def test_the_mount_that_holds_a_path_is_the_longest_prefix() -> None:
    table = MountTable(parse_mountinfo(TABLE))
    assert table.holding(b"/var/log/x").kind == b"xfs"
    assert table.holding(b"/variable").kind == b"ext4"
    assert table.holding(b"/").mount_id == 22


def test_kinds_that_can_wait_for_others_are_remote() -> None:
    for kind in b"nfs nfs4 cifs smb3 9p ceph fuse fuse.anything fuseblk autofs virtiofs".split():
        assert is_remote(kind)
    for kind in b"ext4 xfs btrfs zfs tmpfs vfat overlay squashfs proc".split():
        assert not is_remote(kind)


@given(st.binary(max_size=400))
def test_any_bytes_make_a_table_and_never_an_error(data: bytes) -> None:
    table = MountTable(parse_mountinfo(data))
    table.skips(b"/x/y")
    table.holding(b"/x/y")


@given(
    st.lists(
        st.binary(min_size=1, max_size=20).filter(lambda b: b"\0" not in b and b"/" not in b),
        max_size=4,
    )
)
def test_an_escaped_mount_point_is_read_back(parts: list[bytes]) -> None:
    point = b"/" + b"/".join(parts)
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in point)
    [mount] = parse_mountinfo(b"5 1 0:1 / " + escaped + b" rw - ext4 x rw\n")
    assert mount.point == point
