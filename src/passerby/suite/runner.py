"""Run jobs in parallel worker processes, and forward signals to them."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from passerby.errors import ConfigError
from passerby.suite.jobs import Job, Step

__all__ = ["run_jobs"]

POLL_S = 0.2
SAME_SIGNAL_S = 0.5
"""Signals closer to each other count as one, as when a terminal closes."""

logger = logging.getLogger(__name__)


def run_jobs(jobs: Sequence[Job], logs: Path, *, at_once: int = 1) -> dict[str, str]:
    """Run the jobs that are not done. A failed job stops only the jobs that depend on it.

    Each step runs in its own process, which isolates crashes and releases all memory at its end. If there are
    several GPUs, parallel jobs run on one each. CPU threads are divided evenly between parallel jobs, unless
    `OMP_NUM_THREADS` sets the number for each. The first Ctrl-C (or SIGTERM, or closed terminal) is forwarded
    to the processes: a training run then writes a checkpoint, from which the same call resumes. The second
    one kills the processes.

    Args:
        logs: Folder for the output of the worker processes, one file per job; a resumed job appends to it.
        at_once: Number of jobs to run in parallel.

    Returns:
        The reasons of failed jobs, by name.

    Raises:
        ConfigError: If `at_once` is less than 1.
        KeyboardInterrupt: After an interruption, once all worker processes have ended.
    """
    if at_once < 1:
        raise ConfigError(f"expected at least one job at once, got {at_once}")
    waiting = [job for job in jobs if not job.is_done]
    if done := len(jobs) - len(waiting):
        logger.info("%d of %d are already done", done, len(jobs))
    pool = _WorkerPool(logs, count_devices(), at_once=max(1, min(at_once, len(waiting))))
    failed: dict[str, str] = {}
    numbers = {job.name: f"{number} of {len(waiting)}" for number, job in enumerate(waiting, 1)}
    futures: dict[Future[str | None], Job] = {}
    with _count_signals() as signals, ThreadPoolExecutor(at_once) as threads:
        while waiting or futures:
            ready, waiting = _find_ready(waiting, running=futures.values(), failed=failed)
            futures |= {threads.submit(pool.run_job, job, numbers[job.name]): job for job in ready}
            for future in wait(futures, timeout=POLL_S, return_when=FIRST_COMPLETED).done:
                job = futures.pop(future)
                if (reason := future.result()) is not None:
                    failed[job.name] = reason
            pool.forward_signals(len(signals))
    if signals:
        raise KeyboardInterrupt
    return failed


def _find_ready(
    waiting: Sequence[Job], *, running: Iterable[Job], failed: dict[str, str]
) -> tuple[list[Job], list[Job]]:
    """Jobs that can start, and jobs that must wait; dependents of a failed job are added to `failed`."""
    unfinished = {job.name for job in (*waiting, *running)}
    ready, later = [], []
    for job in waiting:
        if causes := [name for name in job.after if name in failed]:
            failed[job.name] = f"it needs {causes[0]}, which failed"
            logger.info("%s: failed: %s", job.name, failed[job.name])
        elif unfinished.isdisjoint(job.after):
            ready.append(job)
        else:
            later.append(job)
    return ready, later


def count_devices() -> int:
    """Number of visible GPUs."""
    import torch

    return torch.cuda.device_count()


class _WorkerPool:
    """Runs jobs in several threads, each step in a process, and keeps track of the running processes."""

    def __init__(self, logs: Path, devices: int, *, at_once: int) -> None:
        self.logs, self.devices = logs, devices
        self.threads = max(1, len(os.sched_getaffinity(0)) // at_once)
        self.slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(at_once):
            self.slots.put(slot)
        self.running: set[subprocess.Popen[bytes]] = set()
        self._signals = 0
        self._lock = threading.Lock()

    def forward_signals(self, count: int) -> None:
        """Interrupt the running processes after the first signal and start no more; kill after the second."""
        with self._lock:
            if count > self._signals:
                for process in self.running:
                    process.send_signal(signal.SIGINT if count == 1 else signal.SIGKILL)
            self._signals = count

    def run_job(self, job: Job, number: str) -> str | None:
        """Run the steps of a job; returns the reason if it failed."""
        slot = self.slots.get()
        try:
            return self._run_steps(job, slot, number)
        except OSError as error:  # a full disk, a folder without write permission
            logger.info("%s: failed: %s", job.name, error)
            return str(error)
        finally:
            self.slots.put(slot)

    def _run_steps(self, job: Job, slot: int, number: str) -> str | None:
        if self._signals:
            return None
        logger.info("%s: started (%s)", job.name, number)
        start = time.monotonic()
        log = self.logs / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = self._create_environment(slot, job.devices)
        for step in job.steps:
            if step.is_done:
                continue
            step.prepare()
            begin = log.stat().st_size if log.exists() else 0
            code = self._run_process(step, log, environment)
            if self._signals:
                logger.info("%s: interrupted", job.name)
                return None
            if code or step.find_missing():
                reason = _explain(code, step, log, begin)
                logger.info("%s: failed: %s; see %s", job.name, reason, log)
                return reason
            step.complete()
        logger.info("%s: done in %.1f min", job.name, (time.monotonic() - start) / 60)
        return None

    def _run_process(self, step: Step, log: Path, environment: Mapping[str, str]) -> int:
        with log.open("ab") as output:
            with self._lock:
                if self._signals:
                    return 1
                process = subprocess.Popen(  # noqa: S603 - a module of this package
                    [sys.executable, "-m", "passerby.suite.worker", str(step.stamp)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,  # Ctrl-C reaches only the parent, which forwards it once
                )
                self.running.add(process)
            code = process.wait()
            with self._lock:
                self.running.discard(process)
        return code

    def _create_environment(self, slot: int, devices: int) -> dict[str, str]:
        environment = {"OMP_NUM_THREADS": str(self.threads), **os.environ}
        if self.devices > 1 and devices == 1:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = visible.split(",") if visible else [str(each) for each in range(self.devices)]
            environment["CUDA_VISIBLE_DEVICES"] = names[slot % self.devices]
        return environment


@contextmanager
def _count_signals() -> Iterator[list[float]]:
    """Times of the signals that ask to stop, collected where Python handles signals (the main thread).

    Ignored signals stay ignored: `nohup` ignores SIGHUP, and a shell that starts a background process may
    ignore SIGINT.
    """
    received: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(*_: object) -> None:
        now = time.monotonic()
        if not received or now - received[-1] > SAME_SIGNAL_S:
            received.append(now)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, receive) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explain(code: int, step: Step, log: Path, begin: int) -> str:
    """The reason of a failure: a signal, a missing output, or the error message in the log."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    if code == 0:
        return f"it ended without writing {step.find_missing()[0]}"
    text = log.read_bytes()[begin:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [i for i, line in enumerate(lines) if line.startswith("passerby: ")]
    return "\n    ".join(lines[errors[-1] :] if errors else lines[-1:]) or f"exit status {code}"
