"""The score of one model: one JSON format for score files and evaluation folders.

A score file lies at `results/<dataset>/<model>-<backbone>-<variant>-seed<k>.json`. The `evaluation.json` of
an evaluation folder has the same fields and `details` in addition; fields that the metadata of the bundle
lacks are null there. Metrics are fractions in [0, 1] in files and per cent in tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from passerby.errors import DataError
from passerby.evaluation.provenance import convert_evaluation
from passerby.evaluation.scoring import restore_nan
from passerby.evaluation.unmeasured import UNMEASURED, describe_unmeasured, state_old_rule
from passerby.io import read_json, slugify, write_json
from passerby.metrics.names import METRICS
from passerby.migration import upgrade

__all__ = [
    "EVALUATION_FILE",
    "PREDICTIONS_FILE",
    "Result",
    "check_field",
    "identify_evaluation",
    "name_score_file",
    "read_score_file",
]

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.parquet"

_REMEDY = "write a score file with `passerby evaluate … --result`, which takes --seed and --variant"

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "a name such as 'baseline'"),
    "variant": ((str,), "a name such as 'sb'"),
    "backbone": ((str,), "the name of a timm network"),
    "pretraining": ((str,), "'imagenet', 'none' or the name of the weights"),
    "dataset": ((str,), "the name of the data set"),
    "partition": ((str,), "the name of the partition, such as 'official-1'"),
    "split": ((str,), "'train', 'val' or 'test'"),
    "input_size": ((list, tuple), "[height, width] in pixels"),
    "protocol": ((dict,), "an object with at least 'name'"),
    "seed": ((int,), "a whole number"),
    "epochs": ((int,), "a whole number"),
    "device": ((str,), "such as 'cpu'"),
    "commit": ((str, type(None)), "a commit of the code, or null"),
    "metrics": ((dict,), f"an object with {', '.join(METRICS)} and per_attribute"),
    "seconds": ((int, float), "the duration in seconds"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """The score of one trained model, with everything needed to compare it.

    Args:
        model: Name of the model, such as `baseline` or `sspnet`.
        variant: Distinguishes this recipe from others of the model, such as `sb`.
        backbone: Name of the backbone in timm.
        pretraining: Pretraining of the backbone: `imagenet`, `none`, or the name of the weights.
        dataset: Name of the data set.
        partition: Name of the partition, such as `official-1`.
        split: `train`, `val` or `test`.
        input_size: Height and width in pixels.
        protocol: `name`, and in words: threshold, unknown, selection (split and epoch rule), ema, and crops
            if predictions are averaged over several crops of each image.
        seed: Seed of the training run.
        epochs: Epochs of the recipe; early stopping may have ended the run before.
        device: Device of the training run.
        commit: Commit of the code, None outside a checkout.
        metrics: mA, accuracy, precision, recall, f1, mAP in [0, 1]; per_attribute by attribute name;
            unmeasured, the names of the attributes without positives or without negatives. None for a score
            that the labels cannot measure.
        seconds: Duration of the training run.
        details: Further values of an evaluation folder, see `Evaluation`; None for a score file.

    Raises:
        DataError: If a value is of the wrong type or out of range; the message names the field.
    """

    model: str
    variant: str
    backbone: str
    pretraining: str
    dataset: str
    partition: str
    split: str
    input_size: tuple[int, int]
    protocol: Mapping[str, Any]
    seed: int
    epochs: int
    device: str
    commit: str | None
    metrics: Mapping[str, Any]
    seconds: float
    details: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in _KINDS:
            check_field(name, getattr(self, name))
        if len(self.input_size) != 2 or not all(isinstance(s, int) and s > 0 for s in self.input_size):
            raise DataError(
                f"result field 'input_size': expected [height, width] in pixels, got {self.input_size!r}"
            )
        if self.seed < 0 or self.epochs < 0 or not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise DataError(
                "result fields 'seed', 'epochs' and 'seconds': expected finite numbers of 0 or more"
            )
        if not isinstance(self.protocol.get("name"), str):
            raise DataError(f"result field 'protocol': expected a 'name', got {dict(self.protocol)!r}")
        _check_metrics(self.metrics)
        object.__setattr__(self, "input_size", tuple(self.input_size))

    @property
    def path(self) -> Path:
        """Path of the score file below the folder of results."""
        return name_score_file(
            self.dataset, model=self.model, backbone=self.backbone, variant=self.variant, seed=self.seed
        )

    def get_score(self, metric: str) -> float:
        """An overall metric, NaN if the labels cannot measure it."""
        return restore_nan(self.metrics[metric])

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The attributes without positives or without negatives."""
        return tuple(self.metrics.get(UNMEASURED, ()))

    def describe_unmeasured(self) -> str:
        """State how many attributes cannot be measured, and which; empty if there is none."""
        total = len(self.metrics["per_attribute"])
        return describe_unmeasured(self.unmeasured, total, protocol=self.protocol["name"])

    def write(self, target: Path) -> Path:
        """Write the score file, without the details, through a temporary name.

        Args:
            target: A path that ends with `.json`, or a folder of results, below which `path` is used.

        Returns:
            Path of the file.
        """
        target = self.locate(target)
        values = asdict(self)
        del values["details"]
        write_json(target, values)
        return target

    def locate(self, target: Path) -> Path:
        """The path that `write` writes to."""
        return Path(target) if Path(target).suffix == ".json" else Path(target) / self.path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a score file or an evaluation folder.

        Raises:
            DataError: If it is missing or no JSON, or a field is missing, unknown or out of range.
        """
        path = Path(path) / EVALUATION_FILE if Path(path).is_dir() else Path(path)
        values = read_score_file(path)
        known = {field.name for field in fields(cls)}
        missing, unknown = sorted(known - set(values) - {"details"}), sorted(set(values) - known)
        if missing or unknown:
            raise DataError(
                f"{path}: expected the fields of a result; missing: {', '.join(missing) or 'none'}; "
                f"unknown: {', '.join(unknown) or 'none'}"
            )
        try:
            return cls(**values)
        except DataError as error:
            remedy = "" if "details" not in values else f"; {_REMEDY}"
            raise DataError(f"{path}: {error}{remedy}") from error


def read_score_file(path: Path) -> dict[str, Any]:
    """The values of a score file or an `evaluation.json`, of older versions as well, in the current format.

    Raises:
        DataError: If it is missing, no JSON, or a damaged evaluation.
    """
    values: dict[str, Any] = upgrade(read_json(path))
    if "metadata" not in values or "details" in values:
        return state_old_rule(values)
    try:
        return state_old_rule(convert_evaluation(values))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a complete evaluation ({error}); evaluate the bundle again"
        ) from error


def identify_evaluation(values: Mapping[str, Any]) -> str:
    """A key that two files of one evaluation share, such as `RUN/test` and its score file.

    It has all fields of `Result` but device, seconds and details: model, variant, backbone, pretraining, data
    set, partition, split, input size, protocol, seed, epochs, commit, and of the metrics the overall ones and
    those by attribute.

    Args:
        values: The fields of `Result`, as `read_score_file` returns them.
    """
    key = {name: values.get(name) for name in _KINDS if name not in ("device", "seconds")}
    metrics = values.get("metrics") or {}
    key["metrics"] = {name: metrics.get(name) for name in (*METRICS, "per_attribute")}
    return json.dumps(key, sort_keys=True, default=dict)


def name_score_file(dataset: str, *, model: str, backbone: str, variant: str, seed: int) -> Path:
    """The path of a score file below the folder of results.

    Example:
        >>> name_score_file("peta", model="man", backbone="resnet50", variant="sb", seed=0).as_posix()
        'peta/man-resnet50-sb-seed0.json'
    """
    stem = "-".join(slugify(part) for part in (model, backbone, variant))
    return Path(slugify(dataset)) / f"{stem}-seed{seed}.json"


def check_field(name: str, value: object) -> None:
    """Raise DataError unless a value has the type of that field of `Result`."""
    kinds, meaning = _KINDS[name]
    if not isinstance(value, kinds) or isinstance(value, bool) or value == "":
        raise DataError(f"result field {name!r}: expected {meaning}, got {value!r}")


def _check_metrics(metrics: Mapping[str, Any]) -> None:
    for name in METRICS:
        value = metrics.get(name, "nothing")
        if value is not None and not _is_fraction(value):
            raise DataError(
                f"metric {name!r}: expected a fraction in [0, 1] (not per cent), or null, got {value!r}"
            )
    per_attribute = metrics.get("per_attribute")
    if not isinstance(per_attribute, Mapping) or not per_attribute:
        raise DataError("metric 'per_attribute': expected an object with one entry per attribute")
    for attribute, scores in per_attribute.items():
        value = scores.get("mA", "nothing") if isinstance(scores, Mapping) else "nothing"
        if value is not None and not _is_fraction(value):
            raise DataError(f"per_attribute {attribute!r}: expected 'mA' in [0, 1], or null, got {scores!r}")


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
