"""The attributes and maps that an attention figure shows by default."""

from __future__ import annotations

from passerby.explain.attention_maps import AttentionMaps
from passerby.schema import AttributeSchema

__all__ = ["choose_attributes", "choose_by_task", "choose_maps"]


def choose_attributes(maps: AttentionMaps, count: int = 6) -> tuple[str, ...]:
    """All attributes that are present, then the most probable others up to `count`.

    Example:
        >>> import numpy as np
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> names, probabilities, thresholds = ("Hat", "Bag", "Sex"), (0.2, 0.6, 0.7), (0.1, 0.8, 0.5)
        >>> maps = AttentionMaps("a.jpg", picture, names, probabilities, thresholds, {})
        >>> choose_attributes(maps, 3), choose_attributes(maps, 1)
        (('Sex', 'Hat', 'Bag'), ('Sex', 'Hat'))
    """
    ranked = sorted(zip(maps.probabilities, maps.names, strict=True), key=lambda pair: -pair[0])
    present = [name for _, name in ranked if name in maps.present]
    others = [name for _, name in ranked if name not in maps.present]
    return tuple(present + others[: max(0, count - len(present))])


def choose_by_task(maps: AttentionMaps, schema: AttributeSchema) -> list[tuple[str, str]]:
    """For each task of the schema the attribute with the largest margin of probability over threshold.

    Returns:
        Each attribute with its task, in the order of the tasks.

    Example:
        >>> import numpy as np
        >>> from passerby.schema import Attribute
        >>> attributes = tuple(Attribute(name, f"is {name}", task="head") for name in ("Hat", "Bald"))
        >>> schema = AttributeSchema("toy", attributes)
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> choose_by_task(AttentionMaps("a.jpg", picture, schema.names, (0.2, 0.6), (0.5, 0.5), {}), schema)
        [('Bald', 'head')]
    """
    margins = [p - threshold for p, threshold in zip(maps.probabilities, maps.thresholds, strict=True)]
    best = {task: max(members, key=margins.__getitem__) for task, members in schema.group_by("task").items()}
    return [(maps.names[i], task) for task, i in best.items()]


def choose_maps(maps: AttentionMaps) -> tuple[str, ...]:
    """All maps except confidences, which do not localise attributes; those too if there are no others."""
    return tuple(name for name in maps.maps if not name.startswith("confidence")) or tuple(maps.maps)
