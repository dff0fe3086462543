"""`Jobs`: retrains the run in a separate process, while the old one is in use.

The new run replaces the folder atomically; every process that serves it notices and loads it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

from gnnrec.service.served import ModelHolder
from gnnrec.service.store import Job, Store

logger = logging.getLogger(__name__)

HEARTBEAT = 10.0
"""Seconds between heartbeats of a job."""


class Jobs:
    """Starts and follows jobs.

    Parameters
    ----------
    store : Store
    holder : ModelHolder
    """

    def __init__(self, store: Store, holder: ModelHolder) -> None:
        self._store, self._holder = store, holder
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def retrain(self, epochs: int | None = None, seed: int | None = None) -> Job:
        """Start training the run again on its own ratings.

        Raises
        ------
        ConflictError
            Another job is running.
        """
        job = self._store.start_job()
        command = [sys.executable, "-m", "gnnrec.service.retraining", str(Path(self._holder.run).absolute())]
        command += [] if epochs is None else [f"--epochs={epochs}"]
        command += [] if seed is None else [f"--seed={seed}"]
        self._thread = threading.Thread(target=self._follow, args=(job.id, command), name="gnnrec-job", daemon=True)
        self._thread.start()
        return job

    def close(self) -> None:
        """Cancel a running job; the run is unchanged."""
        process, self._is_closed = self._process, True
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(timeout=20)

    def _follow(self, job_id: int, command: list[str]) -> None:
        problem = "training failed; see the log of the service"
        done = threading.Event()
        beat = threading.Thread(target=self._beat, args=(job_id, done), daemon=True)
        beat.start()
        try:
            self._process = process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if "error" in event:
                    problem = event["error"]
                else:
                    self._store.update_job(job_id, step=event["step"], steps=event["steps"], message=event["message"])
            if process.wait() == 0:
                self._holder.refresh()
                self._store.update_job(job_id, state="done", message="the new model answers")
            else:
                problem = "the service was stopped" if self._is_closed else problem
                self._store.update_job(job_id, state="failed", message=problem)
        except Exception:
            logger.exception("job %d failed", job_id)
            if self._process is not None:
                self._process.kill()
            self._store.update_job(job_id, state="failed", message=problem)
        finally:
            done.set()
            self._process = None

    def _beat(self, job_id: int, done: threading.Event) -> None:
        while not done.wait(HEARTBEAT):
            self._store.update_job(job_id)
