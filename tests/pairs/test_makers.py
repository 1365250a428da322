"""Pairs made afresh: functions of seed, epoch and number, of what belongs together, none lost."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec import DataError
from object2vec.config import Config
from object2vec.config.presets import PRESETS
from object2vec.errors import ConfigError
from object2vec.fields.specification import parse_field
from object2vec.objects.schema import records
from object2vec.pairs.batches import TrainingBatches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import MAKERS, declared_schema, maker_of
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws
from object2vec.pairs.positives import Positives
from object2vec.pairs.report import check_channel

DOCUMENTS = [4, 1, 6, 2, 3]  # sentences of each


def rows(sizes=DOCUMENTS, *, shuffled: bool = False) -> Pairs:
    """Sentence i of document d is [100 d + i + 1] * (i + 1): its tokens name it."""
    found = [(d, i) for d, size in enumerate(sizes) for i in range(size)]
    if shuffled:
        found = [found[j] for j in np.random.default_rng(5).permutation(len(found))]
    return Pairs.build(
        in0=[[100 * d + i + 1] * (i + 1) for d, i in found],
        in1=[[] for _ in found],
        label=np.ones(len(found)),
        group=[d * 7 for d, _ in found],
        schema=records(has_group=True),
        source="documents",
    )


def made(specification: str, seed: int = 1, of: Pairs | None = None) -> MadePairs:
    return MadePairs.of(rows() if of is None else of, maker_of(specification), seed)


def every(pairs: Pairs) -> list[tuple[list[int], list[int]]]:
    taken = pairs.take(np.arange(len(pairs)))
    return [(taken.in0.row(i).tolist(), taken.in1.row(i).tolist()) for i in range(len(pairs))]


EVERY = [
    *("sentence_rest", "sentence_rest(sentences=0)", "neighbours", "neighbours(reach=3)"),
    *("group", "group(pairs=2)", "history", "history(dropout=0.5, user=own)", "history(items=1)"),
    *("history(user=none)", "labels", "labels(labels=0)", "first_two"),
]
FIXED = {"first_two", "history", "history(user=none)"}  # whatever the epoch


def given(specification: str, **how) -> Pairs:
    """What a maker makes pairs of."""
    name = specification.partition("(")[0]
    return {"history": plays, "labels": tagged}.get(name, rows)(**how)


def plays(users=(4, 1, 6, 2), *, shuffled: bool = False) -> Pairs:
    """User u is the token 1000 + u and has the items 10 u + 1, 10 u + 2, ... and 500."""
    found = [
        (u, item) for u, n in enumerate(users) for item in [*(10 * u + i for i in range(1, n)), 500]
    ]
    if shuffled:
        found = [found[j] for j in np.random.default_rng(5).permutation(len(found))]
    return Pairs.build(
        in0=[[1000 + u] for u, _ in found],
        in1=[[item] for _, item in found],
        label=[item % 5 for _, item in found],
        weight=[item for _, item in found],
        group=[u for u, _ in found],
        schema=records(has_weight=True, has_group=True),
    )


def tagged(labels=(3, 0, 1, 5)) -> Pairs:
    """Document d is the token 1000 + d and has the labels 10 d + 1, 10 d + 2, ..."""
    return Pairs.build(
        in0=[[1000 + d] for d in range(len(labels))],
        in1=[[10 * d + i + 1 for i in range(n)] for d, n in enumerate(labels)],
        label=np.ones(len(labels)),
    )


@pytest.mark.parametrize("specification", EVERY)
def test_what_is_made_is_a_function_of_seed_epoch_and_number(specification):
    of = given(specification)
    pairs = made(specification, of=of)
    whole = every(pairs.of_epoch(3))
    some = np.array([len(pairs) - 1, 0, 0, 2])
    taken = made(specification, of=of).of_epoch(3).take(some)
    assert [taken.in0.row(i).tolist() for i in range(4)] == [whole[i][0] for i in some]
    assert [taken.in1.row(i).tolist() for i in range(4)] == [whole[i][1] for i in some]
    changes = specification not in FIXED
    assert any(every(pairs.of_epoch(epoch)) != whole for epoch in range(4, 9)) == changes
    assert any(every(made(specification, seed, of)) != every(pairs) for seed in range(9)) == changes
    assert every(pairs) == every(pairs)  # of no epoch, such as those of validation


@pytest.mark.parametrize("of", [rows(), rows(shuffled=True)], ids=["in order", "shuffled"])
@pytest.mark.parametrize("count", [1, 3, 0])
def test_a_sentence_goes_with_others_of_its_document(count, of):
    pairs = made(f"sentence_rest(sentences={count}, least=0.5)", of=of)
    sizes = [size for size in DOCUMENTS if size > 1]
    assert len(pairs) == sum(min(size, count) if count else size for size in sizes)
    for epoch in range(20):
        chosen = every(pairs.of_epoch(epoch))
        assert len({in0[0] for in0, _ in chosen}) == len(pairs)  # never one twice
        for in0, in1 in chosen:
            names, document = list(dict.fromkeys(in1)), in0[0] // 100
            assert names
            assert in0[0] not in names
            assert {name // 100 for name in names} == {document}
            assert in1 == [name for name in names for _ in range(name % 100)]  # whole, and once
            if of is not None and document == 3:
                assert len(names) == 1


@pytest.mark.parametrize("reach", [1, 2])
def test_a_sentence_goes_with_one_beside_it(reach):
    pairs = made(f"neighbours(reach={reach})")
    seen = set()
    for epoch in range(60):
        chosen = every(pairs.of_epoch(epoch))
        assert sorted(in0[0] for in0, _ in chosen) == [
            100 * d + i + 1 for d, n in enumerate(DOCUMENTS) for i in range(n) if n > 1
        ]
        seen |= {(in0[0], in1[0]) for in0, in1 in chosen}
        assert all(len(each) == each[0] % 100 for pair in chosen for each in pair)
    assert seen == {
        (100 * d + i + 1, 100 * d + j + 1)
        for d, n in enumerate(DOCUMENTS)
        for i in range(n)
        for j in range(max(0, i - reach), min(n, i + reach + 1))
        if i != j
    }


def test_each_word_meets_all_words_within_the_window():
    texts = [[1, 2, 3, 4], [5, 6]]
    of = Pairs.build(in0=texts, in1=[[], []], label=np.ones(2))
    pairs = made("windows(window=2, sample=1)", of=of)
    found = {(a[0], b[0]) for epoch in range(60) for a, b in every(pairs.of_epoch(epoch))}
    assert found == {(a, b) for text in texts for a in text for b in text if 0 < abs(a - b) <= 2}


@pytest.mark.parametrize("of", [rows(), rows(shuffled=True)], ids=["in order", "shuffled"])
@pytest.mark.parametrize("count", [0, 2, 9])
def test_a_member_goes_with_any_other_of_its_group(count, of):
    pairs, seen = made(f"group(pairs={count})", of=of), set()
    assert len(pairs) == sum(count or size for size in DOCUMENTS if size > 1)
    for epoch in range(150):
        chosen = every(pairs.of_epoch(epoch))
        if not count:
            assert len({in0[0] for in0, _ in chosen}) == len(chosen)
        seen |= {(in0[0], in1[0]) for in0, in1 in chosen}
    assert seen == {
        (100 * d + i + 1, 100 * d + j + 1)
        for d, n in enumerate(DOCUMENTS)
        for i in range(n)
        for j in range(n)
        if i != j
    }


def test_the_first_two_are_a_pair():
    assert [(a[0], b[0]) for a, b in every(made("first_two"))] == [
        (100 * d + 1, 100 * d + 2) for d in (0, 2, 3, 4)
    ]


@pytest.mark.parametrize("of", [plays(), plays(shuffled=True)], ids=["in order", "shuffled"])
def test_a_user_goes_with_an_item_and_all_the_others(of):
    pairs = made("history(user=own)", of=of)
    taken = pairs.take(np.arange(len(pairs)))
    assert len(pairs) == 13
    targets = set()
    for i, (in0, in1) in enumerate(every(pairs)):
        user, bag = in0[0] - 1000, in0[1:]
        items = {*(10 * user + n for n in range(1, (4, 1, 6, 2)[user])), 500}
        assert len(bag) == len(set(bag))
        assert set(bag) == items - set(in1)
        assert taken.label[i] == in1[0] % 5
        assert taken.columns["weight"][i] == in1[0]
        targets.add((user, *in1))
    assert len(targets) == 13


def test_an_item_that_a_user_had_twice_is_not_in_its_own_history():
    of = Pairs.build(
        in0=[[9]] * 3,
        in1=[[1], [1], [2]],
        label=[1] * 3,
        group=[0] * 3,
        schema=records(has_group=True),
    )
    assert every(made("history(user=own)", of=of)) == [
        ([9, 2], [1]),
        ([9, 2], [1]),
        ([9, 1, 1], [2]),
    ]


def test_histories_of_validation_are_of_the_rows_of_training():
    train, held = (
        plays(),
        Pairs.build(
            in0=[[1002], [1005], [1000]],
            in1=[[77], [78], [500]],
            label=[1, 1, 1],
            group=[2, 5, 0],
            schema=records(has_group=True),
        ),
    )
    maker = maker_of("history(user=own)")
    context = MadePairs.of(train, maker, 1).collections
    pairs = MadePairs.of(held, maker, 1, context)
    assert every(pairs) == [
        ([1002, 21, 22, 23, 24, 25, 500], [77]),
        ([1005], [78]),
        ([1000, 1, 2, 3], [500]),
    ]


def test_some_of_a_history_can_be_left_out():
    of = plays((200,))
    half = [len(in0) for in0, _ in every(made("history(dropout=0.5, user=own)", of=of))]
    assert 90 < np.mean(half) < 111
    some = [len(in0) for in0, _ in every(made("history(items=20, user=none)", of=of))]
    assert 18 < np.mean(some) < 22
    whole = every(made("history(user=none)", of=of))
    assert {len(in0) for in0, _ in whole} == {199}


def test_as_many_of_a_short_history_are_read_as_was_asked_for():
    """Of those without the item that is looked for; none of them always or never."""
    pairs = made("history(items=1, user=none)", of=plays((4,)))
    read = [len(in0) for epoch in range(200) for in0, _ in every(pairs.of_epoch(epoch))]
    assert np.mean(read) == pytest.approx(1, abs=0.12)  # four standard errors


@pytest.mark.parametrize("count", [1, 2, 0])
def test_a_document_goes_with_its_labels(count):
    pairs, seen = made(f"labels(labels={count})", of=tagged()), set()
    assert len(pairs) == sum(min(n, count) if count else n for n in (3, 0, 1, 5))
    for epoch in range(60):
        chosen = every(pairs.of_epoch(epoch))
        assert len({(*in0, *in1) for in0, in1 in chosen}) == len(chosen)
        seen |= {(*in0, *in1) for in0, in1 in chosen}
    assert seen == {
        (1000 + d, 10 * d + i + 1) for d, n in enumerate((3, 0, 1, 5)) for i in range(n)
    }


def test_a_random_part_of_the_rest_is_kept():
    of = rows([30] * 40)
    shares = [
        len(set(in1)) / 29
        for epoch in range(5)
        for _, in1 in every(made("sentence_rest(least=0.3)", of=of).of_epoch(epoch))
    ]
    assert 0.6 < np.mean(shares) < 0.7  # 0.65
    assert min(shares) < 0.4
    assert max(shares) > 0.9
    whole = made("sentence_rest(least=1)", of=of).of_epoch(1)
    assert {len(set(in1)) for _, in1 in every(whole)} == {29}


def test_all_sentences_are_drawn_equally_often():
    pairs = made("sentence_rest", of=rows([5]))
    first = [every(pairs.of_epoch(epoch))[0][0][0] for epoch in range(1000)]
    assert min(np.bincount(first)[1:]) > 150  # 200 of each


def test_the_group_of_a_record_is_its_collection():
    pairs = made("sentence_rest(sentences=0)")
    taken = pairs.take(np.arange(len(pairs)))
    assert len(set(taken.columns["group"].tolist())) == 4  # the document of one sentence has none
    assert pairs.groups(np.arange(len(pairs))).tolist() == taken.columns["group"].tolist()


def test_columns_are_those_of_all_records():
    pairs = made("sentence_rest").of_epoch(2)
    assert [pairs.columns["in0"].row(i).tolist() for i in range(len(pairs))] == [
        in0 for in0, _ in every(pairs)
    ]
    assert pairs.statistics["in0"].rows == len(pairs)
    assert [*pairs.columns] == ["in0", "in1", "label", "group"]
    assert len(pairs.columns) == 4
    assert pairs.columns["label"].tolist() == [1.0] * len(pairs)
    rows = np.array([7, 0, 7])
    assert pairs.gather("in1", rows).row(2).tolist() == every(pairs)[7][1]


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_message_names_the_first_row_of_what_a_record_is_made_of(shuffled):
    of = plays(shuffled=shuffled)
    pairs = made("history(user=own)", of=of)
    users = pairs.columns["in0"].values[pairs.columns["in0"].offsets[:-1]] - 1000
    first_rows = [of.columns["group"].tolist().index(user) for user in users]
    found = [pairs.where(number, "validation") for number in range(len(pairs))]
    assert found == [f"validation row {row}" for row in first_rows]
    assert len(set(found)) == 4


@pytest.mark.parametrize("shuffled", [False, True])
def test_collections_are_found_by_their_groups_in_the_order_in_which_these_appear(shuffled):
    of = rows(shuffled=shuffled)
    found = Collections.by(of, of.columns["group"])
    groups = [*dict.fromkeys(of.columns["group"].tolist())]
    assert found.groups.tolist() == groups
    assert len(found) == len(DOCUMENTS)
    assert found.sizes.tolist() == [DOCUMENTS[group // 7] for group in groups]
    assert found.find(np.array([28, 1, 0, 29, -7])).tolist() == [
        groups.index(28),
        -1,
        groups.index(0),
        -1,
        -1,
    ]
    numbers = np.arange(found.bounds[-1])
    tokens = found.members("in0", numbers)
    for c, group in enumerate(groups):
        own = [tokens.row(n)[0] for n in range(found.bounds[c], found.bounds[c + 1])]
        rows_of = [i for i in range(len(of)) if of.columns["group"][i] == group]
        assert found.row_numbers(np.arange(*found.bounds[c : c + 2])).tolist() == rows_of
        assert own == [of.in0.row(i)[0] for i in rows_of]
    of_members, of_collections = found.lengths("in0")
    assert of_members.tolist() == tokens.lengths.tolist()
    assert of_collections.tolist() == [sum(range(1, DOCUMENTS[group // 7] + 1)) for group in groups]


EXACT = {
    "sentence_rest": ([*range(1, 5), 1, *range(1, 7), 1, 2, *range(1, 4)], [10, 1, 21, 3, 6]),
    "group": ([*range(1, 5), 1, *range(1, 7), 1, 2, *range(1, 4)],) * 2,
    "history(user=own)": ([5, 2, 7, 3], [1] * 13),
    "labels": ([1] * 4, [1] * 4),
}


@pytest.mark.parametrize("specification", [*EXACT, "neighbours", "first_two", "history"])
def test_no_record_is_longer_than_the_longest(specification):
    pairs = made(specification, of=given(specification))
    longest = pairs.longest
    if specification in EXACT:
        assert [sizes.tolist() for sizes in longest] == [*EXACT[specification]]
    for epoch in range(5):
        for in0, in1 in every(pairs.of_epoch(epoch)):
            assert len(in0) <= longest[0].max()
            assert len(in1) <= longest[1].max()


def test_without_columns_and_pairs_a_table_means_nothing():
    assert declared_schema(((), ()), None) is None
    assert declared_schema(((), ()), "none") is None
    with pytest.raises(ConfigError, match="in0: must name at least one column of the table"):
        declared_schema(((), ()), None, group="day")
    with pytest.raises(ConfigError, match="in1: must name at least one column of the table"):
        declared_schema(((parse_field("user"),), ()), None)


def test_some_evenly_spread_records_stand_for_all(monkeypatch):
    pairs = made("sentence_rest(sentences=0)")
    assert len(pairs.sample) == len(pairs) == 15
    for count in (4, 15, 16):
        monkeypatch.setattr("object2vec.pairs.made._SAMPLE", count)
        sample = made("sentence_rest(sentences=0)").sample
        numbers = [i * 15 // count for i in range(count)] if count < 15 else [*range(15)]
        assert every(sample) == [every(pairs)[i] for i in numbers]


def test_nothing_to_make_pairs_of_is_an_error():
    with pytest.raises(DataError, match="must hold what pairs=sentence_rest can make pairs of"):
        made("sentence_rest", of=rows([1, 1]))


def test_a_maker_that_is_none_is_an_error():
    with pytest.raises(ConfigError, match="Did you mean sentence_rest"):
        maker_of("sentence_rst")
    with pytest.raises(ConfigError, match="pairs:sentence_rest: must have known options"):
        maker_of("sentence_rest(sentence=3)")
    with pytest.raises(ConfigError, match="least"):
        maker_of("sentence_rest(least=2)")


def test_a_specification_names_the_same_maker():
    for name in MAKERS:
        assert maker_of(maker_of(name).specification()) == maker_of(name)


def test_draws_are_uniform_and_independent():
    draws, numbers = Draws(3, 1), np.arange(100_000)
    one, other = draws.uniform(0, numbers), draws.uniform(1, numbers)
    assert abs(one.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert (one >= 0).all()
    assert (one < 1).all()
    assert np.bincount(draws.below(np.full(100_000, 10), 2, numbers)).min() > 9_500
    assert (Draws(3, 2).uniform(0, numbers) != one).mean() > 0.999


def test_a_history_has_the_same_positives_in_every_epoch():
    config = Config.build(
        {
            "enc0_max_seq_len": 9,
            "enc0_vocab_size": 2000,
            "enc0_network": "pooled_embedding",
            "output_layer": "ranking",
            "mini_batch_size": 4,
            "shared_negatives": 3,
        },
        beyond_aws=True,
    )
    pairs = made("history(dropout=0.5, user=own)", of=plays(shuffled=True))
    known = TrainingBatches(pairs, config).known
    assert len(known.in0) == 4
    assert len(known.in1) == 10  # 500 is of all
    held = MadePairs.of(plays((2,)), maker_of("history(user=own)"), 1, pairs.collections)
    assert known.in0.numbers(Positives.find(held, config).in0.keys).tolist() != [-1]
    for batch in TrainingBatches(pairs, config).epoch(1):
        rows, columns = batch.excluded
        wrong = set(zip(rows.tolist(), columns.tolist(), strict=True))
        for i in range(len(batch.in0)):
            user = batch.in0.row(i)[0] - 1000
            for j in range(len(batch.in1)):
                (item,) = batch.in1.row(j)
                assert ((i, j) in wrong) == (i != j and (item == 500 or item // 10 == user))


def test_a_report_of_many_made_pairs_is_of_all_of_them(monkeypatch):
    monkeypatch.setattr("object2vec.pairs.made._SAMPLE", 4)
    config = Config.build(
        {
            "enc0_max_seq_len": 99,
            "enc0_vocab_size": 2000,
            "enc0_network": "pooled_embedding",
            "negative_sampling_rate": 1,
        },
        beyond_aws=True,
    )
    report = check_channel(made("history(user=none)", of=plays((8, 8))), config)
    assert report.rows == 16
    assert report.in0.tokens == 16 * 7
    assert report.label_counts[0] + report.label_counts[1] == 16


@pytest.mark.parametrize("preset", [p for p in PRESETS.values() if p.pairs], ids=lambda p: p.name)
def test_a_preset_that_makes_pairs_makes_them(preset):
    """Unless the user says that rows are pairs, or names another way to make them."""
    user, song, text = map(parse_field, ("user:token", "song:token", "text:text"))
    of_words = preset.pairs == "windows"

    def maker(pairs, named):
        sides = ((text,), () if pairs != "none" else (song,)) if of_words else ((user,), (song,))
        making = declared_schema(sides, pairs, named).making
        return making and making.maker

    assert maker(None, preset.name) == maker(preset.pairs, None)
    assert maker("none", preset.name) is None
    asked = "windows(window=2)" if of_words else "history"
    assert maker(asked, preset.name) == maker(asked, None) != maker(preset.pairs, None)
