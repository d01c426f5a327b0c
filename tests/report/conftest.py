"""Fixtures of the report: an evaluation and a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation_fixtures import evaluation, make, manifest
from toy_evaluations import write_run

__all__ = ["evaluation", "make", "manifest", "run"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")
