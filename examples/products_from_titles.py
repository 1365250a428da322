"""Products from titles: a title and a category, so that new titles find their category."""

import random

from object2vec import Object2Vec, Text
from object2vec.evaluation.retrieval import nearest

WORDS = {
    "cameras": "lens zoom flash sensor tripod photo",
    "kitchen": "pan knife kettle oven mixer bowl",
    "music": "guitar string drum cable piano stand",
    "shoes": "leather sole lace boot sandal heel",
}
COLOURS = ["black", "white", "red", "blue", "green", "silver"]
draw = random.Random(0)


def title(category):
    """Return a title as a shop writes it: colour, words, and a number that nobody else has."""
    words = draw.sample(WORDS[category].split(), 2)
    return f"{draw.choice(COLOURS).title()} {' '.join(words)} {draw.randrange(10_000)}"


rows = [{"title": title(name), "category": name} for _ in range(400) for name in sorted(WORDS)]
# Without a label a score is the product of two vectors: near ones are likely partners.
model = Object2Vec(in0=Text("title"), in1="category", seed=0)
model.fit(rows)

unseen = [(title(name), name) for name in sorted(WORDS) for _ in range(50)]
categories = sorted(WORDS)
titles = model.encode(in0=[text for text, _ in unseen])  # (200, D)
found, _ = nearest(titles, model.encode(in1=categories), 1, similarity="dot")
right = [categories[row[0]] == name for row, (_, name) in zip(found, unseen, strict=True)]
print(f"Unseen titles that find their category: {sum(right) / len(right):.0%}")
