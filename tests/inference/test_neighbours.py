"""What is nearest to words, titles, records and ids, on every surface."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from object2vec import DataError, Object2Vec
from object2vec.cli import main
from object2vec.inference import neighbours
from object2vec.inference.engine import Engine
from support.values import value_model

WORDS = ["king", "queen", "man", "woman", "crown", "bread", "rock - roll"]


@pytest.fixture(scope="module")
def words():
    """Which words stand beside which, in one table of words."""
    generator = np.random.default_rng(0)
    table = {name: generator.choice(WORDS, 200).tolist() for name in ("word", "beside")}
    settings = {"share": ["word", "beside"], "enc_dim": 8, "epochs": 2, "mlp_layers": 0}
    return Object2Vec(in0="word", in1="beside", label=None, **settings).fit(table)


def best(model, vector, without, k):
    """The words whose vectors have the highest cosine, by scikit-learn."""
    scores = cosine_similarity([vector], model.encode(in0=WORDS))[0]
    order = [WORDS[i] for i in np.argsort(-scores) if WORDS[i] not in without]
    return order[:k], sorted(scores)[::-1]


def unit(model, word):
    vector = model.encode(in0=[word])[0].astype(float)
    return vector / np.linalg.norm(vector)


def test_a_word_has_neighbours_but_is_none(words):
    (found,) = words.nearest("king", k=3)
    expected, scores = best(words, unit(words, "king"), ["king"], 3)
    assert [each.object for each in found] == expected
    assert [each.score for each in found] == pytest.approx(scores[1:4])


def test_words_can_be_added_and_taken_away(words):
    first, second = words.nearest(["king - man + woman", "queen"], k=4)
    vector = unit(words, "king") - unit(words, "man") + unit(words, "woman")
    assert [each.object for each in first] == best(words, vector, ["king", "man", "woman"], 4)[0]
    assert [each.object for each in second] == best(words, unit(words, "queen"), ["queen"], 4)[0]
    of_found = words.encode(in0=[each.object for each in first])
    scores = cosine_similarity([vector], of_found)[0]
    assert [each.score for each in first] == pytest.approx(scores)


def test_a_token_with_a_sign_in_it_is_a_token(words):
    (found,) = words.nearest("rock - roll", k=2)
    assert [each.object for each in found] == best(
        words, unit(words, "rock - roll"), ["rock - roll"], 2
    )[0]
    with pytest.raises(DataError, match=r"query: must have a token of in0 .* got 'rock'"):
        words.nearest("rock - king")
    with pytest.raises(DataError, match=r"got 'king - man'"):
        words.nearest("king - man", whole=True)


def test_few_candidates_at_once_give_the_same(words, monkeypatch):
    expected = words.nearest(["king", "bread + crown"], k=4)
    monkeypatch.setattr(neighbours, "_PIECE", 2)
    found = words.nearest(["king", "bread + crown"], k=4)
    assert [[e.object for e in each] for each in found] == [[e.object for e in x] for x in expected]


def test_candidates_may_be_given(words):
    (found,) = words.nearest("king", candidates=["man", "bread", "king"])
    assert {each.object for each in found} == {"man", "bread"}


@pytest.fixture(scope="module")
def films():
    table = {
        "user": ["ann", "bob", "ann", "cid"],
        "film": ["Up", "Up", "Big", "Jaws"],
        "genres": ["child|love", "child|love", "child", "fear"],
    }
    return Object2Vec(in0="user", in1=["film", 'genres:tokens("|")'], enc_dim=4, epochs=2).fit(
        table
    )


def test_the_other_side_is_looked_at_where_it_is_asked_for(films):
    (found,) = films.nearest("ann", of="in1", k=20)
    names = [each.object for each in found]
    assert set(names) == {
        "film: Up",
        "film: Big",
        "film: Jaws",
        "genres: child",
        "genres: love",
        "genres: fear",
    }
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 6


def test_records_are_found_by_their_values(films):
    record = {"film": "Up", "genres": "child|love"}
    table = {"film": ["Up", "Jaws", None, "Jaws"], "genres": ["child|love", None, "love", None]}
    (found,) = films.nearest(record, side="in1", candidates=table)
    assert sorted(each.object for each in found) == ["Jaws", "love"], "each once"


def test_a_record_of_a_date_that_python_has_not_is_called_by_it():
    import pyarrow as pa

    times = pa.array([10**11, 3 * 10**11], pa.timestamp("s"))  # years 5138 and 11476
    table = {"user": ["ann", "bob"], "when": times}
    model = Object2Vec(in0="user", in1="when:token", enc_dim=4, epochs=1).fit(table)
    (found,) = model.nearest("ann", of="in1", candidates=table)
    names = sorted(each.object for each in found)
    assert names == ["11476-08-15 05:20:00", "5138-11-16 09:46:40"]


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("kign", {}, r"must have a token of in0 that training knew; got 'kign'"),
        (
            "Up",
            {"side": "in1"},
            r"must be a record with the columns film, genres; got 'Up'\. "
            r"Write it as JSON, such as \{\"film\": \.\.\.\}\.",
        ),
        ('{"film": ', {"side": "in1"}, r"query: must be JSON; got '{\"film\": '"),
        ("ann", {"candidates": []}, r"must have at least one row"),
        ("ann", {"k": 0}, r"k: must be at least 1; got"),
    ],
)
def test_what_cannot_be_looked_for_is_rejected(films, query, options, message):
    with pytest.raises(DataError, match=message):
        films.nearest(query, **options)


def test_a_misspelt_word_is_corrected(words):
    with pytest.raises(DataError, match=r"got 'kingg'\. Did you mean king"):
        words.nearest("kingg")


def test_ids_have_neighbours_too(tmp_path, capsys):
    records = [{"in0": [1 + i % 6], "in1": [1 + i % 5, 2], "label": i % 2} for i in range(30)]
    model = Object2Vec(
        enc0_max_seq_len=2,
        enc0_vocab_size=7,
        enc1_network="enc0",
        enc_dim=4,
        mlp_layers=0,
        epochs=1,
    ).fit(records)
    (found,) = model.nearest("3", k=2)
    scores = cosine_similarity(
        model.encode(in0=[[3]]), model.encode(in0=[[i] for i in range(1, 7)])
    )
    order = [str(i + 1) for i in np.argsort(-scores[0]) if i != 2]
    assert [each.object for each in found] == order[:2]
    (again,) = model.nearest([[3]], candidates=[[1], [2, 4]])
    assert {each.object for each in again} == {"[1]", "[2, 4]"}
    model.save(tmp_path / "model")
    (tmp_path / "ids.jsonl").write_text("[1]\n[2, 4]\n")
    command = ["nearest", str(tmp_path / "model"), "[3]"]
    assert main([*command, "--candidates", str(tmp_path / "ids.jsonl"), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert [each["object"] for each in line["nearest"]] == [each.object for each in again]
    with pytest.raises(DataError, match=r"query: must be an id or a list of ids; got 'x'"):
        model.nearest("x")


@pytest.fixture(scope="module")
def of_ids():
    records = [{"in0": [1 + i % 6], "in1": [1 + i % 5, 2], "label": i % 2} for i in range(30)]
    settings = {"enc0_max_seq_len": 2, "enc0_vocab_size": 7, "enc_dim": 4, "mlp_layers": 0}
    return Object2Vec(enc1_network="enc0", epochs=1, **settings).fit(records)


LIST = r"query\[[01]\]: must be a list of integers in \[0, 2147483647\]; got"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("[1.5]", f"{LIST} 1.5"),
        ("[true]", f"{LIST} True"),
        ("[-1]", f"{LIST} -1"),
        ("[null]", f"{LIST} None"),
        ('["x"]', f"{LIST} 'x'"),
        ("[[1]]", f"{LIST} "),
        ("[1, [2]]", f"{LIST} "),
        ("[1e400]", r"query: must be JSON; got '\[1e400\]'\. Fix it: the number 1e400"),
        ("[" * 100_000, r"query: must be JSON; got .* the nesting too deep"),
        ("1" * 5000, r"query: must be an id or a list of ids; got '111"),
        ("\u00b2", r"query: must be an id or a list of ids; got"),
        ("0", r"query: must have an id other than 0, which is padding; got '0'"),
        ("[]", r"query: must have an id other than 0, which is padding; got \[\]"),
        ("3 - [0, 0]", r"query: must have an id other than 0, which is padding; got \[0, 0\]"),
        ("[7]", r'query \[7\]: Inconsistent vocab for in0 found\. Vocab id "7"'),
        (True, r"query: must be an id or a list of ids; got True"),
        (1.5, r"query: must be an id or a list of ids; got 1.5"),
        ({"a": 1}, r"query: must be an id or a list of ids; got"),
    ],
)
def test_what_is_no_id_is_rejected(of_ids, query, message):
    with pytest.raises(DataError, match=message):
        of_ids.nearest([query])


@pytest.mark.parametrize("query", ["3", 3, "[3]", [3], np.array([3]), np.int64(3), "[3.0]", (3, 0)])
def test_an_id_may_be_written_in_many_ways(of_ids, query):
    assert of_ids.nearest([query], k=2) == of_ids.nearest(["3"], k=2)


def test_a_query_that_is_truncated_says_so(of_ids, caplog):
    (found,) = of_ids.nearest([[3, 4, 5]], k=9)
    assert caplog.messages == ["in0: sequences read in part: 1 truncated."]
    assert found == of_ids.nearest([[3, 4]], k=9)[0]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{"film":' * 50_000, "the nesting too deep"),
        ('{"film": "Up", "film": "Big"}', "a name that stands twice: 'film'"),
        ('{"film": NaN}', "the number NaN"),
    ],
)
def test_a_record_that_is_no_strict_json_is_rejected(films, query, message):
    with pytest.raises(DataError, match=rf"query: must be JSON; got .*{message}"):
        films.nearest(query, side="in1")


def test_the_command_prints_what_python_finds(words, tmp_path, capsys):
    words.save(tmp_path / "model")
    command = ["nearest", str(tmp_path / "model"), "king", "king - man + woman", "-k", "2"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = words.nearest(["king", "king - man + woman"], k=2)
    assert lines == [
        "king",
        *(f"  {each.score:.4f}  {each.object}" for each in expected[0]),
        "king - man + woman",
        *(f"  {each.score:.4f}  {each.object}" for each in expected[1]),
    ]
    (tmp_path / "words.txt").write_text("man\nbread\n")
    few = ["--candidates", str(tmp_path / "words.txt"), "--lines", "--of", "in1"]
    assert main([*command, *few]) == 0
    assert {line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:3]} == {
        "man",
        "bread",
    }


@pytest.fixture(scope="module")
def named(of_ids):
    """Objects of a model of ids that have names; one of them has no vector."""
    tokens = {"a": 1, "b": 2, "b - a": 3, "c": 4, "far": 7}
    return neighbours.Objects(Engine(of_ids.artifact), 0, tokens)


def found_by(named, query, *, candidates=None, k=9):
    (found,) = neighbours.find_nearest([query], named, named, candidates or named.vocabulary(), k)
    return [each.object for each in found]


def test_ids_may_have_names(named, of_ids):
    ids = ["1", "2", "3", "4"]
    names = dict(zip(ids, ["a", "b", "b - a", "c"], strict=True))

    def expected(query):
        (found,) = of_ids.nearest(query, candidates=[[1], [2], [3], [4]])
        return [names[each.object.strip("[]")] for each in found]

    assert found_by(named, "c") == expected("4")
    assert found_by(named, "b - a") == expected("3")
    assert found_by(named, "b - c") == expected("2 - 4")
    assert found_by(named, [2, 4], k=2) == expected("[2, 4]")[:2]
    with pytest.raises(DataError, match=r"query: must be a known token; got 'fra'\. Did you mean"):
        found_by(named, "fra")
    with pytest.raises(DataError, match=r"query: must be a known token; got '4'"):
        found_by(named, "4")


def test_without_candidates_nothing_is_near(named):
    none = neighbours.Objects(named.encoder, 0, {}).vocabulary()
    with pytest.raises(DataError, match=r"candidates: must hold an object; got 'none'"):
        found_by(named, "a", candidates=none)


def test_a_record_that_is_truncated_says_so(caplog):
    model = value_model("plays")  # reads four tokens of in1
    for genres, said in (("drama|horror", []), ("drama|horror|family|crime", ["1 truncated"])):
        caplog.clear()
        model.nearest({"film": "Up", "genres": genres}, side="in1", k=1)
        assert caplog.messages == [f"in1: sequences read in part: {each}." for each in said]


@pytest.mark.parametrize(("output", "is_cosine"), [("softmax", True), ("dot_product", False)])
def test_objects_of_both_sides_are_compared_as_the_objective_does(output, is_cosine):
    """Those of one side are compared by their direction alone."""
    records = [{"in0": [1 + i % 6], "in1": [1 + i % 5, 2], "label": i % 2} for i in range(30)]
    settings = {"enc0_max_seq_len": 2, "enc0_vocab_size": 7, "enc_dim": 4, "mlp_layers": 0}
    settings |= {"enc1_max_seq_len": 2, "enc1_vocab_size": 7, "enc1_network": "pooled_embedding"}
    model = Object2Vec(**settings, enc0_network="pooled_embedding", output_layer=output, epochs=1)
    model.fit(records)
    ids = [[i] for i in range(1, 7)]
    asked = model.encode(in0=[[3]]).astype(float)
    for of, is_by_direction in (("in0", True), ("in1", is_cosine)):
        vectors = model.encode(**{of: ids}).astype(float)
        scores = cosine_similarity(asked, vectors) if is_by_direction else asked @ vectors.T
        found, same = model.nearest(["3", [3]], of=of, k=6)
        assert found == same
        expected = {str(i + 1): score for i, score in enumerate(scores[0])}
        if of == "in0":
            del expected["3"]
        assert dict(found) == pytest.approx(expected, rel=1e-5)
