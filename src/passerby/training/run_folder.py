"""The files of a training run.

```
RUN/
  recipe.yaml          the recipe with all defaults
  environment.json     versions, machine, commit
  teachers.json        SHA-256 of the teacher predictions, if the recipe names any
  logs/metrics.csv     one row per epoch; TensorBoard files in logs/tensorboard/
  checkpoints/         best.ckpt (by the selected validation score) and last.ckpt
  bundle/              the model with the best weights
  outcome.json         best epoch and its scores, once the run is finished
```

`passerby train --test` adds `test/`. A suite adds `done/` (stamps), `teacher-predictions/` (predictions that
students are trained on) and `calibrated-<goal>/` (the bundle with calibrated thresholds).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.config import Recipe, load_recipe
from passerby.errors import TrainingError
from passerby.io import hash_file, replace_file
from passerby.training.checks import find_predictions
from passerby.training.resuming import match_recipe

if TYPE_CHECKING:
    from passerby.bundle import Bundle
    from passerby.models.base import AttributeModel
    from passerby.types import Preprocess

__all__ = ["RunFolder", "TrainingOutcome", "is_other_process"]


@dataclass(frozen=True)
class TrainingOutcome:
    """Results of a finished run.

    Args:
        run: The run folder.
        bundle: Folder of the best model.
        best_epoch: Number of the best epoch, from 1.
        val_scores: Its validation scores, in [0, 1], by name (`mA`, `accuracy`, `precision`, …).
        seconds: Training time, including the time before interruptions.
    """

    run: Path
    bundle: Path
    best_epoch: int
    val_scores: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of a run.

    Args:
        path: The run folder.
    """

    path: Path

    @property
    def last(self) -> Path:
        """The latest checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch so far."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def bundle(self) -> Path:
        """Folder of the model with the best weights, once the run is finished."""
        return self.path / "bundle"

    @property
    def is_started(self) -> bool:
        """Whether the folder has a run to resume."""
        return (self.path / "recipe.yaml").is_file()

    def match(self, recipe: Recipe, *, resume: bool) -> Recipe:
        """Check that the folder is free, or has a run of this recipe; see `match_recipe`.

        The folder of a run that failed before its first step is free.

        Raises:
            TrainingError: If the folder exists (without `resume`), or contains another recipe or was trained
                on other teacher predictions (with it).
            ConfigError: If the recipe in it cannot be read.
        """
        if not resume:
            names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            if not is_other_process() and names - {"recipe.yaml", "environment.json", "teachers.json"}:
                raise TrainingError(
                    f"{self.path} already exists; choose another folder with --out, or continue the run in "
                    "it with --resume"
                )
        elif self.is_started:
            recipe = match_recipe(load_recipe(self.path / "recipe.yaml"), recipe, run=self.path)
            self._check_teachers(recipe)
        return recipe

    def find_outcome(self, recipe: Recipe) -> TrainingOutcome | None:
        """The outcome of a run that has finished all epochs of the recipe."""
        if is_other_process() or not (self.path / "outcome.json").is_file():
            return None
        values = json.loads((self.path / "outcome.json").read_text(encoding="utf-8"))
        # The outcome of a shorter run stays until the extended one has finished.
        epochs = values.pop("epochs", None) or self._read_epochs()
        if epochs not in (None, recipe.training.epochs):
            return None
        return TrainingOutcome(self.path, self.bundle, **values)

    def start(self, recipe: Recipe) -> None:
        """Write the recipe, the environment and the hashes of teacher predictions."""
        if is_other_process():
            return
        from passerby.training.environment import describe_environment

        environment = describe_environment(recipe.training.accelerator)
        self._write("recipe.yaml", recipe.to_yaml())
        self._write("environment.json", json.dumps(environment, indent=2) + "\n")
        if recipe.loss.teachers:
            hashes = {**self._read_teachers(), **_hash_teachers(recipe)}
            self._write("teachers.json", json.dumps(hashes, indent=2) + "\n")

    def _check_teachers(self, recipe: Recipe) -> None:
        """Refuse to resume if teacher predictions have changed."""
        known = self._read_teachers()
        for path, sha in _hash_teachers(recipe).items():
            if known.get(path, sha) != sha:
                raise TrainingError(
                    f"{path} has changed since the training in {self.path} began; remove {self.path} to "
                    "train again, or start a new run in another folder"
                )

    def _read_epochs(self) -> int | None:
        """The epochs of the recipe of the bundle, which outcomes of passerby 0.2 do not state."""
        config = self.bundle / "config.json"
        if not config.is_file():
            return None
        metadata = json.loads(config.read_text(encoding="utf-8")).get("metadata") or {}
        epochs: int | None = metadata.get("epochs")
        return epochs

    def _read_teachers(self) -> dict[str, str]:
        path = self.path / "teachers.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def finish(
        self,
        model: AttributeModel,
        *,
        preprocess: Preprocess,
        provenance: Mapping[str, Any],
        rows: list[dict[str, float]],
        epochs: int,
        calibrate: Callable[[Bundle], Bundle] | None = None,
    ) -> TrainingOutcome:
        """Save the best checkpoint as a bundle, and write the outcome.

        Args:
            model: Receives the weights of the best checkpoint.
            preprocess: Size and normalisation of the input.
            provenance: Metadata for the bundle; the outcome and the environment are added.
            rows: The log, one row per epoch.
            epochs: Epochs of the recipe; early stopping may have ended the run before.
            calibrate: Returns the bundle with calibrated thresholds.
        """
        import torch

        from passerby.bundle import Bundle

        checkpoint = torch.load(self.best, map_location="cpu", weights_only=True)
        weights = {
            name.removeprefix("model."): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith("model.")
        }
        model.load_state_dict(weights)
        best = rows[checkpoint["epoch"]]
        values: dict[str, Any] = {
            "best_epoch": int(best["epoch"]) + 1,
            "val_scores": {k.removeprefix("val_"): v for k, v in best.items() if k.startswith("val_")},
            "seconds": round(sum(row["seconds"] for row in rows), 1),
        }
        outcome = TrainingOutcome(self.path, self.bundle, **values)
        if not is_other_process():
            bundle = Bundle(
                model.cpu().eval(),
                preprocess,
                metadata={**provenance, **values, "environment": self._environment()},
            )
            if calibrate is not None:
                bundle = calibrate(bundle)
            bundle.save(self.bundle)
            self._write("outcome.json", json.dumps({**values, "epochs": epochs}, indent=2) + "\n")
        return outcome

    def _environment(self) -> dict[str, Any]:
        """The environment at the start or last resume of the run: the checkout may have changed since."""
        values: dict[str, Any] = json.loads((self.path / "environment.json").read_text(encoding="utf-8"))
        return values

    def _write(self, name: str, text: str) -> None:
        with replace_file(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _hash_teachers(recipe: Recipe) -> dict[str, str]:
    """SHA-256 of each existing file of teacher predictions."""
    files = map(find_predictions, recipe.loss.teachers)
    return {str(file): hash_file(file) for file in files if file.is_file()}


def is_other_process() -> bool:
    """Whether this is one of the additional processes that Lightning starts for several devices."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
