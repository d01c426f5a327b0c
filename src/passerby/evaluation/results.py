"""One JSON file a score, checked when read, and the table that many of them make.

A score file lies at `results/<dataset>/<model>-<backbone>-<variant>-seed<k>.json`. Metrics are fractions in
[0, 1] in the file and per cent wherever people read them.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from passerby.errors import DataError
from passerby.evaluation.run_names import name_run
from passerby.io import read_json, slugify, write_json
from passerby.metrics.functional import METRICS
from passerby.migration import upgrade

__all__ = [
    "Aggregate",
    "Result",
    "aggregate",
    "find_commit",
    "format_markdown",
    "load_results",
    "name_score_file",
]

COMPARISON_SUFFIX = ".comparison.json"
"""How the name of a file ends that `passerby compare --out` writes; such files may lie among the results."""
BENCHMARK_SUFFIX = ".benchmark.json"
"""How the name of a file ends that a script in `benchmarks/` writes; it may lie there, too."""
LOCALIZATION_SUFFIX = "localization.json"
"""How the name of a file ends that `passerby evaluate-localization` writes; it may lie there, too."""
LOCALIZATION_COMPARISON_SUFFIX = ".localization-comparison.json"
"""How the name of a file ends that `passerby compare-localization --out` writes; it may lie there, too."""
_COMPARISONS = {COMPARISON_SUFFIX: "compare", LOCALIZATION_COMPARISON_SUFFIX: "compare-localization"}
CASES_FILE = "cases.json"
"""What a folder of localisation has beside its scores; it may lie there, too."""
_NO_SCORES = (*_COMPARISONS, BENCHMARK_SUFFIX, LOCALIZATION_SUFFIX, CASES_FILE)

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
    """One score of one trained model, with everything one must know to compare it.

    Args:
        model: Name of the model, such as `baseline` or `sspnet`.
        variant: What distinguishes this recipe from others of the model, such as `sb`.
        backbone: Name of the backbone in timm.
        pretraining: What the backbone had seen before: `imagenet`, `none`, or the name of the weights.
        dataset: Name of the data set.
        partition: Name of the partition, such as `official-1`.
        split: `train`, `val` or `test`.
        input_size: Height and width in pixels.
        protocol: `name`, and in words: threshold, unknown, selection (split and epoch rule), ema, and crops
            where each picture was looked at several times.
        seed: Seed of the training run.
        epochs: Epochs of the recipe; early stopping may have ended the run before.
        device: Where it was trained.
        commit: Commit of the code, None outside a checkout.
        metrics: mA, accuracy, precision, recall, f1, mAP in [0, 1]; per_attribute by attribute name.
        seconds: Duration of the training run.

    Raises:
        DataError: If a value is of the wrong kind or out of range; the message names the field.
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
        """Where the file belongs below the folder of results."""
        return name_score_file(
            self.dataset, model=self.model, backbone=self.backbone, variant=self.variant, seed=self.seed
        )

    def write(self, target: Path) -> Path:
        """Write the file, through a temporary name.

        Args:
            target: A path that ends with `.json`, or a folder of results, below which `path` is used.

        Returns:
            Where it was written.
        """
        target = self.locate(target)
        write_json(target, asdict(self))
        return target

    def locate(self, target: Path) -> Path:
        """Where `write` writes to."""
        return Path(target) if Path(target).suffix == ".json" else Path(target) / self.path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check one file.

        Raises:
            DataError: If it is missing, no JSON, or a field is missing, unknown or out of range.
        """
        values = upgrade(read_json(path))
        known = {f.name for f in fields(cls)}
        missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
        if missing or unknown:
            raise DataError(
                f"{path}: expected the fields of a result; missing: {', '.join(missing) or 'none'}; "
                f"unknown: {', '.join(unknown) or 'none'}"
            )
        try:
            return cls(**values)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def name_score_file(dataset: str, *, model: str, backbone: str, variant: str, seed: int) -> Path:
    """Where a score file belongs below the folder of results.

    Example:
        >>> name_score_file("peta", model="man", backbone="resnet50", variant="sb", seed=0).as_posix()
        'peta/man-resnet50-sb-seed0.json'
    """
    words = "-".join(slugify(word) for word in (model, backbone, variant))
    return Path(slugify(dataset)) / f"{words}-seed{seed}.json"


def check_field(name: str, value: object) -> None:
    """Raise DataError unless a value is of the kind of that field of `Result`."""
    kinds, meaning = _KINDS[name]
    if not isinstance(value, kinds) or isinstance(value, bool) or value == "":
        raise DataError(f"result field {name!r}: expected {meaning}, got {value!r}")


def _check_metrics(metrics: Mapping[str, Any]) -> None:
    for name in METRICS:
        value = metrics.get(name)
        if not _is_fraction(value):
            raise DataError(f"metric {name!r}: expected a fraction in [0, 1] (not per cent), got {value!r}")
    per_attribute = metrics.get("per_attribute")
    if not isinstance(per_attribute, Mapping) or not per_attribute:
        raise DataError("metric 'per_attribute': expected an object with one entry an attribute")
    for attribute, scores in per_attribute.items():
        if not isinstance(scores, Mapping) or not _is_fraction(scores.get("mA")):
            raise DataError(f"per_attribute {attribute!r}: expected 'mA' in [0, 1], got {scores!r}")


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def load_results(paths: Iterable[Path]) -> list[Result]:
    """Read files and folders of score files (folders with all that lies below), in the order of their names.

    Raises:
        DataError: If a path does not exist, holds no score file, or a file is damaged.
    """
    return [Result.load(file) for path in paths for file in find_score_files(path)]


def find_score_files(path: Path) -> list[Path]:
    """The file itself, or the score files below a folder by name, without the others that may lie there.

    Raises:
        DataError: If there is none.
    """
    path = Path(path)
    refuse_comparisons(path)
    found = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    files = [file for file in found if not file.name.endswith(_NO_SCORES)]
    if not files:
        raise DataError(f"no score files below {path}; `passerby evaluate … --result` writes them")
    return files


def refuse_comparisons(path: Path) -> None:
    """Raise DataError if a path that should hold scores is a stored comparison."""
    for suffix, command in _COMPARISONS.items():
        if path.name.endswith(suffix):
            raise DataError(
                f"{path} is a stored comparison, no score file; `passerby {command} {path}` prints it"
            )


# ---------------------------------------------------------------------- several seeds


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The scores of one recipe over its seeds.

    Args:
        results: One a seed; they agree in everything but seed, time, place and commit.
        mean: Mean of each overall metric, in [0, 1].
        sd: Standard deviation over the seeds (n − 1 in the denominator); None with a single seed.
    """

    results: tuple[Result, ...]
    mean: Mapping[str, float]
    sd: Mapping[str, float] | None

    @property
    def first(self) -> Result:
        """Any one of them, for what they have in common."""
        return self.results[0]

    @property
    def title(self) -> str:
        """Model, backbone and variant in one line."""
        return name_run(self.first)

    def format(self, metric: str) -> str:
        """A metric in per cent: `81.52 ± 0.21`, or `81.52` with a single seed."""
        return " ".join(self.format_parts(metric)).strip()

    def format_parts(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation apart: `81.52` and `± 0.21`, the latter empty with a single seed."""
        spread = "" if self.sd is None else f"± {100 * self.sd[metric]:.2f}"
        return f"{100 * self.mean[metric]:.2f}", spread


def aggregate(results: Sequence[Result]) -> list[Aggregate]:
    """Put the seeds of each recipe together; never across protocols, partitions, sizes or pretraining.

    Raises:
        DataError: If the same recipe has the same seed twice.
    """
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(identify(result), []).append(result)
    return [_aggregate_one(group) for _, group in sorted(groups.items())]


def identify(r: Result) -> tuple[Any, ...]:
    """What the seeds of one recipe agree in."""
    rules = {k: v for k, v in r.protocol.items() if k not in ("best_epoch", "skipped_images")}
    protocol = json.dumps(rules, sort_keys=True)
    return (
        r.dataset,
        r.partition,
        r.split,
        r.model,
        r.backbone,
        r.variant,
        r.pretraining,
        r.input_size,
        r.epochs,
        protocol,
    )


def _aggregate_one(group: list[Result]) -> Aggregate:
    group = sorted(group, key=lambda r: r.seed)
    seeds = [r.seed for r in group]
    if len(set(seeds)) < len(seeds):
        raise DataError(f"{group[0].path.name}: the same recipe has seeds {seeds}; expected each seed once")
    columns = {name: [float(r.metrics[name]) for r in group] for name in METRICS}
    mean = {name: statistics.fmean(column) for name, column in columns.items()}
    sd = {name: statistics.stdev(column) for name, column in columns.items()} if len(group) > 1 else None
    return Aggregate(tuple(group), mean, sd)


HEADINGS = ("data", "model", "training", "protocol", "seeds")


def describe_cells(row: Aggregate) -> tuple[str, ...]:
    """What stands before the metrics in a table, in the order of `HEADINGS`."""
    r = row.first
    training = f"{r.pretraining}, {r.input_size[0]}×{r.input_size[1]}, {r.epochs} epochs"
    words = ("name", "crops", "calibration", "source", "label_map")
    protocol = ", ".join(str(r.protocol[key]) for key in words if key in r.protocol)
    return (f"{r.dataset}, {r.partition}/{r.split}", row.title, training, protocol, str(len(row.results)))


def format_markdown(rows: Sequence[Aggregate]) -> str:
    """A table for a README: one line a recipe, metrics in per cent, mean ± standard deviation over seeds."""
    lines = ["| " + " | ".join((*HEADINGS, *METRICS)) + " |"]
    lines.append("|" + "---|" * len(HEADINGS) + "---:|" * len(METRICS))
    table = [(*describe_cells(row), *(row.format(m) for m in METRICS)) for row in rows]
    lines += ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------- files


def find_commit() -> str | None:
    """The commit of the code, `+changes` when tracked files differ; None outside a checkout."""
    git, here = shutil.which("git"), Path(__file__).resolve()
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        command = [git, "-C", str(here.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        return done.stdout.strip() if done.returncode == 0 else None

    if ask("ls-files", "--error-unmatch", here.name) is None:  # installed inside somebody else's checkout
        return None
    commit = ask("rev-parse", "--short=12", "HEAD")
    return f"{commit}+changes" if commit and ask("status", "--porcelain", "--untracked-files=no") else commit
