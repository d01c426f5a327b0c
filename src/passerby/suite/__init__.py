"""Suites: a grid of models, data and seeds, run to its end and put in one table."""

from passerby.suite.jobs import Job, Step, run_jobs
from passerby.suite.run import plan_suite, run_suite

__all__ = ["Job", "Step", "plan_suite", "run_jobs", "run_suite"]
