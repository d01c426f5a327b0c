"""Build the sdist and the wheel in `dist/`, check them, and try each in a clean environment; upload nothing.

`make release-check` runs this. With `--train`, the installed wheel also trains on drawn people, with a recipe
of the package, and predicts. All checks run; the exit status is 1 if one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MB = 3.0
IMPORT_ALL = """
import importlib, pkgutil, passerby
names = [each.name for each in pkgutil.walk_packages(passerby.__path__, "passerby.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), "modules imported from", passerby.__path__[0])
"""
SAME = """
from passerby.config import load_recipe
if load_recipe("copy.yaml") != load_recipe("diaa/demo"):
    raise SystemExit("copy.yaml differs from the recipe diaa/demo")
"""
TRAIN = """
passerby synth --out people --count 200 --height 128 --width 96
passerby prepare table --root people --out own.parquet --no-check-images
passerby train baseline/own --set training.epochs=1 --set training.accelerator=cpu --out run
passerby predict run/bundle people/images
""".strip().splitlines()


class ReleaseError(Exception):
    """A check that failed."""


@dataclass(frozen=True)
class Installed:
    """A clean environment with one of the two files installed; `folder` is where commands run."""

    bin: Path
    folder: Path

    def run(self, command: str, *words: str) -> str:
        """The output of a command of the environment, without the variables that reach into the checkout."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PASSERBY"))
        }
        return run([self.bin / command, *words], self.folder, kept | {"HF_HUB_OFFLINE": "1"})


def run(words: Sequence[str | Path], folder: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """The output of a command.

    Raises:
        ReleaseError: If its exit status is not 0; with the end of its output.
    """
    texts = [str(word) for word in words]
    done = subprocess.run(texts, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        shown = " ".join(texts)[:200]
        raise ReleaseError(
            f"{shown}: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def read_version() -> str:
    """The version, from the one file that states it."""
    text = (ROOT / "src/passerby/_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ReleaseError("src/passerby/_version.py: expected a line like __version__ = '0.2.0'")
    return found[1]


def check_changelog(version: str) -> str:
    """The changelog has a dated section for the version; a development version needs none."""
    if ".dev" in version:
        return f"{version} is a development version"
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[?{re.escape(version)}\]? [-–—] (\d{{4}}-\d\d-\d\d)$", text, re.MULTILINE)
    if found is None:
        raise ReleaseError(f"CHANGELOG.md: expected a section with a date, `## [{version}] - YYYY-MM-DD`")
    return f"the section of {version} has the date {found[1]}"


def list_sources() -> set[str]:
    """The files of the package and the recipes, relative to the root; not what git ignores."""
    listed = run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "src/passerby", "recipes"]
    )
    return {line for line in listed.splitlines() if (ROOT / line).is_file()}


def check_wheel(wheel: Path) -> str:
    """The wheel contains the package, `py.typed`, the schema tables and the recipes, and nothing else."""
    sources = list_sources()
    expected = {
        f"passerby/{each}" if each.startswith("recipes/") else each.removeprefix("src/") for each in sources
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    found = names - metadata
    _compare(found, expected)
    for pattern, least in (
        ("passerby/py.typed", 1),
        (r"passerby/.*\.csv", 5),
        (r"passerby/recipes/.*\.yaml", 20),
    ):
        if sum(bool(re.fullmatch(pattern, name)) for name in found) < least:
            raise ReleaseError(f"{wheel.name}: expected at least {least} of {pattern}")
    if not any(name.endswith("licenses/LICENSE") for name in metadata):
        raise ReleaseError(f"{wheel.name}: the licence is missing")
    return _describe(wheel, len(names))


def check_sdist(sdist: Path) -> str:
    """The sdist contains what the wheel is built from."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    others = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    _compare(names - {"PKG-INFO", ".gitignore"}, list_sources() | others)
    return _describe(sdist, len(names))


def _compare(found: set[str], expected: set[str]) -> None:
    if missing := sorted(expected - found):
        raise ReleaseError(f"{len(missing)} files are missing: {', '.join(missing[:5])}")
    if extra := sorted(found - expected):
        raise ReleaseError(f"{len(extra)} files are too many: {', '.join(extra[:5])}")


def _describe(file: Path, count: int) -> str:
    size_mb = file.stat().st_size / 1e6
    if size_mb > LIMIT_MB:
        raise ReleaseError(f"{file.name}: expected at most {LIMIT_MB} MB, got {size_mb:.1f} MB")
    return f"{count} files, {size_mb:.2f} MB"


def install(uv: Path, file: Path, folder: Path, python: str) -> Installed:
    """A clean environment with the file and the versions of `requirements.txt`."""
    environment = folder / "venv"
    run([uv, "venv", "--quiet", "--python", python, environment])
    install = [uv, "pip", "install", "--quiet", "--python", environment]
    run([*install, "--constraint", ROOT / "requirements.txt", file])
    run([uv, "pip", "check", "--quiet", "--python", environment])
    (folder / "empty").mkdir()
    return Installed(environment / ("Scripts" if os.name == "nt" else "bin"), folder / "empty")


def try_commands(installed: Installed, version: str) -> str:
    """The version, the recipes, and an import of every module without the development tools."""
    shown = installed.run("passerby", "--version").strip()
    if shown != f"passerby {version}":
        raise ReleaseError(f"passerby --version: expected passerby {version}, got {shown}")
    recipes = json.loads(installed.run("passerby", "recipes", "--json"))
    expected = sum(bool(re.fullmatch(r"recipes/.*\.yaml", each)) for each in list_sources())
    if len(recipes) != expected:
        raise ReleaseError(f"passerby recipes: expected {expected}, got {len(recipes)}")
    if not recipes[0]["path"].startswith(str(installed.bin.parent)):
        raise ReleaseError(f"passerby recipes: expected those of the installation, got {recipes[0]['path']}")
    return f"{len(recipes)} recipes, {installed.run('python', '-c', IMPORT_ALL).strip()}"


def train(installed: Installed) -> str:
    """Draw people, train with a recipe of the package, predict; copy a recipe."""
    for line in TRAIN:
        command, *words = line.split()
        output = installed.run(command, *words)
    installed.run("passerby", "recipes", "diaa/demo", "--out", "copy.yaml")
    installed.run("python", "-c", SAME)
    return f"trained and predicted {len(output.splitlines())} lines"


def try_file(file: Path, options: argparse.Namespace, version: str) -> str:
    """Install one of the two files and use it; only the wheel trains."""
    with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
        installed = install(options.uv, file, Path(folder), options.python)
        results = [try_commands(installed, version)]
        if options.train and file.suffix == ".whl":
            results.append(train(installed))
    return "; ".join(results)


def check_all(options: argparse.Namespace) -> bool:
    """Run all checks, print a line for each; whether none failed."""
    version = read_version()
    shutil.rmtree(options.out, ignore_errors=True)
    run([options.uv, "build", "--quiet", "--out-dir", options.out, ROOT])  # the wheel from the sdist
    (sdist,), (wheel,) = options.out.glob("*.tar.gz"), options.out.glob("*.whl")
    twine = [options.uv, "tool", "run", "--quiet", "twine", "check", "--strict", sdist, wheel]
    checks: dict[str, Callable[[], str]] = {
        "changelog": lambda: check_changelog(version),
        sdist.name: lambda: check_sdist(sdist),
        wheel.name: lambda: check_wheel(wheel),
        "twine check": lambda: run(twine) and "PASSED",
        "install the sdist": lambda: try_file(sdist, options, version),
        "install the wheel": lambda: try_file(wheel, options, version),
    }
    passed = [_check(name, do) for name, do in checks.items()]
    return all(passed)


def _check(name: str, do: Callable[[], str]) -> bool:
    started = time.monotonic()
    try:
        state, result = "ok", do()
    except ReleaseError as error:
        state, result = "FAILED", str(error)
    print(f"{state:6}  {name}: {result} ({time.monotonic() - started:.0f} s)", flush=True)
    return state == "ok"


def main() -> int:
    """Parse the options, run all checks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uv", type=Path, default=Path(shutil.which("uv") or "uv"), help="the program uv")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="folder of the two files, emptied first"
    )
    parser.add_argument("--python", default=sys.executable, help="the Python to install on")
    parser.add_argument(
        "--train", action="store_true", help="also train and predict with the installed wheel"
    )
    options = parser.parse_args()
    if options.uv.exists():
        options.uv = options.uv.absolute()  # commands run in other folders
    try:
        passed = check_all(options)
    except ReleaseError as error:
        print(f"FAILED  build: {error}")
        return 1
    print(f"{options.out}: {'ready for release' if passed else 'not ready for release'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
