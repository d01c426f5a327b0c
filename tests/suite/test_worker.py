"""The entry point of worker processes."""

from __future__ import annotations

import inspect
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passerby.errors import DataError
from passerby.suite import tasks
from passerby.suite.worker import main


@pytest.fixture(autouse=True)
def restored_state() -> Iterator[None]:
    handler, logger = signal.getsignal(signal.SIGINT), logging.getLogger("passerby")
    handlers, level = list(logger.handlers), logger.level
    yield
    signal.signal(signal.SIGINT, handler)
    logger.handlers, logger.level = handlers, level


@pytest.fixture
def stamp(tmp_path: Path) -> str:
    (tmp_path / "stamp.json").write_text(json.dumps({"task": "evaluate", "arguments": {"bundle": "b"}}))
    return str(tmp_path / "stamp.json")


def set_task(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    monkeypatch.setattr(tasks, "TASKS", {"evaluate": function})


def test_a_worker_calls_the_task_and_prints_its_log(
    stamp: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def task(**arguments: str) -> None:
        calls.append(arguments)
        logging.getLogger("passerby.training").info("epoch 1")

    set_task(monkeypatch, task)
    assert main(stamp) == 0
    assert calls == [{"bundle": "b"}]
    assert capsys.readouterr().out == "epoch 1\n"


def test_errors_and_interruptions_become_exit_statuses(
    stamp: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, status, message in (
        (DataError("no image"), 2, "passerby: DataError: no image\n"),
        (KeyboardInterrupt(), 130, "passerby: interrupted\n"),
    ):

        def task(error: BaseException = error, **_: str) -> None:
            raise error

        set_task(monkeypatch, task)
        assert main(stamp) == status
        assert capsys.readouterr().err == message


def test_an_inherited_ignored_interrupt_is_restored(stamp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handlers = []
    set_task(monkeypatch, lambda **_: handlers.append(signal.getsignal(signal.SIGINT)))
    main(stamp)
    assert handlers == [signal.default_int_handler]


def test_a_worker_process_reports_the_error_of_its_task(tmp_path: Path) -> None:
    arguments = {"recipe": str(tmp_path / "gone.yaml"), "run": "run", "results": "results"}
    (tmp_path / "stamp.json").write_text(json.dumps({"task": "train", "arguments": arguments}))
    command = [sys.executable, "-m", "passerby.suite.worker", str(tmp_path / "stamp.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 2
    assert done.stderr.startswith("passerby: ConfigError: no recipe at")


def test_tasks_take_keyword_arguments_only() -> None:
    for task in tasks.TASKS.values():
        kinds = {parameter.kind for parameter in inspect.signature(task).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}
