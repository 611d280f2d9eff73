"""What a reading process does in a network namespace: enters it, asks, answers into the ring, and goes back.

A request names the place (`Place.pack`, or `own`), then what is wanted: a question of `netasks`, `net/NAME` for a
text of procfs, `socket/PID/FD/INODE` for a protocol's name, `xtables` for the old rule tables. Answers are records of
the ring; their `flags` number the wanted thing.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final

from hozen_agent.net import netasks, netenter, netlink
from hozen_agent.net.netguard import Guard
from hozen_agent.net.netscrub import scrub
from hozen_agent.workers.ring import ROOM, Code, Kind

if TYPE_CHECKING:
    from hozen_agent.net.netasks import Ask, Body
    from hozen_agent.workers.ring import Producer

OWN: Final = b"own"
ALL: Final = 0xFFFF  # the number of the answer about the whole request
SENT, CHANGED, KEYS = 1, 2, 3  # codes of DATA: what we sent; begin again; so many keys were removed
TEXT_MAX: Final = 16 << 20
ANSWER_MAX: Final = 32 << 20
_TRIES: Final = 3
_PIECE: Final = 64 << 10
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CODES: Final = {
    errno.ENOENT: Code.MISSING, errno.ESRCH: Code.MISSING, errno.EACCES: Code.DENIED, errno.EPERM: Code.DENIED,
    errno.EPROTONOSUPPORT: Code.MISSING, errno.EAFNOSUPPORT: Code.MISSING, errno.EOPNOTSUPP: Code.MISSING,
    errno.EFBIG: Code.TRUNCATED, errno.ETIMEDOUT: Code.TRUNCATED, errno.EMSGSIZE: Code.TRUNCATED,
}  # fmt: skip


class NetServer:
    """Answers network requests; made when the first one comes."""

    def __init__(self, proc: int, root: int, out: Producer) -> None:
        self._proc = proc
        self._root = root
        self._out = out
        self._guard = Guard(proc, root)
        self._home = netenter.own(proc)[0]
        self._learnt = netasks.Learnt()
        self._sequence = 0
        self._until = 0.0

    def answer(self, names: list[bytes], *, seconds: float) -> None:
        """One request is answered; the process is back in its own namespace, or ends.

        Raises:
            OSError: the way back is closed.
        """
        place, wanted = names[0], names[1:]
        self._until = time.monotonic() + seconds
        try:
            if place != OWN:
                netenter.enter(self._proc, netenter.Place.unpack(place))
        except OSError as error:
            self._end(ALL, *_outcome(error))
        except netenter.OtherError as other:
            self._end(ALL, Code.MISSING, str(other))
        else:
            self._learnt = netasks.Learnt()
            for number, name in enumerate(wanted):
                self._wanted(number, name.decode("ascii"))
            self._end(ALL, Code.OK, "")
        finally:
            if place != OWN:
                netenter.switch(self._home)
            os.fchdir(self._root)
            self._out.roll()

    def _wanted(self, number: int, name: str) -> None:
        if time.monotonic() > self._until:
            self._end(number, Code.FAILED, "not attempted: the time for this namespace was over")
            return
        try:
            if name.startswith("net/"):
                self._text(number, b"self/" + name.encode())
            elif name.startswith("socket/"):
                self._socket(number, name.encode())
            elif name == "xtables":
                self._tables(number)
            else:
                self._ask(number, netasks.ASKS[name])
                return
            self._end(number, Code.OK, "")
        except OSError as error:
            self._end(number, *_outcome(error))

    def _text(self, number: int, path: bytes) -> None:
        """A text of procfs goes into the ring; the same path shows another namespace after it was entered."""
        fd = os.open(path, _READ, dir_fd=self._proc)
        try:
            total = 0
            while piece := os.read(fd, _PIECE):
                self._out.put(Kind.DATA, 0, number, piece)
                total += len(piece)
                if total > TEXT_MAX:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        finally:
            os.close(fd)

    def _socket(self, number: int, name: bytes) -> None:
        """The protocol of a socket that no table lists: the kernel keeps its name as an extended attribute."""
        _, pid, descriptor, inode = name.split(b"/")
        path = pid + b"/fd/" + descriptor
        if os.readlink(path, dir_fd=self._proc) != b"socket:[" + inode + b"]":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.fchdir(self._proc)  # there is no getxattrat(2) before Linux 6.13
        self._out.put(Kind.DATA, 0, number, os.getxattr(path, "system.sockprotoname"))

    def _tables(self, number: int) -> None:
        """The old rule tables, each as `family table`, NUL, two answers; only those that exist here."""
        from hozen_agent.net import xtables

        for family, listing in netasks.XTABLES.items():
            try:
                fd = os.open(b"self/net/" + listing, _READ, dir_fd=self._proc)
            except FileNotFoundError:
                continue
            try:
                names = os.read(fd, _PIECE).split()
            finally:
                os.close(fd)
            for name in names:
                for piece in xtables.ask(family, name):
                    self._out.put(Kind.DATA, 0, number, piece)

    def _ask(self, number: int, ask: Ask) -> None:
        refusal = self._guard.refuses(ask.protocol, ask.modules)
        if refusal:
            self._end(number, Code.MISSING, refusal)
            return
        failure: OSError | None = None
        failed = asked = 0
        for question in self._learnt.questions(ask):
            asked += 1
            try:
                self._whole(number, ask, question)
            except OSError as error:
                failure, failed = failure or _unknown(ask, error), failed + 1
        if failure is None:
            self._end(number, Code.OK, "" if asked else "nothing of this kind is here")
        elif failed == asked:
            self._end(number, *_outcome(failure))
        else:
            reason = f"{failed} of {asked} questions failed, the first: {_outcome(failure)[1]}"
            self._end(number, Code.TRUNCATED, reason)

    def _whole(self, number: int, ask: Ask, question: Body) -> None:
        """A table is read again when it changed meanwhile.

        Raises:
            OSError: it was refused, did not end, or changed each time (ESTALE).
        """
        for left in reversed(range(_TRIES)):
            if not self._once(number, ask, question):
                return
            if left:
                self._out.put(Kind.DATA, CHANGED, number, b"")
        raise OSError(
            errno.ESTALE, "it changed in each of three readings; an entry may be missing or twice"
        )

    def _once(self, number: int, ask: Ask, question: Body) -> bool:
        """Put one dialogue into the ring; True when the table changed while it was read."""
        self._sequence += 1
        asked = netlink.request(*question, self._sequence)
        self._out.put(Kind.DATA, SENT, number, asked)
        again = False
        seconds = min(netlink.SECONDS, max(0.1, self._until - time.monotonic()))
        for datagram in netlink.exchange(ask.protocol, asked, seconds=seconds, most=ANSWER_MAX):
            clean, keys = scrub(ask.name, datagram)
            if keys:
                self._out.put(Kind.DATA, KEYS, number, b"%d" % keys)
            self._out.put(Kind.DATA, 0, number, clean[:ROOM])
            self._learnt.learn(ask, clean)
            again = again or netlink.changed(clean)
        return again

    def _end(self, number: int, code: Code, reason: str) -> None:
        self._out.put(Kind.END, code, number, reason.encode()[:2000])


def _unknown(ask: Ask, error: OSError) -> OSError:
    """A part of netfilter that is not in this kernel answers EINVAL, like a wrong question."""
    if ask.protocol == netlink.NETFILTER and error.errno == errno.EINVAL:
        return OSError(errno.EOPNOTSUPP, "this kernel has no such part (EINVAL)")
    return error


def _outcome(error: OSError) -> tuple[Code, str]:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    code = (
        Code.TRUNCATED if error.errno == errno.ESTALE else _CODES.get(error.errno or 0, Code.FAILED)
    )
    return code, f"{error.strerror or error} ({name})"
