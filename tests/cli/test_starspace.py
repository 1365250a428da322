"""StarSpace's train modes: the same files, the same meaning, and vectors that know what belongs."""

from __future__ import annotations

import random
import shlex

import numpy as np
import pytest

from object2vec import Object2Vec
from object2vec.cli import main

TOPICS, WORDS, LINES = 10, 4, 400
SETTINGS = (
    "--set enc_dim=16 epochs=15 early_stopping_patience=15 enc0_network=pooled_embedding "
    "output_layer=dot_product enc0_pool_exponent=0.5 learning_rate=0.05 negative_sampling_rate=5 "
    "mini_batch_size=96"
)


def words(topic: int, count: int, rng: random.Random) -> str:
    return " ".join(f"w{topic}x{rng.randrange(WORDS)}" for _ in range(count))


def labels(topic: int, count: int, rng: random.Random, prefix: str = "__label__") -> str:
    found = rng.sample(range(WORDS), count)
    return " ".join(f"{prefix}w{topic}x{number}" for number in found)


def line_of(file_format: str, mode: int, topic: int, rng: random.Random) -> str:
    """A line in StarSpace's format for a mode, all of one topic."""
    if file_format == "labeldoc":
        return "\t".join(
            words(topic, 3, rng) for _ in range(2 if mode == 4 else rng.choice([2, 4]))
        )
    if file_format == "text":  # -label page_: all of a line are labels, and no word
        return labels(topic, 4, rng, "")
    text = words(topic, 5, rng) if mode == 0 else ""
    return f"{text} {labels(topic, 2 if mode == 4 else 3, rng)}".strip()


# The mode and -fileFormat, the options that mean the same, and how an object of in0 is given.
MODES = [
    (0, "fasttext", "--in0 text:text --in1 labels --pairs labels", "{0}"),
    (0, "labeldoc", "--in0 text:text --in1 labels:text --share text,labels --pairs labels", "{0}"),
    (1, "fasttext", "--in1 labels --pairs history", ["{0}"]),
    (1, "labeldoc", "--in1 documents:text --pairs history", "{0}"),
    (1, "text", "--in1 text:tokens --pairs history", ["{0}"]),
    (2, "fasttext", "--in0 labels --pairs sentence_rest(least=1)", "{0}"),
    (2, "labeldoc", "--in0 documents:text --pairs sentence_rest(least=1)", "{0}"),
    (3, "fasttext", "--in0 labels --pairs group(pairs=1)", "{0}"),
    (3, "labeldoc", "--in0 documents:text --pairs group(pairs=1)", "{0}"),
    (4, "fasttext", "--in0 labels --pairs first_two", "{0}"),
    (4, "labeldoc", "--in0 documents:text --pairs first_two", "{0}"),
]


@pytest.mark.parametrize(("mode", "file_format", "options", "form"), MODES)
def test_a_file_of_a_mode_trains_vectors_that_know_what_belongs_together(
    mode, file_format, options, form, tmp_path
):
    rng = random.Random(mode)
    lines = [line_of(file_format, mode, n % TOPICS, rng) for n in range(LINES)]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    command = f"train --train lines.txt --format {file_format} {SETTINGS} --out model"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main([*shlex.split(command), *options.split(" ")]) == 0
        model = Object2Vec.load("model")
    names = [f"w{topic}x{word}" for topic in range(TOPICS) for word in range(WORDS)]
    for_in0 = [[name] if isinstance(form, list) else name for name in names]
    in0 = model.encode(in0={model.schema.columns(0)[-1]: for_in0})
    in1 = model.encode(in1={model.schema.columns(1)[0]: names})
    best = np.argsort(-(in0 @ in1.T), axis=1)[:, :WORDS] // WORDS
    right = best == np.repeat(np.arange(TOPICS), WORDS)[:, None]
    assert right.mean() > 0.8  # 0.1 by chance
