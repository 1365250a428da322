"""Words from raw text: a word and the words around it, here those of WordNet's definitions."""

import sys
from pathlib import Path

from object2vec import Object2Vec, Tokens
from object2vec.evaluation.retrieval import nearest
from object2vec.examples.wordnet import read_wordnet

LINES = 4_000  # the first ones; all of them take some minutes
WINDOW = 3  # words before and after

if len(sys.argv) > 1:  # any text, a line for each sentence
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").lower().split("\n")
else:
    lines = read_wordnet().texts[:LINES]

rows = {"word": [], "around": []}
for text in map(str.split, lines):
    for i, word in enumerate(text):
        rows["word"].append(word)
        rows["around"].append(" ".join(text[max(0, i - WINDOW) : i] + text[i + 1 : i + 1 + WINDOW]))

word = Tokens("word", " ", min_count=10)
model = Object2Vec(in0=word, in1=Tokens("around", " ", min_count=10), epochs=5, seed=0)
model.fit(rows)

words = [entry.token for _, entry in model.schema.entries(0) if entry.token]
vectors = model.encode(in0=words)  # (V, D)
asked = [word for word in ("water", "plant", "animal", "ship", "red", "game") if word in words]
found, _ = nearest(vectors[[words.index(each) for each in asked]], vectors, 6)
for each, row in zip(asked, found, strict=True):
    print(f"{each:8} {', '.join(words[i] for i in row if words[i] != each)}")
