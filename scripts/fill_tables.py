"""Update the tables of README and docs, each by the command that is named above it.

    python scripts/fill_tables.py [PAGE …]

A table begins with a line <!-- made by `COMMAND` --> and ends with a line <!-- end -->.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from passerby.cli import app
from passerby.io import replace_file

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- made by `([^`\n]+)` -->\n)(?:(?!<!-- ).)*(<!-- end -->\n)", re.DOTALL)


def list_pages() -> list[Path]:
    """README and every page of the docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def run(command: str) -> str:
    """The output of a passerby or Python command. Those of passerby run in this process: torch loads once."""
    program, *words = shlex.split(command)
    if program == "passerby":
        with contextlib.redirect_stdout(io.StringIO()) as output:
            app(words, standalone_mode=False)
        return output.getvalue()
    if program != "python":
        raise SystemExit(f"expected a command of passerby or python, got {command}")
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def fill(page: Path) -> None:
    """Update the tables of a page."""
    text = page.read_text(encoding="utf-8")
    if not text.count("<!-- made by ") == text.count("<!-- end -->") == len(BLOCK.findall(text)):
        raise SystemExit(f"{page}: expected a line <!-- end --> below each table, and no other")
    new = BLOCK.sub(lambda found: f"{found[1]}{run(found[2])}{found[3]}", text)
    if new != text:
        with replace_file(page) as temporary:
            temporary.write_text(new, encoding="utf-8")
        print(page)


if __name__ == "__main__":
    pages = [Path(name).resolve() for name in sys.argv[1:]] or list_pages()
    os.chdir(ROOT)
    for page in pages:
        fill(page)
