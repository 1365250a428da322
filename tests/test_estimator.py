"""The model as scikit-learn and a notebook see it."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from object2vec import ConfigError, DataError, Object2Vec, Text, Token

SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 9,
    "enc_dim": 4,
    "mlp_layers": 0,
    "epochs": 2,
    "learning_rate": 0.1,
    "threads": 1,
}
RECORDS = [{"in0": [i % 4 + 1], "in1": [i % 3 + 1], "label": i % 2} for i in range(24)]
UNLABELLED = [{"in0": record["in0"], "in1": record["in1"]} for record in RECORDS]
LABELS = [record["label"] for record in RECORDS]


def model(**given) -> Object2Vec:
    return Object2Vec(**(SETTINGS | given))


def vectors(fitted: Object2Vec) -> np.ndarray:
    return fitted.encode(in0=[[1], [2], [3]])


@pytest.mark.parametrize(
    "fit",
    [
        lambda: model().fit(UNLABELLED, LABELS),
        lambda: model().fit(UNLABELLED, y=np.array(LABELS)),
        lambda: make_pipeline(model()).fit(RECORDS)[-1],
        lambda: make_pipeline(FunctionTransformer(), model()).fit(UNLABELLED, LABELS)[-1],
        lambda: clone(model()).fit(RECORDS),
        lambda: clone(Pipeline([("pairs", model())])).fit(RECORDS)["pairs"],
    ],
)
def test_however_it_is_trained_it_learns_the_same(fit):
    assert np.array_equal(vectors(fit()), vectors(model().fit(RECORDS)))


def test_a_model_of_declared_fields_shows_them_as_they_may_be_written():
    shown = repr(Object2Vec(in0=[Token("user"), "city"], in1=Text("title"), label=None))
    assert "in0=['user:token', 'city']" in shown or 'in0=["user:token", "city"]' in shown
    assert "in1='title:text'" in shown or 'in1="title:text"' in shown


def test_labels_beside_the_records_count_instead_of_their_own():
    assert not np.array_equal(
        vectors(model().fit(RECORDS, [0] * 24)), vectors(model().fit(RECORDS))
    )
    with pytest.raises(DataError, match="must have columns of one length"):
        model().fit(RECORDS, LABELS[1:])


@pytest.mark.parametrize("labels", [(), (LABELS,)])
def test_a_grid_search_finds_what_scores_best(labels):
    grid = {"epochs": [1, 30]}
    search = GridSearchCV(model(), grid, cv=3, error_score="raise").fit(RECORDS, *labels)
    assert search.best_params_ == {"epochs": 30}
    assert search.best_estimator_.config.epochs == 30
    assert search.score(RECORDS, *labels) == search.best_estimator_.evaluate(RECORDS)["accuracy"]


def test_a_grid_search_in_a_pipeline_with_a_scorer_of_ones_own():
    def loss(estimator, X, y=None):
        return -estimator[-1].evaluate(X)["cross_entropy"]

    search = GridSearchCV(
        Pipeline([("pairs", model())]), {"pairs__enc_dim": [4, 8]}, scoring=loss, cv=2
    ).fit(RECORDS, pairs__validation=RECORDS)
    assert {row["pairs__enc_dim"] for row in search.cv_results_["params"]} == {4, 8}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_cross_validation_scores_each_fold():
    scores = cross_validate(model(), RECORDS, cv=4, error_score="raise")["test_score"]
    assert scores.shape == (4,)


def test_a_greater_score_is_a_better_one():
    fitted = model(output_layer="mean_squared_error").fit(RECORDS)
    assert fitted.score(RECORDS) == -fitted.evaluate(RECORDS)["mean_squared_error"]
    assert fitted.score(UNLABELLED, [100.0] * 24) < fitted.score(UNLABELLED, LABELS) < 0


def test_scikit_learn_knows_whether_it_is_fitted():
    with pytest.raises(NotFittedError):
        check_is_fitted(model())
    fitted = model().fit(RECORDS)
    check_is_fitted(fitted)
    assert fitted.set_params() is fitted
    check_is_fitted(fitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(fitted.set_params(epochs=1))


def test_scikit_learn_knows_what_it_takes():
    tags = get_tags(model())
    assert tags.estimator_type is None  # `predict` gives scores, not classes
    assert not tags.target_tags.required
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.dict


def test_an_unknown_parameter_changes_nothing():
    made = model()
    with pytest.raises(ConfigError, match=r"enc_dmi: must be a known .* Did you mean enc_dim\?"):
        made.set_params(epochs=9, enc_dmi=8)
    assert made.get_params() == SETTINGS
    with pytest.raises(ValueError, match="must be a known hyperparameter"):
        GridSearchCV(model(), {"enc_dmi": [4]}, cv=2).fit(RECORDS)


def test_the_parameters_of_a_clone_are_its_own():
    made = model(comparator_list=["concat"])
    twin = clone(made).set_params(epochs=1)
    assert (made.config.epochs, twin.config.epochs) == (2, 1)
    assert twin.get_params()["comparator_list"] == ["concat"]


def test_the_repr_is_the_call_that_makes_it():
    made = model(enc0_max_seq_len="2", dropout=0, comparator_list="hadamard, concat, abs_diff")
    assert repr(made) == (
        "Object2Vec(enc0_max_seq_len='2', enc0_network='pooled_embedding',\n"
        "           enc0_vocab_size=9, enc_dim=4, epochs=2, learning_rate=0.1,\n"
        "           mlp_layers=0, threads=1)"
    )
    assert eval(repr(made)).config == made.config
    assert repr(Object2Vec()) == "Object2Vec()"
    assert repr(Object2Vec(enc_dim="wide")) == "Object2Vec(enc_dim='wide')"


def test_the_repr_of_a_loaded_model_leaves_the_defaults_out(tmp_path):
    model().fit(RECORDS).save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert "learning_rate=0.1" in repr(loaded)
    assert "optimizer" not in repr(loaded)


def test_a_notebook_shows_a_small_escaped_table():
    page = Object2Vec(enc0_vocab_file="<script>", nonsense="&")._repr_html_()
    assert page == (
        "<b>Object2Vec</b> (not trained)<table>"
        "<tr><td>enc0_vocab_file</td><td>&#x27;&lt;script&gt;&#x27;</td></tr>"
        "<tr><td>nonsense</td><td>&#x27;&amp;&#x27;</td></tr></table>"
    )
    assert "(trained)" in model().fit(RECORDS)._repr_html_()


def test_a_pipeline_shows_it():
    assert "Object2Vec(enc0_max_seq_len=2" in repr(make_pipeline(model()))
    assert "Object2Vec" in make_pipeline(model())._repr_html_()


TABLE = {
    "user": ["ann", "bob", "eve", "ann"] * 3,
    "film": ["Up", "Big", "Up", "Jaws"] * 3,
    "rating": [5.0, 1.0, 3.0, 4.0] * 3,
}
COLUMNS = {"in0": "user", "in1": Text("film"), "label": "rating"}


def of_columns(**given) -> Object2Vec:
    return Object2Vec(**{**COLUMNS, "enc_dim": 4, "epochs": 1, "threads": 1, **given})


def test_columns_are_arguments_like_hyperparameters():
    made = of_columns()
    assert made.get_params()["in1"] is COLUMNS["in1"]
    assert repr(made) == (
        "Object2Vec(in0='user', in1='film:text', label='rating', enc_dim=4, epochs=1,\n"
        "           threads=1)"
    )
    again = clone(made).set_params(label=None, preset="topn")
    assert again.get_params()["preset"] == "topn"
    assert "film:text" in again._repr_html_()
    with pytest.raises(ConfigError, match="lable: must be a known hyperparameter"):
        made.set_params(lable="rating")


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"in0": ["user", "film"]}, [["user:token", "film:token"], ["film:text"]]),
        ({"in0": [Token("user"), "film"]}, [["user:token", "film:token"], ["film:text"]]),
        ({"share": ["user", "film"], "in1": "film"}, [["user:token"], ["film:token"]]),
    ],
)
def test_sides_are_one_field_or_several(given, columns):
    fitted = of_columns(**given).fit(TABLE)
    said = fitted.schema.declared.state()
    assert [said["in0"], said["in1"]] == columns
    assert fitted.schema.is_tied == ("share" in given)


def test_a_grid_search_over_a_table():
    grid = {"enc_dim": [4, 6], "in1": ["film", "film:text"]}
    frame = pandas.DataFrame(TABLE)
    search = GridSearchCV(of_columns(), grid, cv=2, error_score="raise").fit(frame)
    assert search.best_params_["enc_dim"] in (4, 6)
    assert search.score(frame) == -search.best_estimator_.evaluate(frame)["mean_squared_error"]
