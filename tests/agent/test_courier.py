"""What the agent believes of a collector: its URL, its answers, its refusals; and tokens."""

from __future__ import annotations

import base64
import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hozen_agent import courier
from hozen_agent.sending import replies
from hozen_agent.sending.replies import Answer, Endpoint, LostError, RefusedError, parse_url
from hozen_agent.sending.tokens import PREFIX, parse_token
from hozen_hashes.errors import (
    BadDataError,
    DeniedError,
    FormatError,
    HozenError,
    TryAgainError,
    UsageError,
)
from hozen_hashes.identity import new_one_capture


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://collector.example:8443", Endpoint("collector.example", 8443)),
        ("https://Collector.Example/", Endpoint("collector.example", 443)),
        ("https://127.0.0.1:1", Endpoint("127.0.0.1", 1)),
        ("https://[::1]:8443", Endpoint("::1", 8443)),
    ],
)
def test_an_url_names_one_place(url: str, endpoint: Endpoint) -> None:
    assert parse_url(url) == endpoint
    assert parse_url(endpoint.url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "", "collector", "http://collector", "https://", "https://a b", "https://user@host", "https://host/path", "https://host?x",
        "https://host#x", "https://host:0", "https://host:99999", "https://host:x", "https://../x", "ftp://host", "https://ho_st",
        "https://[::1", "https://host\n",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse_url(url)


@given(st.text(max_size=60))
def test_whatever_is_taken_as_an_url_is_spelled_one_way(text: str) -> None:
    try:
        found = parse_url(text)
    except UsageError:
        return
    assert parse_url(found.url) == found


def _problem(status: int, **words: object) -> Answer:
    return Answer(status, {}, json.dumps(words, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, DeniedError), (403, DeniedError), (429, TryAgainError), (503, TryAgainError), (507, TryAgainError),
        (400, RefusedError), (404, RefusedError), (409, RefusedError), (413, RefusedError), (302, RefusedError),
    ],
)  # fmt: skip
def test_a_refusal_becomes_the_error_that_fits(status: int, kind: type[HozenError]) -> None:
    error = replies.refusal(_problem(status, detail="満杯です", hint="待つ"))
    assert type(error) is kind
    assert "満杯です" in str(error)
    assert error.hint == "待つ"
    with pytest.raises(kind):
        replies.checked(_problem(status))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"detail":1}', b"\xff", b"{" * 100, b" " * 100_000]
)
def test_an_answer_without_words_is_told_by_its_status(body: bytes) -> None:
    assert "418" in str(replies.refusal(Answer(418, {}, body)))


def test_control_characters_of_the_other_side_do_not_reach_the_terminal() -> None:
    error = replies.refusal(_problem(400, detail="a\x1b[31m\nb" + "x" * 2000, hint="\x07"))
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 600
    assert error.hint == ""


@pytest.mark.parametrize("files", [None, [], {"receipt.txt": 1}, {"receipt.txt": "!"}, "x"])
def test_a_receipt_in_another_form_is_refused(files: object) -> None:
    with pytest.raises(FormatError):
        replies.receipt_of(_problem(200, files=files))


@given(st.binary(max_size=80))
def test_any_body_is_an_object_or_an_error_of_ours(body: bytes) -> None:
    try:
        Answer(200, {}, body).json()
    except BadDataError:
        return


GOOD = {
    "ca_sha256": "ab" * 32,
    "log_sha256": "cd" * 32,
    "id": "00" * 16,
    "secret": "11" * 32,
    "expires": 1,
}


def _token(**changes: object) -> str:
    body = {k: v for k, v in (GOOD | changes).items() if v is not None}
    return PREFIX + base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()


def test_a_token_says_whom_to_believe_and_hides_its_secret() -> None:
    token = parse_token(_token(url="https://collector:8443") + "\n")
    assert (token.ca_sha256, token.log_sha256) == ("ab" * 32, "cd" * 32)
    assert token.url == "https://collector:8443"
    assert parse_token(_token()).url is None
    assert token.text[20:40] not in repr(token)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", PREFIX, PREFIX + "e30", PREFIX + "!!!!", PREFIX + "W10", _token(ca_sha256="AB" * 32),
        _token(log_sha256=None),
        _token(expires="1"), _token(url=5), PREFIX + "A" * 5000, _token().replace("token-1", "token-2"),
    ],
)  # fmt: skip
def test_a_damaged_token_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_token(text)
    assert len(text) < 20 or text[16:] not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_an_error_of_ours(text: str) -> None:
    for candidate in (text, PREFIX + text):
        with pytest.raises(BadDataError):
            parse_token(candidate)


def _answering(data: bytes) -> tuple[int, threading.Thread]:
    """Listen once, send these bytes to whoever comes, and close."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(data)

    thread = threading.Thread(target=answer)
    thread.start()
    return listener.getsockname()[1], thread


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x03\x00\x02\x02\x28",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ],
)
def test_what_does_not_speak_tls_is_no_collector(data: bytes) -> None:
    root = new_one_capture("root").certificate
    for ask in (
        lambda at: courier.fetch_root(at, "00" * 32),
        lambda at: courier.Channel(at, courier.client_context(root, None)).call("GET", "/"),
    ):
        port, thread = _answering(data)
        with pytest.raises((TryAgainError, DeniedError)):
            ask(Endpoint("127.0.0.1", port))
        thread.join()


def test_nobody_there_is_try_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    root = new_one_capture("root").certificate
    channel = courier.Channel(Endpoint("127.0.0.1", port), courier.client_context(root, None))
    with pytest.raises(LostError):
        channel.call("GET", "/")
    with pytest.raises(LostError):
        courier.fetch_root(Endpoint("127.0.0.1", port), "00" * 32)
