"""Worker process of a suite: `python -m passerby.suite.worker STAMP.json` executes the call of one step."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path

from passerby.errors import PasserbyError

__all__ = ["main"]


def main(stamp: str) -> int:
    """Execute the call that a stamp states (see `passerby.suite.jobs.Step`); returns the exit status."""
    # A parent started by `nohup … &` passes on an ignored SIGINT, with which it could not interrupt us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _show_logs()
    try:
        from passerby.suite.tasks import TASKS

        call = json.loads(Path(stamp).read_text(encoding="utf-8"))
        TASKS[call["task"]](**call["arguments"])
    except PasserbyError as error:
        print(f"passerby: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("passerby: interrupted", file=sys.stderr)
        return 130
    return 0


def _show_logs() -> None:
    """Print the records of the package to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("passerby")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
