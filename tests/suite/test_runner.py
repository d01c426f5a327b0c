"""Steps run in worker processes, each once; failures and interruptions are isolated."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from passerby.errors import ConfigError
from passerby.suite import Job, Step, run_jobs

LIMIT_S = 600
"""Far more than a busy machine needs; only a failing test takes that long."""

WORKER = """
import json, os, pathlib, signal, sys, time
call = json.loads(pathlib.Path(sys.argv[1]).read_text())
task, target = call["task"], pathlib.Path(call["arguments"]["target"])
if task == "write":
    target.write_text(os.environ["OMP_NUM_THREADS"] + " " + os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    print("wrote it")
elif task == "fail":
    print("starting")
    sys.exit("passerby: it failed\\n  because of that")
elif task == "die":
    os.kill(os.getpid(), signal.SIGKILL)
elif task == "nothing":
    print("did nothing")
elif task == "wait":
    signal.signal(signal.SIGINT, lambda *_: (print("checkpoint written"), sys.exit(3)))
    target.with_suffix(".started").touch()
    time.sleep(LIMIT_S)
elif task == "ignore":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target.with_suffix(".started").touch()
    time.sleep(LIMIT_S)
    target.with_suffix(".survived").touch()
"""


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """The signals as in a terminal; a test suite run by `nohup … &` starts with ignored ones."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and a worker module that writes a file, fails, or waits for a signal."""
    package = tmp_path / "fake" / "passerby"
    (package / "suite").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "suite" / "__init__.py").touch()
    (package / "suite" / "worker.py").write_text(WORKER.replace("LIMIT_S", str(LIMIT_S)))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "passerby.suite")
    return caplog


def create_job(folder: Path, name: str, *tasks: str) -> Job:
    (folder / "input.txt").touch()
    steps = []
    for i, task in enumerate(tasks):
        path = folder / f"{name}-{i}.txt"
        arguments = {"target": str(path)}
        steps.append(Step(task, arguments, (folder / "input.txt",), (path,), path.with_suffix(".json")))
    return Job(name, tuple(steps))


@contextmanager
def interrupting(started: Path, interrupt: Callable[[threading.Event], None]) -> Iterator[None]:
    """Call `interrupt` in a thread once a file exists; its event is set when the body has ended."""
    ended = threading.Event()

    def wait_and_interrupt() -> None:
        while not started.exists() and not ended.wait(0.05):
            pass
        interrupt(ended)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_jobs_run_once_with_their_steps_in_order(folder: Path, log: pytest.LogCaptureFixture) -> None:
    jobs = [create_job(folder, "a/b", "write", "write"), create_job(folder, "c", "write")]
    (folder / "a").mkdir()
    assert run_jobs(jobs, folder / "logs", at_once=2) == {}
    assert all(job.is_done for job in jobs)
    assert sum(re.search(r": done in \d+\.\d min$", line) is not None for line in log.messages) == 2
    assert (folder / "logs" / "a" / "b.log").read_text().splitlines() == ["wrote it"] * 2

    (folder / "a" / "b-1.txt").unlink()
    before = (folder / "a" / "b-0.txt").stat().st_mtime_ns
    log.clear()
    run_jobs(jobs, folder / "logs")
    assert log.messages[0] == "1 of 2 are already done"
    assert (folder / "a" / "b-0.txt").stat().st_mtime_ns == before
    assert len((folder / "logs" / "a" / "b.log").read_text().splitlines()) == 3


def test_outdated_steps_run_again(folder: Path) -> None:
    job = create_job(folder, "a", "write", "write")
    run_jobs([job], folder / "logs")
    (folder / "a-1.txt").write_text("other")
    assert [step.is_done for step in job.steps] == [True, False]
    run_jobs([job], folder / "logs")
    assert job.is_done
    (folder / "input.txt").write_text("other")
    assert not any(step.is_done for step in job.steps)
    run_jobs([job], folder / "logs")
    assert job.is_done


def test_a_failure_does_not_affect_other_jobs(folder: Path) -> None:
    jobs = [
        create_job(folder, "bad", "fail", "write"),
        create_job(folder, "empty", "nothing"),
        create_job(folder, "good", "write"),
        create_job(folder, "killed", "die"),
    ]
    assert run_jobs(jobs, folder / "logs") == {
        "bad": "passerby: it failed\n    because of that",
        "empty": f"it ended without writing {folder / 'empty-0.txt'}",
        "killed": "killed by SIGKILL",
    }
    assert [job.is_done for job in jobs] == [False, False, True, False]
    assert not (folder / "bad-1.txt").exists()


def test_a_job_waits_for_its_dependencies(folder: Path, log: pytest.LogCaptureFixture) -> None:
    def after(name: str, *names: str, task: str = "write") -> Job:
        return Job(name, create_job(folder, name, task).steps, after=names)

    jobs = [after("student", "teacher", "other"), after("teacher"), after("other")]
    assert run_jobs(jobs, folder / "logs", at_once=3) == {}
    assert [line.split(":")[0] for line in log.messages][-2:] == ["student"] * 2
    assert log.messages[-2] == "student: started (1 of 3)"

    jobs = [after("second", "first"), after("first", "gone"), after("gone", task="fail"), after("free")]
    failed = run_jobs(jobs, folder / "logs")
    assert failed["first"] == "it needs gone, which failed"
    assert failed["second"] == "it needs first, which failed"
    assert "second: failed: it needs first, which failed" in log.messages
    assert jobs[3].is_done
    assert not (folder / "first-0.txt").exists()


def test_threads_are_shared_and_gpus_take_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passerby.suite.runner.count_devices", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(12))
    run_jobs([create_job(folder, name, "write") for name in "abc"], folder / "logs", at_once=3)
    written = [(folder / f"{name}-0.txt").read_text().split() for name in "abc"]
    assert [threads for threads, _ in written] == ["4"] * 3
    assert {device for _, device in written} == {"0", "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run_jobs([create_job(folder, name, "write") for name in "de"], folder / "logs")
    assert [(folder / f"{name}-0.txt").read_text() for name in "de"] == ["2 5", "2 5"]  # one after the other
    run_jobs([Job("f", create_job(folder, "f", "write").steps, devices=2)], folder / "logs")
    assert (folder / "f-0.txt").read_text() == "2 5,7"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_forwarded_once_and_no_further_step_starts(
    folder: Path, log: pytest.LogCaptureFixture, number: signal.Signals
) -> None:
    jobs = [create_job(folder, "long", "wait", "write"), create_job(folder, "later", "write")]
    before = signal.getsignal(number)
    with (
        interrupting(folder / "long-0.started", lambda _: signal.raise_signal(number)),
        pytest.raises(KeyboardInterrupt),
    ):
        run_jobs(jobs, folder / "logs")
    assert signal.getsignal(number) is before
    assert (folder / "logs" / "long.log").read_text().strip() == "checkpoint written"
    assert log.messages[-1] == "long: interrupted"
    assert not (folder / "later-0.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_simultaneous_signals_count_once_and_ignored_ones_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that closes may send several signals; `nohup` ignores SIGHUP."""
    monkeypatch.setattr("passerby.suite.runner.SAME_SIGNAL_S", LIMIT_S)
    logged: list[str] = []

    def interrupt(_: threading.Event) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.5)
        logged.append((folder / "logs" / "long.log").read_text())
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupting(folder / "long-0.started", interrupt), pytest.raises(KeyboardInterrupt):
            run_jobs([create_job(folder, "long", "wait")], folder / "logs")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert logged == [""]
    assert (folder / "logs" / "long.log").read_text().strip() == "checkpoint written"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_ignored_interrupt_stays_ignored_and_sigterm_stops(folder: Path) -> None:
    """As under `nohup … &`: SIGINT is ignored by this process, but the workers still receive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupt(_: threading.Event) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    with interrupting(folder / "long-0.started", interrupt), pytest.raises(KeyboardInterrupt):
        run_jobs([create_job(folder, "long", "wait")], folder / "logs")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert (folder / "logs" / "long.log").read_text().strip() == "checkpoint written"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_signal_kills_a_worker_that_ignores_the_first(folder: Path) -> None:
    def interrupt(ended: threading.Event) -> None:
        while not ended.is_set():
            signal.raise_signal(signal.SIGTERM)
            ended.wait(1)

    with interrupting(folder / "long-0.started", interrupt), pytest.raises(KeyboardInterrupt):
        run_jobs([create_job(folder, "long", "ignore")], folder / "logs")
    assert not (folder / "long-0.survived").exists()


def test_an_unwritable_log_does_not_affect_other_jobs(folder: Path) -> None:
    bad, good = create_job(folder, "bad", "write"), create_job(folder, "good", "write")
    (folder / "logs" / "bad.log").mkdir(parents=True)  # cannot be opened as a file
    failed = run_jobs([bad, good], folder / "logs")
    assert list(failed) == ["bad"]
    assert "bad.log" in failed["bad"]
    assert good.is_done


def test_at_least_one_job_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one job at once, got 0"):
        run_jobs([], tmp_path, at_once=0)
