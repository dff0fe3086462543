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

from gnnrec._checks import counted
from gnnrec.service.records import Job
from gnnrec.service.retraining import profile_tables
from gnnrec.service.served import ModelHolder
from gnnrec.service.store import Store

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

    def retrain(self, epochs: int | None = None, seed: int | None = None, profiles: bool = False) -> Job:
        """Start training the run again.

        Parameters
        ----------
        epochs, seed : int, optional
            By default those of the run.
        profiles : bool
            Train on the ratings of the profiles, too.

        Raises
        ------
        ConflictError
            Another job is running.
        """
        job = self._store.start_job()
        command = [sys.executable, "-m", "gnnrec.service.retraining", str(Path(self._holder.run).absolute())]
        command += [] if epochs is None else [f"--epochs={epochs}"]
        command += [] if seed is None else [f"--seed={seed}"]
        self._thread = threading.Thread(
            target=self._follow, args=(job.id, command, profiles), name="gnnrec-job", daemon=True
        )
        self._thread.start()
        return job

    def close(self) -> None:
        """Cancel a running job; the run is unchanged."""
        process, self._is_closed = self._process, True
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(timeout=20)

    def _follow(self, job_id: int, command: list[str], profiles: bool) -> None:
        problem = "training failed; see the log of the service"
        done = threading.Event()
        beat = threading.Thread(target=self._beat, args=(job_id, done), daemon=True)
        beat.start()
        try:
            tables = profile_tables(self._holder.served, self._store.histories()) if profiles else None
            self._process = process = subprocess.Popen(
                [*command, "--profiles"] if profiles else command,
                stdin=subprocess.PIPE if profiles else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            assert process.stdout is not None
            if process.stdin is not None:
                with process.stdin:
                    json.dump(tables, process.stdin)
            for line in process.stdout:
                event = json.loads(line)
                if "error" in event:
                    problem = event["error"]
                else:
                    self._store.update_job(job_id, step=event["step"], steps=event["steps"], message=event["message"])
            if process.wait() == 0:
                self._holder.refresh()
                message = "the new model answers"
                if tables is not None:
                    message += f"; it was trained on the ratings of {counted(len(tables['users']), 'profile')}, too"
                self._store.update_job(job_id, state="done", message=message)
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
