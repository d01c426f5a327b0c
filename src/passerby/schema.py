"""What the attributes of a data set are, in which order, and how two data sets' attributes correspond."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args, overload

from passerby.errors import SchemaError
from passerby.migration import upgrade

__all__ = [
    "BODY_PARTS",
    "BODY_PART_KEYPOINTS_COCO",
    "BODY_PART_KEYPOINTS_MPII",
    "TASKS",
    "Attribute",
    "AttributeSchema",
    "Match",
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
"""Indices among the 16 MPII keypoints for each part: SSPNet, Table A.12."""

BODY_PART_KEYPOINTS_COCO: Mapping[str, tuple[int, ...]] = {
    "head": (0, 1, 2, 3, 4, 5, 6),
    "torso": (5, 6, 7, 8, 9, 10, 11, 12),
    "bottom": (11, 12, 13, 14, 15, 16),
    "all": tuple(range(17)),
}
"""The same parts among the 17 COCO keypoints (ours: nose, eyes, ears stand for the head)."""

OPPOSITES = {"male": "female"}
"""Concepts that are each other's negation in every data set known here."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One yes-or-no property of a person.

    Args:
        name: The name in the data set's own file; what every result carries.
        description: Plain English, to be read after "this person …": `wears a hat`.
        concept: What it means across data sets, in lower case with underscores: two attributes with the same
            concept ask the same question. Empty when no other data set asks it.
        category: Name of the property this is one value of, such as `age` or `hat`.
        classes: Number of values of that category (2 for a lone yes-or-no question); MAN's R_c, Eq. 5.
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
                f"attribute {self.name!r}: expected a part among {BODY_PARTS}, got {self.body_part!r}"
            )
        if self.classes < 2:
            raise SchemaError(f"attribute {self.name!r}: expected at least 2 classes, got {self.classes}")
        if not self.category:
            object.__setattr__(self, "category", self.name)

    @property
    def keypoints_mpii(self) -> tuple[int, ...]:
        """Indices of the MPII keypoints that belong to this attribute's part."""
        return BODY_PART_KEYPOINTS_MPII[self.body_part]

    @property
    def keypoints_coco(self) -> tuple[int, ...]:
        """Indices of the COCO keypoints that belong to this attribute's part."""
        return BODY_PART_KEYPOINTS_COCO[self.body_part]


@dataclass(frozen=True, slots=True)
class Match:
    """A pair of attributes of two schemas that ask the same question (or, `negated`, the opposite one)."""

    source: str
    target: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AttributeSchema:
    """The attributes of a data set in a fixed order; names travel with every result, so none is mistaken.

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
                raise SchemaError(f"schema {self.name!r} names {attribute.name!r} twice; names must differ")
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
        """Sixteen hexadecimal digits that change with any name, any order, any field."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Position of an attribute.

        Raises:
            SchemaError: If there is none of that name; the message proposes the nearest names.
        """
        try:
            return self.names.index(name)
        except ValueError:
            from difflib import get_close_matches

            near = get_close_matches(name, self.names, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(self.names)}"
            raise SchemaError(f"schema {self.name!r} has no attribute {name!r}; {hint}") from None

    def select(self, names: Sequence[str]) -> AttributeSchema:
        """A schema of the given attributes only, in the given order."""
        return AttributeSchema(self.name, tuple(self[n] for n in names))

    def group_by(self, field: Literal["task", "body_part", "category"]) -> dict[str, tuple[int, ...]]:
        """Positions of the attributes of each group; `task` and `body_part` in their canonical order."""
        groups: dict[str, list[int]] = {}
        for i, attribute in enumerate(self.attributes):
            groups.setdefault(getattr(attribute, field), []).append(i)
        order = {"task": TASKS, "body_part": BODY_PARTS}.get(field, tuple(groups))
        return {key: tuple(groups[key]) for key in order if key in groups}

    def match(self, other: AttributeSchema) -> tuple[Match, ...]:
        """Attributes of this schema and of another that ask the same question, by `concept`.

        Every attribute of this schema is matched at most once; `negated` marks opposites (male, female).

        Example:
            >>> ours = AttributeSchema("a", (Attribute("personalMale", "is male", "male"),))
            >>> theirs = AttributeSchema("b", (Attribute("Female", "is female", "female"),))
            >>> ours.match(theirs)
            (Match(source='personalMale', target='Female', negated=True),)
        """
        opposite = {**OPPOSITES, **{v: k for k, v in OPPOSITES.items()}}
        by_concept = {a.concept: a.name for a in reversed(other.attributes) if a.concept}
        matches = []
        for a in self.attributes:
            if not a.concept:
                continue
            if a.concept in by_concept:
                matches.append(Match(a.name, by_concept[a.concept]))
            elif opposite.get(a.concept) in by_concept:
                matches.append(Match(a.name, by_concept[opposite[a.concept]], negated=True))
        return tuple(matches)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "attributes": [asdict(a) for a in self.attributes]}

    def to_json(self) -> str:
        """One line of JSON, stable under equality."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

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
    def from_csv(cls, path: Path, *, name: str | None = None) -> Self:
        """Read a table with one attribute a line and the fields of `Attribute` as columns.

        Args:
            path: The CSV file, in UTF-8.
            name: Name of the schema; by default the file's stem.

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
