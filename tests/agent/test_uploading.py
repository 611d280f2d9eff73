"""The tus client against a collector in memory that forgets, lies and stumbles."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hozen_agent.sending import uploading
from hozen_agent.sending.parcel import Parcel
from hozen_agent.sending.replies import Answer, LostError
from hozen_agent.sending.uploading import Upload
from hozen_hashes.errors import (
    DeniedError,
    FormatError,
    HozenError,
    NotVerifiableError,
    TryAgainError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE = "/api/v1/uploads/"


@dataclass
class Simulator:
    """A collector that keeps uploads in memory; `stumbles` says what happens to each call in turn."""

    stumbles: list[str] = field(default_factory=list)
    stored: dict[str, bytearray] = field(default_factory=dict)
    metadata: str = ""
    calls: int = 0

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        words = dict(headers or {})
        assert words["Tus-Resumable"] == "1.0.0"
        self.calls += 1
        stumble = self.stumbles.pop(0) if self.stumbles else ""
        if stumble == "lost before":
            raise LostError("cut")
        statuses = {"busy": 503, "gone": 404, "conflict": 409, "checksum": 460, "denied": 403}
        if stumble == "gone":
            self.stored.clear()
        possible = {"gone": method != "POST", "checksum": method == "PATCH"}.get(stumble, True)
        if stumble in statuses and possible:
            return Answer(statuses[stumble], {}, b"{}")
        answer = self._handle(method, path, words, body or b"")
        if stumble == "lost after":
            raise LostError("cut")
        return answer

    def _handle(self, method: str, path: str, words: dict[str, str], body: bytes) -> Answer:
        if method == "POST":
            self.metadata = words["Upload-Metadata"]
            name = f"u{self.calls}"
            self.stored[BASE + name] = bytearray()
            return Answer(201, {"location": BASE + name}, b"")
        data = self.stored.get(path)
        if data is None:
            return Answer(404, {}, b"{}")
        if method == "PATCH":
            if int(words["Upload-Offset"]) != len(data):
                return Answer(409, {}, b"{}")
            algorithm, digest = words["Upload-Checksum"].split(" ")
            assert (algorithm, base64.b64decode(digest)) == (
                "sha256",
                hashlib.sha256(body).digest(),
            )
            data += body
        return Answer(204, {"upload-offset": str(len(data))}, b"")


@pytest.fixture(scope="module")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    path = tmp_path_factory.mktemp("parcel") / "hz-20261123T050000Z-web01-5f3a9c10.zip"
    data = bytes(range(256)) * 4000
    path.write_bytes(data)
    return Parcel(
        path=path,
        kind="bundle",
        bundle_id="hz-20261123T050000Z-web01-5f3a9c10",
        case="案件 1",
        seal="4d" * 32,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        signature_sha256=None,
    )


def _send(simulator: Simulator, parcel: Parcel, *, location: str | None = None) -> str:
    return Upload(simulator, parcel, location=location, wait=lambda _seconds: None).send()


def test_every_byte_arrives_with_the_words_about_it(parcel: Parcel) -> None:
    simulator = Simulator()
    location = _send(simulator, parcel)
    assert simulator.stored[location] == parcel.path.read_bytes()
    words = dict(pair.split(" ") for pair in simulator.metadata.split(","))
    said = {name: base64.b64decode(value).decode() for name, value in words.items()}
    assert said["case"] == "案件 1"
    assert said["filename"] == parcel.path.name
    assert simulator.calls == 2


@settings(max_examples=60, deadline=None)
@given(
    stumbles=st.lists(
        st.sampled_from(["", "lost before", "lost after", "busy", "gone", "conflict", "checksum"]),
        max_size=12,
    )
)
def test_whatever_stumbles_either_all_arrives_or_the_caller_may_try_again(
    parcel: Parcel, stumbles: list[str]
) -> None:
    simulator = Simulator(stumbles)
    try:
        location = _send(simulator, parcel)
    except TryAgainError:
        assert simulator.calls >= 8
        location = _send(simulator, parcel)
    assert simulator.stored[location] == parcel.path.read_bytes()


def test_a_kept_address_goes_on_and_a_forgotten_one_begins_anew(parcel: Parcel) -> None:
    simulator = Simulator()
    simulator.stored[BASE + "old"] = bytearray(parcel.path.read_bytes()[:500_000])
    assert _send(simulator, parcel, location=BASE + "old") == BASE + "old"
    assert simulator.calls == 2
    fresh = Simulator()
    assert _send(fresh, parcel, location=BASE + "old") != BASE + "old"


def test_pieces_become_smaller_where_the_line_breaks(
    parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Narrow(Simulator):
        def call(self, method, path, headers=None, body=None):  # type: ignore[no-untyped-def]
            if body:
                sizes.append(len(body))
                if len(body) > 100_000:
                    raise LostError("cut")
            return super().call(method, path, headers, body)

    monkeypatch.setattr(uploading, "LARGEST", 2 << 20)
    simulator = Narrow()
    location = _send(simulator, parcel)
    assert simulator.stored[location] == parcel.path.read_bytes()
    assert sorted(sizes)[1] == uploading.SMALLEST  # the last piece may be shorter


def test_a_refusal_is_not_tried_again(parcel: Parcel) -> None:
    simulator = Simulator(["denied"])
    with pytest.raises(DeniedError):
        _send(simulator, parcel)
    assert simulator.calls == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(201, {"location": "https://evil.example/x"}, b""),
        Answer(201, {"location": BASE + "../x"}, b""),
        Answer(201, {}, b""),
    ],
)
def test_an_address_elsewhere_is_refused(parcel: Parcel, answer: Answer) -> None:
    class Liar(Simulator):
        def call(self, *_words: object) -> Answer:
            return answer

    with pytest.raises(FormatError):
        _send(Liar(), parcel)


@pytest.mark.parametrize("offset", ["", "-1", "x", "99999999999", "9" * 30, "١"])
def test_an_offset_that_cannot_be_is_refused(parcel: Parcel, offset: str) -> None:
    class Liar(Simulator):
        def call(self, method, path, headers=None, body=None):  # type: ignore[no-untyped-def]
            answer = super().call(method, path, headers, body)
            return answer if method == "POST" else Answer(204, {"upload-offset": offset}, b"")

    with pytest.raises(FormatError):
        _send(Liar(), parcel)


def test_a_collector_that_never_moves_on_ends_the_call(parcel: Parcel) -> None:
    class Stuck(Simulator):
        def call(self, method, path, headers=None, body=None):  # type: ignore[no-untyped-def]
            answer = super().call(method, path, headers, body)
            return answer if method == "POST" else Answer(204, {"upload-offset": "0"}, b"")

    with pytest.raises(HozenError):
        _send(Stuck(), parcel)


def test_a_container_that_shrinks_is_told(parcel: Parcel, tmp_path: Path) -> None:
    path = tmp_path / parcel.path.name
    path.write_bytes(b"short")
    shorter = Parcel(
        path=path,
        kind="bundle",
        bundle_id=parcel.bundle_id,
        case="x",
        seal=None,
        sha256="0" * 64,
        size=10,
        signature_sha256=None,
    )
    with pytest.raises(NotVerifiableError, match="became shorter"):
        _send(Simulator(), shorter)
