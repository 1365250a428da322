"""My first pairs: who likes which film. Learn from what is known, ask about what is not."""

import numpy as np

from object2vec import Object2Vec

FILMS = ["Alien", "Blade Runner", "Dune", "Amélie", "Notting Hill", "Paddington"]
LIKED = {"Ann": FILMS[:3], "Ben": FILMS[:3], "Cleo": FILMS[3:], "Dan": FILMS[3:]}
UNKNOWN = [("Ann", "Dune"), ("Ann", "Paddington"), ("Dan", "Dune"), ("Dan", "Paddington")]

known = [(name, title) for name in LIKED for title in FILMS if (name, title) not in UNKNOWN]
table = {
    "person": [name for name, _ in known],
    "film": [title for _, title in known],
    "likes": [title in LIKED[name] for name, title in known],
}
model = Object2Vec(in0="person", in1="film", label="likes", learning_rate=0.05, epochs=40)
model.fit(table)

scores = model.predict(in0=[name for name, _ in UNKNOWN], in1=[title for _, title in UNKNOWN])
for (name, title), (_, likes) in zip(UNKNOWN, scores, strict=True):
    print(f"{name} likes {title}: {likes:.2f}")

vectors = model.encode(in1=FILMS)  # (6, D)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
closest = np.argsort(-vectors @ vectors[FILMS.index("Dune")])[:3]
print("Films alike:", ", ".join(FILMS[i] for i in sorted(closest)))
