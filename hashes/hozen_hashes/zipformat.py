"""The records of a ZIP file as this format uses them (PKWARE APPNOTE 6.3.10 §4.3, bundle-v1 §4)."""

from __future__ import annotations

from struct import Struct

STORED = 0
DEFLATED = 8
DESCRIPTOR_FLAG = 0x0008
U16_MAX = 0xFFFF
U32_MAX = 0xFFFFFFFF
ZIP64_EXTRA = 0x0001

VERSION_20 = 20
VERSION_ZIP64 = 45
HOST_UNIX = 3
FILE_ATTRIBUTES = 0o100444 << 16
DOS_EPOCH = 0x00210000
"""1980-01-01 00:00 as the four bytes of time and date: when is said by records, not by the container."""

LOCAL_SIGNATURE = 0x04034B50
CENTRAL_SIGNATURE = 0x02014B50
DESCRIPTOR_SIGNATURE = 0x08074B50
END64_SIGNATURE = 0x06064B50
LOCATOR_SIGNATURE = 0x07064B50
END_SIGNATURE = 0x06054B50

LOCAL = Struct("<IHHHIIIIHH")
"""signature, version, flags, method, time and date, crc, compressed, size, name length, extra length"""

CENTRAL = Struct("<IHHHHIIIIHHHHHII")
"""signature, made by, version, flags, method, time and date, crc, compressed, size, name length,
extra length, comment length, disk, internal attributes, external attributes, offset"""

DESCRIPTOR64 = Struct("<IIQQ")
"""signature, crc, compressed, size"""

DESCRIPTOR32 = Struct("<IIII")
"""The same, for sizes below 4 GiB and a local header without ZIP64."""

END64 = Struct("<IQHHIIQQQQ")
"""signature, size of the rest, made by, version, disk, disk of the directory, entries here, entries,
size of the directory, its offset"""

LOCATOR = Struct("<IIQI")
"""signature, disk of END64, its offset, number of disks"""

END = Struct("<IHHHHIIH")
"""signature, disk, disk of the directory, entries here, entries, size of the directory, its offset,
comment length"""

EXTRA = Struct("<HH")
"""identifier, length of what follows"""

EXTRA64_STREAMED = Struct("<HHQQ").pack(ZIP64_EXTRA, 16, 0, 0)
"""The local ZIP64 field of a member whose sizes are not known yet."""

END64_REST = END64.size - 12
"""What END64 says of its own length (APPNOTE §4.3.14.1)."""
