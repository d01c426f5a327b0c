"""Commands run as processes, each once; what fails or is interrupted stops nothing else."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from passerby.errors import ConfigError
from passerby.suite import Job, Step, run_jobs


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `passerby` that writes what it is told to, fails, or waits to be asked to end."""
    package = tmp_path / "fake" / "passerby"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        """
import os, pathlib, signal, sys, time
what, target = sys.argv[1], pathlib.Path(sys.argv[2])
if what == "write":
    target.write_text(os.environ["OMP_NUM_THREADS"] + " " + os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    print("wrote it")
elif what == "fail":
    print("starting")
    sys.exit("passerby: it failed\\n  because of that")
elif what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "nothing":
    print("did nothing")
elif what == "wait":
    signal.signal(signal.SIGINT, lambda *_: (print("checkpoint written"), sys.exit(3)))
    target.with_suffix(".started").touch()
    time.sleep(60)
elif what == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target.with_suffix(".started").touch()
    time.sleep(60)
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def job(folder: Path, name: str, *whats: str) -> Job:
    (folder / "input.txt").touch()
    steps = []
    for i, what in enumerate(whats):
        path = folder / f"{name}-{i}.txt"
        steps.append(Step((what, str(path)), (folder / "input.txt",), (path,), path.with_suffix(".json")))
    return Job(name, tuple(steps))


def test_jobs_run_once_and_steps_in_their_order(fake: Path) -> None:
    said: list[str] = []
    jobs = [job(fake, "a/b", "write", "write"), job(fake, "c", "write")]
    (fake / "a").mkdir()
    assert run_jobs(jobs, fake / "logs", at_once=2, say=said.append) == {}
    assert all(each.is_done for each in jobs)
    assert sum(re.search(r": done in \d+\.\d min$", line) is not None for line in said) == 2
    assert (fake / "logs" / "a" / "b.log").read_text().splitlines() == ["wrote it"] * 2

    (fake / "a" / "b-1.txt").unlink()
    before = (fake / "a" / "b-0.txt").stat().st_mtime_ns
    said.clear()
    run_jobs(jobs, fake / "logs", say=said.append)
    assert said[0] == "1 of 2 are done already"
    assert (fake / "a" / "b-0.txt").stat().st_mtime_ns == before
    assert len((fake / "logs" / "a" / "b.log").read_text().splitlines()) == 3


def test_a_failure_stops_none_of_the_others(fake: Path) -> None:
    jobs = [job(fake, "bad", "fail", "write"), job(fake, "empty", "nothing"), job(fake, "good", "write")]
    jobs.append(job(fake, "shot", "die"))
    failed = run_jobs(jobs, fake / "logs", say=lambda _: None)
    assert failed == {
        "bad": "passerby: it failed\n    because of that",
        "empty": f"it ended without writing {fake / 'empty-0.txt'}",
        "shot": "killed by SIGKILL",
    }
    assert [each.is_done for each in jobs] == [False, False, True, False]
    assert not (fake / "bad-1.txt").exists()


def test_a_job_waits_for_those_it_needs(fake: Path) -> None:
    def after(name: str, *names: str, what: str = "write") -> Job:
        return Job(name, job(fake, name, what).steps, after=names)

    said: list[str] = []
    jobs = [after("student", "teacher", "other"), after("teacher"), after("other")]
    assert run_jobs(jobs, fake / "logs", at_once=3, say=said.append) == {}
    assert [line.split(":")[0] for line in said][-2:] == ["student"] * 2
    assert said[-2] == "student: started (1 of 3)"

    jobs = [after("second", "first"), after("first", "gone"), after("gone", what="fail"), after("free")]
    failed = run_jobs(jobs, fake / "logs", say=said.append)
    assert failed["first"] == "it needs gone, which failed"
    assert failed["second"] == "it needs first, which failed"
    assert said[-1] == "second: failed: it needs first, which failed"
    assert jobs[3].is_done
    assert not (fake / "first-0.txt").exists()


def test_threads_are_shared_and_gpus_take_turns(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passerby.suite.jobs.count_devices", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(12))
    jobs = [job(fake, name, "write") for name in "abc"]
    run_jobs(jobs, fake / "logs", at_once=3, say=lambda _: None)
    said = [(fake / f"{name}-0.txt").read_text().split() for name in "abc"]
    assert [threads for threads, _ in said] == ["4"] * 3
    assert {device for _, device in said} == {"0", "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    jobs = [job(fake, name, "write") for name in "de"]
    run_jobs(jobs, fake / "logs", say=lambda _: None)
    assert [(fake / f"{name}-0.txt").read_text() for name in "de"] == ["2 5", "2 5"]  # one at a time
    run_jobs([Job("f", job(fake, "f", "write").steps, devices=2)], fake / "logs", say=lambda _: None)
    assert (fake / "f-0.txt").read_text() == "2 5,7"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_passed_on_once_and_nothing_more_starts(fake: Path) -> None:
    jobs = [job(fake, "long", "wait", "write"), job(fake, "later", "write")]

    def interrupt() -> None:
        while not (fake / "long-0.started").exists():
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt).start()
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, fake / "logs", say=said.append)
    assert signal.getsignal(signal.SIGINT) is before
    assert (fake / "logs" / "long.log").read_text().strip() == "checkpoint written"
    assert said[-1] == "long: interrupted"
    assert not (fake / "later-0.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_two_signals_at_once_are_one_wish_and_ignored_ones_none(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that closes may send several; `nohup` has that signal ignored."""
    monkeypatch.setattr("passerby.suite.jobs.SAME_WISH_S", 5)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def interrupt() -> None:
        while not (fake / "long-0.started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.5)
        heard.append((fake / "logs" / "long.log").read_text())
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    heard: list[str] = []
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_jobs([job(fake, "long", "wait")], fake / "logs", say=lambda _: None)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == [""]
    assert (fake / "logs" / "long.log").read_text().strip() == "checkpoint written"


def test_what_the_disk_refuses_stops_none_of_the_others(fake: Path) -> None:
    bad, good = job(fake, "bad", "write"), job(fake, "good", "write")
    (fake / "logs").mkdir()
    (fake / "logs" / "bad.log").mkdir()  # so that no log can be opened there
    said: list[str] = []
    failed = run_jobs([bad, good], fake / "logs", say=said.append)
    assert list(failed) == ["bad"]
    assert "bad.log" in failed["bad"]
    assert good.is_done


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_signal_kills_what_does_not_listen(fake: Path) -> None:
    def interrupt() -> None:
        while not (fake / "long-0.started").exists():
            time.sleep(0.05)
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(1)

    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job(fake, "long", "deaf")], fake / "logs", say=lambda _: None)
    assert time.monotonic() - start < 50


def test_what_was_made_of_other_things_is_made_again(fake: Path) -> None:
    one = job(fake, "a", "write", "write")
    run_jobs([one], fake / "logs", say=lambda _: None)
    assert one.is_done
    (fake / "a-1.txt").write_text("other")
    assert [step.is_done for step in one.steps] == [True, False]
    run_jobs([one], fake / "logs", say=lambda _: None)
    assert one.is_done
    (fake / "input.txt").write_text("other")
    assert not any(step.is_done for step in one.steps)
    run_jobs([one], fake / "logs", say=lambda _: None)
    step = one.steps[0]
    other = Step(("write", "x"), step.inputs, step.outputs, step.stamp)
    assert one.is_done
    assert not other.is_done
    one.steps[0].stamp.write_text("{")
    assert not one.is_done


def test_none_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one job at once, got 0"):
        run_jobs([], tmp_path, at_once=0)
