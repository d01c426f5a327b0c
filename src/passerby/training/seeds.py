"""Train a recipe with several seeds, and report mean and standard deviation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.evaluation.evaluation import Evaluation
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
    report: Callable[[str], None] = logger.info,
) -> list[TrainingOutcome]:
    """Train a recipe with each seed, in `out` for one seed, in `out/seed<k>` for several.

    Logs one line per epoch. Reports the best epoch, the test scores, and the mean ± standard deviation of the
    scores over the seeds.

    Args:
        resume: Resume unfinished seeds, and start the missing ones of several.
        start_missing: With `resume`, start as well if there is no run at all.
        results: If set, the best bundle of each seed is evaluated once on the test split, and the score file
            is written to this folder.
        report: Takes each line about the results; by default, they are logged.

    Raises:
        ConfigError: For several seeds on several devices; train those seeds one by one.
        TrainingError: If there is nothing to resume; and see `passerby.training.train`.
    """
    plan = plan_runs(recipe, out, seeds, resume=resume, start_missing=start_missing, test=results is not None)
    outcomes, test_scores = [], []
    remarks: Sequence[str] = ()
    for run, seeded in plan.items():
        outcome = train(seeded, run, resume=resume)
        outcomes.append(outcome)
        if is_other_process():
            continue
        report(f"{run}: best epoch {outcome.best_epoch}, bundle in {outcome.bundle}")
        if results is not None:
            evaluation = _test(seeded, outcome)
            test_scores.append(evaluation.summary())
            path = evaluation.write_result(results)
            scores = "  ".join(f"{name} {format_percent(value)}" for name, value in test_scores[-1].items())
            report(f"{seeded.data.partition}/test: {scores}  →  {path}")
            remarks = evaluation.list_remarks()
            for line in remarks:
                report(line)
    val_scores = [outcome.val_scores for outcome in outcomes]
    for line in (*_describe_spread(recipe.data.val, val_scores), *_describe_spread("test", test_scores)):
        report(line)
    if len(test_scores) > 1:
        for line in remarks:  # of the mean as well: all seeds have the same labels
            report(line)
    return outcomes


def _describe_spread(split: str, scores: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """Mean ± standard deviation (n − 1 in the denominator) of each score over the seeds."""
    if len(scores) < 2:
        return
    for name in scores[0]:
        values = [each[name] for each in scores]
        yield f"{split} {name}: {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} ({len(values)} seeds)"


def _test(recipe: Recipe, outcome: TrainingOutcome) -> Evaluation:
    """The scores and predictions of the test split, which are written to the run folder."""
    evaluation = evaluate_split(Bundle.load(outcome.bundle), recipe, "test", protocol=recipe.protocol)
    evaluation.write(outcome.run / "test")
    return evaluation
