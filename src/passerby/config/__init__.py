"""Recipes and suites: validated YAML files that define training runs.

Below the command line, only this package uses YAML and pydantic. Library classes take plain arguments.
"""

from passerby.config.reading import load_recipe
from passerby.config.recipe import (
    AugmentationSection,
    DataSection,
    InputSection,
    LossSection,
    ModelSection,
    OptimizerSection,
    Recipe,
    ScheduleSection,
    TrainingSection,
)
from passerby.config.suite import LocalizationSection, Suite, SuiteRun, TestSection, load_suite

__all__ = [
    "AugmentationSection",
    "DataSection",
    "InputSection",
    "LocalizationSection",
    "LossSection",
    "ModelSection",
    "OptimizerSection",
    "Recipe",
    "ScheduleSection",
    "Suite",
    "SuiteRun",
    "TestSection",
    "TrainingSection",
    "load_recipe",
    "load_suite",
]
