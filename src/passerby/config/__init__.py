"""Recipes and suites: validated YAML files that define training runs.

Below the command line, only this package uses YAML and pydantic. Library classes take plain arguments.
"""

from passerby.config.reading import load_recipe
from passerby.config.recipe import Recipe
from passerby.config.sections import (
    AugmentationSection,
    DataSection,
    InputSection,
    LossSection,
    ModelSection,
)
from passerby.config.suite import Suite, SuiteRun, load_suite
from passerby.config.suite_sections import LocalizationSection, TestSection
from passerby.config.training_sections import OptimizerSection, ScheduleSection, TrainingSection

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
