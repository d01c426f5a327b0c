"""The model card: the README.md of a bundle, which the Hub displays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from passerby.data.domain import SYNTHETIC_LIMIT, is_synthetic
from passerby.schema import AttributeSchema
from passerby.types import Preprocess

__all__ = ["render_card"]

_SCORES = {"mA": "mA", "accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1"}
_ORIGIN = {
    "dataset": "Dataset",
    "domain": "Domain",
    "partition": "Partition",
    "train_splits": "Trained on",
    "train_images": "Training images",
    "protocol": "Protocol",
    "selection": "Epoch chosen by",
    "best_epoch": "Epoch",
    "epochs": "Epochs",
    "ema": "Weight averaging (EMA)",
    "teacher_files": "Files of teacher predictions (distillation)",
    "teacher_weight": "Weight of the distillation loss",
    "teachers_as_labels": "Teacher predictions weighted like labels",
    "pretraining": "Pretraining",
    "seed": "Seed",
}

_TEXT = """\
---
library_name: passerby
pipeline_tag: image-classification
license: other
tags:
- pedestrian-attribute-recognition
- {model}
---

# {title}

Predicts {count} attributes of the person in an image{origin}.

```python
import passerby

bundle = passerby.load("path/to/this/folder")
print(bundle("photo.jpg").present)
```

| | |
|---|---|
{facts}

## Scores

{scores}

## Attributes

An attribute is present when its probability is above its threshold.

| attribute | this person … | threshold |
|---|---|---|
{attributes}

## Intended use

Images cropped to one person, similar to those of the training data: research, search and description of
your own collections, products whose errors are reviewed by a person.

## Limits

{domain_limit}\
- The scores apply to images like those of the data set; they are lower for other cameras, clothes, seasons
  and people.
- The model predicts every attribute for every image, even if the body part is hidden or the image shows
  no person.
- Labels such as sex and age are the impressions of annotators from an image, not facts about a person.
- Not for decisions about people, for identifying someone, or for surveillance without a legal basis.

## Licence

The code of passerby is under Apache-2.0. The weights were trained on data with its own licence, often for
non-commercial research only: check the licences of the data set{dataset} and of the pretrained weights
before use.
"""


def render_card(
    schema: AttributeSchema,
    preprocess: Preprocess,
    *,
    model: str,
    arguments: Mapping[str, Any],
    thresholds: Sequence[float],
    metadata: Mapping[str, Any],
    guidance: Sequence[str] = (),
    without_guidance: str = "",
) -> str:
    """Render the model card as Markdown.

    Args:
        metadata: Provenance of the model. The card shows some entries (`dataset`, `partition`, `selection`,
            `seed` …) and the scores under `scores` (test split) and `val_scores`.
        guidance: Auxiliary inputs of the model.
        without_guidance: The model's fallback for an image without them.
    """
    backbone = arguments.get("backbone")
    dataset = metadata.get("dataset")
    facts = {
        "Model": model,
        **({"Backbone": backbone} if backbone else {}),
        "Input": f"{preprocess.height} × {preprocess.width} pixels (height × width), {preprocess.resize}",
        **({"Auxiliary inputs": f"{', '.join(guidance)}; without: {without_guidance}"} if guidance else {}),
        **{title: metadata[key] for key, title in _ORIGIN.items() if metadata.get(key) is not None},
    }
    rows = zip(schema, thresholds, strict=True)
    return _TEXT.format(
        model=_cell(model),
        title=_cell(" · ".join(str(word) for word in (model, backbone, dataset) if word)),
        count=len(schema),
        origin=f", trained on {_cell(dataset)}" if dataset else "",
        facts="\n".join(f"| {title} | {_cell(value)} |" for title, value in facts.items()),
        scores=_render_scores(metadata),
        attributes="\n".join(f"| {_cell(a.name)} | {_cell(a.description)} | {t:g} |" for a, t in rows),
        dataset=f" ({_cell(dataset)})" if dataset else "",
        domain_limit=f"- This model {SYNTHETIC_LIMIT}.\n" if is_synthetic(metadata.get("domain")) else "",
    )


def _render_scores(metadata: Mapping[str, Any]) -> str:
    splits = {"test": metadata.get("scores"), "validation": metadata.get("val_scores")}
    known = {split: scores for split, scores in splits.items() if isinstance(scores, Mapping) and scores}
    if not known:
        return "None are recorded."
    lines = [f"| split | {' | '.join(_SCORES.values())} |", "|---" * (len(_SCORES) + 1) + "|"]
    for split, scores in known.items():
        cells = (_percent(scores.get(key)) for key in _SCORES)
        lines.append(f"| {split} | {' | '.join(cells)} |")
    if names := metadata.get("val_unmeasured"):
        lines += ["", f"The validation split cannot measure the mA of {_cell(names)}."]
    return "\n".join(lines)


def _percent(value: Any) -> str:
    return f"{100 * value:.2f}" if isinstance(value, int | float) else "–"


def _cell(value: Any) -> str:
    """Text that is safe in a Markdown table and in the front matter."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
