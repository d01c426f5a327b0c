"""Attributes of one data set in the words of another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from passerby.data.formats import pa100k, peta
from passerby.errors import ConfigError, DataError, SchemaError
from passerby.evaluation.translation import TRANSLATIONS, Translation, load_translation

SCHEMAS = {"peta": peta.SCHEMA, "pa100k": pa100k.SCHEMA}


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_ours_name_attributes_that_both_data_sets_have(name: str) -> None:
    source, target = (SCHEMAS[word] for word in name.split("-to-"))
    translation = load_translation(name, model=source.names)
    assert translation.names == tuple(TRANSLATIONS[name])
    assert set(translation.names) <= set(target.names)


def test_a_model_of_fewer_attributes_keeps_what_it_knows() -> None:
    model = ["accessoryHat", "lowerBodyJeans", "personalMale"]
    translation = load_translation("peta-to-pa100k", model=model)
    assert translation.names == ("Female", "Hat")
    found = translation.translate(np.float32([[0.9, 0.5, 0.2]]))
    np.testing.assert_allclose(found, [[0.8, 0.9]], rtol=1e-6)


def test_thresholds_lead_to_the_same_answers() -> None:
    translation = Translation.create({"A": "not a", "B": ["b", "c"]}, model=["a", "b", "c"])
    assert translation.translate_thresholds((0.25, 0.5, 0.5)) == (0.75, 0.5)
    with pytest.raises(ConfigError, match="B is any of several"):
        translation.translate_thresholds((0.25, 0.5, 0.4))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"Cap": "Hat", "Man": "not Female"}))
    assert load_translation(str(path), model=["Female", "Hat"]).sources == ((1,), (0,))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"Cap": "Cup"}', SchemaError, "Cap: expected attributes that the model predicts .* got Cup"),
        ('{"Cap": []}', SchemaError, "got none"),
        ("{}", SchemaError, "at least one attribute"),
        ('{"Cap": 3}', DataError, "expected JSON such as"),
        ("[1]", DataError, "expected JSON such as"),
        ("{", DataError, "expected JSON such as"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    path = tmp_path / "names.json"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_translation(str(path), model=["Female", "Hat"])


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match="peta-to-pa100k, pa100k-to-peta, or a JSON file"):
        load_translation("peta-to-mars", model=["Hat"])


def test_a_model_that_shares_nothing_is_refused() -> None:
    with pytest.raises(SchemaError, match="at least one attribute"):
        load_translation("peta-to-pa100k", model=["Tail"])
