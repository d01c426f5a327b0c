"""The signals of `kill` and of a closed terminal end a command, whose temporary files are removed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from passerby.cli.signals import exit_on_signals
from passerby.io import replace_file


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_leaves_no_temporary_file(tmp_path: Path, name: str, status: int) -> None:
    number = getattr(signal, name)

    def stop() -> None:
        with exit_on_signals(), replace_file(tmp_path / "out.csv") as temporary:
            temporary.touch()
            os.kill(os.getpid(), number)

    before = signal.signal(number, signal.SIG_DFL)  # `nohup` ignores SIGHUP
    try:
        with pytest.raises(SystemExit) as caught:
            stop()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert caught.value.code == status
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with exit_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
