"""Steps and jobs: calls of library functions in worker processes, each completed once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.io import hash_file, write_json

__all__ = ["Job", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a library function in a worker process.

    A step is done if its stamp states this call and the current SHA-256 of its inputs and outputs.

    Args:
        task: Name of the function in `passerby.suite.tasks.TASKS`.
        arguments: Its keyword arguments, as JSON values.
        inputs: Files that determine the result.
        outputs: Files that the call writes.
        stamp: JSON file that states the call. The worker process reads it; the hashes of inputs and outputs
            are added when the call is complete.
        resumes: Whether the call continues from existing outputs. Otherwise they are removed before it.
    """

    task: str
    arguments: Mapping[str, Any]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    stamp: Path
    resumes: bool = False

    @property
    def is_done(self) -> bool:
        """Whether stamp, call, inputs and outputs agree."""
        if not self.stamp.is_file() or self.find_missing():
            return False
        try:
            stamped = json.loads(self.stamp.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return bool(stamped == {**self._describe_call(), "sha256": self._hash_files()})

    def find_missing(self) -> list[Path]:
        """Inputs and outputs that do not exist."""
        return [path for path in (*self.inputs, *self.outputs) if not path.is_file()]

    def prepare(self) -> None:
        """Before the call: remove outdated outputs, and write the stamp without hashes for the worker."""
        for path in () if self.resumes else self.outputs:
            path.unlink(missing_ok=True)
        write_json(self.stamp, self._describe_call())

    def complete(self) -> None:
        """After the call: add the hashes of inputs and outputs to the stamp."""
        write_json(self.stamp, {**self._describe_call(), "sha256": self._hash_files()})

    def _describe_call(self) -> dict[str, Any]:
        return {"task": self.task, "arguments": dict(self.arguments)}

    def _hash_files(self) -> dict[str, str]:
        return {str(path): hash_file(path) for path in (*self.inputs, *self.outputs)}


@dataclass(frozen=True, slots=True)
class Job:
    """Steps that run one after the other; steps that are done are skipped.

    Args:
        name: Unique name, logged at start and end. The job's log file is named after it.
        steps: In order of execution.
        devices: Number of GPUs. A job with several GPUs has access to all of the machine.
        after: Names of jobs that must be complete before this one starts.
    """

    name: str
    steps: tuple[Step, ...]
    devices: int = 1
    after: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all steps are done."""
        return all(step.is_done for step in self.steps)
