"""Train a recipe with several seeds, and report mean and standard deviation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.evaluation.scoring import format_percent
from passerby.training.engine import train
from passerby.training.plan import plan_runs
from passerby.training.run_folder import TrainingOutcome, is_other_process
from passerby.training.scoring import evaluate_split

__all__ = ["train_seeds"]

logger = logging.getLogger(__name__)


def train_seeds(
    recipe: Recipe,
    out: Path,
    *,
    seeds: Sequence[int],
    resume: bool = False,
    start_missing: bool = False,
    results: Path | None = None,
) -> list[TrainingOutcome]:
    """Train a recipe with each seed, in `out` for one seed, in `out/seed<k>` for several.

    Logs one line per epoch, the scores, and their mean ± standard deviation over the seeds.

    Args:
        resume: Resume unfinished seeds, and start the missing ones of several.
        start_missing: With `resume`, start as well if there is no run at all.
        results: If set, the best bundle of each seed is evaluated once on the test split, and the score file
            is written to this folder.

    Raises:
        ConfigError: For several seeds on several devices; train those seeds one by one.
        TrainingError: If there is nothing to resume; and see `passerby.training.train`.
    """
    plan = plan_runs(recipe, out, seeds, resume=resume, start_missing=start_missing, test=results is not None)
    outcomes, test_scores = [], []
    for run, seeded in plan.items():
        outcome = train(seeded, run, resume=resume)
        outcomes.append(outcome)
        if is_other_process():
            continue
        logger.info("%s: best epoch %d, bundle in %s", run, outcome.best_epoch, outcome.bundle)
        if results is not None:
            test_scores.append(_test(seeded, outcome, results))
    _log_spread(recipe.data.val, [outcome.val_scores for outcome in outcomes])
    _log_spread("test", test_scores)
    return outcomes


def _log_spread(split: str, scores: Sequence[Mapping[str, float]]) -> None:
    """Log mean ± standard deviation (n − 1 in the denominator) of each score over the seeds."""
    if len(scores) < 2:
        return
    for name in scores[0]:
        values = [each[name] for each in scores]
        mean, deviation = np.mean(values), np.std(values, ddof=1)
        logger.info("%s %s: %.4f ± %.4f (%d seeds)", split, name, mean, deviation, len(values))


def _test(recipe: Recipe, outcome: TrainingOutcome, results: Path) -> dict[str, float]:
    evaluation = evaluate_split(Bundle.load(outcome.bundle), recipe, "test", protocol=recipe.protocol)
    evaluation.write(outcome.run / "test")
    path = evaluation.write_result(results)
    summary = "  ".join(f"{name} {format_percent(value)}" for name, value in evaluation.summary().items())
    logger.info("%s/test: %s  →  %s", recipe.data.partition, summary, path)
    for line in evaluation.list_remarks():
        logger.info(line)
    return evaluation.summary()
