"""The client is polite and patient with servers, careful with answers, and silent about the key."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.helpers.fetch_server import QUICK, Reply, Server, as_json, image, picture, running

from gnnrec.errors import ConfigError, DownloadError
from gnnrec.features.fetch import Manners
from gnnrec.features.fetch.addresses import is_public
from gnnrec.features.fetch.http import Answer, Client
from gnnrec.features.fetch.manners import AbsentError, ExhaustedError, UnreachableError

KEY = "s3cret/key+1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with running() as server:
        yield server


def client_of(server: Server, manners: Manners = QUICK) -> Client:
    return Client((server.url,), KEY, {"Authorization": f"Bearer {KEY}"}, {"api_key": KEY}, manners)


def test_a_good_answer(server: Server) -> None:
    server.routes["/movie"] = as_json({"title": "Heat", "echo": f"you sent {KEY}"})
    assert client_of(server).json(f"{server.url}/movie", {"q": "a b"}) == (
        200,
        {"title": "Heat", "echo": "you sent ***"},
    )
    [asked] = server.asked
    assert asked.query == {"q": "a b", "api_key": KEY}
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["User-Agent"] == "gnnrec"


def test_pictures_are_fetched_without_the_key(server: Server) -> None:
    server.routes["/1.jpg"] = image()
    answer = client_of(server).get(f"{server.url}/1.jpg", 10_000)
    assert answer == Answer(200, answer.headers, picture())
    assert answer.headers["content-type"] == "image/jpeg"
    assert server.asked[0].query == {}
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_servers_are_asked_again(server: Server, status: int) -> None:
    server.routes["/x"] = [Reply(status=status), Reply(status=status), Reply(b"yes")]
    assert client_of(server).get(f"{server.url}/x", 10).body == b"yes"
    assert len(server.asked) == 3


def test_giving_up(server: Server) -> None:
    server.routes["/x"] = Reply(status=500)
    with pytest.raises(UnreachableError, match=rf"{server.url}/x answers 500 \(3 attempts\)"):
        client_of(server).get(f"{server.url}/x?hidden=1", 10)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_final_answers_are_not_asked_for_again(server: Server, status: int) -> None:
    server.routes["/x"] = Reply(b"no", status)
    assert client_of(server).get(f"{server.url}/x", 10).status == status
    assert len(server.asked) == 1


def test_pauses_grow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    server.routes["/x"] = Reply(status=503)
    with pytest.raises(UnreachableError):
        client_of(server, replace(QUICK, backoff=0.1)).get(f"{server.url}/x", 10)
    first, second, third = (asked.at for asked in server.asked)
    assert 0.15 <= second - first < 0.28
    assert 0.3 <= third - second < 0.6


def test_retry_after_is_kept_to(server: Server) -> None:
    server.routes["/x"] = [Reply(status=429, headers={"Retry-After": "1"}), Reply(b"yes")]
    assert client_of(server).get(f"{server.url}/x", 10).body == b"yes"
    assert server.asked[1].at - server.asked[0].at >= 1


@pytest.mark.parametrize("header", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_long_pause_ends_the_run(server: Server, header: str) -> None:
    server.routes["/x"] = Reply(status=429, headers={"Retry-After": header})
    with pytest.raises(ExhaustedError, match=r"answers 429 and asks to come back in [\d,]+ seconds"):
        client_of(server).get(f"{server.url}/x", 10)
    assert len(server.asked) == 1


def test_an_odd_retry_after_is_ignored(server: Server) -> None:
    server.routes["/x"] = [Reply(status=429, headers={"Retry-After": "soon"}), Reply(b"yes")]
    assert client_of(server).get(f"{server.url}/x", 10).body == b"yes"


def test_pace_per_host(server: Server) -> None:
    server.routes["/x"] = Reply(b"yes")
    client = client_of(server, replace(QUICK, per_second=20))
    for _ in range(4):
        client.get(f"{server.url}/x", 10)
    times = [asked.at for asked in server.asked]
    assert times[-1] - times[0] >= 0.14
    start = time.monotonic()
    client._pace("elsewhere.example")
    assert time.monotonic() - start < 0.04


def test_silence_and_dripping_end_in_time(server: Server) -> None:
    once = replace(QUICK, attempts=1)
    server.routes |= {"/silent": Reply(b"late", wait=2), "/drip": Reply(b"x" * 100, drip=0.05)}
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="/silent cannot be fetched: no answer in time"):
        client_of(server, once).get(f"{server.url}/silent", 10)
    assert 0.25 < time.monotonic() - start < 0.8
    start = time.monotonic()
    with pytest.raises(UnreachableError, match=r"/drip cannot be fetched: no answer in 0.9 seconds"):
        client_of(server, once).get(f"{server.url}/drip", 1000)
    assert 0.8 < time.monotonic() - start < 1.5


def test_after_a_hang_the_client_goes_on(server: Server) -> None:
    server.routes["/x"] = [Reply(b"x" * 100, drip=0.1), Reply(b"yes")]
    assert client_of(server).get(f"{server.url}/x", 1000).body == b"yes"


def test_broken_off_is_tried_again(server: Server) -> None:
    server.routes["/x"] = [image(cut=20), image()]
    assert client_of(server).get(f"{server.url}/x", 10_000).body == picture()
    server.routes["/x"] = image(cut=20)
    with pytest.raises(UnreachableError, match=r"cannot be fetched: .*IncompleteRead"):
        client_of(server).get(f"{server.url}/x", 10_000)


def test_huge_answers_are_not_read(server: Server) -> None:
    server.routes |= {"/endless": Reply(endless=True), "/long": Reply(b"x" * 1001)}
    start = time.monotonic()
    for path in ("/endless", "/long"):
        with pytest.raises(AbsentError, match=f"{server.url}{path} has more than 1,000 bytes"):
            client_of(server).get(f"{server.url}{path}", 1000)
    assert time.monotonic() - start < 0.9
    server.routes["/long"] = Reply(b"x" * 1000)
    assert len(client_of(server).get(f"{server.url}/long", 1000).body) == 1000


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=f"{url}/x cannot be fetched: .*refused"):
            Client((url,), manners=QUICK).get(f"{url}/x", 10)


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[1, 2]", b"\xff\xfe", b"", b"null"])
def test_no_json(server: Server, body: bytes) -> None:
    server.routes["/x"] = Reply(body)
    with pytest.raises(UnreachableError, match=f"{server.url}/x answers 200 without JSON"):
        client_of(server).json(f"{server.url}/x", {})


def leading(target: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": target})


def test_redirects_are_followed(server: Server) -> None:
    server.routes |= {
        "/a": leading("/b?page=2", 301),
        "/b": leading(f"{server.url}/c", 307),
        "/c": as_json({"is": "c"}),
    }
    assert client_of(server).json(f"{server.url}/a", {"q": "1"}) == (200, {"is": "c"})
    assert [asked.query for asked in server.asked] == [
        {"q": "1", "api_key": KEY},
        {"page": "2", "api_key": KEY},
        {"api_key": KEY},
    ]


def test_what_stands_in_a_redirect_is_not_read(server: Server) -> None:
    server.routes |= {"/a": Reply(status=302, headers={"Location": "/b"}, endless=True), "/b": Reply(b"yes")}
    assert client_of(server, replace(QUICK, attempts=1)).get(f"{server.url}/a", 10).body == b"yes"


def test_redirects_in_a_circle(server: Server) -> None:
    server.routes["/a"] = leading("/a")
    with pytest.raises(AbsentError, match=f"{server.url}/a leads on more than 5 times"):
        client_of(server).get(f"{server.url}/a", 10)
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://10.0.0.1/x", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("http://[::1]/x", "private network"),
        ("http://[::ffff:127.0.0.1]/x", "private network"),
        ("http://127.1:9/x", "private network"),
        ("http://2130706433/x", "private network"),
        ("http://localhost:9/x", "private network"),
        ("http://printer.local/x", "private network"),
        ("file:///etc/passwd", "is no address"),
        ("ftp://example.org/x", "is no address"),
        ("http://[bad/x", "is no address"),
        ("http://127.0.0.1:port/x", "is no address"),
    ],
)
def test_redirects_to_nowhere(server: Server, target: str, words: str) -> None:
    server.routes["/a"] = leading(target)
    with pytest.raises(AbsentError, match=words):
        client_of(server).get(f"{server.url}/a", 10)
    assert server.paths() == ["/a"]


def test_another_port_of_this_machine_was_not_given(server: Server) -> None:
    with running() as other:
        server.routes["/a"] = leading(f"{other.url}/b")
        with pytest.raises(AbsentError, match="private network"):
            client_of(server).json(f"{server.url}/a", {})
        assert other.asked == []


def test_another_given_host_gets_no_key(server: Server) -> None:
    with running() as other:
        server.routes["/a"] = leading(f"{other.url}/b")
        other.routes["/b"] = as_json({"is": "b"})
        client = replace(client_of(server), trusted=(server.url, other.url))
        assert client.json(f"{server.url}/a", {"q": "1"}) == (200, {"is": "b"})
        assert other.asked[0].query == {}
        assert KEY not in str(other.asked[0].headers)
        server.routes["/a"] = leading(f"{other.url}/b?api_key={KEY}")
        with pytest.raises(AbsentError, match="is not to have the key") as caught:
            client.json(f"{server.url}/a", {})
        assert KEY not in str(caught.value)
        assert len(other.asked) == 1


def test_https_never_leads_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def once(self: Client, url: str, max_bytes: int, params: object) -> Answer:
        asked.append(url)
        return Answer(302, {"location": "http://example.org/x"}, b"")

    monkeypatch.setattr(Client, "_once", once)
    with pytest.raises(AbsentError, match="from https to something that anyone can read"):
        Client(("https://api.example.org",)).get("https://api.example.org/a", 10)
    assert asked == ["https://api.example.org/a"]


def test_names_of_private_addresses(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    def resolved(*addresses: str) -> None:
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)

    resolved("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")
    assert is_public("https://example.org/x")
    for private in ("192.168.1.7", "127.0.0.1", "fe80::1%eth0", "fd00::1", "100.64.0.1", "224.0.0.1", "0.0.0.0"):
        resolved("93.184.216.34", private)
        assert not is_public("https://example.org/x")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")  # which resolves names itself
    assert is_public("http://example.org/x")
    assert not is_public("http://192.168.1.7/x")


def test_no_message_holds_the_key(server: Server) -> None:
    server.routes |= {
        "/500": Reply(status=500),
        "/silent": Reply(wait=2),
        "/short": image(cut=20),
        "/html": Reply(KEY.encode()),
        "/away": leading(f"http://10.0.0.1/{KEY}?k={KEY}"),
        "/odd": leading(f"ftp://{KEY}@example.org/{KEY}"),
        "/long": Reply(b"x" * 99),
        "/wait": Reply(status=429, headers={"Retry-After": "9999"}),
    }
    client = client_of(server, replace(QUICK, attempts=1))
    assert KEY not in repr(client)
    for path in server.routes:
        with pytest.raises(DownloadError) as caught:
            client.json(f"{server.url}{path}", {}, max_bytes=50)
        spellings = {KEY, "s3cret%2Fkey%2B1", "s3cret/key%2B1"}
        assert not any(spelling in f"{caught.value!r} {caught.value}" for spelling in spellings), path
        assert caught.value.__cause__ is None


def test_bad_settings() -> None:
    for bad in ("ftp://example.org", "example.org/3", ""):
        with pytest.raises(ConfigError, match="is no address of a server"):
            Client((bad,))
    for name in ("connect", "total", "attempts", "per_second"):
        with pytest.raises(ConfigError, match=f"{name} must be more than 0"):
            Manners(**{name: 0})
