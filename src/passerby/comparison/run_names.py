"""Names of the rows in tables of scores: shared facts are printed above, the others name the row."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passerby.errors import ConfigError
from passerby.evaluation.results import Result

__all__ = [
    "SHORT_NAMES",
    "RunFacts",
    "describe_facts",
    "find_run",
    "name_rows",
    "name_run",
    "restore_facts",
    "select_rules",
]

SHORT_NAMES: Mapping[str, str] = {
    "mA": "mA",
    "accuracy": "Acc",
    "precision": "Prec",
    "recall": "Rec",
    "f1": "F1",
    "mAP": "mAP",
}
"""Headings of the metrics, in the order of every table; six of them fit in 80 columns."""

_OF_THE_MODEL = ("model", "backbone", "variant")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts of a recipe and its seeds that a comparison needs; see `Result` for the other fields.

    Args:
        protocol: Rules by name; a value that is no text is printed with its name.
        seeds: Seeds of the training runs.
        commits: Commit of the code for each seed.
    """

    model: str
    backbone: str
    variant: str
    pretraining: str
    dataset: str
    partition: str
    split: str
    input_size: tuple[int, int]
    epochs: int
    protocol: Mapping[str, Any]
    seeds: tuple[int, ...]
    commits: tuple[str | None, ...]


def restore_facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a file, with the tuples of `RunFacts`."""
    return {**values, **{name: tuple(values[name]) for name in ("input_size", "seeds", "commits")}}


def select_rules(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a protocol that are equal for all seeds of a recipe."""
    return {k: v for k, v in protocol.items() if k not in ("best_epoch", "skipped_images")}


def describe_facts(run: Result | RunFacts, *, seeds: int) -> dict[str, str]:
    """The facts of a row in words; empty if not recorded."""
    rules = select_rules(run.protocol)
    height, width = run.input_size
    return {
        "data": f"{run.dataset} {run.partition}/{run.split}",
        **{name: str(getattr(run, name)) for name in _OF_THE_MODEL},
        "pretraining": _describe_pretraining(run.pretraining),
        "size": f"{height}×{width}",
        "epochs": f"{run.epochs} epochs",
        "protocol": f"protocol {rules.pop('name')}" if "name" in rules else "",
        **{name: _describe_rule(name, value) for name, value in rules.items()},
        "seeds": "1 seed" if seeds == 1 else f"{seeds} seeds",
    }


def _describe_pretraining(text: str) -> str:
    """The start of the training in words.

    Example:
        >>> _describe_pretraining("imagenet"), _describe_pretraining("bundle baseline own labels")
        ('pretraining imagenet', 'from the bundle baseline own labels')
    """
    kind, _, bundle = text.partition(" ")
    return (
        f"from the bundle {bundle}"
        if kind == "bundle"
        else f"pretraining {text.removesuffix('.safetensors')}"
    )


def _describe_rule(name: str, value: object) -> str:
    if name == "ema":
        return "no EMA" if value is None else f"EMA {value}"
    if name == "selection":
        return f"epoch by {value}" if value else "selection unknown"
    return value if isinstance(value, str) else f"{name} {json.dumps(value, ensure_ascii=False)}"


def name_rows(facts: Sequence[Mapping[str, str]]) -> tuple[str, tuple[str, ...]]:
    """Divide the facts into a line above the table and a name for each row.

    Example:
        >>> name_rows([{"model": "man", "size": "64×32"}, {"model": "mtms", "size": "64×32"}])
        ('64×32', ('man', 'mtms'))
        >>> name_rows([{"model": "man", "size": "64×32"}])
        ('64×32', ('man',))
    """
    keys = list(dict.fromkeys(key for row in facts for key in row))
    own = [key for key in keys if len({row.get(key, "") for row in facts}) > 1]
    own = own or [key for key in keys if key in _OF_THE_MODEL]  # a single row needs a name as well
    shared = [key for key in keys if key not in own]
    return _join(facts[0], shared), tuple(_join(row, own) for row in facts)


def name_run(run: Result | RunFacts) -> str:
    """Model, backbone and variant in one line."""
    return f"{run.model} · {run.backbone} · {run.variant}"


def find_run(name: str, runs: Sequence[Result] | Sequence[RunFacts], labels: Sequence[str]) -> int:
    """Find the index of the run with a name.

    Args:
        name: Its variant, model, `model · backbone · variant`, label, or the last two: `… (label)`.
        runs: The runs.
        labels: Labels of the runs, from `name_rows`.

    Raises:
        ConfigError: If no run or several have the name; the message lists all.
    """
    titles = [name_run(run) for run in runs]
    full = [f"{title} ({label})" for title, label in zip(titles, labels, strict=True)]
    names_of = ([run.variant for run in runs], [run.model for run in runs], titles, list(labels), full)
    found = {names.index(name) for names in names_of if names.count(name) == 1}
    if len(found) == 1:
        return found.pop()
    matches = "several runs" if any(name in names for names in names_of) else "no run"
    available = [t if titles.count(t) == 1 else name for t, name in zip(titles, full, strict=True)]
    raise ConfigError(
        f"expected the variant, the model or the full name of one run as baseline; {name!r} is the name of "
        f"{matches}. Available: {', '.join(map(shlex.quote, available))}"
    )


def _join(facts: Mapping[str, str], keys: Sequence[str]) -> str:
    return " · ".join(word for key in keys if (word := facts.get(key, "")))
