"""Fixtures of the evaluation: a small data set and its evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from passerby.data.manifest import Manifest
from passerby.evaluation.evaluation import Evaluation
from passerby.schema import AttributeSchema
from toy_evaluations import SCHEMA, create_evaluation, create_manifest


@pytest.fixture(scope="session")
def schema() -> AttributeSchema:
    return SCHEMA


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
