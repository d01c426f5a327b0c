"""Steps are done only if their stamp matches call, inputs and outputs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from passerby.suite import Job, Step


@pytest.fixture
def step(tmp_path: Path) -> Step:
    (tmp_path / "input.txt").touch()
    return Step(
        "evaluate",
        {"bundle": "b", "workers": 2},
        (tmp_path / "input.txt",),
        (tmp_path / "output.txt",),
        tmp_path / "done" / "step.json",
    )


def finish(step: Step, text: str = "result") -> None:
    step.prepare()
    step.outputs[0].write_text(text)
    step.complete()


def test_a_step_is_done_once_it_is_complete(step: Step) -> None:
    assert not step.is_done
    step.prepare()
    step.outputs[0].write_text("result")
    assert not step.is_done
    step.complete()
    assert step.is_done
    assert Job("job", (step, step)).is_done
    assert not Job("job", (step, dataclasses.replace(step, task="calibrate"))).is_done


def test_the_stamp_states_the_call_for_the_worker(step: Step) -> None:
    step.prepare()
    assert json.loads(step.stamp.read_text()) == {
        "task": "evaluate",
        "arguments": {"bundle": "b", "workers": 2},
    }
    finish(step)
    assert sorted(json.loads(step.stamp.read_text())["sha256"]) == sorted(
        map(str, (*step.inputs, *step.outputs))
    )


@pytest.mark.parametrize("file", ["input.txt", "output.txt", "done/step.json"])
def test_a_changed_file_invalidates_a_step(step: Step, tmp_path: Path, file: str) -> None:
    finish(step)
    (tmp_path / file).write_text("{")
    assert not step.is_done
    finish(step)
    assert step.is_done
    (tmp_path / file).unlink()
    assert not step.is_done


def test_other_arguments_invalidate_a_step(step: Step) -> None:
    finish(step)
    assert not dataclasses.replace(step, arguments={"bundle": "c", "workers": 2}).is_done
    assert not dataclasses.replace(step, task="train").is_done


def test_outdated_outputs_are_removed_unless_the_call_resumes(step: Step) -> None:
    finish(step)
    dataclasses.replace(step, resumes=True).prepare()
    assert step.outputs[0].exists()
    step.prepare()
    assert not step.outputs[0].exists()
    assert not step.is_done
