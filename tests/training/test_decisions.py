"""What the data decide: each decision once, with its reason, under what the user sets."""

from __future__ import annotations

import pyarrow as pa
import pytest

from object2vec import Config, ConfigError, DataError
from object2vec.fields.label import LabelField
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import TableSchema
from object2vec.training.decisions import _widths, decide, provisional, sufficient_length

FILMS = [f"film {i}" for i in range(5)]
NUMBERS = LabelField("rating", None, True, 1.0, 5.0, (1.0, 2.0, 3.0, 4.0, 5.0))
NAMES = LabelField("relation", ("entailment", "neutral"))


def integers(count: int) -> LabelField:
    return LabelField("kind", None, True, 0.0, count - 1.0, tuple(map(float, range(count))))


def schema(in0="user:token", in1="film:token", label=None, share=(), values=FILMS) -> ObjectSchema:
    label = label or LabelField()
    fields = ((parse_field(in0),), (parse_field(in1),))
    declared = TableSchema(fields, label.column, share=share)
    fitted = []
    for part in declared.parts:
        learner = declared.fields[part[0]][1].kind.learner()
        learner.observe(pa.array(values))
        fitted.append(learner.finish())
    return ObjectSchema.fit(declared, fitted, label)


def decided(given=None, preset=None, lengths=({1: 9}, {1: 9}), start=None, **facts):
    return decide(schema(**facts), lengths, sum(lengths[0].values()), given or {}, preset, start)


def config(*args, **facts) -> Config:
    return Config.build(decided(*args, **facts).hyperparameters, beyond_aws=True)


@pytest.mark.parametrize(
    ("label", "layer", "classes", "negatives"),
    [
        (LabelField(), "ranking", 2, 0),
        (NUMBERS, "mean_squared_error", 2, 0),
        (NAMES, "softmax", 2, 0),
        (integers(2), "softmax", 2, 0),
        (integers(30), "softmax", 30, 0),
        (integers(31), "mean_squared_error", 2, 0),
        (LabelField("x", None, False, 0, 1, (0.0, 0.5, 1.0)), "mean_squared_error", 2, 0),
        (LabelField("x", tuple(map(str, range(40)))), "softmax", 40, 0),
    ],
)
def test_the_label_decides_what_is_learned(label, layer, classes, negatives):
    found = config(label=label)
    assert (found.output_layer, found.num_classes, found.negatives) == (layer, classes, negatives)


@pytest.mark.parametrize(
    "label", [LabelField("x", None, True, 1, 1, (1.0,)), LabelField("x", ("a",))]
)
def test_labels_that_are_all_the_same_say_nothing(label):
    with pytest.raises(DataError, match=r"^label x: must have two different values; got .*Leave"):
        decided(label=label)


@pytest.mark.parametrize(
    ("in0", "in1", "label", "preset"),
    [
        ("a:token", "b:tokens", None, "topn"),
        ("a:token", "b:token", NUMBERS, "ratings"),
        ("a:token", "b:token", NAMES, "classes"),
        ("a:text", "b:token", None, "multilabel"),
        ("a:token", "b:text", NUMBERS, "ratings"),
        ("a:text", "b:text", None, "retrieval"),
        ("a:text", "b:text", NUMBERS, "similarity"),
        ("a:text", "b:text", NAMES, "text_classes"),
        ("a:token", "b:ipv4", None, "detection"),
        ("a:token", "b:ipv4", NUMBERS, "ratings"),
    ],
)
def test_the_kinds_and_the_label_decide_the_preset(in0, in1, label, preset):
    values = pa.array(["10.0.0.1", "10.0.0.2"] if "ipv4" in in1 else FILMS)
    found = decided(in0=in0, in1=in1, label=label, values=values)
    assert found.preset.startswith(f"{preset} (for pairs of ")
    if preset == "detection":
        assert found.hyperparameters["output_layer"] == "dot_product"


def test_a_preset_that_is_named_stands_over_the_one_that_suits():
    found = config(preset="similarity", label=NUMBERS)
    assert decided(preset="similarity", label=NUMBERS).preset == "similarity (named)"
    assert found.output_layer == "cosine"
    assert decided(preset="aws").hyperparameters["negative_sampling_rate"] == 4


def test_graded_similarity_takes_any_numbers_and_pairs_alone_are_ranked():
    assert config(preset="similarity", label=integers(6)).output_layer == "cosine"
    assert config({"output_layer": "mean_squared_error"}, label=integers(6)).output_layer == (
        "mean_squared_error"
    )
    found = decided(preset="similarity")
    assert found.hyperparameters["output_layer"] == "ranking"
    assert any(each.name == "output_layer" and each.reason for each in found.decisions)
    assert "negative_sampling_rate" not in found.hyperparameters


def test_a_preset_that_is_named_has_batches_that_fit_where_training_goes_on_from_a_model():
    start = config(preset="similarity")
    few = config(preset="similarity", label=NUMBERS, start=start, lengths=({1: 6000}, {1: 6000}))
    assert (start.mini_batch_size, few.mini_batch_size) == (32, 64)
    assert config(label=NUMBERS, start=start).mini_batch_size == start.mini_batch_size


def test_what_is_set_stands_over_everything_and_is_no_decision():
    given = {"num_classes": "3", "enc_dim": 8, "enc1_max_seq_len": 7}
    found = decided(given, label=NAMES)
    assert {each.name for each in found.decisions}.isdisjoint(given)
    assert all(each.reason for each in found.decisions)
    typed = Config.build(found.hyperparameters)
    assert (typed.num_classes, typed.enc_dim, typed.encoders[1].max_seq_len) == (3, 8, 7)
    assert not [note for note in typed.notes if "Inconsistent" in note.text]


def test_what_is_set_of_encoder_0_holds_for_both_but_its_counts():
    given = {
        "enc0_network": "hcnn",
        "enc0_layers": 2,
        "enc0_max_seq_len": 3,
        "enc1_network": "enc0",
    }
    first, second = config(given, lengths=({1: 9}, {4: 9})).encoders
    assert (first.network, first.layers, first.max_seq_len) == ("hcnn", 2, 3)
    assert (second.network, second.layers, second.max_seq_len) == ("hcnn", 2, 4)
    other = config({"enc0_network": "hcnn", "enc1_network": "bilstm"}).encoders[1]
    assert other.network == "bilstm"


def test_a_network_that_in1_takes_over_without_being_a_text_is_warned_of():
    given, sides = {"enc0_network": "hcnn"}, {"in0": "plot:text", "in1": "genre:token"}
    (note,) = decided(given, **sides).notes
    assert (note.level, note.text) == (
        "warning",
        "enc1_network is hcnn, as enc0_network is, although in1 holds no text. Set "
        "enc1_network=pooled_embedding if that is not meant.",
    )
    assert config(given, **sides).encoders[1].network == "hcnn"
    usual = {"enc0_network": "pooled_embedding"}
    assert not decided(usual, **sides).notes
    assert not decided(given | {"enc1_network": "hcnn"}, **sides).notes
    assert not decided(given, "aws", **sides).notes  # whose encoders are alike anyway
    assert not decided(given, in0="plot:text", in1="genre:text").notes


def test_a_shared_vocabulary_ties_the_tables():
    assert config(share=(("user", "film"),)).tied_token_embedding_weight
    assert not config().tied_token_embedding_weight
    for name in ("tied_token_embedding_weight", "shared_encoder"):
        with pytest.raises(ConfigError, match=f"{name}: must be false where no column is shared"):
            decided({name: "true"})


def test_tables_are_as_large_as_their_vocabularies():
    learned = schema()
    for side in (0, 1):
        assert config().encoders[side].vocab_size == learned.table_size(side)
    with pytest.raises(
        ConfigError, match=f"enc0_vocab_size: must be at least {learned.table_size(0)}"
    ):
        decided({"enc0_vocab_size": 5})


def test_too_many_candidates_are_those_of_a_batch(monkeypatch):
    size = schema().table_size(1)
    for most, of in ((size, "all"), (size - 1, "batch")):
        monkeypatch.setattr("object2vec.training.decisions._MOST_CANDIDATES", most)
        assert config(None, "multilabel").candidates == of
        said = [each.reason for each in decided(None, "multilabel").decisions]
        text = f"in1 has {size} tokens, too many to set each record against"
        assert (text in said) == (of == "batch")
        assert config({"candidates": "batch"}, "multilabel").candidates == "batch"


def test_large_tables_are_updated_where_a_batch_reads_them():
    many = [str(i) for i in range(6000)]
    assert config(values=many).token_embedding_storage_type == "row_sparse"
    assert config().token_embedding_storage_type == "dense"


@pytest.mark.parametrize(("rows", "share"), [(16, ()), (8, (("user", "film"),))])
@pytest.mark.parametrize(
    ("bound", "facts"),
    [("_SPARSE_ROWS", {"preset": "classes", "label": NAMES}), ("_DENSE_ROWS", {"label": NUMBERS})],
)
def test_a_table_is_large_from_some_rows_on(bound, facts, rows, share, monkeypatch):
    """Of both sides, or once where they share it; where a preset means it dense, from more on."""
    for most, kind in ((rows, "dense"), (rows - 1, "row_sparse")):
        monkeypatch.setattr(f"object2vec.training.decisions.{bound}", most)
        assert config(**facts, share=share).token_embedding_storage_type == kind


SIZES = {
    "enc0_vocab_size": (8, "5 tokens of in0, 3 rows for all else"),
    "enc1_vocab_size": (8, "5 tokens of in1, 3 rows for all else"),
    "enc0_max_seq_len": (1, "the longest object of in0 has 1 token"),
    "enc1_max_seq_len": (1, "the longest object of in1 has 1 token"),
}
OF_NUMBERS = SIZES | {
    "output_layer": ("mean_squared_error", "rating holds numbers from 1 to 5"),
    "negative_sampling_rate": (0, "the label says what a pair is worth"),
    "weight_decay": (0.0005, "a vector's prior weighs as 16 of the rows"),
    "mini_batch_size": (32, "so that an epoch of 9 rows has enough updates"),
}
TIED = {
    "enc0_vocab_size": (8, "5 tokens of both sides, 3 rows for all else"),
    "enc1_vocab_size": (8, "5 tokens of both sides, 3 rows for all else"),
    "tied_token_embedding_weight": (True, "user+film have one vocabulary"),
}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"label": NUMBERS}, OF_NUMBERS),
        (
            {"label": NUMBERS, "share": (("user", "film"),)},
            OF_NUMBERS
            | TIED
            | {
                "enc0_partners": (False, "the columns have one table"),
                "enc1_partners": (False, "the columns have one table"),
            },
        ),
        (
            {"label": integers(3), "lengths": ({1: 10_000, 12: 1}, {0: 4, 3: 1})},
            SIZES
            | {
                "output_layer": ("softmax", "kind holds exactly the integers 0 to 2"),
                "num_classes": (3, "kind holds exactly the integers 0 to 2"),
                "negative_sampling_rate": (0, "the label says what is wrong"),
                "enc0_max_seq_len": (2, "leaves out 10 of 10,012 tokens, of objects of up to 12"),
                "enc1_max_seq_len": (3, "the longest object of in1 has 3 tokens"),
                "mini_batch_size": (128, "so that an epoch of 10,001 rows has enough updates"),
            },
        ),
        (
            {"label": NAMES, "lengths": ({1: 1}, {1: 1})},
            SIZES
            | {
                "output_layer": ("softmax", "relation has 2 names of classes"),
                "num_classes": (2, "relation has 2 names of classes"),
                "negative_sampling_rate": (0, "the label says what is wrong"),
                "mini_batch_size": (32, "so that an epoch of 1 row has enough updates"),
            },
        ),
        (
            {"preset": "aws"},
            SIZES
            | {
                "output_layer": ("softmax", "no label: pairs are set against drawn ones"),
                "num_classes": (2, "a pair is a positive or a negative"),
                "negative_sampling_rate": (4, "no label: negatives are drawn"),
            },
        ),
        (
            {"preset": "similarity"},
            SIZES
            | {
                "shared_encoder": (
                    False,
                    "the columns have vocabularies of their own; --share gives them one",
                ),
                "output_layer": ("ranking", "no label: pairs are set against one another"),
                "mini_batch_size": (32, "so that an epoch of 9 rows has enough updates"),
            },
        ),
    ],
)
def test_each_decision_has_its_reason(facts, expected):
    found = decided(**facts)
    assert {each.name: (each.value, each.reason) for each in found.decisions} == expected
    assert found.hyperparameters.items() >= {n: v for n, (v, _) in expected.items()}.items()


@pytest.mark.parametrize(
    ("counts", "limit", "lost"),
    [
        ({}, 1, 0),
        ({0: 4}, 1, 0),
        ({3: 2}, 3, 0),
        ({1: 999, 2: 1}, 1, 1),
        ({1: 990, 2: 1}, 2, 0),
        ({1: 10_000, 12: 1}, 2, 10),
        ({1: 10_000, 12: 1, 13: 1}, 8, 9),
    ],
)
def test_a_length_loses_at_most_a_thousandth_of_the_tokens(counts, limit, lost):
    assert sufficient_length(counts) == (limit, lost)


@pytest.mark.parametrize(
    ("rows", "label", "size"),
    [
        (9, NUMBERS, 32),
        (64 * 64 - 1, NUMBERS, 32),
        (64 * 64, NUMBERS, 64),
        (64 * 512 - 1, NUMBERS, 256),
        (64 * 512, NUMBERS, 512),
        (64 * 1024, NUMBERS, 1000),
        (5000, NUMBERS, 64),
        (10**6, NUMBERS, 1000),
        (9, None, 32),
        (10**5, None, 1024),
    ],
)
def test_a_small_table_has_small_batches(rows, label, size):
    assert config(label=label, lengths=({1: rows}, {1: rows})).mini_batch_size == size


def test_going_on_from_a_model_keeps_its_settings_and_decides_sizes_alone():
    start = config({"enc_dim": 8, "enc0_vocab_size": 50}, label=NUMBERS)
    found = decided({"epochs": 3}, start=start, label=NUMBERS, lengths=({9: 1}, {9: 1}))
    assert {each.name for each in found.decisions} == {"enc0_vocab_size", "enc1_vocab_size"}
    typed = Config.build(found.hyperparameters, beyond_aws=True)
    assert typed.encoders == start.encoders
    assert (typed.enc_dim, typed.epochs) == (8, 3)


def test_mistakes_in_what_is_set_are_found_before_data_are_read():
    assert provisional({"enc_dim": 8}, None).enc_dim == 8
    for given in ({"enc_dim": 2}, {"enc_dmi": 8}):
        with pytest.raises(ConfigError, match=f"^{next(iter(given))}: must be "):
            provisional(given, None)
    with pytest.raises(ConfigError, match="enc1_vocab_file: must not be set where columns are"):
        provisional({"enc1_vocab_file": "vocab.json"}, "topn")
    with pytest.raises(ConfigError, match="preset: must be one of"):
        provisional({}, "none")


@pytest.mark.parametrize(("rows", "decay"), [(90_570, 0.00018), (10**6, 0.000016), (100, 0.0005)])
def test_a_prior_weighs_as_some_rows_whatever_their_number(rows, decay):
    lengths = ({1: rows}, {1: rows})
    assert config(label=NUMBERS, lengths=lengths).weight_decay == decay
    assert config({"weight_decay": 0.5}, label=NUMBERS, lengths=lengths).weight_decay == 0.5
    other = decided(None, "aws", label=NUMBERS, lengths=lengths)
    assert "weight_decay" not in other.hyperparameters


@pytest.mark.parametrize(("rows", "epochs"), [(43_410, 2), (3_329, 15), (3, 100), (10**6, 1)])
def test_a_preset_takes_so_many_updates_whatever_the_number_of_rows(rows, epochs):
    given = {"in0": "plot:text", "lengths": ({1: rows}, {1: rows})}
    found = config(**given)
    assert (found.mini_batch_size, found.epochs) == (256 if rows > 3 else 128, epochs)
    (why,) = [each.reason for each in decided(**given).decisions if each.name == "epochs"]
    assert why == f"200 updates or more, {found.mini_batch_size} rows each"
    assert config({"epochs": 7}, **given).epochs == 7
    more = config({"mini_batch_size": 100}, **given).epochs
    assert more == min(100, -(-200 // -(-rows // 100)))


@pytest.mark.parametrize(
    ("length", "share"), [({16: 9}, 0.0), ({10: 5, 40: 5}, 0.2), ({60: 9}, 0.5), ({0: 3}, 0.0)]
)
def test_a_preset_reads_so_many_tokens_of_an_object_of_usual_length(length, share):
    given = {"in0": "plot:text", "lengths": (length, {1: sum(length.values())})}
    assert config(**given).token_dropout == share
    assert config({"token_dropout": 0.7}, **given).token_dropout == 0.7
    assert config(**given | {"in0": "user:token"}).token_dropout == 0.0, "another preset"


@pytest.mark.parametrize("vectors", [1, 3, 50])
@pytest.mark.parametrize("width", [None, 2])
@pytest.mark.parametrize("network", ["hcnn", "pooled_embedding"])
def test_a_narrower_table_becomes_as_wide_as_its_vectors(network, width, vectors):
    name = "enc_dim" if network == "pooled_embedding" else "enc0_token_embedding_dim"
    values = {"enc0_network": network} | ({} if width is None else {name: width})
    found = {each.name: each.value for each in _widths(values, vectors)}
    expected = {} if width is not None and width >= vectors else {name: vectors}
    assert {k: v for k, v in found.items() if k == name} == expected
    assert found["enc0_freeze_pretrained_embedding"] is False
    assert [*_widths(values, None)] == []
