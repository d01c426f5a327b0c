from __future__ import annotations

import re
import shlex
from types import SimpleNamespace

import pytest

from passerby.comparison.run_names import describe_facts, find_run
from passerby.errors import ConfigError
from toy_evaluations import make_result


def test_a_run_that_continues_a_bundle_says_so() -> None:
    continued = make_result(pretraining="bundle baseline own labels")
    assert describe_facts(continued, seeds=1)["pretraining"] == "from the bundle baseline own labels"


def test_every_name_that_the_message_lists_is_accepted() -> None:
    runs = [
        SimpleNamespace(model=m, backbone="net", variant=v)
        for m, v in (("a", "own"), ("a", "own"), ("b", "x"))
    ]
    labels = ["2 epochs · ours", "5 epochs", "b · x"]
    with pytest.raises(ConfigError, match="'own' is the name of several runs") as error:
        find_run("own", runs, labels)  # type: ignore[arg-type]
    listed = re.split(r", (?=')|, (?=\w)", str(error.value).partition("Available: ")[2])
    names = [shlex.split(name)[0] for name in listed]
    assert names == ["a · net · own (2 epochs · ours)", "a · net · own (5 epochs)", "b · net · x"]
    assert [find_run(name, runs, labels) for name in names] == [0, 1, 2]  # type: ignore[arg-type]
