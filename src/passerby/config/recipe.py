"""The recipe: all sections, and checks across sections."""

from __future__ import annotations

from typing import Annotated

import yaml
from pydantic import Field, model_validator

from passerby.config.sections import (
    AugmentationSection,
    DataSection,
    InputSection,
    LossSection,
    ModelSection,
    Section,
)
from passerby.config.training_sections import OptimizerSection, ScheduleSection, TrainingSection

__all__ = ["Recipe"]


class Recipe(Section):
    """The definition of a training run. `passerby recipes` lists complete examples with comments.

    Args:
        variant: Name of this recipe among those of its model, in results and tables. `data.fraction` and
            `data.limit` are appended to it (`sb-train-limit-500`): no result replaces that of the full data.
        seed: Determines initialisation, order, augmentation and dropout.
        protocol: Name of the evaluation protocol; see `passerby.evaluation.protocols`.
    """

    variant: str = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    protocol: str = "default"
    data: DataSection
    input: InputSection = InputSection()
    augmentation: AugmentationSection = AugmentationSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    training: TrainingSection = TrainingSection()

    @model_validator(mode="after")
    def _selects_on_other_data(self) -> Recipe:
        if self.data.val in self.data.train:
            raise ValueError(
                f"data.val: {self.data.val} is among data.train; select on a split that is not trained on"
            )
        if self.data.val == "test" and self.training.calibrate is not None:
            raise ValueError(
                "training.calibrate with data.val: test makes every later test score too optimistic; use val"
            )
        if self.data.val == "test" and "select-on-test" not in self.protocol.split("+"):
            raise ValueError(
                "data.val: test makes the score too optimistic; use val, or set protocol: select-on-test"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Recipe:
        if self.schedule.warmup_epochs > self.training.epochs:
            raise ValueError("schedule.warmup_epochs exceeds the length of the run (training.epochs)")
        return self

    @model_validator(mode="after")
    def _name_states_the_subset(self) -> Recipe:
        subset = self.data.name_subset()
        if subset and not self.variant.endswith(f"-{subset}"):  # it ends so in the recipe.yaml of a run
            object.__setattr__(self, "variant", f"{self.variant}-{subset}")
        return self

    def to_yaml(self) -> str:
        """The recipe with all defaults, as YAML that `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
