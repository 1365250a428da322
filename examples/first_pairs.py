"""My first pairs: who likes which film. Learn from what is known, ask about what is not."""

import numpy as np

from object2vec import Object2Vec

FILMS = ["Alien", "Blade Runner", "Dune", "Amélie", "Notting Hill", "Paddington"]
LIKED = {"Ann": FILMS[:3], "Ben": FILMS[:3], "Cleo": FILMS[3:], "Dan": FILMS[3:]}
UNKNOWN = [("Ann", "Dune"), ("Ann", "Paddington"), ("Dan", "Dune"), ("Dan", "Paddington")]

# An object is a list of ids, here a list of one. Ids count from 1, since 0 is padding.
person = {name: [number] for number, name in enumerate(LIKED, 1)}
film = {title: [number] for number, title in enumerate(FILMS, 1)}
known = [(name, title) for name in LIKED for title in FILMS if (name, title) not in UNKNOWN]
records = [{"in0": person[n], "in1": film[t], "label": int(t in LIKED[n])} for n, t in known]

encoder0 = {"enc0_network": "pooled_embedding", "enc0_max_seq_len": 1, "enc0_vocab_size": 5}
encoder1 = {"enc1_network": "pooled_embedding", "enc1_max_seq_len": 1, "enc1_vocab_size": 7}
head = {"comparator_list": "hadamard", "mlp_layers": 0}
model = Object2Vec(**encoder0, **encoder1, **head, enc_dim=8, learning_rate=0.05, epochs=40)
model.fit(records)

scores = model.predict(in0=[person[n] for n, _ in UNKNOWN], in1=[film[t] for _, t in UNKNOWN])
for (name, title), (_, likes) in zip(UNKNOWN, scores, strict=True):
    print(f"{name} likes {title}: {likes:.2f}")

vectors = model.encode(in1=list(film.values()))  # (6, 8)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
closest = np.argsort(-vectors @ vectors[FILMS.index("Dune")])[:3]
print("Films alike:", ", ".join(FILMS[i] for i in sorted(closest)))
