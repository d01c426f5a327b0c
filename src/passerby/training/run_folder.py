"""The folder of a run: what is in it before the first step, and what stays after the last.

```
RUN/
  recipe.yaml          the recipe with every default written out
  environment.json     versions, machine, commit
  teachers.json        SHA-256 of what its teachers said, if it has some
  logs/metrics.csv     one row an epoch; logs/tensorboard beside it
  checkpoints/         best.ckpt (by the selected validation score) and last.ckpt
  bundle/              the best weights, ready to predict
  outcome.json         best epoch and its scores, once the run is finished
```

`passerby train --test` adds `test/`; a suite adds `done/` (stamps), `predictions/` (what it says to those it
teaches) and `calibrated-<goal>/` (the bundle with thresholds of its own).
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
    """What a finished run leaves.

    Args:
        run: The run folder.
        bundle: The best model in it.
        best_epoch: Counted from 1.
        val_scores: Its validation scores, in [0, 1], by name (`mA`, `accuracy`, `precision`, …).
        seconds: Training time, all resumed parts together.
    """

    run: Path
    bundle: Path
    best_epoch: int
    val_scores: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are."""

    path: Path

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch so far."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def bundle(self) -> Path:
        """The best weights, once the run is finished."""
        return self.path / "bundle"

    def open(self, recipe: Recipe, *, resume: bool) -> TrainingOutcome | None:
        """Create the folder, or check that the one to resume fits; return the outcome of a finished run.

        A folder that holds no more than a recipe, because the run failed before its first step, is used
        again.

        Raises:
            TrainingError: If it is there already (without `resume`), or holds another recipe or learnt from
                what teachers no longer say (with it).
            ConfigError: If the recipe in it cannot be read.
        """
        if is_other_process():
            return None
        if not resume:
            held = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            if held - {"recipe.yaml", "environment.json", "teachers.json"}:
                raise TrainingError(
                    f"{self.path} is there already; give another --out, or --resume to go on with it"
                )
        elif (self.path / "recipe.yaml").is_file():
            if load_recipe(self.path / "recipe.yaml") != recipe:
                raise TrainingError(
                    f"{self.path}/recipe.yaml differs from the recipe given; resume with the same recipe and "
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
        """Refuse to go on, or to pass for finished, if teachers say something else now."""
        known = self._read_teachers()
        for path, sha in _hash_teachers(recipe).items():
            if known.get(path, sha) != sha:
                raise TrainingError(
                    f"{path} has changed since {self.path} began to learn from it; remove {self.path} to "
                    "train anew, or start a new run in another folder"
                )

    def _read_teachers(self) -> dict[str, str]:
        kept = self.path / "teachers.json"
        return json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}

    def finish(
        self,
        model: AttributeModel,
        *,
        preprocess: Preprocess,
        origin: Mapping[str, Any],
        rows: list[dict[str, float]],
        calibrate: Callable[[Bundle], Bundle] | None = None,
    ) -> TrainingOutcome:
        """Turn the best checkpoint into a bundle and note the outcome.

        Args:
            model: Takes the weights of the best checkpoint.
            preprocess: How its pictures were prepared.
            origin: What the bundle says about its training; the outcome and the environment are added.
            rows: The log, one row an epoch.
            calibrate: Gives the bundle thresholds of its own.
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
                metadata={**origin, **values, "environment": self._environment()},
            )
            if calibrate is not None:
                bundle = calibrate(bundle)
            bundle.save(self.bundle)
            self._write("outcome.json", json.dumps(values, indent=2) + "\n")
        return outcome

    def _environment(self) -> dict[str, Any]:
        """As it was when the run started or was resumed: the checkout may have moved on since."""
        values: dict[str, Any] = json.loads((self.path / "environment.json").read_text(encoding="utf-8"))
        return values

    def _write(self, name: str, text: str) -> None:
        with replace_file(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _hash_teachers(recipe: Recipe) -> dict[str, str]:
    """SHA-256 of each file of teachers that is there."""
    files = map(find_predictions, recipe.loss.teachers)
    return {str(file): hash_file(file) for file in files if file.is_file()}
