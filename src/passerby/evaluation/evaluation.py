"""The outcome of an evaluation: probabilities, labels, scores, and the files they are stored in.

```
FOLDER/
  evaluation.json        the fields of `Result`, and `details`: schema, root, metadata of the bundle, …
  predictions.parquet    one row per sample: image, identity, box, row, prob:<name>, label:<name>
```
"""

from __future__ import annotations

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
from passerby.evaluation.provenance import describe_protocol_line, describe_result
from passerby.evaluation.results import EVALUATION_FILE, PREDICTIONS_FILE, Result, read_score_file
from passerby.evaluation.scoring import (
    are_close,
    compute_scores,
    describe_attributes,
    restore_nan,
)
from passerby.evaluation.unmeasured import UNMEASURED, describe_unmeasured
from passerby.io import count_of, replace_nan, write_json
from passerby.schema import AttributeSchema

if TYPE_CHECKING:
    from passerby.metrics import AttributeScores, ParsingScores

__all__ = ["Evaluation"]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The scores of one model on one split, and its predictions.

    Create one with `evaluate`, read one with `Evaluation.load`.

    Args:
        dataset: Name of the data set.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: The rules of the score.
        thresholds: The threshold of each attribute.
        schema: The attributes, in the order of the columns.
        images: Path of each image below `root`.
        identities: Identity of each sample, None if unknown.
        boxes: Crop of each row in pixels (left, top, right, bottom), None for the whole image.
        rows: Row of each sample in the manifest.
        probs: Probabilities.
        labels: Labels in {1, 0, −1}.
        root: Folder of the images.
        input_size: Height and width of the network's input in pixels.
        device: Device of the network.
        seconds: Duration of the evaluation.
        skipped: Unreadable images, each with the reason; they are not part of the score.
        metadata: Metadata of the bundle.
        parsing: Scores of the model's parsing maps at the size of its input, padding included, by the name
            of the stage; empty if it predicts none, or there was no ground truth.
        five_crops: Whether the probabilities are means over five crops, see `passerby.Predictor`.

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

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {100 * value:.2f}" for name, value in self.summary().items())
        size = f"{count_of(len(self), 'sample')}, {count_of(len(self.schema), 'attribute')}"
        return f"Evaluation({self.dataset} {self.partition}/{self.split}: {scores}; {size})"

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """Which attributes are predicted, (N, A)."""
        decisions: NDArray[np.bool_] = self.probs > np.asarray(self.thresholds, np.float32)
        return decisions

    @property
    def protocol_line(self) -> str:
        """The rules of the score and the selection of the model in one line, printed with every score."""
        return describe_protocol_line(
            self.metadata, self.protocol, self.thresholds, five_crops=self.five_crops
        )

    def summary(self) -> dict[str, float]:
        """The overall metrics by name, in [0, 1]; NaN if the labels cannot measure one."""
        return {**self.scores.summary(), "mAP": self.mAP}

    @property
    def mean_accuracy_per_body_part(self) -> dict[str, float]:
        """The mean mA of the attributes of each body part, in [0, 1] (SSPNet's Table 1); NaN without any."""
        from passerby.metrics.functional import average_measured

        values = self.scores.per_attribute_mA
        return {
            body_part: average_measured(values[list(members)])
            for body_part, members in self.schema.group_by("body_part").items()
        }

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The attributes without positives or without negatives."""
        pairs = zip(self.schema.names, self.scores.measured.tolist(), strict=True)
        return tuple(name for name, measured in pairs if not measured)

    def list_remarks(self) -> list[str]:
        """State which attributes and how many samples the scores leave out, or count as 0."""
        found = describe_unmeasured(self.unmeasured, len(self.schema), protocol=self.protocol.name)
        blank = 0
        if self.protocol.unknown == "ignore" and self.protocol.unmeasured == "drop":
            blank = int((self.labels < 0).all(axis=1).sum())
        have, are = ("has", "is") if blank == 1 else ("have", "are")
        samples = f"{blank:,} of {len(self):,} samples {have} no known label"
        left_out = f"{samples} and {are} left out of all scores."
        return [*filter(None, [found]), *[left_out] * bool(blank)]

    def metrics(self) -> dict[str, Any]:
        """Overall metrics, `per_attribute` and `mA_per_body_part`, in [0, 1]; None if unmeasured.

        `unmeasured` has the names of the attributes without positives or without negatives.
        If parsing maps were scored, `parsing` has the `mIoU` and `IoU` by class of each stage.
        """
        return {
            **{name: replace_nan(value) for name, value in self.summary().items()},
            UNMEASURED: list(self.unmeasured),
            "per_attribute": describe_attributes(
                self.schema.names, self.scores, self.average_precision, self.thresholds
            ),
            "mA_per_body_part": {k: replace_nan(v) for k, v in self.mean_accuracy_per_body_part.items()},
            **({"parsing": {k: v.to_dict() for k, v in self.parsing.items()}} if self.parsing else {}),
        }

    def to_result(self, **facts: Any) -> Result:
        """Create the score file of this evaluation; with five crops its variant is `<variant>-five-crops`.

        Args:
            facts: Fields of `Result` that replace or complete the metadata of the bundle, such as `seed=3`.

        Raises:
            DataError: If a field is in neither, or a value is out of range; the message names the field.
        """
        return Result(**{**self._describe(), **facts})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `evaluation.json`, without the folder of the images."""
        return {**self._describe(), "details": self._describe_details()}

    def _describe_details(self) -> dict[str, Any]:
        return {
            "n_samples": len(self),
            "protocol_line": self.protocol_line,
            "five_crops": self.five_crops,
            "device": self.device,
            "seconds": self.seconds,
            "skipped": [list(pair) for pair in self.skipped],
            "metadata": dict(self.metadata),
            "schema": self.schema.to_dict(),
        }

    def _describe(self) -> dict[str, Any]:
        return describe_result(
            self.metadata,
            dataset=self.dataset,
            partition=self.partition,
            split=self.split,
            protocol=self.protocol,
            thresholds=self.thresholds,
            input_size=self.input_size,
            metrics=self.metrics(),
            five_crops=self.five_crops,
            skipped=len(self.skipped),
        )

    @property
    def predictions(self) -> Predictions:
        """The predictions alone."""
        return Predictions(
            self.schema.names, self.images, self.identities, self.boxes, self.rows, self.probs, self.labels
        )

    # ------------------------------------------------------------------ files

    def write(self, folder: Path) -> None:
        """Write `predictions.parquet`, then `evaluation.json`, so that a folder with it is complete."""
        folder = Path(folder)
        self.predictions.write(folder / PREDICTIONS_FILE)
        root = Path(os.path.relpath(self.root.resolve(), folder.resolve())).as_posix()
        details = {**self._describe_details(), "root": root}
        write_json(folder / EVALUATION_FILE, {**self._describe(), "details": details})

    def write_result(self, target: Path, **facts: Any) -> Path:
        """Write the score file, and before it the predictions: same name, `.parquet`.

        Predictions contain labels of the data set, so git ignores them; `passerby compare` needs them.

        Args:
            target: A path that ends with `.json`, or the folder of results.
            facts: See `to_result`.

        Returns:
            Path of the score file.
        """
        result = self.to_result(**facts)
        path = result.locate(target)
        self.predictions.write(path.with_suffix(".parquet"))
        return result.write(path)

    @classmethod
    def load(cls, folder: Path, *, root: Path | None = None) -> Evaluation:
        """Read a folder that `write` wrote; the scores are computed again from the predictions.

        Args:
            folder: The folder.
            root: Folder of the images; by default the one stored in the file, relative to the folder.

        Raises:
            DataError: If a file is missing or damaged, or the stored scores do not match the predictions.
        """
        folder = Path(folder)
        values = read_score_file(folder / EVALUATION_FILE)
        try:
            details = values["details"]
            schema = AttributeSchema.from_dict(details["schema"])
            predictions = Predictions.load(folder / PREDICTIONS_FILE).select(schema.names)
            evaluation = cls._from_values(values, schema, predictions, root or folder / details["root"])
            stored = restore_nan(values["metrics"]["mA"])
        except (DataError, KeyError, ValueError, TypeError, SchemaError) as error:
            raise DataError(
                f"{folder} is not a complete evaluation ({error}); create it again with "
                "`passerby evaluate … --out`"
            ) from error
        if not are_close(stored, evaluation.scores.mA, tolerance=1e-6):
            raise DataError(
                f"{folder}: {EVALUATION_FILE} states mA {stored:.6f}, the predictions give "
                f"{evaluation.scores.mA:.6f}; the files do not belong together, run `passerby evaluate` again"
            )
        return evaluation

    @classmethod
    def _from_values(
        cls, values: Mapping[str, Any], schema: AttributeSchema, predictions: Predictions, root: Path
    ) -> Evaluation:
        from passerby.metrics import ParsingScores

        details, metrics = values["details"], values["metrics"]
        return cls(
            dataset=values["dataset"],
            partition=values["partition"],
            split=values["split"],
            protocol=load_protocol(values["protocol"]["name"]),
            thresholds=tuple(metrics["per_attribute"][name]["threshold"] for name in schema.names),
            schema=schema,
            images=predictions.images,
            identities=predictions.identities,
            boxes=predictions.boxes,
            rows=predictions.rows,
            probs=predictions.probs,
            labels=predictions.labels,
            root=Path(root),
            input_size=(int(values["input_size"][0]), int(values["input_size"][1])),
            device=details["device"],
            seconds=details["seconds"],
            skipped=[(image, reason) for image, reason in details["skipped"]],
            metadata=details["metadata"],
            parsing={
                stage: ParsingScores.from_dict(each) for stage, each in metrics.get("parsing", {}).items()
            },
            five_crops=bool(details["five_crops"]),
        )
