"""A model of one data set on the people of another: which of its attributes mean the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ConfigError, DataError, SchemaError

__all__ = ["TRANSLATIONS", "Translation", "load_translation"]

Words = Mapping[str, str | Sequence[str]]

_NOT = "not "

_PETA_TO_PA100K: Words = {
    "Female": "not personalMale",
    "AgeOver60": "personalLarger60",
    "Age18-60": ("personalLess30", "personalLess45", "personalLess60"),  # from 16 on
    "Hat": "accessoryHat",
    "ShoulderBag": "carryingMessengerBag",
    "Backpack": "carryingBackpack",
    "ShortSleeve": "upperBodyShortSleeve",
    "UpperStride": "upperBodyThinStripes",  # PETA's 35 attributes know no thick ones
    "UpperLogo": "upperBodyLogo",
    "UpperPlaid": "upperBodyPlaid",
    "Trousers": ("lowerBodyTrousers", "lowerBodyJeans"),
    "Shorts": "lowerBodyShorts",
    "Skirt&Dress": "lowerBodyShortSkirt",  # nor long skirts and dresses
}
_PA100K_TO_PETA: Words = {
    "personalMale": "not Female",
    "personalLarger60": "AgeOver60",
    "accessoryHat": "Hat",
    "carryingMessengerBag": "ShoulderBag",
    "carryingBackpack": "Backpack",
    "upperBodyShortSleeve": "ShortSleeve",
    "upperBodyLogo": "UpperLogo",
    "upperBodyPlaid": "UpperPlaid",
    "lowerBodyShorts": "Shorts",
}

TRANSLATIONS: Mapping[str, Words] = MappingProxyType(
    {"peta-to-pa100k": _PETA_TO_PA100K, "pa100k-to-peta": _PA100K_TO_PETA}
)
"""By name, what each attribute of the second data set is called in the first: one attribute, `not` one, or
several of which any will do. What does not mean the same is left out."""


@dataclass(frozen=True, slots=True)
class Translation:
    """How the attributes of a data set follow from those that a model predicts.

    Args:
        names: Attributes of the data set.
        sources: For each, columns of the model's attributes.
        negated: For each, whether it is what its one source is not.
        title: What it is called in score files.

    Example:
        >>> words = {"Female": "not Male", "Trousers": ["Jeans", "Slacks"]}
        >>> translation = Translation.create(words, model=["Male", "Jeans", "Slacks"])
        >>> translation.translate(np.float32([[0.25, 0.5, 0.125]])).tolist()
        [[0.75, 0.5]]
    """

    names: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]
    negated: tuple[bool, ...]
    title: str = "names of one's own"

    @classmethod
    def create(cls, words: Words, *, model: Sequence[str], title: str = "names of one's own") -> Translation:
        """From names to columns.

        Args:
            words: See `TRANSLATIONS`.
            model: The attributes that the model predicts, in their order.
            title: What it is called in score files.

        Raises:
            SchemaError: If there are no names, or the model does not predict one of the sources.
        """
        found: dict[str, tuple[tuple[int, ...], bool]] = {}
        for name, each in words.items():
            said = (each,) if isinstance(each, str) else tuple(each)
            negated = len(said) == 1 and said[0].startswith(_NOT)
            sources = tuple(word.removeprefix(_NOT) for word in said) if negated else said
            if not sources or (missing := [source for source in sources if source not in model]):
                raise SchemaError(
                    f"{name}: expected attributes that the model predicts ({', '.join(model[:5])} …), got "
                    f"{', '.join(missing) if sources else 'none'}"
                )
            found[name] = (tuple(model.index(source) for source in sources), negated)
        if not found:
            raise SchemaError("expected at least one attribute with its name in the model, got none")
        sources_of, negations = zip(*found.values(), strict=True)
        return cls(tuple(found), sources_of, negations, title)

    def translate(self, probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the data set's attributes: of several the largest, of `not` the rest to one.

        Shape:
            probs: (N, A) in [0, 1], of the model's attributes.
            returns: (N, T), of `names`.
        """
        columns = [
            1 - probs[:, sources[0]] if negated else probs[:, list(sources)].max(axis=1)
            for sources, negated in zip(self.sources, self.negated, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def translate_thresholds(self, thresholds: Sequence[float]) -> tuple[float, ...]:
        """Thresholds of the data set's attributes that lead to the same answers.

        Raises:
            ConfigError: If the sources of one attribute have different thresholds.
        """
        found = []
        for name, sources, negated in zip(self.names, self.sources, self.negated, strict=True):
            values = {thresholds[source] for source in sources}
            if len(values) > 1:
                raise ConfigError(
                    f"{name} is any of several attributes, whose thresholds differ: {sorted(values)}; take a "
                    "protocol with one threshold, such as threshold-0.5"
                )
            value = values.pop()
            found.append(1 - value if negated else value)
        return tuple(found)


def load_translation(text: str, *, model: Sequence[str]) -> Translation:
    """One of `TRANSLATIONS`, as far as the model predicts its sources, or a JSON file of that form, in full.

    Args:
        text: Such as `peta-to-pa100k`, or the path of a file such as
            `{"Female": "not personalMale", "Trousers": ["lowerBodyTrousers", "lowerBodyJeans"]}`.
        model: The attributes that the model predicts.

    Raises:
        ConfigError: If there is neither such a translation nor such a file.
        SchemaError: If the model predicts nothing of it, or not all that a file names.
        DataError: If the file is no JSON of that form.
    """
    if text in TRANSLATIONS:
        words = TRANSLATIONS[text]
        known = {name: each for name, each in words.items() if _find_sources(each) <= set(model)}
        return Translation.create(known, model=model, title=text)
    path = Path(text)
    if not path.is_file():
        raise ConfigError(f"no names {text!r}: expected one of {', '.join(TRANSLATIONS)}, or a JSON file")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or not all(map(_is_words, values.values())):
            raise ValueError("other values")
    except (OSError, ValueError) as error:
        raise DataError(
            f'{path}: expected JSON such as {{"Female": "not personalMale"}}, got {error}'
        ) from error
    return Translation.create(values, model=model, title=path.name)


def _find_sources(words: str | Sequence[str]) -> set[str]:
    return {word.removeprefix(_NOT) for word in ((words,) if isinstance(words, str) else words)}


def _is_words(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
