"""What the tables of scores have in common: what all rows share stands above, the rest names the row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from passerby.errors import ConfigError

__all__ = [
    "SHORT_NAMES",
    "Described",
    "RunFacts",
    "describe_facts",
    "find_run",
    "name_rows",
    "name_run",
    "restore_facts",
]

SHORT_NAMES: Mapping[str, str] = {
    "mA": "mA",
    "accuracy": "Acc",
    "precision": "Prec",
    "recall": "Rec",
    "f1": "F1",
    "mAP": "mAP",
}
"""Headings of the metrics, in the order of every table; six of them fit on a screen of 80 columns."""

_OF_THE_MODEL = ("model", "backbone", "variant")


class Described(Protocol):
    """Anything with the facts of a score."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def backbone(self) -> str: ...  # noqa: D102
    @property
    def variant(self) -> str: ...  # noqa: D102
    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> str: ...  # noqa: D102
    @property
    def split(self) -> str: ...  # noqa: D102
    @property
    def pretraining(self) -> str: ...  # noqa: D102
    @property
    def input_size(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def protocol(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What one must know of a recipe and its seeds to compare it.

    Args:
        model: See `Result`, as the others that are not named here.
        protocol: Rules by name; what is no word is printed with its name.
        seeds: Seeds of the training runs.
        commits: Commit of the code of each.
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
    """The plain values of a file with tuples where `RunFacts` has them."""
    return {**values, **{name: tuple(values[name]) for name in ("input_size", "seeds", "commits")}}


def describe_facts(run: Described, *, seeds: int) -> dict[str, str]:
    """What one must know of a row to compare it, in words; empty what was not recorded."""
    rules = {k: v for k, v in run.protocol.items() if k not in ("best_epoch", "skipped_images")}
    height, width = run.input_size
    return {
        "data": f"{run.dataset} {run.partition}/{run.split}",
        **{name: str(getattr(run, name)) for name in _OF_THE_MODEL},
        "pretraining": f"pretraining {run.pretraining.removesuffix('.safetensors')}",
        "size": f"{height}×{width}",
        "epochs": f"{run.epochs} epochs",
        "protocol": f"protocol {rules.pop('name')}" if "name" in rules else "",
        **{name: _describe_rule(name, value) for name, value in rules.items()},
        "seeds": "1 seed" if seeds == 1 else f"{seeds} seeds",
    }


def _describe_rule(name: str, value: object) -> str:
    if name == "ema":
        return "no EMA" if value is None else f"EMA {value}"
    if name == "selection":
        return f"epoch by {value}" if value else "selection unknown"
    return value if isinstance(value, str) else f"{name} {json.dumps(value, ensure_ascii=False)}"


def name_rows(facts: Sequence[Mapping[str, str]]) -> tuple[str, tuple[str, ...]]:
    """Split the facts into the line above the table and a name for each row.

    Example:
        >>> name_rows([{"model": "man", "size": "64×32"}, {"model": "mtms", "size": "64×32"}])
        ('64×32', ('man', 'mtms'))
        >>> name_rows([{"model": "man", "size": "64×32"}])
        ('64×32', ('man',))
    """
    keys = list(dict.fromkeys(key for row in facts for key in row))
    own = [key for key in keys if len({row.get(key, "") for row in facts}) > 1]
    own = own or [key for key in keys if key in _OF_THE_MODEL]  # a single row needs a name, too
    shared = [key for key in keys if key not in own]
    return _join(facts[0], shared), tuple(_join(row, own) for row in facts)


def name_run(run: Described) -> str:
    """Model, backbone and variant in one line."""
    return f"{run.model} · {run.backbone} · {run.variant}"


def find_run(name: str, runs: Sequence[Described], labels: Sequence[str]) -> int:
    """The number of the run that is called so.

    Args:
        name: Its variant, model, `model · backbone · variant`, or label.
        labels: Of the runs, by `name_rows`.

    Raises:
        ConfigError: If it is the name of none, or of several; the message lists all.
    """
    titles = [name_run(run) for run in runs]
    called = ([run.variant for run in runs], [run.model for run in runs], titles, list(labels))
    found = {names.index(name) for names in called if names.count(name) == 1}
    if len(found) == 1:
        return found.pop()
    have = "; ".join(
        title if label in title else f"{title} ({label})" for title, label in zip(titles, labels, strict=True)
    )
    raise ConfigError(
        f"expected the variant, the model or the whole name of one run as baseline; {name!r} is "
        f"{'that of several' if found else 'not that of exactly one'}. There are: {have}"
    )


def _join(facts: Mapping[str, str], keys: Sequence[str]) -> str:
    return " · ".join(word for key in keys if (word := facts.get(key, "")))
