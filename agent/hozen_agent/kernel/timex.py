"""The kernel's clock discipline by adjtimex(2), read without changing it (law M09)."""

from __future__ import annotations

import ctypes
import os

_STATES = (
    "ok",
    "insert_leap_second",
    "delete_leap_second",
    "leap_second_in_progress",
    "leap_second_over",
    "unsynchronised",
)
_STATUS = {
    0x0001: "PLL", 0x0002: "PPSFREQ", 0x0004: "PPSTIME", 0x0008: "FLL", 0x0010: "INS", 0x0020: "DEL",
    0x0040: "UNSYNC", 0x0080: "FREQHOLD", 0x0100: "PPSSIGNAL", 0x0200: "PPSJITTER", 0x0400: "PPSWANDER",
    0x0800: "PPSERROR", 0x1000: "CLOCKERR", 0x2000: "NANO", 0x4000: "MODE", 0x8000: "CLK",
}  # fmt: skip
_UNSYNC = 0x40
_NANO = 0x2000


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 32),  # more than any version has used
    )


def read_discipline() -> dict[str, object]:
    """Return what the kernel says of its clock: synchronised or not, the error bounds in microseconds.

    Raises:
        OSError: the system has no adjtimex, or refuses it.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except AttributeError as error:
        raise OSError(38, os.strerror(38)) from error
    found = _Timex()  # modes 0: nothing is set
    state = call(ctypes.byref(found))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    unit = 1000 if found.status & _NANO else 1
    return {
        "state": _STATES[state] if state < len(_STATES) else str(state),
        "synchronised": not found.status & _UNSYNC,
        "status": [name for bit, name in _STATUS.items() if found.status & bit],
        "offset_us": found.offset / unit,
        "frequency_ppm": found.freq / 65536,
        "maximum_error_us": found.maxerror,
        "estimated_error_us": found.esterror,
        "precision_us": found.precision,
        "tick_us": found.tick,
        "tai_offset_s": found.tai,
    }


def kept_in_step() -> dict[str, object]:
    """Return whether the kernel holds its clock for synchronised, as bundle-v1 §12 has it; None where it cannot say."""
    try:
        found = read_discipline()["synchronised"]
    except OSError:
        return {"synchronised": None, "source": None}
    return {"synchronised": found, "source": "adjtimex"}
