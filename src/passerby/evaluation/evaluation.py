"""What an evaluation leaves: probabilities, labels, scores, and the files they are kept in.

```
FOLDER/
  evaluation.json        scores, protocol, attributes, origin of the model
  predictions.parquet    one row a person: image, identity, box, row, prob:<name>, label:<name>
```
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError, SchemaError
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.protocols import Protocol, load_protocol
from passerby.evaluation.results import Result, find_commit
from passerby.io import read_json, write_json
from passerby.migration import upgrade
from passerby.schema import AttributeSchema

if TYPE_CHECKING:
    from passerby.metrics import AttributeScores, ParsingScores

__all__ = ["Evaluation", "compute_scores"]

VERSION = 1
FIVE_CROPS = "mean of five crops"
PER_ATTRIBUTE = ("mA", "tpr", "tnr", "accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one split, and the predictions behind them.

    Create one with `evaluate`, read one with `Evaluation.load`.

    Args:
        dataset: Name of the data set.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: The rules of the score.
        thresholds: The threshold of each attribute that was used.
        schema: The attributes, in the order of the columns.
        images: Path of each picture below `root`.
        identities: Identity of each person, None where unknown.
        boxes: Crop of each row in pixels (left, top, right, bottom), None for the whole picture.
        rows: Row of each person in the manifest.
        probs: Probabilities.
        labels: Labels in {1, 0, −1}.
        root: Folder that the pictures lie below.
        input_size: Height and width of the network's input in pixels.
        device: Where the network ran.
        seconds: Duration of the evaluation.
        skipped: Pictures that could not be read, with the reason; they are not part of the score.
        metadata: What the bundle says about its origin.
        parsing: Scores of the model's parsing maps at the size of its input, padding included, by the name
            of the stage; empty if it makes none, or there was no truth to compare them with.
        five_crops: Whether the probabilities are means over five crops, see `passerby.bundle.FiveCrops`.

    Attributes:
        scores: Scores under the protocol, computed from the predictions.
        average_precision: Average precision of each attribute, NaN where it has no positive.
        mAP: Their mean.

    Shape:
        rows: (N,) int64; probs: (N, A) float32 in [0, 1]; labels: (N, A) int8; average_precision: (A,).
    """

    dataset: str
    partition: str
    split: str
    protocol: Protocol
    thresholds: tuple[float, ...]
    schema: AttributeSchema
    images: Sequence[str]
    identities: Sequence[str | None]
    boxes: Sequence[tuple[float, float, float, float] | None]
    rows: NDArray[np.int64]
    probs: NDArray[np.float32]
    labels: NDArray[np.int8]
    root: Path
    input_size: tuple[int, int]
    device: str
    seconds: float
    skipped: Sequence[tuple[str, str]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parsing: Mapping[str, ParsingScores] = field(default_factory=dict)
    five_crops: bool = False
    scores: AttributeScores = field(init=False)
    average_precision: NDArray[np.float64] = field(init=False)
    mAP: float = field(init=False)  # noqa: N815 - the metric's name

    def __post_init__(self) -> None:
        scores, each, mean = compute_scores(
            self.probs, self.labels, thresholds=self.thresholds, protocol=self.protocol
        )
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "average_precision", each)
        object.__setattr__(self, "mAP", mean)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """Which attributes the model says yes to, (N, A)."""
        decided: NDArray[np.bool_] = self.probs > np.asarray(self.thresholds, np.float32)
        return decided

    @property
    def protocol_line(self) -> str:
        """The protocol in words, with how the model was chosen and run; printed beside every score."""
        words = f"{self.protocol.describe(self.thresholds)}; {describe_choice(self.metadata)}"
        return f"{words}; {FIVE_CROPS}" if self.five_crops else words

    def summary(self) -> dict[str, float]:
        """The overall metrics by name, in [0, 1]; mAP is NaN where no attribute has a positive."""
        return {**self.scores.summary(), "mAP": self.mAP}

    @property
    def mean_accuracy_per_body_part(self) -> dict[str, float]:
        """The mean mA of the attributes of each part of the body, in [0, 1] (SSPNet's Table 1)."""
        values = self.scores.per_attribute_mA
        return {
            body_part: float(values[list(members)].mean())
            for body_part, members in self.schema.group_by("body_part").items()
        }

    def metrics(self) -> dict[str, Any]:
        """Overall metrics, `per_attribute` and `mA_per_body_part`, in [0, 1]; None what cannot be measured.

        Where parsing maps were scored, `parsing` has each stage's `mIoU` and `IoU` by class.
        """
        columns: dict[str, list[float]] = {
            n: getattr(self.scores, f"per_attribute_{n}").tolist() for n in PER_ATTRIBUTE
        }
        per_attribute: dict[str, dict[str, float | int | None]] = {}
        for i, name in enumerate(self.schema.names):
            precision = float(self.average_precision[i])
            per_attribute[name] = {
                **{metric: column[i] for metric, column in columns.items()},
                "AP": None if math.isnan(precision) else precision,
                "positives": int(self.scores.positives[i]),
                "negatives": int(self.scores.negatives[i]),
                "threshold": self.thresholds[i],
            }
        return {
            **_without_nan(self.summary()),
            "per_attribute": per_attribute,
            "mA_per_body_part": self.mean_accuracy_per_body_part,
            **({"parsing": _describe_parsing(self.parsing)} if self.parsing else {}),
        }

    def to_result(self, **facts: Any) -> Result:
        """The score file of this evaluation; with five crops, its variant is `<variant>-five-crops`.

        Args:
            facts: Fields of `Result` that the bundle does not record, or records otherwise, such as `seed=3`.

        Raises:
            DataError: If the bundle records neither, or a value is out of range; the message names the field.
        """
        environment = self.metadata.get("environment") or {}
        variant = self.metadata.get("variant")
        known = {
            **{name: self.metadata.get(name) for name in ("model", "backbone", "pretraining")},
            "variant": f"{variant}-five-crops" if variant and self.five_crops else variant,
            **{name: self.metadata.get(name) for name in ("seed", "epochs", "seconds")},
            "device": environment.get("device"),
            "commit": environment.get("commit") or find_commit(),
            "dataset": self.dataset,
            "partition": self.partition,
            "split": self.split,
            "input_size": self.input_size,
            "protocol": self._describe_protocol(),
            "metrics": self.metrics(),
        }
        return Result(**{**known, **facts})

    def _describe_protocol(self) -> dict[str, Any]:
        source = self.metadata.get("dataset")
        return {
            "name": self.protocol.name,
            **self._describe_thresholds(),
            "unknown": self.protocol.describe_unknown(),
            "selection": self.metadata.get("selection"),
            "best_epoch": self.metadata.get("best_epoch"),
            "ema": self.metadata.get("ema"),
            "skipped_images": len(self.skipped),
            **({"crops": FIVE_CROPS} if self.five_crops else {}),
            **({"source": f"trained on {source}"} if source and source != self.dataset else {}),
            **({"label_map": self.metadata["label_map"]} if "label_map" in self.metadata else {}),
        }

    def _describe_thresholds(self) -> dict[str, str]:
        """In words; of a calibrated bundle without numbers, which differ from seed to seed."""
        note = self.metadata.get("calibration")
        if note is None or self.protocol.threshold is not None:
            return {"threshold": self.protocol.describe_threshold(self.thresholds)}
        return {"threshold": "p > the attribute's own threshold", "calibration": note}

    @property
    def predictions(self) -> Predictions:
        """The predictions alone."""
        return Predictions(
            self.schema.names, self.images, self.identities, self.boxes, self.rows, self.probs, self.labels
        )

    # ------------------------------------------------------------------ files

    def write(self, folder: Path) -> None:
        """Write `predictions.parquet` and `evaluation.json` (last, so that a folder with it is complete)."""
        folder = Path(folder)
        self.predictions.write(folder / "predictions.parquet")
        write_json(folder / "evaluation.json", self._to_dict(folder))

    def write_result(self, target: Path, **facts: Any) -> Path:
        """Write the score file, and before it the predictions beside it: same name, `.parquet`.

        Predictions hold labels of the data set, so git ignores them; `passerby compare` needs them.

        Args:
            target: A path that ends with `.json`, or the folder of results.
            facts: See `to_result`.

        Returns:
            Where the score file was written.
        """
        result = self.to_result(**facts)
        path = result.locate(target)
        self.predictions.write(path.with_suffix(".parquet"))
        return result.write(path)

    def _to_dict(self, folder: Path) -> dict[str, Any]:
        return {
            "version": VERSION,
            "dataset": self.dataset,
            "partition": self.partition,
            "split": self.split,
            "count": len(self),
            "protocol": self.protocol.name,
            "protocol_line": self.protocol_line,
            "thresholds": list(self.thresholds),
            "metrics": self.metrics(),
            "degenerate": self.scores.degenerate,
            "input_size": list(self.input_size),
            "five_crops": self.five_crops,
            "device": self.device,
            "seconds": self.seconds,
            "skipped": [list(pair) for pair in self.skipped],
            "root": Path(os.path.relpath(self.root.resolve(), folder.resolve())).as_posix(),
            "metadata": dict(self.metadata),
            "schema": self.schema.to_dict(),
        }

    @classmethod
    def load(cls, folder: Path, *, root: Path | None = None) -> Evaluation:
        """Read a folder that `write` wrote; the scores are computed anew from the predictions.

        Args:
            folder: The folder.
            root: Where the pictures lie; by default the root noted in the file, relative to the folder.

        Raises:
            DataError: If a file is missing or damaged, or the noted scores are not those of the predictions.
        """
        folder = Path(folder)
        values = upgrade(read_json(folder / "evaluation.json"))
        try:
            schema = AttributeSchema.from_dict(values["schema"])
            found = Predictions.load(folder / "predictions.parquet").select(schema.names)
            evaluation = cls(
                dataset=values["dataset"],
                partition=values["partition"],
                split=values["split"],
                protocol=load_protocol(values["protocol"]),
                thresholds=tuple(values["thresholds"]),
                schema=schema,
                images=found.images,
                identities=found.identities,
                boxes=found.boxes,
                rows=found.rows,
                probs=found.probs,
                labels=found.labels,
                root=Path(root) if root else folder / values["root"],
                input_size=(int(values["input_size"][0]), int(values["input_size"][1])),
                device=values["device"],
                seconds=values["seconds"],
                skipped=[(image, reason) for image, reason in values["skipped"]],
                metadata=values["metadata"],
                parsing=restore_parsing(values["metrics"].get("parsing", {})),
                five_crops=bool(values.get("five_crops", False)),  # older files do not say
            )
            noted = float(values["metrics"]["mA"])
        except (DataError, KeyError, ValueError, TypeError, SchemaError) as error:
            raise DataError(
                f"{folder} is no complete evaluation ({error}); make it anew with `passerby evaluate … --out`"
            ) from error
        if abs(noted - evaluation.scores.mA) > 1e-6:
            raise DataError(
                f"{folder}: evaluation.json says mA {noted:.6f}, the predictions give "
                f"{evaluation.scores.mA:.6f}; the files do not belong together, run `passerby evaluate` anew"
            )
        return evaluation


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _describe_parsing(parsing: Mapping[str, ParsingScores]) -> dict[str, Any]:
    return {
        stage: {**_without_nan({"mIoU": scores.mean_iou}), "IoU": _without_nan(scores.iou)}
        for stage, scores in parsing.items()
    }


def restore_parsing(values: Mapping[str, Any]) -> dict[str, ParsingScores]:
    """Scores of parsing maps by stage, from what a score file has under `parsing`."""
    from passerby.metrics import ParsingScores

    return {
        stage: ParsingScores({k: math.nan if v is None else float(v) for k, v in each["IoU"].items()})
        for stage, each in values.items()
    }


def compute_scores(
    probs: NDArray[np.float32], labels: NDArray[np.int8], *, thresholds: Sequence[float], protocol: Protocol
) -> tuple[AttributeScores, NDArray[np.float64], float]:
    """Scores, average precision of each attribute and its mean.

    Shape:
        probs: (N, A) in [0, 1]; labels: (N, A) in {1, 0, −1}; thresholds: A numbers.
    """
    import torch

    from passerby.metrics import AttributeMetrics, MeanAveragePrecision

    metrics = AttributeMetrics(probs.shape[1], thresholds=list(thresholds), unknown=protocol.unknown)
    precision = MeanAveragePrecision(probs.shape[1], unknown=protocol.unknown)
    both = torch.from_numpy(np.ascontiguousarray(probs)), torch.from_numpy(np.ascontiguousarray(labels))
    metrics.update(*both)
    precision.update(*both)
    mean, each = precision.compute()
    return metrics.compute(), each.double().numpy(), float(mean)


def describe_choice(metadata: Mapping[str, Any]) -> str:
    """How the model's epoch was chosen and whether its weights are an average, from a bundle's metadata."""
    choice = metadata.get("selection")
    words = f"epoch chosen by {choice}" if choice else "how the epoch was chosen is not recorded"
    average = metadata.get("ema")
    return f"{words}, EMA {average:g}" if isinstance(average, int | float) else f"{words}, no EMA"
