"""The commands of the page on detection, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.examples.logins import generate_logins

PAGE = Path(__file__).parents[2] / "docs" / "ipinsights.md"


def commands():
    """The words of each command of the page, without where its output goes."""
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.removeprefix("$ ") for line in block.replace("\\\n", "").splitlines()]
    return [shlex.split(line.partition(">")[0])[1:] for line in lines]


def test_a_log_becomes_a_model_and_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    logins = generate_logins(40, 10, seed=2)
    logins.write("logins.csv")
    logins.take(slice(0, 20)).write("new.csv")
    train, predict = commands()
    assert main([*train, "--set", "threads=1"]) == 0
    capsys.readouterr()
    assert main(predict) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    model = Object2Vec.load("model")
    assert model.config.output_layer == "dot_product"
    assert model.config.random_negative_sampling_rate == 3
    seen = [json.loads(line)["scores"][0] for line in lines]
    strange = model.predict(in0=logins.names()[:20], in1=["203.0.113.9"] * 20)[:, 0]
    assert sum(a > b for a, b in zip(seen, strange, strict=True)) > 15
