from __future__ import annotations

import datetime
import logging
from typing import Any

import pytest

from passerby.data.formats.table.files import Table
from passerby.data.formats.table.labels import read_labels
from passerby.errors import FormatError

UNKNOWN = [
    "",
    None,
    float("nan"),
    "NaN",
    "nan",
    "null",
    "None",
    "N/A",
    "NA",
    "?",
    "-",
    "-1",
    -1,
    -1.0,
    "unknown",
]


def read(columns: dict[str, list[Any]], **options: Any) -> dict[str, list[int]]:
    count = len(next(iter(columns.values())))
    table = Table(columns, [f"t.csv, row {number}" for number in range(2, 2 + count)])
    labels = read_labels(table, list(columns), **options)
    return {a.name: column.tolist() for a, column in zip(labels.attributes, labels.values.T, strict=True)}


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        *((1, 0), ("1", "0"), (1.0, 0.0), ("1.0", "0.0"), ("1,0", "0,0"), (True, False)),
        *(("yes", "no"), ("Y", "N"), ("TRUE", "False"), ("t", "f"), ("Present", "absent"), ("x", "0")),
    ],
)
def test_words_for_labels(yes, no):
    assert read({"Hat": [yes, no, ""]}) == {"Hat": [1, 0, -1]}


@pytest.mark.parametrize("cell", UNKNOWN, ids=repr)
def test_unknown_labels(cell):
    assert read({"Hat": [1, 0, cell]}) == {"Hat": [1, 0, -1]}
    assert read({"colour": ["red", "red", "blue", cell]}) == {
        "colour=blue": [0, 0, 1, -1],
        "colour=red": [1, 1, 0, -1],
    }


def test_declared_unknowns():
    assert read({"Hat": [1, 0, 2, 9]}, unknown=["2", "9"]) == {"Hat": [1, 0, -1, -1]}
    assert read({"Hat": ["yes", "no", "Unsure"]}, unknown=["unsure"]) == {"Hat": [1, 0, -1]}
    colours = ["red", "blue", "red", "unsure"]
    assert read({"colour": colours}, unknown=["unsure"])["colour=red"] == [1, 0, 1, -1]


def test_a_declared_number_does_not_remove_values_of_other_columns(caplog):
    columns: dict[str, list[Any]] = {"Hat": [1, 0, 2, 1], "age": [2, 3, 4, 2]}
    with caplog.at_level(logging.WARNING):
        assert read(columns, unknown=["2"]) == {
            "Hat": [1, 0, -1, 1],
            "age=2": [1, 0, 0, 1],
            "age=3": [0, 1, 0, 0],
            "age=4": [0, 0, 1, 0],
        }
    assert "2 is a value of column 'age', which has several; if it means unknown there: --unknown age=2" in (
        caplog.text
    )
    assert read(columns, unknown=["2", "age=2"]) == {
        "Hat": [1, 0, -1, 1],
        "age=3": [-1, 1, 0, -1],
        "age=4": [-1, 0, 1, -1],
    }


def test_values_exclude_each_other_and_are_sorted(caplog):
    with caplog.at_level(logging.WARNING):
        labels = read({"colour": ["Red", "blue", "red", "Red", ""], "age": [10, 2, 10, 2, 3]})
    assert labels == {
        "colour=blue": [0, 1, 0, 0, -1],
        "colour=Red": [1, 0, 1, 1, -1],  # the commonest spelling
        "age=2": [0, 1, 0, 1, 0],
        "age=3": [0, 0, 0, 0, 1],
        "age=10": [1, 0, 1, 0, 0],
    }
    assert caplog.messages == [
        "column 'colour' has 2 values and became one attribute for each: blue, Red",
        "column 'age' has 3 values and became one attribute for each: 2, 3, 10",
    ]


def test_female_is_not_false():
    assert read({"sex": ["f", "m", "f", "m"]}) == {"sex=f": [1, 0, 1, 0], "sex=m": [0, 1, 0, 1]}
    with pytest.raises(FormatError, match="sex: a single value, such as 'f'"):
        read({"sex": ["f", "f"]})


def test_none_among_values_is_logged(caplog):
    columns: dict[str, list[Any]] = {"bag": ["none", "big", "big", "small"]}
    with caplog.at_level(logging.WARNING):
        assert read(columns)["bag=big"] == [-1, 1, 1, 0]
    assert caplog.messages == [
        "column 'bag' has 2 values and became one attribute for each: big, small; 'none' counts as unknown: "
        "--absent bag=none if it means that all are absent, --categorical bag if it is a value"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert read(columns, absent=["bag=none"]) == {"bag=big": [0, 1, 1, 0], "bag=small": [0, 0, 0, 1]}
        assert read(columns, absent=["None"]) == read(columns, absent=["bag=none"])
        assert list(read(columns, categorical=["bag"])) == ["bag=big", "bag=none", "bag=small"]
    assert "unknown" not in caplog.text
    assert read(columns, categorical=["bag"], unknown=["bag=none"]) == read(columns)


def test_a_single_value_next_to_none():
    columns: dict[str, list[Any]] = {"face": ["none", "beard", "none", "beard"]}
    with pytest.raises(FormatError) as caught:
        read(columns)
    assert str(caught.value).splitlines()[1:] == [
        "  face: a single value and none, such as 'beard' in t.csv, row 3; --absent face=none if none means "
        "absent, --categorical face if it is a value"
    ]
    assert read(columns, absent=["none"]) == {"face=beard": [0, 1, 0, 1]}
    assert read(columns, categorical=["face"]) == {"face=beard": [0, 1, 0, 1], "face=none": [1, 0, 1, 0]}
    gaps: dict[str, list[Any]] = {"face": ["", "beard", "?", ""]}
    with pytest.raises(FormatError, match="--absent face= if an empty cell means absent"):
        read(gaps)
    assert read(gaps, absent=["face="]) == {"face=beard": [0, 1, -1, 0]}


def test_a_value_next_to_absent_ones_counts_as_two_classes():
    table = Table({"face": ["none", "beard"]}, ["t.csv, row 2", "t.csv, row 3"])
    (attribute,) = read_labels(table, ["face"], absent=["none"]).attributes
    assert (attribute.category, attribute.classes) == ("face", 2)


def test_declared_absent_labels(caplog):
    crossed: dict[str, list[Any]] = {"Hat": ["x", "", None], "Bag": ["", "", ""], "Coat": ["yes", "", "no"]}
    assert read(crossed, absent=[""]) == {"Hat": [1, 0, 0], "Bag": [0, 0, 0], "Coat": [1, 0, 0]}
    assert read(crossed, absent=["Hat="]) == {"Hat": [1, 0, 0], "Bag": [-1, -1, -1], "Coat": [1, -1, 0]}
    with caplog.at_level(logging.WARNING):
        assert read({"Hat": [1, -1], "Bag": [-1, 1]}, absent=["-1"]) == {"Hat": [1, 0], "Bag": [0, 1]}
        assert read({"Hat": [1, 2, 1], "Bag": [2, "", 1]}, absent=["2"]) == {
            "Hat": [1, 0, 1],
            "Bag": [0, -1, 1],
        }
    assert not caplog.messages


def test_a_declared_absent_number_does_not_remove_values_of_other_columns(caplog):
    columns: dict[str, list[Any]] = {
        "Hat": [1, 2, 2, 1],
        "age": [2, 3, 4, 2],
        "colour": ["red", "red", "tan", ""],
    }
    with caplog.at_level(logging.WARNING):
        labels = read(columns, absent=["2", ""])
    assert labels["Hat"] == [1, 0, 0, 1]
    assert labels["age=2"] == [1, 0, 0, 1]
    assert labels["colour=red"] == [1, 1, 0, -1]
    assert "2 is a value of column 'age', which has several; if it means absent there: --absent age=2" in (
        caplog.text
    )
    caplog.clear()
    read({"Hat": [1, 0]}, absent=["9"])
    assert caplog.messages == ["--absent 9: no cell of these columns has it"]


def test_codes_1_and_2_may_mean_absent():
    with pytest.raises(
        FormatError,
        match="--absent 2 if that means absent, --unknown 2 if that means unknown, --categorical Hat",
    ):
        read({"Hat": [1, 2, 1]})
    with pytest.raises(FormatError, match=r"maybe' in t\.csv, row 3; --unknown maybe"):
        read({"Hat": ["none", "maybe", "yes"]}, absent=["none"])
    with pytest.raises(FormatError, match=r"numbers, such as '2\.5' in t\.csv, row 3"):
        read({"Hat": ["none", "2.5", "3"]}, absent=["none"])


@pytest.mark.parametrize("cells", [[0, 1, 2], [0, 2, 2], ["1", "2", "1"], [1.0, 0.0, 9.0]])
def test_a_third_number_is_ambiguous(cells):
    code = str(int(max(map(float, cells))))
    with pytest.raises(FormatError, match=rf"--unknown {code} if that means unknown, --categorical age if"):
        read({"age": cells})
    assert list(read({"age": cells}, categorical=["age"]))[-1] == f"age={code}"


def test_a_word_next_to_labels_is_named():
    with pytest.raises(
        FormatError, match=r"Hat: 0 and 1 next to other text, such as 'maybe' in t.csv, row 3; --unk"
    ):
        read({"Hat": [1, "maybe", 0]})
    values = read({"glasses": ["no", "sun", "normal"]}, categorical=["glasses"])
    assert list(values) == ["glasses=no", "glasses=normal", "glasses=sun"]


def test_all_columns_that_are_no_labels_are_in_one_message():
    day = datetime.date(2024, 5, 1)
    columns = {
        "Hat": [1, 0, 1],
        "notes": ["too dark", "fine", "cut off"],
        "taken": ["2024-05-01", "01.05.2024", ""],
        "excel_date": [day, day, None],
        "weight": ["71,5", "80", ""],
        "year": [1980, 1980, 2001],
        "Bag": [0, 1, 2],
        "crossed": ["x", "", ""],
    }
    with pytest.raises(FormatError) as caught:
        read(columns)
    assert str(caught.value).splitlines() == [
        "t.csv: 7 columns are not plain labels (1 or 0, yes or no, true or false; nothing if unknown):",
        "  notes: text with 3 values, such as 'too dark' in t.csv, row 2; --categorical notes if each is a "
        "value",
        "  taken: dates or times, such as '2024-05-01' in t.csv, row 2",
        "  excel_date: dates or times, such as '2024-05-01' in t.csv, row 2",
        "  weight: numbers, such as '71,5' in t.csv, row 2",
        "  year: numbers, such as '2001' in t.csv, row 4; --categorical year if each is a value",
        "  Bag: the numbers 0, 1 and 2, such as '2' in t.csv, row 4; --unknown 2 if that means unknown, "
        "--categorical Bag if it is a value",
        "  crossed: only x and empty cells, such as 'x' in t.csv, row 2; --absent \"\" if an empty cell "
        "means absent",
        "leave out columns with --ignore notes,taken,excel_date,weight,year, or name the columns of "
        "labels with --attributes Hat,Bag,crossed",
    ]


def test_text_with_many_values_is_no_category():
    words = [f"word {i % 21}" for i in range(60)]
    with pytest.raises(FormatError, match=r"text with 21 values, .*--categorical tag if each is a value"):
        read({"tag": words})
    assert len(read({"tag": words}, categorical=["tag"])) == 21


def test_forced_categories_need_two_values():
    with pytest.raises(FormatError, match="age: no category, because it has fewer than two values"):
        read({"age": [1, 1]}, categorical=["age"])
    with pytest.raises(FormatError, match="--categorical: no column height; it has age"):
        read({"age": [1, 2]}, categorical=["height"])


def test_minus_one_without_zero_is_logged(caplog):
    """Lists such as those of CelebA write -1 for absent."""
    with caplog.at_level(logging.WARNING):
        assert read({"Hat": [1, -1], "Bag": [-1, 1]}) == {"Hat": [1, -1], "Bag": [-1, 1]}
    assert caplog.messages == ["no label is 0, and -1 counts as unknown; if -1 means absent: --absent -1"]


def test_minus_one_is_decided_for_each_column(caplog):
    columns = {"Hat": [1, -1, 1], "Bag": [1, 0, -1], "Sun glasses": [-1, 1, 1], "Boots": [1, 0, 1]}
    with caplog.at_level(logging.WARNING):
        read(columns)
    assert caplog.messages == [
        "no label of Hat, Sun glasses is 0, and -1 counts as unknown; if -1 means absent there: "
        "--absent 'Hat=-1,Sun glasses=-1'"
    ]
    codes = ["Hat=-1", "Sun glasses=-1"]
    assert read(columns, absent=codes) == {
        "Hat": [1, 0, 1],
        "Bag": [1, 0, -1],
        "Sun glasses": [0, 1, 1],
        "Boots": [1, 0, 1],
    }


def test_suggested_options_are_quoted_for_a_shell():
    with pytest.raises(FormatError) as caught:
        read({"Hat": [1, 0, "#REF!"], "Sun glasses": [1, 0, 1], "my notes": ["too dark", "ok", "blurred"]})
    assert str(caught.value).splitlines()[1:] == [
        "  Hat: 0 and 1 next to other text, such as '#REF!' in t.csv, row 4; --unknown '#ref!' if that means "
        "unknown, --categorical Hat if it is a value",
        "  my notes: text with 3 values, such as 'too dark' in t.csv, row 2; --categorical 'my notes' if "
        "each is a value",
        "leave out columns with --ignore 'my notes', or name the columns of labels with --attributes "
        "'Hat,Sun glasses'",
    ]


def test_columns_that_make_the_same_attribute_are_named():
    columns = {"colour=red": [1, 0, 0, 1], "colour": ["red", "blue", "blue", "red"]}
    with pytest.raises(
        FormatError,
        match=r"the columns 'colour=red' and 'colour' both make the attribute 'colour=red'; rename one, or "
        "leave one out with --ignore colour$",
    ):
        read(columns)


def test_codes_that_no_cell_has_are_logged(caplog):
    with caplog.at_level(logging.WARNING):
        read({"Hat": [1, 0, 2], "Bag": [1, 0, 0]}, unknown=["2", "9", "Bag=3", "Coat=4"])
    assert caplog.messages == ["--unknown 9,coat=4,Bag=3: no cell of these columns has it"]
