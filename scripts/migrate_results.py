"""Rewrite stored score files, comparisons and measurements of older versions under the current names.

    python scripts/migrate_results.py [FOLDER]

FOLDER is `results` by default. Numbers are copied; a file that needs no change is not rewritten. Comparisons
up to 0.2 do not state which attributes their test set cannot measure; the score files next to them do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from passerby.evaluation.score_files import COMPARISON_SUFFIX, load_results
from passerby.io import read_json, write_json
from passerby.migration import upgrade


def state_unmeasured(comparison: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A comparison with the attributes without positives or negatives, and the protocol that follows."""
    results = {result.variant: result for result in load_results([folder])}
    runs = [
        {**run, "protocol": {**run["protocol"], "name": results[run["variant"]].protocol["name"]}}
        for run in comparison["runs"]
    ]
    first = results[runs[0]["variant"]]
    stated = {"n_attributes": len(first.metrics["per_attribute"]), "unmeasured": list(first.unmeasured)}
    return {**comparison, "runs": runs, **stated}


def migrate(folder: Path) -> None:
    """Rewrite the JSON files below a folder, and rename files with an old variant in their name."""
    for path in sorted(folder.rglob("*.json")):
        old = read_json(path)
        new = upgrade(old)
        if path.name.endswith(COMPARISON_SUFFIX) and "unmeasured" not in new:
            new = state_unmeasured(new, path.parent)
        target = path.with_name(path.name.replace("untaught", "undistilled"))
        if new != old or target != path:
            write_json(target, new)
            print(target)
        if target != path:
            path.unlink()


if __name__ == "__main__":
    migrate(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
