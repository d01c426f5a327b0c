"""Bars on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rich.console

from passerby.config import Recipe
from passerby.training import progress, train
from passerby.training.progress import show_packing

MakeRecipe = Callable[..., Recipe]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "passerby.training")
    return caplog


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Replace stderr; not in a fixture, because pytest replaces it between fixtures and test."""
    stream = Terminal()
    create = rich.console.Console
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(
        rich.console, "Console", lambda **options: create(file=stream, force_terminal=True, width=120)
    )
    return stream


def test_a_terminal_shows_epochs_batches_rate_and_loss(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    terminal = use_terminal(monkeypatch)
    train(make_recipe(training={"epochs": 2}), tmp_path / "run")
    shown = terminal.getvalue()
    assert re.search(r"packing images.*48/48", shown)
    for epoch in (1, 2):
        assert re.search(rf"epoch {epoch}/2 ", shown)
        assert re.search(rf"epoch {epoch}/2 validation", shown)
    assert re.search(r"4/4.*loss \d\.\d{3}", shown)
    assert not any("packing images" in line for line in log.messages)  # the bar replaces the lines
    assert sum(line.startswith("epoch ") for line in log.messages) == 2


def test_a_bar_ends_with_a_failed_run(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    use_terminal(monkeypatch)
    stopped = []
    stop = progress.EpochProgress._stop
    monkeypatch.setattr(progress.EpochProgress, "_stop", lambda self: (stopped.append(self), stop(self)))

    def fail(*given: object, **options: object) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(progress.EpochProgress, "on_validation_start", fail)
    with pytest.raises(RuntimeError, match="no more"):
        train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    assert stopped
    assert stopped[0]._bars is None


def test_without_a_terminal_a_long_epoch_logs_lines(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)  # as if each batch took longer
    train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    lines = [line for line in log.messages if "batches" in line]
    assert len(lines) == 4
    assert re.fullmatch(r"epoch 1/1: 1 of 4 batches, [\d.,]+/(s|min), \d+ s left, loss \d\.\d{3}", lines[0])
    assert lines[-1].startswith("epoch 1/1: 4 of 4 batches")
    assert "packing images: 48 of 48, 0 s left" in log.messages


def test_a_short_epoch_logs_no_lines(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 1e9)
    train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    assert not [line for line in log.messages if "batches" in line]


def test_no_bar_is_shown_if_messages_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    logging.getLogger("passerby.training").setLevel(logging.WARNING)
    try:
        with show_packing() as count:
            count(1, 2)
    finally:
        logging.getLogger("passerby.training").setLevel(logging.NOTSET)
    assert terminal.getvalue() == ""
