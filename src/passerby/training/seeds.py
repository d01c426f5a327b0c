"""Several seeds of one recipe: mean and standard deviation, and the test split read once a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError
from passerby.evaluation import evaluate
from passerby.training.engine import train
from passerby.training.environment import is_other_process
from passerby.training.run_folder import TrainingOutcome

__all__ = ["parse_seeds", "train_seeds"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0,1,2`.

    Raises:
        ConfigError: If it is not a list of different whole numbers from 0 to 2³² − 1.

    Example:
        >>> parse_seeds("0,1,2")
        (0, 1, 2)
    """
    words = [word.strip() for word in text.split(",")]
    seeds = tuple(int(word) if word.isdecimal() else -1 for word in words)
    if not all(0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) != len(seeds):
        raise ConfigError(f"expected different seeds like 0,1,2; got {text!r}")
    return seeds


def train_seeds(
    recipe: Recipe,
    out: Path,
    *,
    seeds: Sequence[int],
    resume: bool = False,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[TrainingOutcome]:
    """Train the recipe once a seed, in `out` itself for one seed, in `out/seed<k>` for several.

    Args:
        resume: Go on with the seeds that are unfinished, and start those that never began.
        results: If given, the best bundle of each seed is scored once on the partition's test split and the score
            file is written below this folder.
        say: Receives one line an epoch, the scores, and their mean ± standard deviation over the seeds.

    Raises:
        ConfigError: For several seeds on several devices; start those one by one.
        TrainingError: See `passerby.training.train`.
    """
    if len(seeds) > 1 and recipe.training.devices > 1:
        raise ConfigError("several seeds need training.devices=1; on several devices start them one by one")
    outcomes, test_scores = [], []
    for seed in seeds:
        run = out if len(seeds) == 1 else out / f"seed{seed}"
        one = recipe.model_copy(update={"seed": seed})
        outcome = train(one, run, resume=resume, say=say)
        outcomes.append(outcome)
        if is_other_process():
            continue
        say(f"{run}: best epoch {outcome.best_epoch}, bundle in {outcome.bundle}")
        if results is not None:
            test_scores.append(_test(one, outcome, results, say))
    _say_spread(recipe.data.val, [outcome.val_scores for outcome in outcomes], say)
    _say_spread("test", test_scores, say)
    return outcomes


def _say_spread(split: str, scores: Sequence[Mapping[str, float]], say: Callable[[str], None]) -> None:
    """Mean ± standard deviation (n − 1 in the denominator) of each score over the seeds."""
    if len(scores) < 2:
        return
    for name in scores[0]:
        values = [each[name] for each in scores]
        say(f"{split} {name}: {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} ({len(values)} seeds)")


def _test(
    recipe: Recipe, outcome: TrainingOutcome, results: Path, say: Callable[[str], None]
) -> dict[str, float]:
    evaluation = evaluate(
        Bundle.load(outcome.bundle, device="cpu" if recipe.training.accelerator == "cpu" else "auto"),
        Manifest.load(recipe.data.manifest, root=recipe.data.root),
        partition=recipe.data.partition,
        split="test",
        protocol=recipe.protocol,
        cache=recipe.data.cache,
        on_unreadable=recipe.data.on_unreadable,
        workers=max(1, recipe.training.workers),
    )
    evaluation.write(outcome.run / "test")
    path = evaluation.write_result(results)
    summary = "  ".join(f"{name} {value:.2%}" for name, value in evaluation.summary().items())
    say(f"{recipe.data.partition}/test: {summary}  →  {path}")
    return evaluation.summary()
