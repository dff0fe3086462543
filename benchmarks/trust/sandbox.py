"""Runs many trials in worker processes: crashes, hangs, memory and raw errors of a trial are found and told apart."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gnnrec
from gnnrec.errors import GnnrecError

logger = logging.getLogger(__name__)
"""Tells failures as they are found."""
SECONDS = 30.0
"""A trial that takes longer hangs; time that it waits for a processor does not count."""
FACTOR, ALLOWANCE = 3, 64 << 20
"""Memory of a trial: three times its input, and a fixed allowance, in bytes."""
ADDRESS_SPACE = 6 << 30
"""Limit of what a worker can take beyond its size at the start, so that a bomb hurts nobody else."""
LONGEST = 2000
"""Characters of a clear message."""
MAX_LISTED = 40
"""Failures of one kind that a report lists in full."""
PACKAGE = f"{Path(gnnrec.__file__).parent}{os.sep}"


class WrongAnswerError(Exception):
    """A trial returned something that is not right."""


@dataclass
class Summary:
    """What became of some trials."""

    tried: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def survived(self) -> int:
        """Number of trials that ended in a right answer or a clear error."""
        return self.tried - sum(self.counts.values())

    def add(self, label: str, outcome: dict[str, Any]) -> None:
        """Count an outcome."""
        self.tried += 1
        kind = outcome["kind"]
        self.kinds[kind] += 1
        if kind in ("answer", "refused"):
            return
        group = label.partition("#")[0].partition(" = ")[0]
        detail = f"{group}: {outcome.get('where', '')} {outcome.get('detail', '')[:40]}"
        self.counts[detail] += 1
        if self.counts[detail] <= 2:
            logger.info("%s: %s, %s %s", label, kind, outcome.get("where", ""), outcome.get("detail", ""))
        if self.counts[detail] <= 2 and len(self.failures) < 10 * MAX_LISTED:
            self.failures.append({"trial": label, **outcome})

    def merge(self, other: Summary) -> None:
        """Add the trials of another summary."""
        self.tried += other.tried
        self.kinds += other.kinds
        self.counts += other.counts
        self.failures += other.failures

    def report(self) -> dict[str, Any]:
        """Return ``tried, survived, kinds, failures`` as plain values."""
        return {
            "tried": self.tried,
            "survived": self.survived,
            "kinds": dict(self.kinds),
            "failures": self.failures[:MAX_LISTED],
        }


def judge(call: Callable[[], Any], *, types: bool = False) -> dict[str, Any]:
    """Call a function and say how it ended: ``answer``, ``refused``, ``raw``, ``wrong`` or ``unclear``.

    Parameters
    ----------
    call : callable
        Raises `WrongAnswerError` for a result that is not right.
    types : bool
        Whether a TypeError is a clear answer to arguments of a wrong type; that of a signature always is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            call()
    except WrongAnswerError as error:
        return {"kind": "wrong", "detail": str(error)[:500], "where": ""}
    except GnnrecError as error:
        text = str(error)
        if not text.strip() or len(text) > LONGEST:
            return {"kind": "unclear", "detail": f"{len(text)} characters: {text[:200]}", "where": _where(error)}
        if any(character < " " and character not in "\n\t" for character in text):
            return {"kind": "unclear", "detail": f"control characters: {text[:200]!r}", "where": _where(error)}
        return {"kind": "refused", "detail": text[:200]}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if types and _is_misuse(error):
            return {"kind": "refused", "detail": str(error)[:200]}
        return {"kind": "raw", "detail": f"{type(error).__name__}: {str(error)[:300]}", "where": _where(error)}
    return {"kind": "answer"}


def _is_misuse(error: BaseException) -> bool:
    """Return whether an error is a TypeError of a signature: raised where the package was called, not inside of it."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, TypeError) and not any(frame.filename.startswith(PACKAGE) for frame in frames)


def _where(error: BaseException) -> str:
    """Return the last line of the package in a traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)]
    return f"{frames[-1].filename.removeprefix(PACKAGE)}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


def memory() -> tuple[int, int]:
    """Return the resident memory of this process and its highest value since `forget_peak`, in bytes."""
    values = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(("VmRSS:", "VmHWM:")):
                values[line[:5]] = int(line.split()[1]) << 10
    return values.get("VmRSS", 0), values.get("VmHWM", 0)


def forget_peak() -> None:
    """Start to measure the highest memory anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def waited(process: int | str = "self") -> float:
    """Return the seconds for which a process was ready and had no processor, 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes
    ----------
    label : str
        Group and number, ``csv#17``, from which it can be repeated.
    call : callable
    size : int
        Bytes of its input.
    types : bool
        As for `judge`.
    """

    label: str
    call: Callable[[], Any]
    size: int = 0
    types: bool = False


def run_trial(trial: Trial) -> dict[str, Any]:
    """Run a trial in this process."""
    forget_peak()
    before = memory()[0]
    start = time.monotonic() - waited()  # a busy machine is no hang
    outcome = judge(trial.call, types=trial.types)
    took, peak = time.monotonic() - waited() - start, memory()[1]
    if outcome["kind"] in ("answer", "refused"):
        if peak - before > FACTOR * trial.size + ALLOWANCE:
            used = f"{(peak - before) >> 20} MiB for {trial.size >> 10} KiB"
            outcome = {"kind": "memory", "detail": f"{used}: {outcome.get('detail', '')}", "where": ""}
        elif took > SECONDS:
            outcome = {"kind": "hang", "detail": f"{took:.0f} s", "where": ""}
    return outcome


def run_trials(
    make: Callable[[int], Trial], numbers: range, end: float = float("inf"), summary: Summary | None = None
) -> Summary:
    """Run the trials of some numbers in forked workers until a time of `time.monotonic`.

    A worker that dies or hangs is replaced, and its trial is a failure.
    """
    summary = Summary() if summary is None else summary
    place = numbers.start
    while place < numbers.stop and time.monotonic() < end:
        place = _run_worker(make, range(place, numbers.stop), end, summary)
    return summary


def _run_worker(make: Callable[[int], Trial], numbers: range, end: float, summary: Summary) -> int:
    """Run trials in one worker; return the number of the next one."""
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _work(make, numbers, end, write)
    os.close(write)
    number, label = numbers.start, ""
    try:
        with os.fdopen(read, "rb") as pipe:
            for message in _messages(pipe, child):
                if message is None:
                    os.kill(child, signal.SIGKILL)
                    summary.add(label, {"kind": "hang", "detail": f"over {SECONDS:g} s", "where": ""})
                    return number + 1
                if "start" in message:
                    number, label = message["start"], message["label"]
                elif "done" in message:
                    return numbers.stop
                elif "pause" in message:
                    return int(message["pause"])
                else:
                    summary.add(label, message)
                    label = ""
    finally:
        _, status = os.waitpid(child, 0)
    if not label:
        return number + 1
    summary.add(label, {"kind": "crash", "detail": f"the process ended with status {status}", "where": ""})
    return number + 1


def _messages(pipe: Any, child: int) -> Iterator[dict[str, Any] | None]:
    """Yield what a worker says; None if it is silent for too long."""
    descriptor, rest = pipe.fileno(), b""
    heard = time.monotonic() - waited(child)
    while True:
        if not select.select([descriptor], [], [], 2 * SECONDS)[0]:
            if time.monotonic() - waited(child) - heard < 2 * SECONDS:
                continue
            yield None
            return
        heard = time.monotonic() - waited(child)
        block = os.read(descriptor, 1 << 16)
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _work(make: Callable[[int], Trial], numbers: range, end: float, pipe: int) -> None:
    """Run trials and report each; never returns."""
    status = 1
    try:
        _limit_memory()
        gc.disable()
        gc.freeze()  # what was there before the fork

        def tell(**message: Any) -> None:
            os.write(pipe, json.dumps(message).encode() + b"\n")

        for count, number in enumerate(numbers):
            if time.monotonic() > end:
                break
            if count >= 300:  # a fresh process: what libraries leak is not counted as that of a trial
                tell(pause=number)
                os._exit(0)
            trial = make(number)
            tell(start=number, label=trial.label)
            tell(**run_trial(trial))
            if count % 20 == 0:
                gc.collect()
        tell(done=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, size + ADDRESS_SPACE))
