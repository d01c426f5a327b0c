"""The chapter on training: loss, validation scores and learning rate over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from passerby.report.charts import Line, draw_lines
from passerby.report.inputs import Run
from passerby.report.svg import SERIES, Chart

__all__ = ["draw_training"]


def draw_training(runs: Sequence[Run]) -> list[Chart]:
    """Draw the training curves of all runs; charts without values are left out."""
    mark = float(runs[0].best_epoch) if len(runs) == 1 and runs[0].best_epoch else None
    selected = f"; epoch {mark:g} was selected" if mark else ""
    loss = _collect(runs, {"train_loss": "training", "val_loss": "validation"})
    scores = _collect(runs, {"val_mA": "mA", "val_f1": "F1", "val_mAP": "mAP"}, 100)
    rate = _collect(runs, {"lr": "learning rate"})
    charts = []
    if loss:
        charts.append(draw_lines("t-loss", loss, x="epoch", y="loss", caption="Loss", mark=mark))
    if scores:
        caption = f"Validation scores{selected}"
        charts.append(draw_lines("t-val", scores, x="epoch", y="%", caption=caption, mark=mark))
    if rate:
        caption = "Learning rate"
        charts.append(draw_lines("t-lr", rate, x="epoch", y="learning rate", caption=caption, log=True))
    return charts


def _collect(runs: Sequence[Run], columns: Mapping[str, str], scale: float = 1.0) -> list[Line]:
    """The curves of some columns of the training log, each with its label, of all runs."""
    lines = []
    for run in runs:
        for colour, (column, label) in zip(SERIES, columns.items(), strict=False):
            x, y = run.column(column)
            if x:
                lines.append(Line(label, x, (scale * np.asarray(y)).tolist(), colour, faint=len(runs) > 1))
    return lines
