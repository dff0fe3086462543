"""The client limits its rate, retries temporary failures, checks responses and never reveals the API key."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gnnrec.errors import ConfigError, DownloadError
from gnnrec.metadata import NotFoundError, RateLimitError, RequestPolicy, ServiceUnavailableError
from gnnrec.metadata.client import Client, HttpResponse, RateLimiter, is_public
from tests.helpers.http_server import (
    PATIENT,
    FakeClock,
    Reply,
    Server,
    image_bytes,
    image_reply,
    json_reply,
    redirect,
    remove_proxies,
    running_server,
)

KEY = "s3cret/key+1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    remove_proxies(monkeypatch)
    with running_server() as server:
        yield server


def make_client(server: Server, clock: FakeClock | None = None, **policy: Any) -> Client:
    clock = clock or FakeClock()
    headers, params = {"Authorization": f"Bearer {KEY}"}, {"api_key": KEY}
    return Client((server.url,), KEY, headers, params, replace(PATIENT, **policy), clock, clock.sleep)


def test_json_response(server: Server) -> None:
    server.routes["/movie"] = json_reply({"title": "Heat", "echo": f"you sent {KEY}"})
    assert make_client(server).get_json(f"{server.url}/movie", {"q": "a b"}) == (
        200,
        {"title": "Heat", "echo": "you sent ***"},
    )
    [request] = server.requests
    assert request.query == {"q": "a b", "api_key": KEY}
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["User-Agent"] == "gnnrec"


def test_images_are_requested_without_the_key(server: Server) -> None:
    server.routes["/1.jpg"] = image_reply()
    response = make_client(server).get(f"{server.url}/1.jpg", 10_000)
    assert response == HttpResponse(200, response.headers, image_bytes())
    assert response.headers["content-type"] == "image/jpeg"
    assert server.requests[0].query == {}
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_temporary_failures_are_retried(server: Server, status: int) -> None:
    server.routes["/x"] = [Reply(status=status), Reply(status=status), Reply(b"yes")]
    assert make_client(server).get(f"{server.url}/x", 10).body == b"yes"
    assert len(server.requests) == 3


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_number_of_attempts_is_limited(server: Server, attempts: int) -> None:
    server.routes["/x"] = Reply(status=500)
    with pytest.raises(ServiceUnavailableError, match=rf"{server.url}/x answered 500 \({attempts} attempts\)"):
        make_client(server, max_attempts=attempts).get(f"{server.url}/x?hidden=1", 10)
    assert len(server.requests) == attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_final_responses_are_not_retried(server: Server, status: int) -> None:
    server.routes["/x"] = Reply(b"no", status)
    assert make_client(server).get(f"{server.url}/x", 10).status == status
    assert len(server.requests) == 1


def test_pauses_double(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    server.routes["/x"] = Reply(status=503)
    clock = FakeClock()
    with pytest.raises(ServiceUnavailableError):
        make_client(server, clock, max_attempts=5, max_wait=7).get(f"{server.url}/x", 10)
    assert clock.pauses == [1, 2.25, 4.25, 7]  # jitter: half of the half of `backoff`


def test_retry_after_is_honored(server: Server) -> None:
    server.routes["/x"] = [Reply(status=429, headers={"Retry-After": "7"}), Reply(b"yes")]
    clock = FakeClock()
    assert make_client(server, clock).get(f"{server.url}/x", 10).body == b"yes"
    assert clock.pauses == [7]


@pytest.mark.parametrize("header", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_long_pause_ends_the_run(server: Server, header: str) -> None:
    server.routes["/x"] = Reply(status=429, headers={"Retry-After": header})
    with pytest.raises(RateLimitError, match=r"answered 429 and requires a pause of [\d,]+ seconds"):
        make_client(server).get(f"{server.url}/x", 10)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["soon", "", "-5", "9" * 5000, "Wed, 21 Oct 0000 07:28:00 GMT"])
def test_invalid_retry_after_is_ignored(server: Server, header: str) -> None:
    server.routes["/x"] = [Reply(status=429, headers={"Retry-After": header}), Reply(b"yes")]
    clock = FakeClock()
    assert make_client(server, clock).get(f"{server.url}/x", 10).body == b"yes"
    assert clock.pauses == [1]


def test_requests_to_one_host_are_spaced(server: Server) -> None:
    server.routes["/x"] = Reply(b"yes")
    clock = FakeClock()
    client = make_client(server, clock, rate_limit=2)
    for _ in range(4):
        client.get(f"{server.url}/x", 10)
    assert clock.pauses == [0.5, 0.5, 0.5]


def test_hosts_have_separate_rate_limits() -> None:
    clock = FakeClock()
    limiter = RateLimiter(4, clock, clock.sleep)
    for host in ("a", "b", "a", "b", "a"):
        limiter.wait(host)
    assert clock.pauses == [0.25, 0.25]
    clock.now += 100
    limiter.wait("a")  # unused time is not saved up
    limiter.wait("a")
    assert clock.pauses == [0.25, 0.25, 0.25]


def test_missing_responses_time_out(server: Server) -> None:
    server.routes["/silent"] = Reply(silent=True)
    with pytest.raises(ServiceUnavailableError, match="/silent could not be fetched: no response in time"):
        make_client(server, read_timeout=0.1, max_attempts=1).get(f"{server.url}/silent", 10)


def test_slow_responses_time_out(server: Server) -> None:
    server.routes["/slow"] = Reply(trickling=True)
    with pytest.raises(ServiceUnavailableError, match=r"/slow could not be fetched: no response within 0.2 seconds"):
        make_client(server, total_timeout=0.2, max_attempts=1).get(f"{server.url}/slow", 1_000_000)


def test_slow_bodies_are_abandoned(server: Server) -> None:
    server.routes["/x"] = Reply(b"x" * 100)
    times = itertools.chain(
        [0.0, 0.0], itertools.repeat(301.0)
    )  # of the rate limiter, of the start and after the first bytes
    client = replace(make_client(server, max_attempts=1), clock=lambda: next(times))
    with pytest.raises(ServiceUnavailableError, match="no response within 300 seconds"):
        client.get(f"{server.url}/x", 1000)


def test_the_client_is_usable_after_a_timeout(server: Server) -> None:
    server.routes["/x"] = [Reply(trickling=True), Reply(b"yes")]
    client = make_client(server, total_timeout=0.3, max_attempts=1000)  # a busy machine needs more than two
    assert client.get(f"{server.url}/x", 1_000_000).body == b"yes"


def test_incomplete_responses_are_retried(server: Server) -> None:
    server.routes["/x"] = [image_reply(missing_bytes=20), image_reply()]
    assert make_client(server).get(f"{server.url}/x", 10_000).body == image_bytes()
    server.routes["/x"] = image_reply(missing_bytes=20)
    with pytest.raises(ServiceUnavailableError, match=r"could not be fetched: .*IncompleteRead"):
        make_client(server).get(f"{server.url}/x", 10_000)


def test_large_responses_are_not_read(server: Server) -> None:
    server.routes |= {"/endless": Reply(endless=True), "/long": Reply(b"x" * 1001)}
    for path in ("/endless", "/long"):
        with pytest.raises(NotFoundError, match=f"{server.url}{path} has more than 1,000 bytes"):
            make_client(server).get(f"{server.url}{path}", 1000)
    server.routes["/long"] = Reply(b"x" * 1000)
    assert len(make_client(server).get(f"{server.url}/long", 1000).body) == 1000


def test_refused_connections() -> None:
    clock = FakeClock()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = Client((url,), policy=PATIENT, clock=clock, sleep=clock.sleep)
        with pytest.raises(ServiceUnavailableError, match=f"{url}/x could not be fetched: .*refused"):
            client.get(f"{url}/x", 10)
    assert len(clock.pauses) == 2


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[1, 2]", b"\xff\xfe", b"", b"null"])
def test_responses_without_a_json_object(server: Server, body: bytes) -> None:
    server.routes["/x"] = Reply(body)
    with pytest.raises(ServiceUnavailableError, match=f"{server.url}/x answered 200 without a JSON object"):
        make_client(server).get_json(f"{server.url}/x", {})


def test_redirects_are_followed(server: Server) -> None:
    server.routes |= {
        "/a": redirect("/b?page=2", 301),
        "/b": redirect(f"{server.url}/c", 307),
        "/c": json_reply({"is": "c"}),
    }
    assert make_client(server).get_json(f"{server.url}/a", {"q": "1"}) == (200, {"is": "c"})
    assert [request.query for request in server.requests] == [
        {"q": "1", "api_key": KEY},
        {"page": "2", "api_key": KEY},
        {"api_key": KEY},
    ]


def test_bodies_of_redirects_are_not_read(server: Server) -> None:
    server.routes |= {"/a": Reply(status=302, headers={"Location": "/b"}, endless=True), "/b": Reply(b"yes")}
    assert make_client(server, max_attempts=1).get(f"{server.url}/a", 10).body == b"yes"


def test_circular_redirects(server: Server) -> None:
    server.routes["/a"] = redirect("/a")
    with pytest.raises(NotFoundError, match=f"{server.url}/a redirects more than 5 times"):
        make_client(server).get(f"{server.url}/a", 10)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://10.0.0.1/x", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("http://[::1]/x", "private network"),
        ("http://[::ffff:127.0.0.1]/x", "private network"),
        ("http://127.1:9/x", "private network"),
        ("http://2130706433/x", "private network"),
        ("http://localhost:9/x", "private network"),
        ("http://printer.local/x", "private network"),
        ("file:///etc/passwd", "is not an http or https address"),
        ("ftp://example.org/x", "is not an http or https address"),
        ("http://[bad/x", "is not an http or https address"),
        ("http://127.0.0.1:port/x", "is not an http or https address"),
    ],
)
def test_forbidden_redirects(server: Server, target: str, message: str) -> None:
    server.routes["/a"] = redirect(target)
    with pytest.raises(NotFoundError, match=message):
        make_client(server).get(f"{server.url}/a", 10)
    assert server.paths() == ["/a"]


def test_other_ports_of_a_trusted_private_host_are_forbidden(server: Server) -> None:
    with running_server() as other:
        server.routes["/a"] = redirect(f"{other.url}/b")
        with pytest.raises(NotFoundError, match="private network"):
            make_client(server).get_json(f"{server.url}/a", {})
        assert other.requests == []


def test_other_trusted_hosts_do_not_receive_the_key(server: Server) -> None:
    with running_server() as other:
        server.routes["/a"] = redirect(f"{other.url}/b")
        other.routes["/b"] = json_reply({"is": "b"})
        client = replace(make_client(server), trusted_urls=(server.url, other.url))
        assert client.get_json(f"{server.url}/a", {"q": "1"}) == (200, {"is": "b"})
        assert other.requests[0].query == {}
        assert KEY not in str(other.requests[0].headers)
        server.routes["/a"] = redirect(f"{other.url}/b?api_key={KEY}")
        with pytest.raises(NotFoundError, match="must not receive the API key") as caught:
            client.get_json(f"{server.url}/a", {})
        assert KEY not in str(caught.value)
        assert len(other.requests) == 1


def test_https_is_never_left(monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []

    def send(self: Client, url: str, max_bytes: int, params: object) -> HttpResponse:
        requested.append(url)
        return HttpResponse(302, {"location": "http://example.org/x"}, b"")

    monkeypatch.setattr(Client, "_send", send)
    with pytest.raises(NotFoundError, match="from https to unencrypted http"):
        Client(("https://api.example.org",)).get("https://api.example.org/a", 10)
    assert requested == ["https://api.example.org/a"]


def test_host_names_of_private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve_to(*addresses: str) -> None:
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)

    remove_proxies(monkeypatch)
    resolve_to("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")
    assert is_public("https://example.org/x")
    for private in ("192.168.1.7", "127.0.0.1", "fe80::1%eth0", "fd00::1", "100.64.0.1", "224.0.0.1", "0.0.0.0"):
        resolve_to("93.184.216.34", private)
        assert not is_public("https://example.org/x")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")  # resolves host names itself
    assert is_public("http://example.org/x")
    assert not is_public("http://192.168.1.7/x")


FAULTS = {
    "status": Reply(status=500),
    "silent": Reply(silent=True),
    "short": image_reply(missing_bytes=20),
    "html": Reply(KEY.encode()),
    "private": redirect(f"http://10.0.0.1/{KEY}?k={KEY}"),
    "scheme": redirect(f"ftp://{KEY}@example.org/{KEY}"),
    "long": Reply(b"x" * 99),
    "pause": Reply(status=429, headers={"Retry-After": "9999"}),
}


@pytest.mark.parametrize("reply", FAULTS.values(), ids=FAULTS)
def test_no_message_contains_the_key(server: Server, reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.routes["/x"] = reply
    client = make_client(server, max_attempts=2, read_timeout=0.1 if reply.silent else 60)
    assert KEY not in repr(client)
    with pytest.raises(DownloadError) as caught:
        client.get_json(f"{server.url}/x", {}, max_bytes=50)
    spellings = {KEY, "s3cret%2Fkey%2B1", "s3cret/key%2B1"}
    assert not any(spelling in f"{caught.value!r} {caught.value} {caplog.text}" for spelling in spellings)
    assert caught.value.__cause__ is None
    if not reply.silent:
        assert "/x?api_key=***" in caplog.text


def test_retries_are_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gnnrec.metadata")
    server.routes["/x"] = [Reply(status=503), Reply(b"yes")]
    make_client(server).get(f"{server.url}/x", 10)
    assert caplog.messages == [f"{server.url}/x answered 503; next attempt in 1.0 seconds"]


def test_invalid_settings() -> None:
    for url in ("ftp://example.org", "example.org/3", ""):
        with pytest.raises(ConfigError, match="is not a server address"):
            Client((url,))
    for name in vars(RequestPolicy()):
        with pytest.raises(ConfigError, match=f"{name} must be (a number above 0|an integer of at least 1)"):
            RequestPolicy(**{name: 0})
