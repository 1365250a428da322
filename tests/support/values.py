"""Models of values that tests share: small, of a table in memory, and not trained."""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import torch

from object2vec.artifact import Artifact
from object2vec.config import Config
from object2vec.fields.label import LabelLearner
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import TableSchema
from object2vec.kernels import kernel_for
from object2vec.model import Object2Vec
from object2vec.network.network import Network

PLAYS = {
    "user": ["ann", "bob", "ann", "eve", "bob", "Zoë"],
    "history": ["Alien Heat", "Heat", "Heat Up", "Up", None, "Alien"],
    "film": ["Titanic", "Alien", "Up", "Heat", "Titanic", "Up"],
    "genres": ["drama|romance", "horror", "family", "crime|drama", "drama", None],
    "mark": ["good", "bad", "good", "bad", "good", "fine"],
}
LETTERS = {"観客 1": ["花", "月", "花"], "作品 2": ["雪", "雨", "雪"], "国": ["日", "仏", "日"]}
LETTERS |= {"mark": ["良", "悪", "可"]}
DEEP = {"user": ["ann", "bob"], "film.title": ["Up", "Heat"], "film.by.name": ["Docter", "Mann"]}
DEEP |= {"mark": ["good", "bad"]}
MANY = {"user": [f"user {i % 30}" for i in range(60)], "film": ["Up", "Heat"] * 30}
MANY |= {"mark": ["good", "bad"] * 30}
TABLES = {"letters": LETTERS, "deep": DEEP, "many": MANY}
FIELDS = {
    "plays": (
        ('user:token(unseen="skip")', 'history:tokens(unseen="skip")'),
        ('film:token(unseen="skip")', 'genres:tokens("|", unseen="buckets", buckets=4)'),
    ),
    "pairs": (('user:token(unseen="skip")',), ('film:token(unseen="skip")',)),
    "deep": (("user:token",), ('"film.title":token', '"film.by.name":token')),
    "many": (("user:token",), ("film:token",)),
    "titles": (("user:token",), ("film:text", "genres:characters")),
    "letters": (('"観客 1":token',), ('"作品 2":token', "国:token")),
}


def schema_of(name: str) -> ObjectSchema:
    """What the columns of a table, `PLAYS` for most, taught the fields of a name."""
    first, second = (tuple(map(parse_field, fields)) for fields in FIELDS[name])
    declared = TableSchema((first, second), label="mark")
    columns = {name: pa.array(values) for name, values in TABLES.get(name, PLAYS).items()}
    fitted = []
    for part in declared.parts:
        learner = declared.fields[part[0]][1].kind.learner()
        kept = [learner.observe(columns[declared.fields[number][1].column]) for number in part]
        fitted.append(learner.finish(kept))
    label = LabelLearner("mark")
    return ObjectSchema.fit(declared, fitted, label.finish([label.observe(columns["mark"])]))


@cache
def value_model(name: str = "plays", **settings) -> Object2Vec:
    """A model with the fields of a name; its weights are random."""
    schema = schema_of(name)
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_vocab_size": schema.table_size(0),
        "enc1_network": "pooled_embedding",
        "enc1_vocab_size": schema.table_size(1),
        "enc0_max_seq_len": 6,
        "enc1_max_seq_len": 4,
        "enc_dim": 4,
        "mlp_dim": 4,
        "num_classes": 3,
        "output_layer": "softmax",
    } | settings
    config = Config.build(settings, beyond_aws=True)
    torch.manual_seed(1)
    network = Network(config, kernel_for(config.kernel, "cpu"))
    for number in network.state_dict().values():
        torch.nn.init.normal_(number)
    model = Object2Vec(**config.to_dict())
    model._artifact = Artifact(config, network.eval(), schema=schema)
    return model
