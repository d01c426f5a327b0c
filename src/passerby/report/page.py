"""Assemble a report into one self-contained HTML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from passerby._version import __version__
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.run_names import name_run
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.results import Result
from passerby.io import replace_file
from passerby.report.comparison_chapter import create_comparison_section
from passerby.report.evaluation_chapter import compute_spread, create_evaluation_section
from passerby.report.inputs import Run
from passerby.report.localization_chapter import create_localization_section
from passerby.report.metadata import describe_model, list_facts
from passerby.report.scores_chapter import create_scores_section
from passerby.report.training_chapter import draw_training

__all__ = ["create_report", "write_report"]

Metadata = Mapping[str, Any]


def create_report(
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    localizations: Sequence[LocalizationScores] = (),
    *,
    comparisons: Sequence[Comparison | LocalizationComparison] = (),
    results: Sequence[Result] = (),
    title: str | None = None,
    pictures: int = 12,
    seed: int = 0,
) -> str:
    """Create the report as HTML without scripts and without external fonts, styles or images.

    Comparisons come first, then the table of score files, then the evaluations, a chapter each, then the
    training curves of all runs.

    Args:
        runs: Training runs.
        evaluations: Evaluations of attributes.
        localizations: Evaluations of localisation.
        comparisons: Stored comparisons.
        results: Score files whose predictions are not shown.
        title: Heading; by default the model.
        pictures: Number of samples in each gallery; 0 leaves images out and shows heat maps on grey.
        seed: Seed of the random samples.

    Raises:
        DataError: If there is nothing to report, or an image cannot be read.
    """
    if not any((runs, evaluations, localizations, comparisons, results)):
        raise DataError("a report needs at least one run, evaluation, comparison or score file; got none")
    models = [*(each.metadata for each in evaluations), *(each.metadata for each in localizations)]
    with_model = len(set(map(describe_model, models))) > 1
    template = _create_environment().get_template("page.html.j2")
    return template.render(
        title=title or _choose_title(runs, models, comparisons, results),
        version=__version__,
        style=(Path(__file__).parent / "style.css").read_text(encoding="utf-8"),
        comparisons=[
            *(create_comparison_section(each, anchor=f"c{i}") for i, each in enumerate(comparisons)),
            *([create_scores_section(results, anchor="s")] if results else []),
        ],
        sections=[
            create_evaluation_section(
                each, anchor=f"e{i}", pictures=pictures, seed=seed, with_model=with_model
            )
            for i, each in enumerate(evaluations)
        ],
        localizations=[
            create_localization_section(each, anchor=f"l{i}", pictures=pictures, with_model=with_model)
            for i, each in enumerate(localizations)
        ],
        models=_collect_models(evaluations, localizations),
        spread=compute_spread(evaluations),
        training=draw_training(runs),
        runs=[(run, list_facts(run.environment)) for run in runs],
    )


def write_report(path: Path, html: str) -> None:
    """Write the file atomically."""
    with replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _create_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("passerby.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = _make_breakable
    return environment


def _make_breakable(name: str) -> markupsafe.Markup:
    """Escape a name and allow line breaks within it: `Hold|Objects|In|Front`, `lower_|body`."""
    pieces = re.split(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[_\-&/])", name)
    return markupsafe.Markup("<wbr>").join(pieces)


def _collect_models(
    evaluations: Sequence[Evaluation], localizations: Sequence[LocalizationScores]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Name and metadata of the models that have an evaluation of localisation only."""
    listed: list[Metadata] = [each.metadata for each in evaluations]
    models = []
    for metadata in (each.metadata for each in localizations):
        if not any(metadata.items() <= known.items() for known in listed):
            models.append((describe_model(metadata), list_facts(metadata)))
            listed.append(metadata)
    return models


def _choose_title(
    runs: Sequence[Run],
    metadata: Sequence[Metadata],
    comparisons: Sequence[Comparison | LocalizationComparison],
    results: Sequence[Result],
) -> str:
    models = list(dict.fromkeys(map(describe_model, metadata)))
    if comparisons and not models:
        return f"Comparison of {len(comparisons[0].runs)} runs"
    if not models and results:
        recipes = list(dict.fromkeys(map(name_run, results)))
        return recipes[0] if len(recipes) == 1 else f"Scores of {len(recipes)} models"
    if not models:
        return runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    return models[0] if len(models) == 1 else f"Comparison of {len(models)} models"
