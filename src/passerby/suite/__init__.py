"""Suites: train, test and compare a grid of models, data sets and seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from passerby.suite.jobs import Job, Step
from passerby.suite.runner import run_jobs

if TYPE_CHECKING:
    from passerby.suite.run import plan_suite, run_suite

__all__ = ["Job", "Step", "plan_suite", "run_jobs", "run_suite"]


def __getattr__(name: str) -> Any:
    if name not in ("plan_suite", "run_suite"):
        raise AttributeError(f"module 'passerby.suite' has no attribute {name!r}")
    from passerby.suite import run  # not at the top: worker processes import this package and must start fast

    return getattr(run, name)
