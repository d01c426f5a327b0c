"""Scores of localisation, with bootstrap intervals, and the files they are stored in.

```
NAME.localization.json       scores, protocol, provenance of the model
NAME.localization.parquet    one row per image and attribute, see `LocalizationSamples`
```

A folder has `localization.json`, `localization.parquet` and `cases/`, see `LocalizationCases`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.cases import LocalizationCases, remove_cases
from passerby.evaluation.localization.estimates import LEVEL, Estimate, average_attributes, estimate
from passerby.evaluation.localization.protocol import LocalizationProtocol
from passerby.evaluation.localization.samples import SCORES, LocalizationSamples
from passerby.evaluation.score_files import LOCALIZATION_SUFFIX
from passerby.io import count_of, read_json, write_json
from passerby.migration import upgrade

__all__ = ["LOCALIZATION_FILE", "LocalizationScores", "check_localization_path"]

VERSION = 1
LOCALIZATION_FILE = "localization.json"
CASES_FOLDER = "cases"


@dataclass(frozen=True, repr=False)
class LocalizationScores:
    """How well the heat maps of a model localise attributes.

    Create one with `evaluate_localization`, read one with `LocalizationScores.load`.

    Args:
        dataset: Name of the data set.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: The rules.
        names: Class or classes of each attribute in the ground truth.
        exclude_from_mean: Attributes that are scored and left out of the means.
        of_paper: The attributes in SSPNet's Table 10.
        samples: The measurements.
        too_small: For each attribute the number of samples that do not count because their true area is
            below `min_area_px`.
        input_size: Height and width of the network's input in pixels.
        resamples: Number of resamples for the intervals.
        seed: Seed of the draws.
        device: Device of the network.
        seconds: Duration.
        skipped: Unreadable images, each with the reason.
        metadata: Metadata of the bundle.
        cases: The best and the worst samples; None if they are not stored.

    Attributes:
        per_attribute: Estimates by attribute and score, see `SCORES`; without attributes that have no sample.
        mean: Mean over `mean_of` by score. If a score cannot be measured for an attribute (a correlation when
            all IoU are 0), it is the mean over the others.
        mean_of: Attributes with enough samples that are not in `exclude_from_mean`.
        mean_of_paper: Like `mean`, over those of them that are in the paper's table; None if there is none.
    """

    dataset: str
    partition: str
    split: str
    protocol: LocalizationProtocol
    names: Mapping[str, tuple[str, ...]]
    exclude_from_mean: tuple[str, ...]
    of_paper: tuple[str, ...]
    samples: LocalizationSamples
    too_small: Mapping[str, int]
    input_size: tuple[int, int]
    resamples: int
    seed: int
    device: str
    seconds: float
    skipped: Sequence[tuple[str, str]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    cases: LocalizationCases | None = None

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ConfigError(f"expected at least one resample, got {self.resamples}")

    def __repr__(self) -> str:
        size = (
            f"{count_of(len(self.samples), 'sample')}, {count_of(len(self.samples.attributes), 'attribute')}"
        )
        return f"LocalizationScores({self.dataset} {self.partition}/{self.split}: {size})"

    @cached_property
    def per_attribute(self) -> Mapping[str, Mapping[str, Estimate]]:  # noqa: D102 - see the class
        samples, minimum = self.samples, self.protocol.min_samples
        has_interval = {score: samples.count_known(score) >= minimum for score in SCORES}
        return {
            name: {
                score: estimate(
                    self._values[score][i], self._resampled[score][i], interval=bool(has_interval[score][i])
                )
                for score in SCORES
            }
            for i, name in enumerate(samples.attributes)
            if samples.counts[i]
        }

    @cached_property
    def mean(self) -> Mapping[str, Estimate]:  # noqa: D102
        return average_attributes(self._values, self._resampled, self._members)

    @property
    def mean_of(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(self.samples.attributes[i] for i in self._members)

    @cached_property
    def mean_of_paper(self) -> Mapping[str, Estimate] | None:  # noqa: D102
        members = [i for i in self._members if self.samples.attributes[i] in self.of_paper]
        return average_attributes(self._values, self._resampled, members) if members else None

    @property
    def _members(self) -> list[int]:
        return self.samples.find_members(self.protocol.min_samples, self.exclude_from_mean)

    @cached_property
    def _values(self) -> Mapping[str, NDArray[np.float64]]:
        """The scores of each attribute, (A, 1) each."""
        return self.samples.score(np.ones((len(self.samples), 1)))

    @cached_property
    def _resampled(self) -> Mapping[str, NDArray[np.float64]]:
        """The scores in each resample, (A, B) each; drawn when an interval is first needed."""
        return self.samples.resample(resamples=self.resamples, seed=self.seed)

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples of each attribute."""
        return dict(zip(self.samples.attributes, self.samples.counts.tolist(), strict=True))

    @property
    def n_clusters(self) -> int:
        """Number of clusters drawn in each resample: identities, or images without a known identity."""
        return int(self.samples.clusters.max()) + 1

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> Path:
        """Write the scores as JSON and the samples, which contain labels of the data set, as Parquet.

        Args:
            path: A name that ends in `localization.json`, or a folder, which gets a file of that name and the
                cases; older ones are removed.

        Returns:
            Path of the JSON file.

        Raises:
            ConfigError: If the name ends otherwise.
        """
        path = _locate(path)
        check_localization_path(path)
        if path.name == LOCALIZATION_FILE:
            folder = path.parent / CASES_FOLDER
            if self.cases is None:
                remove_cases(folder)
            else:
                self.cases.write(folder)
        self.samples.write(path.with_suffix(".parquet"))
        write_json(path, self.to_dict())
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of the file that `write` writes."""
        paper = self.mean_of_paper
        return {
            "version": VERSION,
            "dataset": self.dataset,
            "partition": self.partition,
            "split": self.split,
            "protocol": asdict(self.protocol),
            "protocol_line": self.protocol.describe(),
            "names": {name: list(classes) for name, classes in self.names.items()},
            "exclude_from_mean": list(self.exclude_from_mean),
            "of_paper": list(self.of_paper),
            "mean_of": list(self.mean_of),
            "mean": _to_values(self.mean),
            "mean_of_paper": None if paper is None else _to_values(paper),
            "per_attribute": {
                name: {"samples": self.counts[name], **_to_values(scores)}
                for name, scores in self.per_attribute.items()
            },
            "too_small": dict(self.too_small),
            "input_size": list(self.input_size),
            "resamples": self.resamples,
            "seed": self.seed,
            "level": LEVEL,
            "n_clusters": self.n_clusters,
            "device": self.device,
            "seconds": self.seconds,
            "skipped": [list(pair) for pair in self.skipped],
            "metadata": dict(self.metadata),
        }

    @classmethod
    def load(cls, path: Path, *, root: Path | None = None) -> Self:
        """Read a file that `write` wrote; the scores are computed again from the samples.

        Args:
            path: The JSON file, or a folder with `localization.json`.
            root: Folder of the images of the cases, if not the stored one.

        Raises:
            DataError: If a file is missing or damaged, or the stored scores or cases do not match the
                samples.
        """
        path = _locate(path)
        folder = path.parent / CASES_FOLDER
        values = upgrade(read_json(path))
        try:
            if values["version"] != VERSION:
                raise ValueError(f"expected version {VERSION}, got {values['version']}")
            has_cases = path.name == LOCALIZATION_FILE and folder.is_dir()
            cases = LocalizationCases.load(folder, root=root) if has_cases else None
            samples = LocalizationSamples.load(path.with_suffix(".parquet"), tuple(values["names"]))
            scores = cls._from_dict(values, samples, cases)
            stored = {name: each["box_iou"]["value"] for name, each in values["per_attribute"].items()}
        except (DataError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} is not a complete localisation score ({error}); create it again with "
                "`passerby evaluate-localization … --out`"
            ) from error
        scores._check(path, stored)
        return scores

    @classmethod
    def _from_dict(
        cls, values: Mapping[str, Any], samples: LocalizationSamples, cases: LocalizationCases | None
    ) -> Self:
        return cls(
            dataset=values["dataset"],
            partition=values["partition"],
            split=values["split"],
            protocol=LocalizationProtocol(**values["protocol"]),
            names={name: tuple(classes) for name, classes in values["names"].items()},
            exclude_from_mean=tuple(values["exclude_from_mean"]),
            of_paper=tuple(values["of_paper"]),
            samples=samples,
            too_small=values["too_small"],
            input_size=(int(values["input_size"][0]), int(values["input_size"][1])),
            resamples=int(values["resamples"]),
            seed=int(values["seed"]),
            device=values["device"],
            seconds=values["seconds"],
            skipped=[(image, reason) for image, reason in values["skipped"]],
            metadata=values["metadata"],
            cases=cases,
        )

    def _check(self, path: Path, stored: Mapping[str, float]) -> None:
        """Raise DataError unless the stored box IoU and the cases match the samples."""
        pairs = zip(self.samples.attributes, self._values["box_iou"][:, 0].tolist(), strict=True)
        computed = {name: value for name, value in pairs if self.counts[name]}
        if set(computed) != set(stored) or any(abs(computed[n] - stored[n]) > 1e-9 for n in computed):
            raise DataError(
                f"{path}: its scores do not match its samples; the files do not belong together, run "
                "`passerby evaluate-localization` again"
            )
        if self.cases is not None:
            self.cases.check(self.samples, self.input_size)


def check_localization_path(path: Path) -> None:
    """Raise ConfigError unless the name ends in `localization.json`, unlike those of other scores."""
    if not Path(path).name.endswith(LOCALIZATION_SUFFIX):
        raise ConfigError(f"expected a file name that ends in {LOCALIZATION_SUFFIX}, got {path}")


def _locate(path: Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / LOCALIZATION_FILE


def _to_values(scores: Mapping[str, Estimate]) -> dict[str, Any]:
    return {score: each.to_dict() for score, each in scores.items()}
