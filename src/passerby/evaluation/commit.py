"""The commit of the code, stored with every result."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["find_commit"]


def find_commit() -> str | None:
    """The commit of the code, with `+changes` if tracked files differ; None outside a checkout."""
    git, package = shutil.which("git"), Path(__file__).resolve().parents[1]
    if git is None:
        return None

    def run(*arguments: str) -> str | None:
        command = [git, "-C", str(package), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        return done.stdout.strip() if done.returncode == 0 else None

    if run("ls-files", "--error-unmatch", "__init__.py") is None:  # in another project's checkout
        return None
    commit = run("rev-parse", "--short=12", "HEAD")
    return f"{commit}+changes" if commit and run("status", "--porcelain", "--untracked-files=no") else commit
