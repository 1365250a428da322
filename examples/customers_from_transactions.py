"""Customers from transactions: who buys the same is alike. Every row is a right pair."""

import random

from object2vec import Object2Vec
from object2vec.evaluation.retrieval import nearest

SHELVES = {
    "baby": ["nappies", "wipes", "bottle", "bib", "rattle"],
    "garden": ["seeds", "spade", "hose", "rake", "gloves"],
    "office": ["paper", "stapler", "ink", "folder", "pens"],
    "sport": ["ball", "racket", "shoes", "towel", "whistle"],
}
draw = random.Random(0)
habit = {f"customer {n}": draw.choice(sorted(SHELVES)) for n in range(200)}

transactions = {"customer": [], "product": []}  # pandas, polars or a path would do as well
for name, shelf in habit.items():
    for _ in range(15):  # one purchase in five is from anywhere
        other = shelf if draw.random() < 0.8 else draw.choice(sorted(SHELVES))
        transactions["customer"].append(name)
        transactions["product"].append(draw.choice(SHELVES[other]))

model = Object2Vec(in0="customer", in1="product", seed=0).fit(transactions)
names = list(habit)
customers = model.encode(in0=names)  # (200, D)

found, _ = nearest(customers, customers, 6)
alike = [habit[names[i]] == habit[names[row[0]]] for row in found for i in row[1:]]
print(f"Neighbours with the same habit: {sum(alike) / len(alike):.0%}")

products = sorted(set(transactions["product"]))
similar, _ = nearest(model.encode(in1=["nappies", "rake"]), model.encode(in1=products), 5)
for row in similar:
    print(", ".join(sorted(products[i] for i in row)))
