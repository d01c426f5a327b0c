"""Several seeds of one recipe: mean and standard deviation, and the test part read once a seed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

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
        ConfigError: If it is not a list of different whole numbers from 0.

    Example:
        >>> parse_seeds("0,1,2")
        (0, 1, 2)
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words) or len(set(words)) != len(words):
        raise ConfigError(f"expected different seeds like 0,1,2; got {text!r}")
    return tuple(int(word) for word in words)


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
        results: If given, the best bundle of each seed is scored once on the split's test part and the score
            file is written below this folder.

    Raises:
        ConfigError: For several seeds on several devices; start those one by one.
    """
    if len(seeds) > 1 and recipe.training.devices > 1:
        raise ConfigError("several seeds need training.devices=1; on several devices start them one by one")
    outcomes = []
    for seed in seeds:
        run = out if len(seeds) == 1 else out / f"seed{seed}"
        one = recipe.model_copy(update={"seed": seed})
        outcome = train(one, run, resume=resume, say=say)
        outcomes.append(outcome)
        if is_other_process():
            continue
        say(f"{run}: best epoch {outcome.best_epoch}, bundle in {outcome.bundle}")
        if results is not None:
            _test(one, outcome, results, say)
    if len(outcomes) > 1:
        for name in outcomes[0].val_scores:
            values = [outcome.val_scores[name] for outcome in outcomes]
            mean, sd = statistics.fmean(values), statistics.stdev(values)
            say(f"val {name}: {mean:.4f} ± {sd:.4f} ({len(values)} seeds)")
    return outcomes


def _test(recipe: Recipe, outcome: TrainingOutcome, results: Path, say: Callable[[str], None]) -> None:
    manifest = Manifest.load(recipe.data.manifest, root=recipe.data.root)
    evaluation = evaluate(
        Bundle.load(outcome.bundle),
        manifest,
        split=recipe.data.split,
        part="test",
        protocol=recipe.protocol,
        cache=recipe.data.cache,
    )
    evaluation.write(outcome.run / "test")
    path = evaluation.to_result().write(results)
    summary = "  ".join(f"{name} {value:.2%}" for name, value in evaluation.summary().items())
    say(f"{recipe.data.split}/test: {summary}  →  {path}")
