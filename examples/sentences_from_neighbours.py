"""Sentences from their neighbours: what stands side by side in a text is about the same."""

import random
from itertools import pairwise

from object2vec import Object2Vec, Text
from object2vec.evaluation.retrieval import nearest

TOPICS = {
    "weather": "rain wind cloud storm sun snow",
    "cooking": "flour butter oven salt sugar dough",
    "sailing": "boat sail anchor harbour deck rope",
    "school": "teacher lesson book pupil chalk test",
}
FORMS = ["We saw the {} and then the {}.", "There was a {} beside the {}.", "First {}, later {}."]
draw = random.Random(0)


def article(topic):
    """Return eight sentences about one topic."""
    words = TOPICS[topic].split()
    return [draw.choice(FORMS).format(*draw.sample(words, 2)) for _ in range(8)]


articles = [article(topic) for topic in sorted(TOPICS) for _ in range(60)]
pairs = [pair for text in articles for pair in pairwise(text)]
rows = {"sentence": [one for one, _ in pairs], "next": [other for _, other in pairs]}

# Both columns hold sentences: one vocabulary, one token table.
model = Object2Vec(
    in0=Text("sentence"), in1=Text("next"), share=[("sentence", "next")], seed=0
).fit(rows)

known = [draw.choice(article(topic)) for topic in sorted(TOPICS)]
asked = ["A storm!", "Sugar and salt", "They left the harbour", "The pupil has a book"]
found, _ = nearest(model.encode(in0=asked), model.encode(in0=known), 1)
for text, row in zip(asked, found, strict=True):
    print(f"{text:22} -> {known[row[0]]}")
