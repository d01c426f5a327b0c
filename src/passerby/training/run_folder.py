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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from passerby.bundle import Bundle
from passerby.config import Recipe, load_recipe
from passerby.errors import TrainingError
from passerby.io import hash_file, replace_file
from passerby.models.base import AttributeModel
from passerby.training.environment import describe_environment, is_other_process
from passerby.training.teachers import find_predictions
from passerby.types import Preprocess

__all__ = ["RunFolder", "TrainingOutcome"]


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

    def open(self, recipe: Recipe, *, resume: bool) -> TrainingOutcome | None:
        """Create the folder, or check that the run to resume matches; return the outcome of a finished run.

        The folder of a run that failed before its first step is used again.

        Raises:
            TrainingError: If the folder exists (without `resume`), or contains another recipe or was trained
                on other teacher predictions (with it).
            ConfigError: If the recipe in it cannot be read.
        """
        if is_other_process():
            return None
        if not resume:
            names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            if names - {"recipe.yaml", "environment.json", "teachers.json"}:
                raise TrainingError(
                    f"{self.path} already exists; choose another folder with --out, or continue the run in "
                    "it with --resume"
                )
        elif (self.path / "recipe.yaml").is_file():
            if load_recipe(self.path / "recipe.yaml") != recipe:
                raise TrainingError(
                    f"{self.path}/recipe.yaml differs from the given recipe; resume with the same recipe and "
                    "overrides, or start a new run in another folder"
                )
            self._check_teachers(recipe)
            if (self.path / "outcome.json").is_file():
                values = json.loads((self.path / "outcome.json").read_text(encoding="utf-8"))
                return TrainingOutcome(self.path, self.bundle, **values)
        environment = describe_environment(recipe.training.accelerator)
        self._write("recipe.yaml", recipe.to_yaml())
        self._write("environment.json", json.dumps(environment, indent=2) + "\n")
        if recipe.loss.teachers:
            hashes = {**self._read_teachers(), **_hash_teachers(recipe)}
            self._write("teachers.json", json.dumps(hashes, indent=2) + "\n")
        return None

    def _check_teachers(self, recipe: Recipe) -> None:
        """Refuse to resume if teacher predictions have changed."""
        known = self._read_teachers()
        for path, sha in _hash_teachers(recipe).items():
            if known.get(path, sha) != sha:
                raise TrainingError(
                    f"{path} has changed since the training in {self.path} began; remove {self.path} to "
                    "train again, or start a new run in another folder"
                )

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
        calibrate: Callable[[Bundle], Bundle] | None = None,
    ) -> TrainingOutcome:
        """Save the best checkpoint as a bundle, and write the outcome.

        Args:
            model: Receives the weights of the best checkpoint.
            preprocess: Size and normalisation of the input.
            provenance: Metadata for the bundle; the outcome and the environment are added.
            rows: The log, one row per epoch.
            calibrate: Returns the bundle with calibrated thresholds.
        """
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
            self._write("outcome.json", json.dumps(values, indent=2) + "\n")
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
