"""Attribute schemas: names, descriptions and groups of the attributes of a data set, in a fixed order."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args, overload

from passerby.errors import SchemaError, UnknownAttributeError
from passerby.migration import upgrade

__all__ = [
    "BODY_PARTS",
    "BODY_PART_KEYPOINTS_COCO",
    "BODY_PART_KEYPOINTS_MPII",
    "TASKS",
    "Attribute",
    "AttributeSchema",
    "list_names",
]

Task = Literal["full body", "head", "upper body", "lower body", "footwear", "accessory", "action"]
BodyPart = Literal["head", "torso", "bottom", "all"]

TASKS: tuple[Task, ...] = get_args(Task)
"""Task groups of MAN (Yaghoubi et al., 2020), Table 3; PETA has no action."""

BODY_PARTS: tuple[BodyPart, ...] = get_args(BodyPart)
"""Body parts of SSPNet (Shen et al., 2023), Table A.11."""

BODY_PART_KEYPOINTS_MPII: Mapping[str, tuple[int, ...]] = {
    "head": (7, 8, 9, 12, 13),
    "torso": (2, 3, 6, 10, 11, 12, 13, 14, 15),
    "bottom": (0, 1, 2, 3, 4, 5, 6),
    "all": tuple(range(16)),
}
"""Indices among the 16 MPII keypoints of each body part: SSPNet, Table A.12."""

BODY_PART_KEYPOINTS_COCO: Mapping[str, tuple[int, ...]] = {
    "head": (0, 1, 2, 3, 4, 5, 6),
    "torso": (5, 6, 7, 8, 9, 10, 11, 12),
    "bottom": (11, 12, 13, 14, 15, 16),
    "all": tuple(range(17)),
}
"""Indices among the 17 COCO keypoints of each body part; nose, eyes and ears represent the head."""


def list_names(names: str | Sequence[str]) -> Sequence[str]:
    """Several names; a single one is a list of one.

    Example:
        >>> list_names("Hat"), list_names(["Hat", "Bag"])
        (['Hat'], ['Hat', 'Bag'])
    """
    return [names] if isinstance(names, str) else names


@dataclass(frozen=True, slots=True)
class Attribute:
    """A binary attribute of a person.

    Args:
        name: Name in the files of the data set, used in every result.
        description: Completes the sentence "this person …": `wears a hat`.
        concept: Meaning across data sets, in lower case with underscores: two attributes with the same
            concept mean the same. Empty if no other data set has such an attribute.
        category: Name of the property of which this attribute is one value, such as `age` or `hat`.
        classes: Number of values of that category (2 for a single binary attribute); MAN's R_c, Eq. 5.
        task: Task group of MAN's Table 3, one of `TASKS`.
        body_part: Body part of SSPNet's Table A.11, one of `BODY_PARTS`.

    Raises:
        SchemaError: If the name is empty, `task` or `body_part` is unknown or `classes` is below 2.

    Example:
        >>> hat = Attribute("Hat", "wears a hat", "hat", "hat", 2, "head", "head")
        >>> hat.keypoints_mpii
        (7, 8, 9, 12, 13)
    """

    name: str
    description: str
    concept: str = ""
    category: str = ""
    classes: int = 2
    task: Task = "full body"
    body_part: BodyPart = "all"

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip():
            raise SchemaError(f"expected an attribute name without surrounding blanks, got {self.name!r}")
        if self.task not in TASKS:
            raise SchemaError(f"attribute {self.name!r}: expected a task among {TASKS}, got {self.task!r}")
        if self.body_part not in BODY_PARTS:
            raise SchemaError(
                f"attribute {self.name!r}: expected a body part among {BODY_PARTS}, got {self.body_part!r}"
            )
        if self.classes < 2:
            raise SchemaError(f"attribute {self.name!r}: expected at least 2 classes, got {self.classes}")
        if not self.category:
            object.__setattr__(self, "category", self.name)

    @property
    def keypoints_mpii(self) -> tuple[int, ...]:
        """Indices of the MPII keypoints of this attribute's body part."""
        return BODY_PART_KEYPOINTS_MPII[self.body_part]

    @property
    def keypoints_coco(self) -> tuple[int, ...]:
        """Indices of the COCO keypoints of this attribute's body part."""
        return BODY_PART_KEYPOINTS_COCO[self.body_part]


@dataclass(frozen=True, slots=True)
class AttributeSchema:
    """The attributes of a data set in a fixed order.

    Every result stores the names, so that columns cannot be confused.

    Args:
        name: Name of the schema, such as `peta`.
        attributes: In the order of the label columns.

    Raises:
        SchemaError: If there is no attribute, or a name occurs twice.

    Example:
        >>> schema = AttributeSchema("toy", (
        ...     Attribute("Hat", "wears a hat", "hat", task="head", body_part="head"),
        ...     Attribute("Male", "is male", "male", category="sex"),
        ... ))
        >>> schema.index("Male"), schema.names
        (1, ('Hat', 'Male'))
        >>> schema.group_by("body_part")
        {'head': (0,), 'all': (1,)}
    """

    name: str
    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if not self.attributes:
            raise SchemaError(f"schema {self.name!r} has no attributes; expected at least one")
        seen: set[str] = set()
        for attribute in self.attributes:
            if attribute.name in seen:
                raise SchemaError(f"schema {self.name!r} has {attribute.name!r} twice; names must be unique")
            seen.add(attribute.name)

    def __len__(self) -> int:
        return len(self.attributes)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @overload
    def __getitem__(self, key: int | str) -> Attribute: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Attribute, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Attribute | tuple[Attribute, ...]:
        return self.attributes[self.index(key) if isinstance(key, str) else key]

    @property
    def names(self) -> tuple[str, ...]:
        """Attribute names in order."""
        return tuple(a.name for a in self.attributes)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that depend on every field of every attribute and on their order."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Position of an attribute.

        Raises:
            UnknownAttributeError: If there is no such attribute; the message suggests similar names.
        """
        try:
            return self.names.index(name)
        except ValueError:
            from difflib import get_close_matches

            near = get_close_matches(name, self.names, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(self.names)}"
            raise UnknownAttributeError(f"schema {self.name!r} has no attribute {name!r}; {hint}") from None

    def select(self, names: str | Sequence[str]) -> AttributeSchema:
        """A schema of the given attributes, in the given order."""
        return AttributeSchema(self.name, tuple(self[n] for n in list_names(names)))

    def group_by(self, field: Literal["task", "body_part", "category"]) -> dict[str, tuple[int, ...]]:
        """Positions of the attributes of each group; `task` and `body_part` in their canonical order."""
        groups: dict[str, list[int]] = {}
        for i, attribute in enumerate(self.attributes):
            groups.setdefault(getattr(attribute, field), []).append(i)
        order = {"task": TASKS, "body_part": BODY_PARTS}.get(field, tuple(groups))
        return {key: tuple(groups[key]) for key in order if key in groups}

    def choose_by_category(self, probabilities: Mapping[str, float]) -> dict[str, str]:
        """The most probable attribute of each category that has several, such as the values of `hair`.

        Args:
            probabilities: Of each attribute by name, such as a `Prediction`.

        Example:
            >>> hair = [Attribute(f"hair={v}", f"has {v} hair", category="hair") for v in ("long", "short")]
            >>> schema = AttributeSchema("toy", (*hair, Attribute("Hat", "wears a hat")))
            >>> schema.choose_by_category({"hair=long": 0.3, "hair=short": 0.4, "Hat": 0.9})
            {'hair': 'hair=short'}
        """
        names = self.names
        return {
            category: max((names[i] for i in members), key=probabilities.__getitem__)
            for category, members in self.group_by("category").items()
            if len(members) > 1
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "attributes": [asdict(a) for a in self.attributes]}

    def to_json(self) -> str:
        """One line of JSON, stable under equality."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a schema from the output of `to_dict`, of passerby 0.1 as well.

        Raises:
            SchemaError: If a field is missing, unknown or of the wrong kind.
        """
        try:
            return cls(values["name"], tuple(Attribute(**upgrade(a)) for a in values["attributes"]))
        except (KeyError, TypeError) as error:
            raise SchemaError(
                f"not a serialised schema: {error}; expected the output of to_dict()"
            ) from error

    @classmethod
    def from_names(cls, names: AttributeSchema | Iterable[str], *, name: str = "custom") -> AttributeSchema:
        """A schema of attributes of which only the names are known; a schema is returned unchanged.

        Args:
            names: In the order of the label columns.
            name: Name of the schema.

        Raises:
            SchemaError: If `names` is one string, one of them is empty or occurs twice, or there is none.

        Example:
            >>> AttributeSchema.from_names(["Hat", "Bag"])["Hat"].description
            "has the attribute 'Hat'"
        """
        if isinstance(names, AttributeSchema):
            return names
        given = [names] if isinstance(names, str) else list(names)
        if isinstance(names, str) or not all(isinstance(each, str) for each in given):
            raise SchemaError(f"expected a schema or a list of attribute names, got {names!r}")
        return cls(name, tuple(Attribute(each, f"has the attribute {each!r}") for each in given))

    @classmethod
    def from_csv(cls, path: Path, *, name: str | None = None) -> Self:
        """Read a CSV file with one attribute per row and the fields of `Attribute` as columns.

        Args:
            path: The CSV file, in UTF-8.
            name: Name of the schema; by default the stem of the file name.

        Raises:
            SchemaError: If the file cannot be read, a column is unknown, or `name` or `description` is
                missing.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file, restval="", strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SchemaError(f"expected a CSV file of attributes at {path}: {error}") from error
        try:
            fields: list[dict[str, Any]] = [{**row, "classes": int(row.get("classes") or 2)} for row in rows]
            attributes = tuple(Attribute(**f) for f in fields)
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"{path.name}: {error}; expected the columns of passerby.schema.Attribute"
            ) from error
        return cls(name or path.stem, attributes)
