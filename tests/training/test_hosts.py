"""Two hosts, each in a network namespace of its own, train one network together by `torchrun`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import succeeds

WORDS = (
    "train", "--dataset", "sample", "--protocol", "random", "--set", "model.embedding_dim=8",
    "--set", "model.num_members=1", "--set", "train.epochs=2",
)  # fmt: skip
NETWORK = "10.203.0"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def two_hosts() -> Iterator[list[str]]:
    """Make two namespaces that a cable connects; yield their names, which are those of the ends of the cable."""
    names = [f"gr{os.getpid() % 100_000}{end}" for end in "ab"]
    with contextlib.ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
        for number, name in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", name)
            for link in ("lo", name):
                ip("-n", name, "link", "set", link, "up")
        yield names


def start(host: str, number: int, out: Path) -> subprocess.Popen[str]:
    """Start torchrun on a host; the first one keeps the list of those that take part."""
    launcher = (
        "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-id", "test", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"{NETWORK}.1:29400", "--local-addr", f"{NETWORK}.{number}",
        "--rdzv-conf", f"is_host={int(number == 1)}",
    )  # fmt: skip
    return subprocess.Popen(
        ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", *launcher,
         "-m", "gnnrec", *WORDS, "--out", str(out)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": host, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_hosts_are_one(tmp_path: Path) -> None:
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip")
    with contextlib.ExitStack() as stack:
        try:
            hosts = stack.enter_context(two_hosts())
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs the right to make network namespaces: {error.stderr.strip()}")
        running = [start(host, number, tmp_path / host) for number, host in enumerate(hosts, start=1)]
        for process in running:
            stack.callback(process.kill)
        outputs = [process.communicate(timeout=600)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert not (tmp_path / hosts[1]).exists()  # only the first process writes

    succeeds(*WORDS, "--out", str(tmp_path / "alone"))
    together, alone = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in (hosts[0], "alone"))
    assert len(alone["history"]) == 2
    losses = [[epoch["loss"] for epoch in found["history"]] for found in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    rows = [{(row["metric"], row["k"]): row["mean"] for row in found["report"]["test"]} for found in (together, alone)]
    assert rows[0] == pytest.approx(rows[1], abs=1e-3)
    assert rows[1]["ndcg", 20] > 0.2
