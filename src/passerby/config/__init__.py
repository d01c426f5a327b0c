"""The recipe: a validated YAML file that says everything about a training run.

The only reader of YAML and the only room below the command line that knows pydantic. Library classes take
plain arguments and know nothing of recipes.
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
