"""Fixtures of the evaluation: a small data set and its evaluation."""

from __future__ import annotations

import pytest

from evaluation_fixtures import evaluation, make, manifest
from passerby.schema import AttributeSchema
from toy_evaluations import SCHEMA

__all__ = ["evaluation", "make", "manifest", "schema"]


@pytest.fixture(scope="session")
def schema() -> AttributeSchema:
    return SCHEMA
