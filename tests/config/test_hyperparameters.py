from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from object2vec.config import Config
from object2vec.config.kinds import Anything, Boolean, Choice, Comparators, Float, Integer, Pattern
from object2vec.config.page import _wrapped, default_text, describe, markdown
from object2vec.config.rules import RULES
from object2vec.config.table import DEVICE, FILE_NAME, GROUPS, HYPERPARAMETERS
from object2vec.errors import ConfigError, shown

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.md"

# AWS's documented ranges and defaults, copied by hand: the truth that the table is held to.
NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
DOCUMENTED = {
    "enc0_max_seq_len": (1, 5000, None),
    "enc0_vocab_size": (2, 3_000_000, None),
    "enc1_max_seq_len": (1, 5000, None),
    "enc1_vocab_size": (2, 3_000_000, None),
    "enc0_network": (NETWORKS, "hcnn"),
    "enc1_network": (("enc0", *NETWORKS), "enc0"),
    "enc0_layers": (1, 4, "auto"),
    "enc1_layers": (1, 4, "auto"),
    "enc0_cnn_filter_width": (1, 9, 3),
    "enc1_cnn_filter_width": (1, 9, 3),
    "enc0_token_embedding_dim": (2, 1000, 300),
    "enc1_token_embedding_dim": (2, 1000, 300),
    "enc0_pretrained_embedding_file": (str, ""),
    "enc1_pretrained_embedding_file": (str, ""),
    "enc0_vocab_file": (str, ""),
    "enc1_vocab_file": (str, ""),
    "enc0_freeze_pretrained_embedding": (bool, True),
    "enc1_freeze_pretrained_embedding": (bool, True),
    "enc_dim": (4, 10_000, 4096),
    "bucket_width": (0, 100, 0),
    "comparator_list": (("hadamard", "concat", "abs_diff"), ("hadamard", "concat", "abs_diff")),
    "dropout": (0.0, 1.0, 0.0),
    "mlp_layers": (0, 10, 2),
    "mlp_dim": (2, 10_000, 512),
    "mlp_activation": (("tanh", "relu", "linear"), "linear"),
    "output_layer": (("softmax", "mean_squared_error"), "softmax"),
    "num_classes": (2, 30, 2),
    "optimizer": (("adadelta", "adagrad", "adam", "sgd", "rmsprop"), "adam"),
    "learning_rate": (1e-6, 1.0, 0.0004),
    "tied_token_embedding_weight": (bool, False),
    "token_embedding_storage_type": (("dense", "row_sparse"), "dense"),
    "negative_sampling_rate": (0, None, 0),
    "mini_batch_size": (1, 10_000, 32),
    "epochs": (1, 100, 30),
    "early_stopping_patience": (1, 5, 3),
    "early_stopping_tolerance": (1e-6, 0.1, 0.01),
    "weight_decay": (0.0, 10_000.0, 0.0),
}
INTERNAL = {
    "_kvstore": "auto_gpu",
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "_tuning_objective_metric": "",
}

SIZES = {"enc0_max_seq_len": 10, "enc0_vocab_size": 100}

ROWS = list(HYPERPARAMETERS.values())
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def documented(row):
    """What a row says, in the form of DOCUMENTED."""
    match row.kind:
        case Integer(low, high) | Float(low, high):
            return low, high, row.default
        case Choice(values):
            return values, row.default
        case Comparators():
            return ("hadamard", "concat", "abs_diff"), row.default
        case Boolean():
            return bool, row.default
        case _:
            return str, row.default


def test_the_documented_rows_are_those_of_aws():
    ours = {row.name: documented(row) for row in ROWS if row.origin == "aws"}
    assert ours == DOCUMENTED
    assert len(DOCUMENTED) == 31 + 6  # AWS's table gives six lines to an encoder's pair of names


@pytest.mark.parametrize("name", DOCUMENTED)
def test_floats_and_integers_are_what_aws_says(name):
    low = DOCUMENTED[name][0]
    assert isinstance(HYPERPARAMETERS[name].kind, Float) == isinstance(low, float)


def test_the_internal_and_tolerated_rows():
    assert {r.name: r.default for r in ROWS if r.origin == "internal"} == INTERNAL
    assert [r.name for r in ROWS if r.origin == "tolerated"] == ["feature_dim"]


def test_what_is_required():
    required = {row.name: row.required for row in ROWS if row.required != "no"}
    assert required == {
        "enc0_max_seq_len": "yes",
        "enc0_vocab_size": "yes",
        "enc1_max_seq_len": "conditional",
        "enc1_vocab_size": "conditional",
    }
    assert {row.name for row in ROWS if row.default is None} == required.keys()


def test_what_may_change_when_a_run_goes_on():
    assert {row.name for row in ROWS if row.may_change} == {
        "epochs",
        "device",
        "threads",
        "kernel",
        "_kvstore",
        "_num_gpus",
        "_num_kv_servers",
    }


def test_a_word_with_a_hyphen_stays_whole_on_the_page():
    words = f"{'x' * 90} well-known"
    assert _wrapped(f"{words} {words}").count("well-known") == 2
    assert all(len(line) <= 100 for line in _wrapped(f"{words} {words}").splitlines())


def test_every_rule_has_its_sentence_on_the_page():
    page = " ".join(markdown().split())
    assert len({rule.sentence for rule in RULES}) == len(RULES) > 10
    for rule in RULES:
        assert f"- {rule.sentence} " in page
        assert set(re.findall(r"`(\w+)`", rule.sentence)) <= known_words()


def known_words():
    """Every name that a sentence may use: hyperparameters, settings of an encoder, and words."""
    words = {"enc1_", "auto", "linear"} | {row.field for row in ROWS} | set(HYPERPARAMETERS)
    for row in ROWS:
        words |= {*getattr(row.kind, "values", ()), *getattr(row.kind, "extensions", ())}
    return words


def test_only_layers_and_gpus_take_a_word_for_a_number():
    words = {row.name: row.kind.words for row in ROWS if isinstance(row.kind, Integer)}
    with_words = {name for name, word in words.items() if word == ("auto",)}
    assert with_words == {"enc0_layers", "enc1_layers", "_num_gpus"}
    assert all(words[name] == () for name in words.keys() - with_words)


@each_row
def test_the_default_is_valid_native_and_as_text(row):
    if row.default is None:
        assert default_text(row).startswith("required")
    else:
        assert row.kind.parse(row.default) == row.default
        assert row.kind.parse(default_text(row)) == row.default


@pytest.mark.parametrize(
    ("row", "bound"),
    [
        (row, bound)
        for row in ROWS
        if isinstance(row.kind, Integer | Float)
        for bound in (row.kind.low, row.kind.high)
        if bound is not None
    ],
    ids=lambda x: getattr(x, "name", str(x)),
)
def test_bounds_are_inside_and_a_step_beyond_is_outside(row, bound):
    sign = 1 if bound == row.kind.high else -1
    if isinstance(row.kind, Integer):
        beyond = bound + sign
    else:
        beyond = math.nextafter(bound, sign * math.inf)
    assert row.kind.parse(bound) == row.kind.parse(str(bound)) == bound
    for value in (beyond, str(beyond)):
        with pytest.raises(ValueError, match=r"^out of range$"):
            row.kind.parse(value)


@each_row
def test_every_choice_is_valid(row):
    for word in getattr(row.kind, "values", ()):
        assert row.kind.parse(word) == row.kind.parse(f' "{word}" ') == word


NEAR_MISSES = {
    FILE_NAME: ("folder/vocab.json", "..\\vocab.json", "..", ".", "a b", "naïve.txt", "$HOME"),
    DEVICE: ("gpu", "cuda:", "cuda:-1", "cuda 0", "CPU"),
}


def invalid_values(kind):
    """What a kind must reject: values just beyond its bounds, near misses and wrong types."""
    match kind:
        case Integer(low, high):
            above = () if high is None else (high + 1, str(high + 1))
            below = (low - 1, str(low - 1), low + 0.5)
            return (*below, *above, "1.5", "many", "1 2", None, True, [1], math.nan, math.inf)
        case Float(low, high):
            beyond = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
            return (*beyond, "nan", math.nan, "inf", "much", "0,5", None, True, [0.5])
        case Boolean():
            return ("yes", "1", 1, 0, None, [True])
        case Choice(values):
            return (values[0] + "x", values[0].upper(), None, 3, [values[0]])
        case Comparators():
            texts = (
                "hadamard,",
                "hadamard,hadamard",
                "cosine",
                "hadamard concat",
                "Hadamard",
                "[hadamard,",
                "xhadamard]",
            )
            return (*texts, [], [""], {"hadamard"}, None, 3)
        case Pattern():
            return (*NEAR_MISSES[kind], None, 3, ["a"])
        case Anything():
            return ()


@pytest.mark.parametrize(
    ("row", "value"),
    [(row, value) for row in ROWS for value in invalid_values(row.kind)],
    ids=lambda x: getattr(x, "name", repr(x)),
)
def test_every_invalid_value_is_refused_with_the_rule_and_the_cure(row, value):
    text = f"{row.name}: {row.kind.rule}; got {shown(value)}. {row.kind.cure}"
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        Config.build({**SIZES, row.name: value})


def test_every_kind_but_anything_names_invalid_values():
    assert {r.name for r in ROWS if not invalid_values(r.kind)} == {
        r.name for r in ROWS if isinstance(r.kind, Anything)
    }


@pytest.mark.parametrize(
    "value",
    [
        512,
        512.0,
        np.int64(512),
        np.uint16(512),
        np.float32(512),
        np.array(512),
        "512",
        "512.0",
        "+512",
        "0512",
        " 512 ",
        '"512"',
        "'512'",
        ' " 512"\n',
    ],
)
def test_an_integer_may_be_written_in_many_ways(value):
    number = HYPERPARAMETERS["enc_dim"].kind.parse(value)
    assert (number, type(number)) == (512, int)


def test_a_large_integer_keeps_every_digit():
    assert HYPERPARAMETERS["seed"].kind.parse(2**63 - 1) == 9223372036854775807
    assert HYPERPARAMETERS["seed"].kind.parse("9223372036854775806") == 2**63 - 2


@pytest.mark.parametrize(
    "value", [512.5, "512.5", "5e2", "0x200", "512,0", ".0", "-.0", np.array([512]), b"512", "५x"]
)
def test_what_is_no_integer(value):
    with pytest.raises(ValueError, match="int"):
        HYPERPARAMETERS["enc_dim"].kind.parse(value)


@pytest.mark.parametrize("value", [np.True_, True, "True"])
def test_a_boolean_is_no_number(value):
    with pytest.raises(ValueError, match="int"):
        HYPERPARAMETERS["epochs"].kind.parse(value)
    with pytest.raises(ValueError, match="float"):
        HYPERPARAMETERS["dropout"].kind.parse(value)


@pytest.mark.parametrize(
    "value", [0.001, "0.001", "1e-3", "1E-03", ".001", ' "1e-3" ', np.float64(0.001)]
)
def test_a_float_may_be_written_in_many_ways(value):
    number = HYPERPARAMETERS["learning_rate"].kind.parse(value)
    assert (number, type(number)) == (0.001, float)


@pytest.mark.parametrize("name", ["learning_rate", "early_stopping_tolerance"])
def test_a_float32_means_the_decimal_that_it_prints(name):
    kind = HYPERPARAMETERS[name].kind
    assert float(np.float32(0.1)) > 0.1
    assert float(np.float32(1e-6)) < 1e-6
    assert kind.parse(np.float32(0.1)) == 0.1
    assert kind.parse(np.float32(1e-6)) == 1e-6


def test_an_integer_is_a_float():
    number = HYPERPARAMETERS["dropout"].kind.parse(1)
    assert (number, type(number)) == (1.0, float)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True),
        (np.True_, True),
        ("True", True),
        ("TRUE", True),
        (" true", True),
        (False, False),
        (np.False_, False),
        ("False", False),
        ("fALSE", False),
        ('"false"', False),
    ],
)
def test_a_boolean_may_be_written_in_many_ways(value, truth):
    assert HYPERPARAMETERS["mask_padding"].kind.parse(value) is truth


@pytest.mark.parametrize(
    "value",
    [
        ["abs_diff", "hadamard"],
        ("abs_diff", " hadamard"),
        "abs_diff,hadamard",
        '["abs_diff", "hadamard"]',
        "['abs_diff','hadamard']",
        "[abs_diff, hadamard]",
        " abs_diff , hadamard ",
        '"abs_diff, hadamard"',
        "'abs_diff','hadamard'",
    ],
)
def test_comparators_keep_their_order(value):
    parse = HYPERPARAMETERS["comparator_list"].kind.parse
    assert parse(value) == ("abs_diff", "hadamard")
    assert parse("concat") == ("concat",)


def test_words_lose_their_blanks_but_keep_their_case():
    assert HYPERPARAMETERS["enc0_network"].kind.parse(" pooled_embedding") == "pooled_embedding"
    assert HYPERPARAMETERS["enc0_layers"].kind.parse(" AUTO ") == "auto"
    assert HYPERPARAMETERS["_num_gpus"].kind.parse("2") == 2


def test_sparse_is_an_alias():
    kind = HYPERPARAMETERS["token_embedding_storage_type"].kind
    assert kind.parse(" sparse") == "row_sparse"
    assert kind.is_alias(" sparse")
    assert not kind.is_alias("row_sparse")
    assert not kind.is_alias("thick")


@pytest.mark.parametrize(
    "name", ["glove.840B-trim.txt", "glove.840B.300d.txt", "vocab_0", "...", "-", "", ' "" ']
)
def test_file_names(name):
    parsed = HYPERPARAMETERS["enc0_vocab_file"].kind.parse(name)
    assert parsed == name.strip(' "')


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a\\b", "a\x00b", "a\nb", "~", "s3:b"])
def test_a_file_name_never_leaves_its_folder(name):
    with pytest.raises(ValueError, match=r"^does not have this form$"):
        HYPERPARAMETERS["enc0_vocab_file"].kind.parse(name)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:15"])
def test_devices(device):
    assert HYPERPARAMETERS["device"].kind.parse(device) == device


@pytest.mark.parametrize(
    ("value", "text"), [("device", "device"), (2, "2"), (None, ""), (" dist_sync ", "dist_sync")]
)
def test_internal_keys_take_anything(value, text):
    assert HYPERPARAMETERS["_kvstore"].kind.parse(value) == text
    assert HYPERPARAMETERS["feature_dim"].kind.parse(value) == text


def test_describe_names_what_is_asked_for():
    assert describe(["enc1_vocab_size", "comparator_list", "enc0_layers", "mask_padding"]) == [
        {
            "name": "enc1_vocab_size",
            "valid": "an integer in [2, 3000000]",
            "default": "required unless enc1_network is enc0",
            "origin": "aws",
            "meaning": "Rows of encoder 1's token table; every id must be smaller. "
            "Taken from encoder 0 while enc1_network is enc0.",
        },
        {
            "name": "comparator_list",
            "valid": "list one or more of 'hadamard', 'concat', 'abs_diff', each once",
            "default": "hadamard, concat, abs_diff",
            "origin": "aws",
            "meaning": "How two embeddings a and b become one vector, in this order: "
            "hadamard a*b, concat [a; b], abs_diff |a-b|.",
        },
        {
            "name": "enc0_layers",
            "valid": "'auto' or an integer in [1, 4]",
            "default": "auto",
            "origin": "aws",
            "meaning": "Layers of encoder 0; auto is 4 for hcnn and 1 for bilstm. "
            "pooled_embedding has none.",
        },
        {
            "name": "mask_padding",
            "valid": "true or false",
            "default": "true",
            "origin": "extension",
            "meaning": "Treat id 0 as padding that is never seen, as AWS does; "
            "false makes 0 an id like any other.",
        },
    ]
    assert describe(["enc0_max_seq_len"])[0]["default"] == "required"
    assert [line["name"] for line in describe()] == list(HYPERPARAMETERS)


def test_the_groups_hold_every_row_once():
    assert [row.name for rows in GROUPS.values() for row in rows] == list(HYPERPARAMETERS)
    assert {row.origin for row in GROUPS["Extensions"]} == {"extension"}
    assert {row.origin for row in GROUPS["Set by SageMaker"]} == {"internal", "tolerated"}


def test_the_documentation_page_is_the_table():
    command = "object2vec hyperparameters --markdown > docs/hyperparameters.md"
    assert PAGE.read_text(encoding="utf-8") == markdown(), f"write the page again: {command}"
    assert f"<!-- Generated: {command} -->" in markdown()


@pytest.mark.parametrize(
    "line",
    [
        "| `enc0_vocab_size` | an integer in [2, 3000000] | required "
        "| Rows of encoder 0's token table; every id must be smaller. |",
        "| `dropout` | a number in [0, 1] | `0.0` | Probability of dropping a unit: after pooling, "
        "between encoder layers, after each activation. |",
        "| `tied_token_embedding_weight` | true or false | `false` "
        "| One token table for both encoders. |",
        "| `enc0_network` | one of `hcnn`, `bilstm`, `pooled_embedding` | `hcnn` "
        "| Family of encoder 0. |",
        "| `_kvstore` | any text | `auto_gpu` | Set by SageMaker; accepted and logged. |",
        "| `enc1_vocab_file` | the name of a file in the auxiliary channel, of letters, digits, "
        "`.`, `_` and `-` | empty | JSON object {token: id} in the auxiliary channel; lines the "
        "pretrained vectors up with the ids. Taken from encoder 0 while enc1_network is enc0. |",
    ],
)
def test_lines_of_the_page(line):
    assert line in markdown().split("\n")


@each_row
def test_every_row_of_the_page_has_four_cells(row):
    (line,) = [line for line in markdown().split("\n") if line.startswith(f"| `{row.name}` |")]
    assert len(re.split(r"(?<!\\)\|", line)) == 4 + 2
