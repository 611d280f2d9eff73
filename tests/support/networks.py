"""Programs for network tests: a context with real reading helpers, run by the fixture `isolated`."""

from __future__ import annotations

POOLED = """
def context_and_pool(notes=None):
    from hozen_agent.context import Context
    from hozen_agent.pool import ReaderPool
    from hozen_agent.reader import FileReader
    from hozen_agent.redact import Redactor
    said = [] if notes is None else notes
    at, top = proc(), os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    pool = ReaderPool.start(root=top, proc=at, note=said.append, silence=5.0)
    ctx = Context(
        proc=at, root=top, sweep=sweep(at, utmp=b"/nonexistent"), redactor=Redactor(), files=FileReader(pool),
        match=lambda patterns: iter(()), note=said.append,
    )
    return ctx, pool

def sh(text):
    done = subprocess.run(text, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, (text, done.stderr)
    return done.stdout

def setns(fd, kind=0x40000000):
    import ctypes
    assert ctypes.CDLL(None).setns(fd, kind) == 0

def net_of_ours():
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
"""
