"""Progress bars, levels of output, and completion in the shell."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from passerby.cli import app, main
from passerby.cli.logs import show_logs
from passerby.cli.output import print_note
from passerby.cli.progress import show_progress
from passerby.cli.verbosity import Verbosity, get_verbosity, set_verbosity
from passerby.errors import ConfigError


@pytest.fixture(autouse=True)
def restore() -> object:
    yield
    set_verbosity(Verbosity.NORMAL)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def draw(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    """What a bar writes to stderr."""
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with show_progress("evaluating") as progress:
        for done in (10, 20, 30):
            progress(done, 40)
    return stream.getvalue()


def test_a_bar_shows_rate_and_time_left_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = draw(monkeypatch, Terminal())
    assert "evaluating" in text
    assert re.search(r"30/40 .*\d/s .*\d\d:\d\d left", re.sub(r"\x1b\[[\d;]*m", "", text))


def test_no_bar_in_a_pipe_or_if_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw(monkeypatch, io.StringIO()) == ""
    set_verbosity(Verbosity.QUIET)
    assert draw(monkeypatch, Terminal()) == ""


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (["recipes", "man"], Verbosity.NORMAL),
        (["--quiet", "recipes", "man"], Verbosity.QUIET),
        (["-q", "recipes", "man"], Verbosity.QUIET),
        (["recipes", "man", "--quiet"], Verbosity.QUIET),
        (["--verbose", "recipes", "man"], Verbosity.VERBOSE),
        (["recipes", "--verbose", "man"], Verbosity.VERBOSE),
        (["recipes", "man", "-q"], Verbosity.QUIET),
        (["recipes", "-v", "man"], Verbosity.VERBOSE),
    ],
)
def test_the_level_comes_before_or_after_the_command(words: list[str], level: Verbosity) -> None:
    assert CliRunner().invoke(app, words).exit_code == 0
    assert get_verbosity() is level


@pytest.mark.parametrize(
    "words",
    [
        ["--quiet", "--verbose", "recipes"],
        ["recipes", "--quiet", "--verbose"],
        ["recipes", "-v", "-q"],
        ["-q", "recipes", "-v"],
        ["--verbose", "recipes", "--quiet"],
    ],
)
def test_the_levels_exclude_each_other(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "either --quiet or --verbose" in result.stderr


def test_the_help_of_every_command_lists_the_levels() -> None:
    for words in ([], *([name] for name in typer.main.get_command(app).commands)):  # type: ignore[attr-defined]
        text = CliRunner().invoke(app, [*words, "--help"]).stdout
        assert "-q, --quiet " in text, words
        assert "-v, --verbose " in text, words


def test_a_file_may_have_the_name_of_a_level() -> None:
    error = CliRunner().invoke(app, ["recipes", "--", "--quiet"]).exception
    assert "no recipe, suite or folder --quiet" in str(error)
    assert get_verbosity() is Verbosity.NORMAL


def test_quiet_hides_notes_and_keeps_results(tmp_path: Path) -> None:
    words = ["recipes", "baseline/own", "--out"]
    assert "Wrote" in CliRunner().invoke(app, [*words, str(tmp_path / "a.yaml")]).stderr
    assert CliRunner().invoke(app, ["-q", *words, str(tmp_path / "b.yaml")]).output == ""
    assert CliRunner().invoke(app, ["-q", "recipes", "baseline/own"]).stdout.startswith("#")


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_note("Wrote a file")
    assert capsys.readouterr() == ("", "Wrote a file\n")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Verbosity.QUIET, ("", "passerby: warning\n")),
        (Verbosity.NORMAL, ("", "info\npasserby: warning\n")),
        (Verbosity.VERBOSE, ("", "debug\ninfo\npasserby: warning\n")),
    ],
)
def test_log_records_by_level(
    level: Verbosity, expected: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    set_verbosity(level)
    logger = logging.getLogger("passerby.test")
    with show_logs(progress=False):  # as every command does
        with show_logs():
            for name in ("debug", "info", "warning"):
                getattr(logger, name)(name)
        assert capsys.readouterr() == expected
        logger.info("of no interest")
        assert ("of no interest" in capsys.readouterr().err) is (level is Verbosity.VERBOSE)
    assert not logging.getLogger("passerby").handlers


def test_verbose_prints_the_traceback_of_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, traceback in ((["--verbose"], True), ([], False)):
        monkeypatch.setattr("sys.argv", ["passerby", *words, "recipes", "nothing"])
        with pytest.raises(SystemExit, match="2"):
            main()
        error = capsys.readouterr().err
        assert "passerby: ConfigError: no recipe, suite or folder nothing" in error
        assert ("Traceback" in error) is traceback


def test_a_renamed_option_names_the_present_one() -> None:
    for words, message in (
        (["evaluate", "b", "--data", "m", "--names", "peta-to-ccp"], "--names was renamed; use --label-map"),
        (["calibrate", "b", "--part", "val"], "use --split (--split of passerby 0.1 is now --partition)"),
        (["predict", "b", "a.jpg", "--threads", "2"], "--threads was renamed; use --workers"),
        (["report", "run", "--images", "x"], "--images was renamed; use --root"),
        (["synth", "--cameras", "2"], "--cameras was removed; leave it out"),
    ):
        error = CliRunner().invoke(app, words).exception
        assert isinstance(error, ConfigError)
        assert message in str(error)


def test_no_present_option_is_listed_as_renamed() -> None:
    from passerby.cli.command import RENAMED

    for name, options in RENAMED.items():
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert not known & set(options)
        assert {new for new in options.values() if new} <= known | {
            option for parameter in command.params for option in parameter.secondary_opts
        }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("passerby ev", ["evaluate", "evaluate-localization"]),
        ("passerby evaluate --split t", ["train", "test"]),
        ("passerby evaluate --label-map peta-to-c", ["peta-to-ccp"]),
        ("passerby prepare pa", ["pa100k"]),
        ("passerby train baseline/o", ["baseline/own"]),
        ("passerby suite suites/peta-128x96-e", ["suites/peta-128x96-elsewhere"]),
        ("passerby localize --method grad-cam-p", ["grad-cam-p"]),
    ],
)
def test_the_shell_completes_commands_and_values(words: str, expected: list[str]) -> None:
    environment = {
        "_PASSERBY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(app, [], env=environment, prog_name="passerby")
    assert result.stdout.split() == expected


def test_completion_scripts_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="passerby")
    assert "_PASSERBY_COMPLETE=complete_bash" in result.stdout
    assert result.stdout.rstrip().endswith("passerby")
