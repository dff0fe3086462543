"""Kill `gnnrec serve` again and again while clients write, and count what it had acknowledged and lost.

    python benchmarks/kill_service.py runs/latest --kills 50 --clients 4

Each client creates profiles, rates films, changes and removes ratings, and notes what was acknowledged. After a random
number of writes, at any moment of the next ones, the process gets SIGKILL. Then the database is read: every
acknowledged change must be there; only the request that was under way may be there or not. The next process continues
with the same database.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_WAIT = 600.0
"""Seconds that a service may take to start, on a machine that does other things, too."""
LISTENING = re.compile(r"running on http://127\.0\.0\.1:(\d+)")
"""Message of the service with the port that it was given."""
STARS = (1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass
class Client:
    """What one client has written: stars by profile and movie, None for a removed rating."""

    name: str
    movies: list[int]
    rng: random.Random
    known: dict[int, dict[int, float | None]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    pending: tuple[int, int, float | None] | None = None
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self, port: int) -> None:
        """Write until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            while True:
                self._write(connection)
        except (OSError, http.client.HTTPException):
            connection.close()

    def _write(self, connection: http.client.HTTPConnection) -> None:
        if not self.known or self.rng.random() < 0.1:
            name = f"{self.name} {len(self.names)} {self.rng.random()}"
            made = self._ask(connection, "POST", "/profiles", {"name": name}, 201)
            self.known[made["id"]] = {}
            self.names.add(name)
            return
        profile = self.rng.choice(list(self.known))
        movie, rated = self.rng.choice(self.movies), self.known[profile]
        stars = None if rated.get(movie) is not None and self.rng.random() < 0.3 else self.rng.choice(STARS)
        self.pending = (profile, movie, stars)
        path = f"/profiles/{profile}/ratings"
        if stars is None:
            self._ask(connection, "DELETE", f"{path}/{movie}", None, 204)
        else:
            self._ask(connection, "PUT", path, {"ratings": [{"movie": movie, "stars": stars}]}, 200)
        rated[movie] = stars
        self.pending = None

    def _ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any, status: int) -> Any:
        data = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v1{path}", data, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != status:
            self.wrong.append(f"{method} {path}: {answer.status} {text[:200]!r}")
            raise http.client.HTTPException
        self.acknowledged += 1
        return json.loads(text) if text else None

    def lost(self, names: set[str], stored: dict[tuple[int, int], float]) -> list[str]:
        """Return what the database lacks of the acknowledged changes; takes over the state of the pending one."""
        if self.pending is not None:
            profile, movie, wanted = self.pending
            found = stored.get((profile, movie))
            if found in (wanted, self.known[profile].get(movie)):
                self.known[profile][movie] = found
            self.pending = None
        problems = [f"profile {name!r}" for name in self.names - names]
        for profile, rated in self.known.items():
            for movie, stars in rated.items():
                if stored.get((profile, movie)) != stars:
                    problems.append(f"{stars} stars for {movie} of {profile}: {stored.get((profile, movie))}")
        return problems


def read(database: Path) -> tuple[set[str], dict[tuple[int, int], float], str]:
    """Return names, stars by profile and movie, and the result of SQLite's check of the file."""
    connection = sqlite3.connect(database)
    try:
        names = {row[0] for row in connection.execute("SELECT name FROM profiles")}
        rows = connection.execute("SELECT profile_id, movie_id, stars FROM ratings")
        stored = {(profile, int(movie)): stars for profile, movie, stars in rows}
        return names, stored, str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def start(run: str, database: Path, wait: float = MAX_WAIT) -> tuple[subprocess.Popen[bytes], int]:
    """Start a service on a free port and wait until it is ready; its messages go to ``service.log`` by the database.

    Raises
    ------
    RuntimeError
        The service ends, or is not ready within `wait` seconds; with the last lines that it wrote.
    """
    log = database.with_name("service.log")
    command = [sys.executable, "-m", "gnnrec", "serve", run, "--port", "0", "--db", f"sqlite:///{database}"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--rate-limit", "0"], stderr=file)
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < wait:
        found = LISTENING.search(log.read_text(errors="replace"))
        if found and is_ready(int(found[1])):
            return process, int(found[1])
        time.sleep(0.05)
    code = process.poll()
    process.kill()
    process.wait()
    what = f"was not ready after {wait:g} seconds" if code is None else f"ended with code {code}"
    lines = log.read_text(errors="replace").splitlines()[-20:]
    raise RuntimeError("\n".join([f"the service {what}; it wrote:", *lines]))


def is_ready(port: int) -> bool:
    """Return whether a service answers that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/api/v1/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def count(writers: list[Client]) -> int:
    """Return the number of acknowledged writes."""
    return sum(writer.acknowledged for writer in writers)


def measure(run: str, database: Path, kills: int = 50, clients: int = 4, seed: int = 0) -> dict[str, Any]:
    """Return how many changes were acknowledged and which were lost."""
    rng = random.Random(seed)
    writers = [Client(f"client {n}", list(range(1, 31)), random.Random(seed + n + 1)) for n in range(clients)]
    lost: list[str] = []
    damaged = 0
    seconds: list[float] = []
    for _ in range(kills):
        begun = time.monotonic()
        process, port = start(run, database)
        seconds.append(time.monotonic() - begun)
        try:
            threads = [threading.Thread(target=writer.run, args=(port,)) for writer in writers]
            wanted = count(writers) + rng.randint(10, 60)
            for thread in threads:
                thread.start()
            while count(writers) < wanted and any(thread.is_alive() for thread in threads):
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.05))  # other writes are under way
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for thread in threads:
            thread.join()
        names, stored, state = read(database)
        damaged += state != "ok"
        lost += [problem for writer in writers for problem in writer.lost(names, stored)]
    return {
        "kills": kills,
        "acknowledged": count(writers),
        "lost": lost,
        "damaged_files": damaged,
        "longest_start_seconds": round(max(seconds, default=0.0), 1),
        "other_answers": [text for writer in writers for text in writer.wrong],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    for name, default in (("kills", 50), ("clients", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.pop("run"), Path(folder) / "people.db", **given), indent=2))


if __name__ == "__main__":
    main()
