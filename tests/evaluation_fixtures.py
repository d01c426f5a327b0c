"""Fixtures for tests of evaluations and reports; a conftest.py imports those that its tests use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from passerby.data.manifest import Manifest
from passerby.evaluation.evaluation import Evaluation
from toy_evaluations import create_evaluation, create_manifest

__all__ = ["evaluation", "make", "manifest"]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return create_manifest(tmp_path_factory.mktemp("people"))


@pytest.fixture
def evaluation(manifest: Manifest) -> Evaluation:
    return create_evaluation(manifest)


@pytest.fixture
def make(manifest: Manifest) -> Callable[..., Evaluation]:
    """`make(split=…, protocol=…, seed=…)`."""
    return partial(create_evaluation, manifest)
