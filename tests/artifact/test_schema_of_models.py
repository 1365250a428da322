"""A model that knows the columns of tables: its files belong together, or it is refused."""

from __future__ import annotations

import json
import tarfile

import pytest

from object2vec import ArtifactError, Object2Vec
from object2vec.artifact import MODEL_FILES

TABLE = {
    "user": ["ann", "bob", "eve", "ann"],
    "genres": ["drama|war", "war", None, "drama"],
    "film": ["Up", "Big", "Up", "Jaws"],
}
FILES = ["schema.json", "vocabularies.safetensors"]


@pytest.fixture(scope="module")
def fitted() -> Object2Vec:
    columns = {"in0": "user:token", "in1": ["film:token", 'genres:tokens("|")'], "group": "user"}
    return Object2Vec(**columns, enc_dim=4, epochs=1, threads=1).fit(TABLE)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def test_the_table_of_files_has_those_of_a_schema(saved):
    names = [file.name for file in MODEL_FILES]
    assert set(FILES) <= set(names)
    assert {path.name for path in saved.iterdir()} <= set(names)
    assert json.loads((saved / "config.json").read_text())["has_schema"] is True


def test_the_card_lists_the_columns(saved):
    card = (saved / "README.md").read_text()
    assert 'model.encode(in0=["user"])' in card
    assert '| in1 | `genres:tokens("|")` |' in card.replace("\\|", "|")
    assert "| group | `user` |" in card


def test_an_archive_and_a_second_save_keep_the_schema(fitted, saved, tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        for path in saved.iterdir():
            archive.add(path, path.name)
    loaded = Object2Vec.load(tmp_path / "model.tar.gz")
    assert loaded.schema.fingerprint == fitted.schema.fingerprint
    loaded.save(saved, overwrite=True)
    again = Object2Vec.load(saved)
    assert again.schema.fingerprint == fitted.schema.fingerprint
    assert again.evaluate(TABLE) == fitted.evaluate(TABLE)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_damaged_file_is_named(name, saved):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[:-9])
    with pytest.raises(ArtifactError, match="Copy or train the model again"):
        Object2Vec.load(saved)
    (saved / name).unlink()
    with pytest.raises(ArtifactError, match="Copy or train the model again"):
        Object2Vec.load(saved)


def test_a_schema_that_does_not_fit_the_tables_is_refused(saved):
    document = json.loads((saved / "config.json").read_text())
    document["hyperparameters"]["enc1_vocab_size"] = 3
    (saved / "config.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="must need at most the 3 rows of in1"):
        Object2Vec.load(saved)


def test_sizes_beyond_those_of_aws_are_read_back(saved):
    document = json.loads((saved / "config.json").read_text())
    document["hyperparameters"]["enc0_max_seq_len"] = 6000
    (saved / "config.json").write_text(json.dumps(document))
    assert Object2Vec.load(saved).config.encoders[0].max_seq_len == 6000
    del document["has_schema"]
    (saved / "config.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="enc0_max_seq_len: must be an integer in"):
        Object2Vec.load(saved)
