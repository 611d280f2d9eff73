"""One question to one authority (RFC 3161 §3.4), bounded in size and time; the reply is checked before it is believed.

Nonce, imprint, policy, time and chain to a configured root are checked, so plain HTTP is as good as HTTPS here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hozen_collector.clock import SECOND, now_ns, seconds_text
from hozen_collector.timestamps.exchange import REPLY, Exchange
from hozen_hashes import timestamp
from hozen_hashes.errors import BadDataError, MismatchError, TryAgainError
from hozen_hashes.timestampder import MAX_REPLY_BYTES
from hozen_hashes.timestamprequest import encode_request

if TYPE_CHECKING:
    from hozen_collector.timestamps.authorities import Authority
    from hozen_hashes.timestamp import Token

_MAX_LEFT: Final = 4  # threads that still wait for the resolver


class RefusedReplyError(MismatchError):
    """What came is not the stamp that was asked for.

    Attributes:
        raw: as it came, at most 64 KiB and a byte.
    """

    def __init__(self, message: str, raw: bytes) -> None:
        super().__init__(message)
        self.raw = raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A time stamp that holds now, as it came, and when it came (nanoseconds since 1970, the collector's clock)."""

    raw: bytes
    token: Token
    asked: int
    arrived: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    digest: bytes
    algorithm: str
    nonce: int
    asked: int


class Asker:
    """Asks authorities one after the other; `stop`, from any thread, ends the question at hand at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over: threading.Event | None = None
        self._left: list[Exchange] = []
        self.stopped = False

    def ask(self, authority: Authority, digest: bytes, *, algorithm: str = "sha256") -> Reply:
        """Give the authority's stamp over a digest, checked against the authority's roots.

        Raises:
            TryAgainError: no answer, none within the time, a refusal by HTTP, or `stop`.
            RefusedReplyError: what came is not the stamp that was asked for.
            FormatError: not a digest of that algorithm.
        """
        query, nonce = encode_request(digest, algorithm=algorithm, policy=authority.policy)
        question = _Question(digest=digest, algorithm=algorithm, nonce=nonce, asked=now_ns())
        raw, kind = self._exchanged(authority, query)
        arrived = now_ns()
        try:
            token = _checked(raw, kind, authority, question, arrived)
        except (BadDataError, MismatchError) as error:
            raise RefusedReplyError(str(error), raw) from None
        return Reply(raw=raw, token=token, asked=question.asked, arrived=arrived)

    def stop(self) -> None:
        """Ask nobody any more."""
        with self._lock:
            self.stopped = True
            if self._over is not None:
                self._over.set()

    def _exchanged(self, authority: Authority, query: bytes) -> tuple[bytes, str]:
        self._left = [one for one in self._left if one.running]
        if len(self._left) >= _MAX_LEFT:
            raise TryAgainError(f"{len(self._left)} earlier questions still hang")
        over = threading.Event()
        exchange = Exchange(authority, query, over)
        with self._lock:
            if self.stopped:
                raise TryAgainError("the collector stops")
            self._over = over
        exchange.start()
        whole = over.wait(authority.timeout) and not self.stopped
        with self._lock:
            self._over = None
        if whole:
            return exchange.result()
        exchange.cut()
        self._left.append(exchange)
        if self.stopped:
            raise TryAgainError("the collector stops")
        raise TryAgainError(f"no whole answer within {authority.timeout:g} s")


def _checked(
    raw: bytes, kind: str, authority: Authority, question: _Question, arrived: int
) -> Token:
    """Give the token when it answers this question, under the policy asked for, and holds now."""
    if len(raw) > MAX_REPLY_BYTES:
        raise MismatchError(f"its answer is larger than {MAX_REPLY_BYTES} bytes")
    if kind != REPLY:
        raise MismatchError(f"it answered with the content type {kind[:60]!r}, not {REPLY}")
    token = timestamp.read_token(raw)
    if token.nonce != question.nonce:
        raise MismatchError("the reply has another nonce: it was made for another request")
    if (token.algorithm, token.imprint) != (question.algorithm, question.digest):
        raise MismatchError("the reply is about other bytes than those it was asked for")
    if authority.policy is not None and token.policy != authority.policy:
        raise MismatchError(f"the reply is under the policy {token.policy}, not the one asked for")
    timestamp.check(token, authority.roots)
    _check_time(token, authority, question.asked, arrived)
    return token


def _check_time(token: Token, authority: Authority, asked: int, arrived: int) -> None:
    """Return when the stated time can be true: the nonce did not exist before the question."""
    slack = authority.skew + token.accuracy
    if not asked - slack <= token.time <= arrived + slack:
        word = "pre-dated" if token.time < asked else "post-dated"
        raise MismatchError(
            f"{word}: it says {seconds_text(token.time)}, and was asked at {seconds_text(asked)} by the"
            " collector's clock"
        )
    if not token.valid_at(datetime.fromtimestamp(arrived // SECOND, UTC)):
        raise MismatchError(
            "the authority's certificate is not valid now, by the collector's clock"
        )
