"""Which classes of the truth an attribute is looked for in: the same name, or a mapping between data sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from passerby.errors import ConfigError, DataError, SchemaError
from passerby.schema import AttributeSchema

__all__ = ["MAPPINGS", "PAPER_CLASSES", "find_of_paper", "load_names", "match_names"]

Names = Mapping[str, tuple[str, ...]]

PAPER_CLASSES = ("hat", "boots", "glasses", "skirt", "jeans", "dress", "shorts", "sunglasses", "t-shirt")
"""CCP's names of the nine attributes of SSPNet's Table 10."""

_GLASSES = ("glasses", "sunglasses")  # a union: CCP parts clear lenses from dark ones, the others do not
_LONG_TROUSERS = ("pants", "jeans")  # a union: PA-100K's trousers may be jeans, CCP's pants are not

_PA100K_TO_CCP: Names = {
    "Hat": ("hat",),
    "Glasses": _GLASSES,
    "Trousers": _LONG_TROUSERS,
    "Shorts": ("shorts",),
    "Skirt&Dress": ("skirt", "dress"),  # a union: one attribute of either
    "boots": ("boots",),
}
_PETA_TO_CCP: Names = {
    "accessoryHat": ("hat",),
    "accessoryMuffler": ("scarf",),
    "accessorySunglasses": ("sunglasses",),
    "upperBodyJacket": ("jacket",),
    "upperBodySuit": ("suit",),
    "upperBodySweater": ("sweater",),
    "upperBodyTshirt": ("t-shirt",),
    "lowerBodyJeans": ("jeans",),
    "lowerBodyShorts": ("shorts",),
    "lowerBodyShortSkirt": ("skirt",),  # CCP does not say how long: its long skirts count, too
    "lowerBodyTrousers": ("pants",),
    "footwearBoots": ("boots",),
    "footwearSandals": ("sandals",),
    "footwearSneaker": ("sneakers",),
    "footwearStocking": ("stockings",),
}
_RAP2_TO_CCP: Names = {
    "hs-Hat": ("hat",),
    "hs-Glasses": _GLASSES,
    "ub-Shirt": ("shirt",),
    "ub-Sweater": ("sweater",),
    "ub-TShirt": ("t-shirt",),
    "ub-Jacket": ("jacket",),
    "ub-SuitUp": ("suit",),
    "lb-LongTrousers": ("pants",),
    "lb-ShortSkirt": ("skirt",),  # as in PETA
    "lb-Dress": ("dress",),
    "lb-Jeans": ("jeans",),
    "shoes-Boots": ("boots",),
}

MAPPINGS: Mapping[str, Names] = MappingProxyType(
    {
        "pa100k-to-ccp": _PA100K_TO_CCP,
        "peta-to-ccp": _PETA_TO_CCP,
        "rap1-to-ccp": {**_RAP2_TO_CCP, "hs-Muffler": ("scarf",)},
        "rap2-to-ccp": _RAP2_TO_CCP,
    }
)
"""The attributes of other data sets that CCP's pixels show; what does not mean the same is left out."""


def load_names(text: str, schema: AttributeSchema) -> Names:
    """One of `MAPPINGS` for the attributes that a schema has, or a file of one's own.

    Args:
        text: Such as `peta-to-ccp`, or the path of a JSON file such as `{"Glasses": ["glasses",
            "sunglasses"], "Hat": "hat"}`.
        schema: Of the model. A ready mapping may have more attributes, as a model often knows some of a data
            set only; a file may not.

    Raises:
        ConfigError: If there is neither such a mapping nor such a file.
        SchemaError: If none of the mapping's attributes is in the schema.
        DataError: If the file is no JSON of that form.

    Example:
        >>> from passerby.data.formats.peta import SCHEMA
        >>> load_names("peta-to-ccp", SCHEMA)["accessoryHat"]
        ('hat',)
    """
    if text in MAPPINGS:
        found = {name: classes for name, classes in MAPPINGS[text].items() if name in schema}
        if not found:
            raise SchemaError(
                f"{text}: expected a model of its attributes ({', '.join(MAPPINGS[text])}), got one of "
                f"{', '.join(schema.names[:5])} …; choose another mapping"
            )
        return found
    path = Path(text)
    if not path.is_file():
        raise ConfigError(f"no names {text!r}: expected one of {', '.join(MAPPINGS)}, or a JSON file")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: _read_classes(classes) for name, classes in values.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path}: expected JSON such as {{"Glasses": ["glasses", "sunglasses"]}}, got {error}'
        ) from error


def _read_classes(classes: object) -> tuple[str, ...]:
    found = (classes,) if isinstance(classes, str) else tuple(classes)  # type: ignore[arg-type]
    if not found or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{classes!r} instead of the name of a class or several")
    return found


def match_names(
    attributes: Sequence[str], classes: Sequence[str], names: Mapping[str, str | Sequence[str]] | None = None
) -> Names:
    """The classes of each attribute, in the order of the attributes; those without any are left out.

    Args:
        attributes: Of the model.
        classes: That the truth knows.
        names: Classes of some attributes; by default those of the same name, whatever the case, hyphens,
            underscores and blanks.

    Raises:
        SchemaError: If an attribute or a class of `names` is not there, or no attribute has a class.

    Example:
        >>> match_names(["Hat", "TShirt", "Bag"], ["hat", "t-shirt"])
        {'Hat': ('hat',), 'TShirt': ('t-shirt',)}
    """
    if names is None:
        plain = {_simplify(name): name for name in reversed(classes)}
        found: dict[str, tuple[str, ...]] = {
            name: (plain[_simplify(name)],) for name in attributes if _simplify(name) in plain
        }
        if not found:
            raise SchemaError(
                f"no attribute of the model ({', '.join(attributes[:5])} …) is called as a class of the "
                f"truth ({', '.join(classes[:5])} …); say which is which with --names (names=…), such as "
                f"{', '.join(MAPPINGS)}"
            )
        return found
    given = {name: (each,) if isinstance(each, str) else tuple(each) for name, each in names.items()}
    _check_known("the model has no attribute", given, attributes)
    _check_known("the truth has no class", [one for each in given.values() for one in each], classes)
    if not given or not all(given.values()):
        raise SchemaError("names: expected at least one attribute, each with at least one class")
    return {name: given[name] for name in attributes if name in given}


def find_of_paper(names: Names, classes: Sequence[str]) -> tuple[str, ...]:
    """The attributes that are those of SSPNet's Table 10; none where the truth is not CCP's pixels.

    Example:
        >>> from passerby.data.formats.ccp import CLASSES
        >>> find_of_paper(MAPPINGS["pa100k-to-ccp"], CLASSES)
        ('Hat', 'Shorts', 'boots')
    """
    if not set(PAPER_CLASSES) <= set(classes):
        return ()
    return tuple(name for name, each in names.items() if len(each) == 1 and each[0] in PAPER_CLASSES)


def _simplify(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _check_known(complaint: str, wanted: Sequence[str] | Names, known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known[:10])} …"
            raise SchemaError(f"names: {complaint} {name!r}; {hint}")
