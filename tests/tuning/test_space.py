"""Spaces: what is read, what is rejected, and values on every scale."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError
from object2vec.tuning.space import Choices, Numbers, Space


def test_the_forms_of_a_space():
    space = Space.parse(
        {
            "learning_rate": {"min": 1e-5, "max": 0.1, "scale": "Logarithmic"},
            "enc_dim": {"min": 4, "max": 64},
            "optimizer": ["adam", "sgd"],
            "mask_padding": [True, False],
        }
    )
    assert space.ranges["learning_rate"] == Numbers(1e-5, 0.1, "Logarithmic")
    assert space.ranges["enc_dim"] == Numbers(4, 64, "Auto", is_integer=True)
    assert space.ranges["optimizer"] == Choices(("adam", "sgd"))
    assert space.ranges["mask_padding"] == Choices(("true", "false"))
    assert Space.parse(json.loads(json.dumps(space.state()))) == space


def test_the_form_of_sagemaker():
    space = Space.parse(
        {
            "ContinuousParameterRanges": [
                {"Name": "dropout", "MinValue": "0.0", "MaxValue": "0.4", "ScalingType": "Linear"}
            ],
            "IntegerParameterRanges": [{"Name": "enc_dim", "MinValue": "16", "MaxValue": "1024"}],
            "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["adam"]}],
        }
    )
    assert space.ranges == {
        "dropout": Numbers(0.0, 0.4, "Linear"),
        "enc_dim": Numbers(16, 1024, "Auto", is_integer=True),
        "optimizer": Choices(("adam",)),
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "must be a JSON object of ranges"),
        ({"lerning_rate": [1]}, "Did you mean learning_rate"),
        ({"lerning_rate": {"min": 0, "max": 1}}, "Did you mean learning_rate"),
        ({"dropout": {"min": 1, "max": 0}}, "min not above max"),
        ({"dropout": {"min": 0, "max": 1, "scale": "Logarithmic"}}, "must be above 0"),
        ({"dropout": {"min": 0, "max": 1, "scale": "ReverseLogarithmic"}}, r"must lie in \[0, 1\)"),
        ({"dropout": {"min": 0, "max": 1, "scale": "log"}}, "must have a scale of Auto"),
        ({"dropout": {"min": "a", "max": 1}}, "must have numbers min and max"),
        ({"dropout": {"max": 1}}, "must have numbers min and max"),
        ({"optimizer": []}, "must have different values"),
        ({"optimizer": ["adam", "adam"]}, "must have different values"),
        ({"optimizer": 3}, "must be a range or a list"),
        ({"enc_dim": {"type": "integer", "min": 1.5, "max": 3}}, "must have integers"),
        ({"enc_dim": {"type": "continuous", "min": 4, "max": 8}}, "must be of integers"),
        ({"dropout": {"min": 0, "max": 9}}, r"dropout: must be a number in \[0, 1\]; got 9"),
        ({"enc_dim": {"min": 3, "max": 9}}, r"enc_dim: must be an integer in \[4, 10000\]; got 3"),
        ({"optimizer": ["adam", "adm"]}, "optimizer: must be one of 'adadelta'.*got 'adm'"),
        ({"dropout": [None]}, "dropout: must be a number in .* got 'None'"),
        *(
            (
                {"ContinuousParameterRanges": ranges},
                "ContinuousParameterRanges: must hold ranges as SageMaker has them",
            )
            for ranges in ([{"Name": "dropout"}], {"Name": "dropout"}, [["dropout", 0, 1]])
        ),
        (
            {"CategoricalParameterRanges": [{"Name": "optimizer"}]},
            "CategoricalParameterRanges: must hold ranges as SageMaker has them",
        ),
    ],
)
def test_what_is_no_space(document, message):
    with pytest.raises(ConfigError, match=message):
        Space.parse(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "the nesting too deep"),
        ('{"dropout": {"min": 0, "max": 1}, "dropout": [0.5]}', "a name that stands twice"),
        ('{"dropout": {"min": 0, "max": NaN}}', "the number NaN"),
    ],
)
def test_what_is_no_json_of_a_space(tmp_path, text, message):
    path = tmp_path / "space.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"space\.json: must be a JSON object .*{message}"):
        Space.read(str(path))


def test_auto_is_logarithmic_for_wide_positive_ranges():
    assert Numbers(0.001, 0.1).resolved == "Logarithmic"
    assert Numbers(0.001, 0.09).resolved == "Linear"
    assert Numbers(0.0, 1000.0).resolved == "Linear"


RANGES = st.sampled_from(
    [
        Numbers(0.001, 10.0, "Logarithmic"),
        Numbers(-1.0, 3.0, "Linear"),
        Numbers(0.0, 0.999, "ReverseLogarithmic"),
        Numbers(4, 4096, is_integer=True),
        Numbers(1, 5, "Linear", is_integer=True),
    ]
)


@given(RANGES, st.floats(0, 1))
def test_a_value_is_what_was_drawn(numbers, share):
    low, high = numbers.low, numbers.high
    value = low + share * (high - low)
    value = round(value) if numbers.is_integer else value
    drawn = numbers.drawn(value)
    assert drawn is not None
    assert numbers.distribution()._contains(drawn)
    assert numbers.value(drawn) == pytest.approx(value, abs=1e-12)
    assert numbers.drawn(high + 1) is None
    assert numbers.drawn("x") is None


@given(RANGES, st.integers(2, 9))
def test_a_grid_goes_from_end_to_end(numbers, points):
    grid = numbers.grid(points)
    assert grid[0] == pytest.approx(numbers.low)
    assert grid[-1] == pytest.approx(numbers.high)
    assert sorted(set(grid)) == grid
    assert len(grid) <= points


def test_a_grid_is_even_on_its_scale():
    assert Numbers(0.01, 100.0, "Logarithmic").grid(5) == pytest.approx([0.01, 0.1, 1, 10, 100])
    reverse = Numbers(0.0, 0.99, "ReverseLogarithmic").grid(3)
    assert reverse == pytest.approx([0.0, 0.9, 0.99])


def test_a_grid_is_even_wherever_its_range_begins():
    assert Numbers(-1.0, 3.0, "Linear").grid(5) == [-1, 0, 1, 2, 3]
    reverse = Numbers(0.5, 0.95, "ReverseLogarithmic").grid(3)
    assert reverse == pytest.approx([0.5, 1 - (0.5 * 0.05) ** 0.5, 0.95])
    assert Numbers(3.0, 3.0, "Linear").grid(4) == [3.0]  # no value twice


def test_limits_of_a_range_are_those_of_models_of_tables():
    """Where data decide, AWS's limits do not hold: lengths and vocabularies."""
    document = {"enc0_max_seq_len": {"min": 1, "max": 6000}}
    assert Space.parse(document).ranges["enc0_max_seq_len"].high == 6000
    with pytest.raises(ConfigError, match=r"enc0_max_seq_len: must be an integer in .*; got 0"):
        Space.parse({"enc0_max_seq_len": {"min": 0, "max": 6000}})


def test_numbers_may_be_choices():
    ranges = Space.parse({"enc_dim": [8, 64], "dropout": [0.5, 0]}).ranges
    assert ranges == {"enc_dim": Choices(("8", "64")), "dropout": Choices(("0.5", "0"))}


def test_a_negative_range_is_linear():
    assert Numbers(-1.0, 1000.0).resolved == Numbers(-1000.0, -1.0).resolved == "Linear"


def test_the_default_is_what_aws_recommends_of_what_matters():
    pooled = {"enc0_network": "pooled_embedding", "enc1_network": "hcnn", "enc_dim": 64}
    names = set(Space.default(pooled).ranges)
    assert "enc_dim" not in names
    assert "enc0_layers" not in names
    assert {"enc1_layers", "enc1_cnn_filter_width", "learning_rate", "optimizer"} <= names
    assert "enc1_layers" not in Space.default({}).ranges  # enc1_network is enc0
    for name, each in Space.default({"enc1_network": "hcnn"}).ranges.items():
        ends = each.values if isinstance(each, Choices) else (each.low, each.high)
        for value in ends:
            row = HYPERPARAMETERS[name]
            row.kind.parse(str(int(value) if getattr(each, "is_integer", False) else value))


def test_recommended_ranges_are_those_of_aws():
    """https://docs.aws.amazon.com/sagemaker/latest/dg/object2vec-tuning.html"""
    sides = {
        f"enc{side}_{name}": ends
        for side in (0, 1)
        for name, ends in (
            ("cnn_filter_width", (1, 5)),
            ("layers", (1, 4)),
            ("token_embedding_dim", (5, 300)),
        )
    }
    integers = sides | {
        "early_stopping_patience": (1, 5),
        "enc_dim": (4, 4096),
        "epochs": (4, 20),
        "mini_batch_size": (1, 8192),
        "mlp_dim": (16, 1024),
        "mlp_layers": (1, 4),
    }
    numbers = {
        "dropout": (0.0, 1.0),
        "early_stopping_tolerance": (0.001, 0.1),
        "learning_rate": (1e-6, 1.0),
        "weight_decay": (1e-6, 1.0),  # AWS's begins at 0, which no logarithmic scale has
    }
    words = {
        "mlp_activation": {"tanh", "relu", "linear"},
        "optimizer": {"adagrad", "adam", "rmsprop", "sgd", "adadelta"},
    }
    ranges = Space.default({"enc1_network": "hcnn"}).ranges
    found = {n: (r.low, r.high) for n, r in ranges.items() if isinstance(r, Numbers)}
    assert found == integers | numbers
    assert {name for name in found if ranges[name].is_integer} == set(integers)
    scales = {name for name in found if ranges[name].resolved == "Logarithmic"}
    assert scales == {"learning_rate", "weight_decay"}
    assert {n: set(r.values) for n, r in ranges.items() if isinstance(r, Choices)} == words
