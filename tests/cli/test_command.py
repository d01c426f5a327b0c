from __future__ import annotations

import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.cli.options import Split
from passerby.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("evaluate", "bundle", "data", "--split", "valid"),
            "Error: Invalid value for '--split': 'valid' is not one of 'train', 'val', 'test'; did you mean "
            "'val'?\n",
        ),
        (
            ("predict", "bundle", "a.jpg", "--format", "json"),
            "Error: Invalid value for '--format': 'json' is not one of 'table', 'jsonl', 'csv'; did you mean "
            "'jsonl'?\n",
        ),
        (
            ("localize", "bundle", "a.jpg", "--boxes", "all"),
            "Error: Invalid value for '--boxes': 'all' is not one of 'outer', 'components'.\n",
        ),
    ],
)
def test_a_wrong_choice_is_explained_without_noise(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith(message)


def test_an_option_of_other_commands_names_the_own_one() -> None:
    with pytest.raises(ConfigError, match=r"^predict has no option --json; use --format jsonl$"):
        CliRunner().invoke(app, ["predict", "bundle", "a.jpg", "--json"], catch_exceptions=False)


@pytest.mark.parametrize("command", ["evaluate", "evaluate-localization"])
def test_a_split_may_be_in_capitals(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[object] = []

    def check(self: object, bundle: str, data: object, partition: object, split: str) -> None:
        chosen.append(split)
        raise ConfigError("far enough")

    monkeypatch.setattr("passerby.cli.options.LoadingOptions.check", check)
    CliRunner().invoke(app, [command, "bundle", "--data", "data", "--out", "new", "--split", "Train"])
    assert chosen == [Split.train]
