"""How the attributes of one data set follow from those of another.

A label map has one direction: each attribute of the *target* is one attribute of the *source*, `not` one, or
any of several. `<source>-to-<target>` names a map; two commands use it:

| caller | source | target |
|---|---|---|
| evaluate, `--label-map peta-to-pa100k` | attributes of the model (PETA) | of the data (PA-100K) |
| evaluate-localization, `--label-map peta-to-ccp` | classes of the ground truth (CCP) | of the model (PETA) |

On the command line the name is always `<data set of the model>-to-<data set it is evaluated on>`. So evaluate
takes `LabelMap.load("peta-to-pa100k")`, and evaluate-localization, which maps the ground truth to the model,
takes `LabelMap.load_truth("peta-to-ccp")`: the rows of `ccp-to-peta`.

The rows come from two tables. Attributes that ask the same question share a `concept` in the schema tables
(`formats/*.csv`), which gives the rows with one source and the negation of male and female for all 56 pairs.
Any-of rows and near matches depend on the direction and on both data sets, so `label_maps/curated.yaml` holds
them by pair, with a comment on each judgement call, and overrides the concepts. A reviewer thus reads 96 rows
instead of the 56 tables that they and the concepts make.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.label_map_tables import (
    EXAMPLE,
    LABEL_MAP_DATASETS,
    derive_rows,
    list_label_maps,
    read_rows,
)
from passerby.errors import ConfigError, SchemaError

__all__ = ["LABEL_MAP_DATASETS", "BoundLabelMap", "LabelMap", "Source", "list_label_maps"]

_NOT = "not "
_EXPECTED = (
    "<data set of the model>-to-<data set>, such as peta-to-pa100k, each one of "
    f"{', '.join(LABEL_MAP_DATASETS)}, or a JSON or YAML file"
)


class Source(NamedTuple):
    """One attribute of the source in a row of a label map.

    Args:
        name: Attribute or class.
        negated: The target is present where this is absent.
        optional: Used if available; the row is valid without it.
    """

    name: str
    negated: bool = False
    optional: bool = False

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read `name`, `not name` or `name?`.

        Example:
            >>> Source.parse("not Male"), Source.parse("Suit?").optional
            (Source(name='Male', negated=True, optional=False), True)
        """
        name = text.removeprefix(_NOT).removesuffix("?").strip()
        return cls(name, text.startswith(_NOT), text.endswith("?"))


@dataclass(frozen=True, slots=True)
class LabelMap:
    """How each attribute of a target follows from the attributes of a source.

    Args:
        rows: For each attribute of the target its sources; of several any one is enough.
        title: Name in score files and errors.
        complete: Every row must fit when the map is bound. The maps of this package drop the rows that do not
            fit, as models and manifests often have some attributes of a data set only.

    Raises:
        SchemaError: If there is no row, or a row has no source, an unnamed source, or one source twice.

    Example:
        >>> label_map = LabelMap.create({"Female": "not Male", "Trousers": ["Jeans", "Slacks"]})
        >>> bound = label_map.bind(["Male", "Jeans", "Slacks"])
        >>> probs, thresholds = bound.map_probabilities(np.float32([[0.25, 0.5, 0.125]]), (0.5, 0.5, 0.5))
        >>> bound.names, probs.tolist(), thresholds
        (('Female', 'Trousers'), [[0.75, 0.5]], (0.5, 0.5))
    """

    rows: Mapping[str, tuple[Source, ...]]
    title: str = "custom"
    complete: bool = True

    def __post_init__(self) -> None:
        if not self.rows:
            raise SchemaError(
                f"label map {self.title}: expected at least one row, such as {EXAMPLE}; got none"
            )
        for target, sources in self.rows.items():
            names = [source.name for source in sources]
            if not names or not all(names) or len(set(names)) < len(names):
                raise SchemaError(
                    f"label map {self.title}: {target}: expected one or several different sources, got "
                    f"{', '.join(map(repr, names)) or 'none'}; correct the row"
                )

    @classmethod
    def create(
        cls, rows: Mapping[str, str | Sequence[str]], *, title: str = "custom", complete: bool = True
    ) -> Self:
        """Create a map from names as in a file: `name`, `not name`, `name?` or a list of these."""
        return cls({target: _parse_row(row) for target, row in rows.items()}, title, complete)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Load the map of a pair of data sets, or a file.

        Args:
            name_or_path: Such as `peta-to-pa100k`: PETA is the source, PA-100K the target. Or the path of a
                JSON or YAML file such as
                `{"Female": "not personalMale", "Trousers": ["lowerBodyTrousers", "lowerBodyJeans"]}`: the
                keys are the target's attributes. All rows of a file must fit when it is bound.

        Raises:
            ConfigError: If there is neither such a pair nor such a file.
            SchemaError: If a row has no source, or one twice.
            DataError: If the file is not of that form.

        Example:
            >>> [source.name for source in LabelMap.load("peta-to-pa100k").rows["Age18-60"]]
            ['personalLess30', 'personalLess45', 'personalLess60']
        """
        return cls._load(str(name_or_path), reverse=False)

    @classmethod
    def load_truth(cls, name_or_path: str | Path) -> Self:
        """Load the map from the classes of a ground truth to the attributes of a model.

        Args:
            name_or_path: Such as `peta-to-ccp`: the model has PETA's attributes, the ground truth CCP's
                classes; the rows are those of `ccp-to-peta`. Or the path of a file such as
                `{"Glasses": ["glasses", "sunglasses"]}`: the keys are the model's attributes.

        Raises:
            ConfigError, SchemaError, DataError: As `load`.

        Example:
            >>> [source.name for source in LabelMap.load_truth("pa100k-to-ccp").rows["Glasses"]]
            ['glasses', 'sunglasses']
        """
        return cls._load(str(name_or_path), reverse=True)

    @classmethod
    def _load(cls, text: str, *, reverse: bool) -> Self:
        if text in list_label_maps():
            source, target = text.split("-to-")
            rows = derive_rows(target, source) if reverse else derive_rows(source, target)
            return cls.create(rows, title=text, complete=False)
        path = Path(text)
        if not path.is_file():
            near = get_close_matches(text, list_label_maps(), n=3)
            raise ConfigError(
                f"no label map {text!r}: expected {_EXPECTED}"
                + (f"; did you mean {', '.join(near)}?" if near else "")
            )
        return cls.create(read_rows(path), title=path.name)

    @classmethod
    def by_name(cls, source_names: Sequence[str], target_names: Sequence[str]) -> Self:
        """Map attributes of the same name, whatever the case, hyphens, underscores and blanks.

        Raises:
            SchemaError: If no two names are the same.

        Example:
            >>> LabelMap.by_name(["hat", "t-shirt"], ["Hat", "TShirt", "Bag"]).rows["TShirt"][0].name
            't-shirt'
        """
        plain = {_simplify(name): name for name in reversed(source_names)}
        rows = {name: (Source(plain[key]),) for name in target_names if (key := _simplify(name)) in plain}
        if not rows:
            raise SchemaError(
                f"no name is in both {_shorten(target_names)} and {_shorten(source_names)}; state which "
                f"corresponds to which with a label map (--label-map, label_map=…): {_EXPECTED}"
            )
        return cls(rows, title="same names")

    def bind(self, source_names: Sequence[str], target_names: Sequence[str] | None = None) -> BoundLabelMap:
        """Find the columns of the sources.

        Args:
            source_names: Attributes or classes that are mapped, in the order of their columns.
            target_names: Attributes that the target has, in the order in which the result lists them; by
                default all of the map in its order.

        Raises:
            SchemaError: If no row fits or, of a complete map, one does not.
        """
        targets = list(self.rows if target_names is None else target_names)
        if self.complete:
            self._check_complete(source_names, targets)
        columns = {name: column for column, name in enumerate(source_names)}
        found: dict[str, tuple[Source, ...]] = {}
        for target in targets:
            sources = self.rows.get(target, ())
            available = tuple(source for source in sources if source.name in columns)
            if available and all(source.optional or source in available for source in sources):
                found[target] = available
        if not found:
            wanted = dict.fromkeys(source.name for sources in self.rows.values() for source in sources)
            raise SchemaError(
                f"label map {self.title} does not fit: it maps sources such as {_shorten(wanted)} to "
                f"targets such as {_shorten(self.rows)}, but the sources are {_shorten(source_names)} and "
                f"the targets {_shorten(targets)}; choose another label map"
            )
        return BoundLabelMap(
            tuple(found),
            tuple(found.values()),
            tuple(tuple(columns[source.name] for source in sources) for sources in found.values()),
            title=self.title,
        )

    def _check_complete(self, source_names: Sequence[str], target_names: Sequence[str]) -> None:
        for target, sources in self.rows.items():
            required = [source.name for source in sources if not source.optional]
            for name, known in ((target, target_names), *((source, source_names) for source in required)):
                if name not in known:
                    near = get_close_matches(name, known, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]}?" if near else f"expected one of {_shorten(known, 10)}"
                    what = "target" if known is target_names else f"source of {target}"
                    raise SchemaError(f"label map {self.title}: there is no {what} {name!r}; {hint}")


@dataclass(frozen=True, slots=True)
class BoundLabelMap:
    """A label map with the columns of its sources.

    Args:
        names: Attributes of the target.
        sources: For each, its sources.
        columns: For each, their columns.
        title: Name of the label map.
    """

    names: tuple[str, ...]
    sources: tuple[tuple[Source, ...], ...]
    columns: tuple[tuple[int, ...], ...]
    title: str

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The names of the sources of each target: the classes whose union shows it.

        Raises:
            SchemaError: If a source is negated: the absence of a class has no pixels.
        """
        for name, sources in zip(self.names, self.sources, strict=True):
            if any(source.negated for source in sources):
                raise SchemaError(
                    f"label map {self.title}: {name}: expected classes that show it, got 'not "
                    f"{sources[0].name}', which has no pixels; remove the row"
                )
        return {
            name: tuple(source.name for source in sources)
            for name, sources in zip(self.names, self.sources, strict=True)
        }

    def map_probabilities(
        self, probs: NDArray[np.floating], thresholds: Sequence[float]
    ) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        """Probabilities and thresholds of the targets, so that `p > threshold` is the right decision.

        - One source keeps its probability p and its threshold t.
        - `not` a source has 1 − p and 1 − t: present where p < t (up to the rounding of 1 − p to float32).
        - Any of several is present where at least one source is above its own threshold. With equal
          thresholds it has the largest probability and their threshold. Otherwise the largest *score* and
          the threshold 0.5: a source's score is 0.5·p/t up to t and 0.5 + 0.5·(p − t)/(1 − t) above, so that
          it is above 0.5 where p is above t and never falls as p rises; it ranks samples (AP), but is not a
          calibrated probability.

        Thresholds are compared in float32, as the metrics do.

        Shape:
            probs: (N, S) in [0, 1], of the sources. thresholds: S numbers in [0, 1].
            returns: (N, T) float32 in [0, 1], and T numbers, of `names`.

        Example:
            >>> bound = LabelMap.create({"Bag": ["Handbag", "Backpack"]}).bind(["Handbag", "Backpack"])
            >>> probs = np.float32([[0.25, 0.5], [0.125, 0.875], [0.125, 0.5]])
            >>> scores, limits = bound.map_probabilities(probs, (0.2, 0.75))
            >>> limits, (scores > limits).ravel().tolist()  # above 0.2; above 0.75; neither
            ((0.5,), [True, True, False])
        """
        probs = np.asarray(probs, np.float32)
        mapped = []
        for sources, columns in zip(self.sources, self.columns, strict=True):
            flips = [source.negated for source in sources]
            chosen = probs[:, list(columns)]
            chosen = np.where(flips, 1 - chosen, chosen)
            limits = [float(thresholds[c]) for c in columns]
            limits = [1 - limit if flip else limit for limit, flip in zip(limits, flips, strict=True)]
            if len(set(limits)) > 1:
                chosen, limits = _rescale(chosen, limits), [0.5]
            mapped.append((chosen.max(axis=1), limits[0]))
        return np.stack([scores for scores, _ in mapped], axis=1), tuple(limit for _, limit in mapped)

    def map_labels(self, labels: NDArray[np.int8]) -> NDArray[np.int8]:
        """Labels of the targets: 1 if any source is 1, 0 if all are 0, else −1 (unknown).

        `not` turns 1 into 0 and 0 into 1, and keeps −1.

        Shape:
            labels: (N, S) int8, 1, 0 or −1, of the sources.
            returns: (N, T) int8, of `names`.

        Example:
            >>> bound = LabelMap.create({"Bag": ["Handbag", "Backpack"]}).bind(["Handbag", "Backpack"])
            >>> bound.map_labels(np.int8([[1, -1], [0, 0], [0, -1]])).ravel().tolist()
            [1, 0, -1]
        """
        mapped = []
        for sources, columns in zip(self.sources, self.columns, strict=True):
            chosen = labels[:, list(columns)]
            flips = np.array([source.negated for source in sources]) & (chosen >= 0)
            chosen = np.where(flips, 1 - chosen, chosen)
            mapped.append(np.where((chosen == 1).any(axis=1), 1, chosen.min(axis=1)))
        return np.stack(mapped, axis=1).astype(np.int8)


def _rescale(probs: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """Scores above 0.5 exactly where probabilities are above their own thresholds, (N, K)."""
    limits = np.asarray(thresholds, np.float32)
    p, t = probs.astype(np.float64), limits.astype(np.float64)
    low = 0.5 * p / np.where(t > 0, t, 1)
    high = 0.5 + 0.5 * (p - t) / np.where(t < 1, 1 - t, 1)
    least = np.nextafter(np.float32(0.5), np.float32(1))  # what rounding to float32 must not reach
    return np.where(probs > limits, np.maximum(high.astype(np.float32), least), low.astype(np.float32))


def _parse_row(row: str | Sequence[str]) -> tuple[Source, ...]:
    return tuple(Source.parse(text) for text in ((row,) if isinstance(row, str) else row))


def _simplify(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _shorten(names: Collection[str], count: int = 5) -> str:
    return ", ".join(list(names)[:count]) + (" …" if len(names) > count else "")
