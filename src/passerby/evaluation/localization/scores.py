"""The scores of where a model sees attributes, with intervals, and the files they are kept in.

```
NAME.localization.json       scores, protocol, origin of the model
NAME.localization.parquet    one row a picture and attribute, see `LocalizationSamples`
```

A folder has `localization.json`, `localization.parquet` and `cases/`, see `LocalizationCases`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.cases import LocalizationCases, remove_cases
from passerby.evaluation.localization.samples import SCORES, LocalizationSamples, average_known
from passerby.evaluation.results import LOCALIZATION_SUFFIX
from passerby.io import read_json, write_json
from passerby.migration import upgrade

__all__ = ["Estimate", "LocalizationProtocol", "LocalizationScores", "check_localization_path", "get_factor"]

VERSION = 1
LEVEL = 0.95
DEFAULT_NAME = "localization.json"
CASES_FOLDER = "cases"


def get_factor(score: str) -> int:
    """What a score is shown times: 100 for the shares, in per cent, and 1 for the correlation.

    Example:
        >>> get_factor("box_iou"), get_factor("pcc")
        (100, 1)
    """
    return 1 if score == "pcc" else 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and its percentile interval.

    Args:
        value: In [0, 1], or [−1, 1] for a correlation; NaN where it cannot be measured.
        low: Lower end, NaN where there is none.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON, None for NaN."""
        return {name: None if math.isnan(each) else each for name, each in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class LocalizationProtocol:
    """The rules of the scores.

    Args:
        truth: `parsing` or `boxes`.
        method: How heat maps are computed, see `passerby.explain.METHODS`.
        binarization: Such as `max:0.5`.
        boxes: `outer` or `components`.
        min_area_px: Samples with fewer true pixels do not count.
        min_samples: Attributes with fewer samples have no interval and no part in a mean; insertion and
            deletion that are of fewer have no interval.
        only_predicted: Whether samples count only where the model says yes.
        insertion_deletion: Number of samples an attribute with insertion and deletion.
    """

    truth: str
    method: str
    binarization: str
    boxes: str
    min_area_px: int
    min_samples: int
    only_predicted: bool
    insertion_deletion: int

    def describe(self) -> str:
        """In words, to be printed beside every score."""
        words = self.in_words()
        return (
            f"{words['method']}, {words['binarization']}, {words['boxes']}; {words['truth']}; "
            f"{words['samples']}; {words['min_samples']}"
        )

    def in_words(self) -> dict[str, str]:
        """Each rule in words; how many samples have insertion and deletion is none."""
        truth = "the classes of the pixels" if self.truth == "parsing" else "the boxes of drawn people"
        who = "labelled and predicted yes" if self.only_predicted else "labelled yes, whatever is predicted"
        return {
            "method": self.method,
            "binarization": f"foreground {self.binarization}",
            "boxes": "one outer box" if self.boxes == "outer" else "a box around each piece",
            "truth": f"truth: {truth}",
            "samples": f"samples: {who}, with at least {self.min_area_px} true pixels",
            "min_samples": f"means over attributes with at least {self.min_samples} samples",
        }


@dataclass(frozen=True)
class LocalizationScores:
    """Where a model sees attributes, against where they are.

    Create one with `evaluate_localization`, read one with `LocalizationScores.load`.

    Args:
        dataset: Name of the data set.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: The rules.
        names: What each attribute is called in the truth.
        exclude_from_mean: Attributes that are scored and left out of the means.
        of_paper: Those that are in SSPNet's Table 10.
        samples: What was measured.
        too_small: Number of samples of each attribute that do not count, their truth being below `min_area_px`.
        input_size: Height and width of the network's input in pixels.
        resamples: Number of resamples behind the intervals.
        seed: Seed of the draws.
        device: Where the network ran.
        seconds: Duration.
        skipped: Pictures that could not be read, with the reason.
        metadata: What the bundle says about its origin.
        cases: The best and the worst samples; None where the files hold none.

    Attributes:
        per_attribute: By attribute and score, see `SCORES`; of attributes without samples none.
        mean: Mean over `mean_of` by score. Where a score cannot be measured for an attribute (a correlation
            when all IoU are 0), it is the mean over the others.
        mean_of: Attributes with enough samples that are not `exclude_from_mean`.
        mean_of_paper: As `mean`, over those of them that are in the paper's table; None if there is none.
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

    @cached_property
    def per_attribute(self) -> Mapping[str, Mapping[str, Estimate]]:  # noqa: D102 - as above
        samples, enough = self.samples, self.protocol.min_samples
        certain = {score: samples.count_known(score) >= enough for score in SCORES}
        return {
            name: {
                score: _estimate(
                    self._values[score][i], self._drawn[score][i], interval=bool(certain[score][i])
                )
                for score in SCORES
            }
            for i, name in enumerate(samples.attributes)
            if samples.counts[i]
        }

    @cached_property
    def mean(self) -> Mapping[str, Estimate]:  # noqa: D102
        return _average_members(self._values, self._drawn, self._members)

    @property
    def mean_of(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(self.samples.attributes[i] for i in self._members)

    @cached_property
    def mean_of_paper(self) -> Mapping[str, Estimate] | None:  # noqa: D102
        members = [i for i in self._members if self.samples.attributes[i] in self.of_paper]
        return _average_members(self._values, self._drawn, members) if members else None

    @property
    def _members(self) -> list[int]:
        return self.samples.find_members(self.protocol.min_samples, self.exclude_from_mean)

    @cached_property
    def _values(self) -> Mapping[str, NDArray[np.float64]]:
        """The scores of each attribute, (A, 1) each."""
        return self.samples.score(np.ones((len(self.samples), 1)))

    @cached_property
    def _drawn(self) -> Mapping[str, NDArray[np.float64]]:
        """Those in each resample, (A, B) each: drawn when an interval is asked for."""
        return self.samples.resample(resamples=self.resamples, seed=self.seed)

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples of each attribute."""
        return dict(zip(self.samples.attributes, self.samples.counts.tolist(), strict=True))

    @property
    def n_clusters(self) -> int:
        """Number of people that are drawn in each resample: identities, or pictures where none are known."""
        return int(self.samples.groups.max()) + 1

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> Path:
        """Write the scores as JSON and the samples, which hold labels of the data set, as Parquet beside it.

        Args:
            path: A name that ends in `localization.json`, or a folder, which gets a file of that name and the
                cases; older ones are removed.

        Returns:
            Where the JSON was written.

        Raises:
            ConfigError: If the name ends otherwise.
        """
        path = _locate(path)
        check_localization_path(path)
        if path.name == DEFAULT_NAME:
            folder = path.parent / CASES_FOLDER
            if self.cases is None:
                remove_cases(folder)
            else:
                self.cases.write(folder)
        self.samples.write(path.with_suffix(".parquet"))
        write_json(path, self._to_dict())
        return path

    def _to_dict(self) -> dict[str, Any]:
        columns = {
            name: {"samples": self.counts[name], **{score: each.to_dict() for score, each in found.items()}}
            for name, found in self.per_attribute.items()
        }
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
            "mean": {score: each.to_dict() for score, each in self.mean.items()},
            "mean_of_paper": None if paper is None else {score: e.to_dict() for score, e in paper.items()},
            "per_attribute": columns,
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
        """Read what `write` wrote; the scores are computed anew from the samples.

        Args:
            root: Where the pictures of the cases lie, if not where they note.

        Raises:
            DataError: If a file is missing or damaged, or the noted scores or the cases are not those of the
                samples.
        """
        path = _locate(path)
        folder = path.parent / CASES_FOLDER
        has_cases = path.name == DEFAULT_NAME and folder.is_dir()
        values = upgrade(read_json(path))
        try:
            if values["version"] != VERSION:
                raise ValueError(f"expected version {VERSION}, got {values['version']}")
            names = {name: tuple(classes) for name, classes in values["names"].items()}
            scores = cls(
                dataset=values["dataset"],
                partition=values["partition"],
                split=values["split"],
                protocol=LocalizationProtocol(**values["protocol"]),
                names=names,
                exclude_from_mean=tuple(values["exclude_from_mean"]),
                of_paper=tuple(values["of_paper"]),
                samples=LocalizationSamples.load(path.with_suffix(".parquet"), tuple(names)),
                too_small=values["too_small"],
                input_size=(int(values["input_size"][0]), int(values["input_size"][1])),
                resamples=int(values["resamples"]),
                seed=int(values["seed"]),
                device=values["device"],
                seconds=values["seconds"],
                skipped=[(image, reason) for image, reason in values["skipped"]],
                metadata=values["metadata"],
                cases=LocalizationCases.load(folder, root=root) if has_cases else None,
            )
            noted = {name: each["box_iou"]["value"] for name, each in values["per_attribute"].items()}
        except (DataError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} is no complete score of localisation ({error}); make it anew with "
                "`passerby evaluate-localization … --out`"
            ) from error
        pairs = zip(scores.samples.attributes, scores._values["box_iou"][:, 0].tolist(), strict=True)
        found = {name: value for name, value in pairs if scores.counts[name]}
        if set(found) != set(noted) or any(abs(found[name] - noted[name]) > 1e-9 for name in found):
            raise DataError(
                f"{path}: its scores are not those of its samples; the files do not belong together, run "
                "`passerby evaluate-localization` anew"
            )
        if scores.cases is not None:
            scores.cases.check(scores.samples, scores.input_size)
        return scores


def check_localization_path(path: Path) -> None:
    """Raise ConfigError unless the name ends in `localization.json`, which tells it from other scores."""
    if not Path(path).name.endswith(LOCALIZATION_SUFFIX):
        raise ConfigError(f"expected a file name that ends in {LOCALIZATION_SUFFIX}, got {path}")


def _locate(path: Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / DEFAULT_NAME


def find_interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of what is known of the resamples; NaN if nothing is."""
    known = samples[np.isfinite(samples)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _estimate(value: NDArray[np.float64], samples: NDArray[np.float64], *, interval: bool = True) -> Estimate:
    found = float(value[0])
    return Estimate(found, *find_interval(samples)) if interval and math.isfinite(found) else Estimate(found)


def _average_members(
    values: Mapping[str, NDArray[np.float64]],
    drawn: Mapping[str, NDArray[np.float64]],
    members: Sequence[int],
) -> dict[str, Estimate]:
    chosen = list(members)
    return {
        name: _estimate(average_known(values[name][chosen]), average_known(drawn[name][chosen]))
        for name in SCORES
    }
