"""Commands of `passerby` as processes of their own, several at once, each done once."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passerby.errors import ConfigError
from passerby.io import hash_file, replace_file

__all__ = ["Job", "Step", "run_jobs"]

PATIENCE_S = 0.2
SAME_WISH_S = 0.5
"""Signals so close to each other are one planned to end, as when a terminal closes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and how to know that it is done.

    It is done if `stamp` says that this very command made these very outputs from these very inputs.

    Args:
        arguments: Of `passerby`.
        inputs: Files that decide what comes out.
        outputs: Files that are there once the command is done.
        stamp: The file that says so.
        resumes: Whether the command goes on with what it finds; else old outputs are removed before it.
    """

    arguments: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    stamp: Path
    resumes: bool = False

    @property
    def is_done(self) -> bool:
        """Whether stamp, command, inputs and outputs agree."""
        if not self.stamp.is_file() or self.find_missing():
            return False
        try:
            kept = json.loads(self.stamp.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return bool(kept == self._describe())

    def find_missing(self) -> list[Path]:
        """Inputs and outputs that are not there."""
        return [path for path in (*self.inputs, *self.outputs) if not path.is_file()]

    def clear(self) -> None:
        """Take away the stamp, and what an earlier command left, before the command starts."""
        for path in (self.stamp, *(() if self.resumes else self.outputs)):
            path.unlink(missing_ok=True)

    def sign(self) -> None:
        """Write the stamp."""
        with replace_file(self.stamp) as temporary:
            temporary.write_text(json.dumps(self._describe(), indent=1) + "\n", encoding="utf-8")

    def _describe(self) -> dict[str, object]:
        hashes = {str(path): hash_file(path) for path in (*self.inputs, *self.outputs)}
        return {"arguments": list(self.arguments), "sha256": hashes}


@dataclass(frozen=True, slots=True)
class Job:
    """Commands that follow each other; a step that is done is passed over.

    Args:
        name: Told at its start and end; its log is named after it.
        steps: In their order.
        devices: GPUs that it takes; one that takes several sees them all.
        after: Names of jobs that must be done before it starts.
    """

    name: str
    steps: tuple[Step, ...]
    devices: int = 1
    after: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all of its steps are."""
        return all(step.is_done for step in self.steps)


def run_jobs(
    jobs: Sequence[Job], logs: Path, *, at_once: int = 1, say: Callable[[str], None] = print
) -> dict[str, str]:
    """Run what is not done; a job that fails stops none of the others.

    Each command is a process of its own, so that memory is given back and a crash stays its own. With several
    GPUs in sight each of those that run at once has one. CPU threads are shared out among them, unless
    `OMP_NUM_THREADS` says how many each gets. The first Ctrl-C (or SIGTERM, or a closed terminal) is passed
    on: a training then writes its checkpoint, and the same call goes on from it. The second one kills.

    Args:
        logs: Folder of what the commands print, a file a job; a job that goes on adds to its file.
        at_once: Number of jobs that run beside each other.
        say: Hears of each job's start and end.

    Returns:
        By the name of the job, what failed.

    Raises:
        ConfigError: If `at_once` is less than 1.
        KeyboardInterrupt: After the commands have ended, if it was interrupted.
    """
    if at_once < 1:
        raise ConfigError(f"expected at least one job at once, got {at_once}")
    waiting = [job for job in jobs if not job.is_done]
    if done := len(jobs) - len(waiting):
        say(f"{done} of {len(jobs)} are done already")
    crew = _Crew(logs, count_devices(), at_once=max(1, min(at_once, len(waiting))))
    failed: dict[str, str] = {}
    places = {job.name: f"{number} of {len(waiting)}" for number, job in enumerate(waiting, 1)}
    futures: dict[Future[str | None], Job] = {}
    with _count_signals() as signals, ThreadPoolExecutor(at_once) as pool:
        while waiting or futures:
            ready, waiting = _find_ready(waiting, running=futures.values(), failed=failed, say=say)
            futures |= {pool.submit(crew.work, job, places[job.name], say): job for job in ready}
            for future in wait(futures, timeout=PATIENCE_S, return_when=FIRST_COMPLETED).done:
                job = futures.pop(future)
                if (reason := future.result()) is not None:
                    failed[job.name] = reason
            crew.obey(len(signals))
    if signals:
        raise KeyboardInterrupt
    return failed


def _find_ready(
    waiting: Sequence[Job], *, running: Iterable[Job], failed: dict[str, str], say: Callable[[str], None]
) -> tuple[list[Job], list[Job]]:
    """The jobs whose forerunners are done, and those that still wait; what waits for a failed one fails."""
    unfinished = {job.name for job in (*waiting, *running)}
    ready, later = [], []
    for job in waiting:
        if broken := [name for name in job.after if name in failed]:
            failed[job.name] = f"it needs {broken[0]}, which failed"
            say(f"{job.name}: failed: {failed[job.name]}")
        elif unfinished.isdisjoint(job.after):
            ready.append(job)
        else:
            later.append(job)
    return ready, later


def count_devices() -> int:
    """GPUs in sight."""
    import torch

    return torch.cuda.device_count()


class _Crew:
    """Runs jobs in several threads, and knows the processes that run."""

    def __init__(self, logs: Path, devices: int, *, at_once: int) -> None:
        self.logs, self.devices = logs, devices
        self.threads = max(1, len(os.sched_getaffinity(0)) // at_once)
        self.slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(at_once):
            self.slots.put(slot)
        self.running: set[subprocess.Popen[bytes]] = set()
        self._obeyed = 0
        self._lock = threading.Lock()

    def obey(self, signals: int) -> None:
        """After a first signal ask what runs to end and start nothing more, after a second one kill."""
        with self._lock:
            if signals > self._obeyed:
                for process in self.running:
                    process.send_signal(signal.SIGINT if signals == 1 else signal.SIGKILL)
            self._obeyed = signals

    def work(self, job: Job, place: str, say: Callable[[str], None]) -> str | None:
        """Run the steps of a job; why it failed, or None."""
        slot = self.slots.get()
        try:
            return self._work(job, slot, place, say)
        except OSError as error:  # a full disk, a folder that cannot be written
            say(f"{job.name}: failed: {error}")
            return str(error)
        finally:
            self.slots.put(slot)

    def _work(self, job: Job, slot: int, place: str, say: Callable[[str], None]) -> str | None:
        if self._obeyed:
            return None
        say(f"{job.name}: started ({place})")
        start = time.monotonic()
        log = self.logs / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = self._create_environment(slot, job.devices)
        for step in job.steps:
            if step.is_done:
                continue
            step.clear()
            begin = log.stat().st_size if log.exists() else 0
            code = self._run(step, log, environment)
            if self._obeyed:
                say(f"{job.name}: interrupted")
                return None
            if code or step.find_missing():
                reason = _explain(code, step, log, begin)
                say(f"{job.name}: failed: {reason}; see {log}")
                return reason
            step.sign()
        say(f"{job.name}: done in {(time.monotonic() - start) / 60:.1f} min")
        return None

    def _run(self, step: Step, log: Path, environment: Mapping[str, str]) -> int:
        with log.open("ab") as output:
            with self._lock:
                if self._obeyed:
                    return 1
                process = subprocess.Popen(  # noqa: S603 - our own command
                    [sys.executable, "-m", "passerby", *step.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,  # Ctrl-C reaches us alone; we pass it on once
                )
                self.running.add(process)
            code = process.wait()
            with self._lock:
                self.running.discard(process)
        return code

    def _create_environment(self, slot: int, devices: int) -> dict[str, str]:
        environment = {"OMP_NUM_THREADS": str(self.threads), **os.environ}
        if self.devices > 1 and devices == 1:
            seen = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = seen.split(",") if seen else [str(each) for each in range(self.devices)]
            environment["CUDA_VISIBLE_DEVICES"] = names[slot % self.devices]
        return environment


@contextmanager
def _count_signals() -> Iterator[list[float]]:
    """When somebody wished it to end, where that can be heard (the main thread).

    Signals that are ignored stay so: `nohup` does that to the closing of a terminal.
    """
    heard: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(*_: object) -> None:
        now = time.monotonic()
        if not heard or now - heard[-1] > SAME_WISH_S:
            heard.append(now)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hear) for number in heeded}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explain(code: int, step: Step, log: Path, begin: int) -> str:
    """Why a command failed: a signal, an output that it did not write, or its own words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = _read_lines(log, begin)
    if code == 0:
        return f"it ended without writing {step.find_missing()[0]}"
    errors = [i for i, line in enumerate(lines) if line.startswith("passerby: ")]
    return "\n    ".join(lines[errors[-1] :] if errors else lines[-1:]) or f"exit status {code}"


def _read_lines(log: Path, begin: int) -> list[str]:
    """What is in a log from a byte on, without empty lines."""
    text = log.read_bytes()[begin:].decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
