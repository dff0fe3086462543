"""A download is verified and complete, or fails with a clear error and leaves no files behind."""

import hashlib
import io
import socket
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import (
    _download,
    download,
    find_dataset,
    load_dataset,
    locate_dataset,
    read_dataset,
    register_dataset,
)
from gnnrec.errors import ConfigError, DataError, DownloadError

CSV = b"userId,movieId,rating,timestamp\n1,10,4.5,1000\n"


def zipped(files: dict[str, bytes], *, link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
        if link is not None:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, "/etc/passwd")
    return buffer.getvalue()


GOOD = zipped({"ml-latest-small/": b"", "ml-latest-small/ratings.csv": CSV, "ml-latest-small/README.txt": b"hello"})


class Server(ThreadingHTTPServer):
    """Serves `files`; each of `failures` makes one request for a zip file fail."""

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failures: list[str] = []
        self.requests: list[str] = []
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve(self, content: bytes, md5: str | None = None, name: str = "ml-latest-small") -> None:
        self.files[f"/{name}.zip"] = content
        sum_line = f"{md5 or hashlib.md5(content).hexdigest()}  {name}.zip\n"
        self.files[f"/{name}.zip.md5"] = sum_line.encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        content = self.server.files.get(self.path)
        failure = self.server.failures.pop() if self.server.failures and self.path.endswith(".zip") else None
        if content is None or failure == "500":
            self.send_error(404 if content is None else 500)
            return
        if failure == "silent":
            self.server.stopping.wait()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if failure == "break" else content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(_download, "RETRY_DELAY", 0.01)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stopping.set()
        running.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, name: str = "ml-latest-small", timeout: float = 300.0) -> Path:
    return download(name, folder, base_url=server.url, timeout=timeout, progress=False)


def test_success_and_no_second_request(server: Server, tmp_path: Path) -> None:
    server.serve(GOOD)
    target = fetch(server, tmp_path)
    assert target == tmp_path / "ml-latest-small"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"ratings.csv": CSV, "README.txt": b"hello"}
    assert [path.name for path in tmp_path.iterdir()] == ["ml-latest-small"]
    assert server.requests == ["/ml-latest-small.zip.md5", "/ml-latest-small.zip"]
    assert fetch(server, tmp_path) == target
    assert len(server.requests) == 2
    assert load_dataset(target).num_ratings == 1


def test_registered_checksums_are_not_requested(server: Server, tmp_path: Path) -> None:
    server.serve(zipped({"ml-1m/ratings.dat": b"1::1::1::1\n"}), name="ml-1m")
    with pytest.raises(DownloadError, match=r"ml-1m\.zip does not have the checksum md5:c4d9eecf"):
        fetch(server, tmp_path, "ml-1m")
    assert server.requests == ["/ml-1m.zip"]
    assert list(tmp_path.iterdir()) == []


def test_no_published_checksum(server: Server, tmp_path: Path) -> None:
    server.files["/ml-latest-small.zip"] = GOOD
    assert (fetch(server, tmp_path) / "ratings.csv").read_bytes() == CSV
    server.files["/ml-latest.zip.md5"] = b"<html>"
    with pytest.raises(DownloadError, match="contains no MD5 checksum"):
        fetch(server, tmp_path, "ml-latest")


def test_progress_bar_goes_to_standard_error(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.serve(GOOD)
    download("ml-latest-small", tmp_path, base_url=server.url)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ml-latest-small.zip" in captured.err


def test_dropped_connections_are_retried(server: Server, tmp_path: Path) -> None:
    server.serve(GOOD)
    server.failures = ["break", "500"]
    assert (fetch(server, tmp_path) / "ratings.csv").read_bytes() == CSV
    assert server.requests.count("/ml-latest-small.zip") == 3


BROKEN = {
    "404": (None, [], "responds 404", 1),
    "500": (GOOD, ["500"] * 9, "responds 500", 3),
    "breaks off": (GOOD, ["break"] * 9, "IncompleteRead", 3),
    "truncated": (GOOD[:-30], [], "damaged", 1),
    "no zip": (b"<html>please log in</html>", [], "damaged", 1),
    "bad crc": (GOOD.replace(b"hello", b"hellp").replace(b"\xcbH\xcd\xc9\xc9", b"\xcbH\xcd\xc9\xca"), [], "damaged", 1),
    "parent": (zipped({"ml/ratings.csv": CSV, "../evil": b"x"}), [], r"unsafe: member '\.\./evil'", 1),
    "hidden parent": (zipped({"ml/a/../../../evil": b"x"}), [], "unsafe", 1),
    "absolute": (zipped({"/evil": b"x"}), [], "unsafe", 1),
    "backslash": (zipped({"ml/..\\..\\evil": b"x"}), [], "unsafe", 1),
    "drive": (zipped({"C:\\evil": b"x"}), [], "unsafe", 1),
    "link": (zipped({"ml/ratings.csv": CSV}, link="ml/link"), [], "is a link", 1),
    "bomb": (zipped({"ml/ratings.csv": b"0" * 10_000_000}), [], "would unpack from", 1),
    "other": (
        zipped({"ml/song.txt": b"la"}),
        [],
        "contains no ratings.csv, so it is not the dataset 'ml-latest-small'",
        1,
    ),
}


@pytest.mark.parametrize(("content", "failures", "words", "attempts"), BROKEN.values(), ids=BROKEN)
def test_failures_leave_nothing(
    server: Server, tmp_path: Path, content: bytes | None, failures: list[str], words: str, attempts: int
) -> None:
    if content is not None:
        server.serve(content)
    server.failures = list(failures)
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(server, tmp_path / "into")
    assert f"{server.url}/ml-latest-small.zip" in str(caught.value)
    assert list((tmp_path / "into").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["into"]
    assert server.requests.count("/ml-latest-small.zip") == attempts
    server.serve(GOOD)
    server.failures = []
    assert (fetch(server, tmp_path / "into") / "ratings.csv").read_bytes() == CSV


def test_wrong_published_checksum(server: Server, tmp_path: Path) -> None:
    server.serve(GOOD, md5="0" * 32)
    with pytest.raises(DownloadError, match="does not have the checksum md5:00000000"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_closed_port_and_silent_server(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(DownloadError, match=f"{url}/ml-1m.zip cannot be fetched: .*refused"):
            download("ml-1m", tmp_path, base_url=url, progress=False)
    server.serve(GOOD)
    server.failures = ["silent"]
    with pytest.raises(DownloadError, match="no response in time; check the network and proxy settings"):
        fetch(server, tmp_path, timeout=0.2)


def test_unreachable_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("no_proxy", "NO_PROXY", "GNNREC_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        DownloadError,
        match=r"^https://files.*/ml-1m\.zip cannot be fetched: the proxy cannot be used: .*refused; check",
    ):
        download("ml-1m", tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"^ml-latest-small cannot be saved in .*file/data: .*another folder$"):
        fetch(server, tmp_path / "file" / "data")


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve(GOOD)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", no_space)
    with pytest.raises(DownloadError, match=r"ml-latest-small\.zip cannot be saved .*No space left.*; free disk space"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Recorder:
    """A progress hook that counts bytes."""

    def __init__(self) -> None:
        self.total: float | None = None
        self.done, self.resets, self.closed = 0, 0, False

    def update(self, num_bytes: int) -> None:
        self.done += num_bytes

    def reset(self) -> None:
        self.done = 0
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def test_progress_hook(server: Server, tmp_path: Path) -> None:
    server.serve(GOOD)
    server.failures = ["break"]
    hook = Recorder()
    download("ml-latest-small", tmp_path, base_url=server.url, progress=hook)
    assert (hook.total, hook.done, hook.closed) == (len(GOOD), len(GOOD), True)
    assert hook.resets == 2  # after the dropped connection, and by pooch at the end


@register_dataset("test-shop", url="https://example.org/files/shop.zip", folder_names=("shop",))
def shop(data_dir: Path | None = None, download: bool = True, minimum: float = 0) -> Dataset:
    dataset = read_dataset(locate_dataset("test-shop", data_dir, allow_download=download), "shop")
    return dataset.filtered(minimum) if minimum else dataset


def test_registered_dataset_of_your_own(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_download, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    monkeypatch.setenv("GNNREC_BASE_URL", server.url)
    with pytest.raises(DataError, match="test-shop is not on this machine; put it into data/test-shop"):
        load_dataset("test-shop", download=False)
    server.serve(zipped({"shop/ratings.csv": CSV + b"1,20,2,1001\n"}), name="shop")
    assert repr(load_dataset("test-shop")) == "Dataset('shop': 1 users, 2 movies, 2 ratings)"
    assert find_dataset("test-shop") == tmp_path / "cache" / "test-shop"
    assert load_dataset("test-shop", minimum=3).num_ratings == 1
    (tmp_path / "cache" / "test-shop").rename(tmp_path / "shop")
    assert load_dataset("test-shop", data_dir=tmp_path, download=False).num_ratings == 2
    with pytest.raises(ConfigError, match="unknown option maximum of dataset 'test-shop'; choose from minimum"):
        load_dataset("test-shop", maximum=3)
    with pytest.raises(ConfigError, match="dataset 'sample' cannot be downloaded: it was registered without a url"):
        download("sample")


def test_interrupted_download_can_be_repeated(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve(GOOD)

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pooch, "Unzip", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (fetch(server, tmp_path) / "ratings.csv").read_bytes() == CSV


def test_existing_folder_is_kept(server: Server, tmp_path: Path) -> None:
    server.serve(GOOD)
    (tmp_path / "ml-latest-small").mkdir()
    (tmp_path / "ml-latest-small" / "notes.txt").write_text("mine")
    with pytest.raises(DownloadError, match="cannot be replaced"):
        fetch(server, tmp_path)
    assert [path.name for path in (tmp_path / "ml-latest-small").iterdir()] == ["notes.txt"]


def test_default_locations(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_download, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    monkeypatch.setenv("GNNREC_BASE_URL", f"{server.url}/")
    server.serve(GOOD)
    with pytest.raises(DataError, match="not on this machine"):
        load_dataset("ml-latest-small", download=False)
    assert repr(load_dataset("ml-latest-small")) == "Dataset('ml-latest-small': 1 users, 1 movies, 1 ratings)"
    assert find_dataset("ml-latest-small") == tmp_path / "cache" / "ml-latest-small"
    with pytest.raises(ConfigError, match="unknown dataset 'netflix'; choose one of sample, ml-100k"):
        download("netflix")
