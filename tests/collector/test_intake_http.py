"""A bundle goes up over mutual TLS and comes back as a receipt; everything else is refused by its right status."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from hozen_hashes.errors import UsageError
from hozen_hashes.note import parse_vkey
from hozen_hashes.receipt import parse_statement, verify_receipt

UPLOADS = "/api/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}


def checksum(algorithm: str, data: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def test_a_pushed_bundle_comes_back_as_a_receipt_that_a_stranger_can_check(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    state = client.push(bundle)
    assert state["state"] == "accepted", state
    files = client.receipt(bundle.bundle_id)
    assert files == client.receipt(bundle.seal) == client.receipt(bundle.sha256)
    keys = running.root / "keys"
    found = verify_receipt(
        files,
        seal=bundle.seal,
        container=bundle.sha256,
        signature=None,
        at=datetime.now(UTC),
        roots=[x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())],
        log_keys=[parse_vkey((keys / "log.vkey").read_bytes())],
        bundle=bundle.bundle_id,
    )
    assert found.anchor == "log key"
    assert found.accepted
    assert found.statement.sender == client.agent_id
    assert found.statement.seal_state == "checked"
    assert found.statement.arrived_at >= found.statement.sealed_at  # type: ignore[operator]
    archived = running.root / "archive" / bundle.sha256[:2] / bundle.sha256
    assert hashlib.sha256(archived.read_bytes()).hexdigest() == bundle.sha256
    assert archived.stat().st_mode & 0o777 == 0o440
    assert not list((running.root / "uploads").iterdir())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", UPLOADS),
        ("OPTIONS", UPLOADS),
        ("HEAD", UPLOADS + "/0"),
        ("PATCH", UPLOADS + "/0"),
        ("DELETE", UPLOADS + "/0"),
        ("GET", UPLOADS + "/0"),
        ("POST", UPLOADS + "/0"),
        ("GET", "/api/v1/receipts/x"),
        ("POST", "/api/v1/starts"),
        ("POST", "/api/v1/bundles/" + "0" * 64 + "/custody"),
    ],
)
def test_nothing_but_enrolment_and_the_public_log_is_served_without_a_certificate(
    running: Any, tools: Any, method: str, path: str
) -> None:
    answer = tools.stranger(running.root, running.port).call(method, path, TUS)
    assert answer.status == 403
    if method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json) == {"type", "title", "status", "detail", "hint"}


def test_time_checkpoint_and_tiles_are_public(client: Any, running: Any, tools: Any) -> None:
    client.push(tools.make_bundle(client.signer))
    anybody = tools.stranger(running.root, running.port)
    assert anybody.call("GET", "/api/v1/time").json["unix_ns"].isdecimal()
    note = anybody.call("GET", "/log/checkpoint")
    assert note.body == anybody.call("GET", "/api/v1/checkpoint").body
    size = int(note.body.split(b"\n")[1])
    assert len(anybody.call("GET", f"/log/tile/0/000.p/{size}").body) == 32 * size
    older = anybody.call("GET", "/log/tile/0/000.p/1")
    assert older.status == 200
    assert len(older.body) == 32
    assert anybody.call("GET", f"/log/tile/entries/000.p/{size}").status == 200
    for path in (
        f"0/000.p/{size + 1}",
        "0/001",
        "../checkpoint",
        "0/000/../../checkpoint",
        "9/000",
    ):
        assert anybody.call("GET", f"/log/tile/{path}").status == 404


def test_a_revoked_certificate_is_refused_at_the_next_request(
    client: Any, running: Any, tools: Any
) -> None:
    assert client.call("GET", UPLOADS + "/0").status == 404
    tools.work.revoke(running.root, client.agent_id)
    assert client.call("GET", UPLOADS + "/0").status == 403
    for identity in (client.agent_id, "nobody"):
        with pytest.raises(UsageError):
            tools.work.revoke(running.root, identity)
    rows = tools.sql(running.root, "SELECT text FROM leaf WHERE event='revoke'")
    assert client.agent_id in {parse_statement(text).sender for (text,) in rows}


def test_what_a_revoked_identity_seals_is_kept_and_not_vouched_for(
    client: Any, running: Any, tools: Any
) -> None:
    bundle = tools.make_bundle(client.signer)
    tools.work.revoke(running.root, client.agent_id)
    other = tools.enrol(running.root, running.port, host="other")
    assert other.push(bundle)["state"] == "accepted"
    query = "SELECT vouched, integrity, origin, word FROM container WHERE sha256=?"
    [found] = tools.sql(running.root, query, bundle.sha256)
    assert found == (0, "match", "not verifiable", "not verifiable")


def test_an_evidence_certificate_opens_no_connection(client: Any, running: Any, tools: Any) -> None:
    other = tools.stranger(running.root, running.port)
    pem = running.root.parent / "evidence.pem"
    pem.write_bytes(tools.identity_pem(client.signer))
    other.context.load_cert_chain(str(pem))
    assert other.call("GET", UPLOADS + "/0").status == 403


def test_old_tls_is_not_spoken(running: Any, tools: Any) -> None:
    other = tools.stranger(running.root, running.port)
    other.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    other.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        other.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        other.call("GET", "/api/v1/time")


def test_options_says_what_of_tus_is_spoken(client: Any) -> None:
    answer = client.call("OPTIONS", UPLOADS)
    assert answer.status == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert "creation-with-upload" in answer.headers["tus-extension"]


def test_another_version_of_tus_is_refused_with_ours(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle()
    words = {"Upload-Length": "1", "Upload-Metadata": bundle.metadata()}
    for headers in (words, {**words, "Tus-Resumable": "0.2.2"}):
        answer = client.call("POST", UPLOADS, headers)
        assert answer.status == 412
        assert answer.headers["tus-version"] == "1.0.0"


@pytest.mark.parametrize("length", ["", "-1", "0", "1e3", "99999999999999999999"])
def test_a_length_that_is_none_is_refused(client: Any, tools: Any, length: str) -> None:
    assert client.create(tools.make_bundle(), length=length).status == 400


def test_a_deferred_length_is_refused(client: Any, tools: Any) -> None:
    headers = {**TUS, "Upload-Defer-Length": "1", "Upload-Metadata": tools.make_bundle().metadata()}
    assert client.call("POST", UPLOADS, headers).status == 400


def test_a_container_larger_than_allowed_is_refused_before_anything_is_written(
    client: Any, running: Any, tools: Any
) -> None:
    assert client.create(tools.make_bundle(), length=str(5 << 40)).status == 413
    answer = client.create(tools.make_bundle(), length=str(3 << 40))
    assert answer.status == 507
    assert "retry-after" in answer.headers
    assert not list((running.root / "uploads").iterdir())


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("filename", "../../etc/passwd"),
        ("filename", "/etc/passwd"),
        ("filename", "a/b.zip"),
        ("filename", "a\\b.zip"),
        ("filename", "a\x00.zip"),
        ("filename", ".hidden"),
        ("filename", "a..zip"),
        ("filename", ""),
        ("bundle", "../x"),
        ("bundle", "hz-1"),
        ("case", ""),
        ("case", "a\nb"),
        ("case", "x" * 401),
        ("case", "案" * 134),
        ("seal", "00"),
        ("sha256", "A" * 64),
        ("kind", "other"),
    ],
)
def test_metadata_that_is_not_what_it_says_is_refused(
    client: Any, tools: Any, word: str, value: str
) -> None:
    answer = client.create(tools.make_bundle(), **{word: value})
    assert answer.status == 400
    assert answer.json["detail"]


@pytest.mark.parametrize(
    "metadata", ["", "bundle", "bundle !!", "a b,a b", "x" * 9000, "bundle /w=="]
)
def test_metadata_in_another_form_is_refused(client: Any, metadata: str) -> None:
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata}
    assert client.call("POST", UPLOADS, headers).status == 400


def test_an_upload_tells_its_state_to_its_owner_only(client: Any, running: Any, tools: Any) -> None:
    location = client.create(tools.make_bundle()).headers["location"]
    other = tools.enrol(running.root, running.port, host="other")
    assert client.call("GET", location).json["state"] == "receiving"
    assert other.call("GET", location).status == 404
    assert other.call("HEAD", location, TUS).status == 404
    assert other.patch(location, 0, b"x").status == 404
    assert other.call("DELETE", location, TUS).status == 404
    assert client.offset(location) == 0


def test_head_gives_back_length_and_metadata(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle()
    location = client.create(bundle).headers["location"]
    answer = client.call("HEAD", location, TUS)
    assert answer.headers["upload-length"] == str(len(bundle.data))
    assert answer.headers["upload-metadata"] == bundle.metadata()
    assert answer.headers["cache-control"] == "no-store"
    assert "upload-expires" in answer.headers


def test_a_piece_at_the_wrong_offset_is_refused_and_changes_nothing(
    client: Any, tools: Any
) -> None:
    bundle = tools.make_bundle()
    location = client.create(bundle).headers["location"]
    assert client.patch(location, 1, b"x").status == 409
    assert client.patch(location, 0, bundle.data[:100]).headers["upload-offset"] == "100"
    repeated = client.patch(location, 0, bundle.data[:100])
    assert repeated.status == 409
    assert repeated.headers["upload-offset"] == "100"
    assert client.patch(location, 99, b"xx").status == 409
    assert client.offset(location) == 100


def test_bytes_beyond_the_declared_length_are_refused(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle()
    location = client.create(bundle).headers["location"]
    assert client.patch(location, 0, bundle.data + b"x").status == 413
    assert client.offset(location) == 0


def test_a_chunked_body_beyond_the_declared_length_ends_at_it(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle()
    location = client.create(bundle).headers["location"]
    headers = {**tools.PIECE, "Upload-Offset": "0", "Transfer-Encoding": "chunked"}
    answer = client.call("PATCH", location, headers, iter([bundle.data, b"more"]))
    assert answer.status == 413
    assert client.call("GET", location).json["offset"] <= len(bundle.data)


def test_another_content_type_is_refused(client: Any, tools: Any) -> None:
    location = client.create(tools.make_bundle()).headers["location"]
    answer = client.call("PATCH", location, {**TUS, "Upload-Offset": "0"}, b"x")
    assert answer.status == 415


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_its_checksum_is_taken_and_with_another_is_not(
    client: Any, tools: Any, algorithm: str
) -> None:
    bundle = tools.make_bundle(client.signer)
    location = client.create(bundle).headers["location"]
    wrong = checksum(algorithm, b"other")
    assert client.patch(location, 0, bundle.data, Upload_Checksum=wrong).status == 460
    assert client.offset(location) == 0
    right = checksum(algorithm, bundle.data[:5000])
    assert client.patch(location, 0, bundle.data[:5000], Upload_Checksum=right).status == 204
    right = checksum(algorithm, bundle.data[5000:])
    assert client.patch(location, 5000, bundle.data[5000:], Upload_Checksum=right).status == 204
    assert client.settled(location)["state"] == "accepted"


@pytest.mark.parametrize("value", ["md5 AAAA", "sha256 AAAA", "sha256", "sha1 !!!!", ""])
def test_a_checksum_in_another_form_is_refused(client: Any, tools: Any, value: str) -> None:
    location = client.create(tools.make_bundle()).headers["location"]
    assert client.patch(location, 0, b"x", Upload_Checksum=value).status == 400


def test_the_first_bytes_may_come_with_the_creation(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer)
    words = {"Upload-Length": str(len(bundle.data)), "Upload-Metadata": bundle.metadata()}
    answer = client.call("POST", UPLOADS, {**tools.PIECE, **words}, bundle.data[:7000])
    assert answer.status == 201
    assert answer.headers["upload-offset"] == "7000"
    location = answer.headers["location"]
    assert client.patch(location, 7000, bundle.data[7000:]).status == 204
    assert client.settled(location)["state"] == "accepted"


def test_an_unfinished_upload_is_given_up_and_a_finished_one_is_not(
    client: Any, running: Any, tools: Any
) -> None:
    location = client.create(tools.make_bundle()).headers["location"]
    client.patch(location, 0, b"some")
    assert client.call("DELETE", location, TUS).status == 204
    assert client.call("HEAD", location, TUS).status == 410
    assert client.patch(location, 4, b"x").status == 410
    assert not (running.root / "uploads" / (location.rpartition("/")[2] + ".part")).exists()
    bundle = tools.make_bundle(client.signer)
    location = client.create(bundle).headers["location"]
    client.patch(location, 0, bundle.data)
    client.settled(location)
    assert client.call("DELETE", location, TUS).status == 403
    assert client.offset(location) == len(bundle.data)


def test_a_client_without_patch_and_delete_may_name_them(client: Any, tools: Any) -> None:
    bundle = tools.make_bundle(client.signer)
    location = client.create(bundle).headers["location"]
    headers = {**tools.PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert client.call("POST", location, headers, bundle.data[:10]).status == 204
    assert client.call("POST", location, {**TUS, "X-HTTP-Method-Override": "DELETE"}).status == 204
    assert client.call("POST", location, TUS).status == 405


def test_an_unknown_upload_receipt_and_path_are_404(client: Any) -> None:
    assert client.call("HEAD", UPLOADS + "/" + "0" * 32, TUS).status == 404
    assert client.call("GET", "/api/v1/receipts/" + "0" * 64).status == 404
    assert client.call("GET", "/api/v1/receipts/..%2f..%2fkeys").status == 404
    assert client.call("GET", "/nothing").headers["content-type"] == "application/problem+json"
    assert client.call("PUT", UPLOADS).status == 405


def test_an_identity_has_a_quota_of_unfinished_uploads(client: Any, tools: Any) -> None:
    for _ in range(32):
        assert client.create(tools.make_bundle_claim()).status == 201
    answer = client.create(tools.make_bundle_claim())
    assert answer.status == 413
    assert "DELETE" in answer.json["hint"]


def test_headers_without_end_are_cut_off(client: Any) -> None:
    with client.raw() as raw:
        raw.sendall(b"GET /api/v1/time HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 40_000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 431")


def test_a_body_larger_than_the_route_allows_is_refused(running: Any, tools: Any) -> None:
    anybody = tools.stranger(running.root, running.port)
    assert anybody.call("POST", "/api/v1/enroll", {}, b"x" * 70_000).status == 413
    for body in (b"", b"[]", b"{", b'{"token":1}'):
        assert anybody.call("POST", "/api/v1/enroll", {}, body).status == 400
    assert anybody.call("POST", "/api/v1/enroll", {}, b'{"a":' * 2000).status == 413


def test_requests_in_no_form_leave_the_collector_as_it_was(
    client: Any, running: Any, tools: Any
) -> None:
    location = client.create(tools.make_bundle()).headers["location"].encode()
    patch = (
        b"PATCH "
        + location
        + b" HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
    )
    kind = b"Content-Type: application/offset+octet-stream\r\n"
    for words in (
        b"\x00\xff" * 500,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff%00%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        patch + kind + b"Content-Length: -1\r\n\r\n",
        patch + kind + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        patch + kind + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        patch + kind + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        patch + kind + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        patch + b"Content-Type: \xff\r\nContent-Length: 5\r\n\r\nhello",
    ):
        with client.raw() as raw:
            raw.settimeout(3)
            with contextlib.suppress(OSError):
                raw.sendall(words)
                raw.recv(200)
    assert running.process.poll() is None
    assert client.offset(location.decode()) == 0
