"""Load test of `gnnrec serve`: clients that ask for lists of new people, a given number of requests on this machine.

    gnnrec serve runs/latest --rate-limit 0 &
    python benchmarks/bench_service.py --clients 8 --requests 20000 --ratings 20

Prints requests a second, percentiles of the time of an answer, errors, and, if the server's process is named with
--pid, its memory and the processor time of a request. The clients are threads of one process with sockets of their own
that send requests that were made before, so that they take little of the processor from the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import threading
import time
from pathlib import Path


def make_requests(host: str, port: int, num: int, num_ratings: int, k: int) -> list[bytes]:
    """Return whole requests for new people with ratings of random movies, half of them well known."""
    connection = http.client.HTTPConnection(host, port)
    connection.request(
        "POST", "/api/v1/recommend", json.dumps({"users": [{}], "k": 200}), {"content-type": "application/json"}
    )
    movies = [movie["id"] for movie in json.load(connection.getresponse())["lists"][0]["movies"]]
    rng = random.Random(0)
    made = []
    for _ in range(num):
        rated = rng.sample(movies, min(num_ratings, len(movies)))
        ratings = [{"movie": movie, "rating": rng.randint(1, 5)} for movie in rated]
        body = json.dumps({"users": [{"ratings": ratings}], "k": k}).encode()
        head = f"POST /api/v1/recommend HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


def read_answer(file: object) -> int:
    """Read one answer and return its status."""
    status = int(file.readline().split()[1])  # type: ignore[attr-defined]
    length = 0
    while (line := file.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    file.read(length)  # type: ignore[attr-defined]
    return status


def run_client(
    host: str, port: int, requests: list[bytes], num: int, start: int, times: list[float], errors: list[int]
) -> None:
    """Send `num` requests one after another."""
    with socket.create_connection((host, port)) as sock, sock.makefile("rb") as file:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(num):
            begun = time.perf_counter()
            sock.sendall(requests[(start + place) % len(requests)])
            status = read_answer(file)
            times.append(time.perf_counter() - begun)
            if status != 200:
                errors.append(status)


def memory(pid: int | None) -> float:
    """Return the resident memory of a process in MiB."""
    if pid is None:
        return float("nan")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def processor_seconds(pid: int | None) -> float:
    """Return the processor time that a process has used."""
    if pid is None:
        return float("nan")
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    host: str = "127.0.0.1",
    port: int = 8000,
    clients: int = 8,
    requests: int = 20_000,
    ratings: int = 20,
    k: int = 10,
    pid: int | None = None,
) -> dict[str, float]:
    """Return the figures of a load test."""
    made = make_requests(host, port, 500, ratings, k)
    before, used = memory(pid), processor_seconds(pid)
    times: list[list[float]] = [[] for _ in range(clients)]
    errors: list[int] = []
    share = requests // clients
    threads = [
        threading.Thread(target=run_client, args=(host, port, made, share, 61 * n, times[n], errors))
        for n in range(clients)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    used = processor_seconds(pid) - used
    ordered = sorted(value for one in times for value in one)

    def percentile(share_below: float) -> float:
        return 1000 * ordered[min(len(ordered) - 1, int(share_below * len(ordered)))]

    return {
        "requests": len(ordered),
        "errors": len(errors) + share * clients - len(ordered),
        "requests_per_second": round(len(ordered) / seconds, 1),
        "p50_ms": round(percentile(0.5), 2),
        "p99_ms": round(percentile(0.99), 2),
        "max_ms": round(1000 * ordered[-1], 2),
        "processor_ms_per_request": round(1000 * used / len(ordered), 2),
        "memory_before_mib": round(before, 1),
        "memory_after_mib": round(memory(pid), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    for name, default in (("port", 8000), ("clients", 8), ("requests", 20_000), ("ratings", 20), ("k", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--pid", type=int, help="process of the server, to measure its memory")
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
