"""Football players from where they move: zones of the pitch, in order, say what a player is."""

import random

from object2vec import Object2Vec, Tokens
from object2vec.evaluation.retrieval import nearest

# Zones are a letter along the pitch, from the own goal A to the other one F, and a lane 1 to 5.
HOME = {
    "goalkeeper": "A3",
    "left back": "B1",
    "right back": "B5",
    "midfielder": "D3",
    "striker": "F3",
}
draw = random.Random(0)
role = {f"player {n}": draw.choice(sorted(HOME)) for n in range(100)}


def walk(zone):
    """Return twelve zones around a player's home, each beside the one before."""
    column, lane, zones = "ABCDEF".index(zone[0]), int(zone[1]), []
    for _ in range(12):
        column = min(5, max(0, column + draw.choice((-1, 0, 1))))
        lane = min(5, max(1, lane + draw.choice((-1, 0, 1))))
        zones.append(f"{'ABCDEF'[column]}{lane}")
    return " ".join(zones)


rows = [{"player": name, "zones": walk(HOME[role[name]])} for name in role for _ in range(20)]
# A hundred players share five roles: the preset's scale of 10 would set players of one role apart
# by how their walks happened to go.
columns = {"in0": "player", "in1": Tokens("zones", " ")}
model = Object2Vec(**columns, ranking_scale=2, seed=0).fit(rows)

names = list(role)
players = model.encode(in0=names)  # (100, D)
found, _ = nearest(players, players, 6)
alike = [role[names[i]] == role[names[row[0]]] for row in found for i in row[1:]]
print(f"Nearest players with the same role: {sum(alike) / len(alike):.0%}")

unknown = model.encode(in1=["A3 A3 A2 A3 A4 A3", "F3 E3 F2 F3 F4 F3"])  # what two others walked
found, _ = nearest(unknown, players, 1)
print("They move like:", ", ".join(role[names[row[0]]] for row in found))
