"""Rewrite stored score files, comparisons and measurements of passerby 0.1 under the current names.

    python scripts/migrate_results.py [FOLDER]

FOLDER is `results` by default. Numbers are copied; a file that needs no change is not rewritten.
"""

from __future__ import annotations

import sys
from pathlib import Path

from passerby.io import read_json, write_json
from passerby.migration import upgrade


def migrate(folder: Path) -> None:
    """Rewrite the JSON files below a folder, and rename files with an old variant in their name."""
    for path in sorted(folder.rglob("*.json")):
        old = read_json(path)
        new = upgrade(old)
        target = path.with_name(path.name.replace("untaught", "undistilled"))
        if new != old or target != path:
            write_json(target, new)
            print(target)
        if target != path:
            path.unlink()


if __name__ == "__main__":
    migrate(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
