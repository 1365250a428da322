"""Write the small made-up tables of docs/your-data.md: ratings, questions, tickets, names, logins.

python examples/make_tables.py [FOLDER]
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

GENRES = {
    "drama": "a family keeps an old secret,a teacher changes a small town,two brothers meet again",
    "comedy": "a clown joins a bank,a wedding goes wrong,twins swap their jobs for a joke",
    "space": "a crew repairs a broken star ship,a signal comes from mars,robots leave the moon",
    "crime": "a detective hunts a thief,a judge is bribed,a stolen painting comes back",
}
NAMES = "ann ben cleo dan eva finn gus hana ivan jana kurt lena mia noah olga paul".split()
NOUNS = "river garden winter mirror harbour shadow summer letter bridge island".split()
TOPICS = {
    "billing": "invoice,refund,card,price,payment,charge",
    "delivery": "parcel,courier,address,tracking,shipment,box",
    "account": "password,login,email,profile,username,code",
}
ASKING = "where is my {0} and what about the {1},I have a problem with the {0} and the {1}".split(
    ","
)
SAYING = "we look at your {0} and the {1} today,please check the {0} first then the {1}".split(",")
FIRMS = "north star,green field,blue river,old mill,red rock,silver lake,high tower,deep sea".split(
    ","
)
TRADES = "bakery,foods,logistics,software,motors,books,energy,textiles".split(",")


def films(draw: random.Random) -> list[tuple[str, str, str]]:
    """Return films with their plots and one or two genres."""
    found = []
    for number, noun in enumerate(NOUNS * 4):
        genre, other = draw.sample(sorted(GENRES), 2)
        genres = [genre] if draw.random() < 0.6 else [genre, other]
        plot = ", ".join(draw.choice(GENRES[each].split(",")) for each in genres)
        found.append((f"The {noun.title()} {number // len(NOUNS) + 1}", plot, "|".join(genres)))
    return found


def ratings(draw: random.Random, known: Sequence[tuple[str, str, str]]) -> Iterator[tuple]:
    """Yield who rates which film how: everybody likes two genres."""
    for number in range(120):
        user = f"{NAMES[number % len(NAMES)]}{number // len(NAMES)}"
        liked = draw.sample(sorted(GENRES), 2)
        for title, _, genres in draw.sample(known, 20):
            taste = sum(genre in liked for genre in genres.split("|")) / (genres.count("|") + 1)
            yield user, title, min(5, max(1, round(1.5 + 3 * taste + draw.gauss(0, 0.5))))


def questions(draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yield questions with answers that speak of the same things."""
    for _ in range(1500):
        things = draw.sample(draw.choice(list(TOPICS.values())).split(","), 2)
        yield draw.choice(ASKING).format(*things), draw.choice(SAYING).format(*things)


def tickets(draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """Yield the subject and the message of tickets, and the team that they are for."""
    for _ in range(1500):
        team = draw.choice(sorted(TOPICS))
        things = draw.sample(TOPICS[team].split(","), 3)
        yield f"my {things[0]}", draw.choice(ASKING).format(*things[1:]), team


def names(draw: random.Random) -> Iterator[tuple[str, str, int]]:
    """Yield pairs of firms' names as two lists write them, and whether they are the same firm."""
    firms = [f"{first} {trade}" for first in FIRMS for trade in TRADES]
    for number in range(3000):
        firm = draw.choice(firms)
        other = firm if number % 2 else draw.choice(firms)
        yield firm.title(), misspelt(other, draw), int(other == firm)


def misspelt(name: str, draw: random.Random) -> str:
    """Return a name in capitals with two letters swapped."""
    at = draw.randrange(1, len(name) - 2)
    return f"{name[:at]}{name[at + 1]}{name[at]}{name[at + 2 :]} LTD".upper()


def logins(draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yield who logs in from where: at home, at work, and from a mobile network."""
    people = [f"{name}{number}" for name in NAMES for number in range(10)]
    work = [f"10.{number}.7" for number in range(8)]
    home = {person: f"{draw.randrange(60, 90)}.{draw.randrange(256)}.3" for person in people}
    for _ in range(6000):
        person = draw.choice(people)
        network = draw.choice([home[person], home[person], work[hash_of(person) % len(work)]])
        yield person, f"{network}.{draw.randrange(1, 255)}"


def hash_of(text: str) -> int:
    """Return a number that is the same on every machine."""
    return sum(ord(letter) * 31**i for i, letter in enumerate(text))


def write(path: Path, rows: Iterable[Sequence], header: str = "") -> None:
    """Write a CSV file, with a line of names unless `header` is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow(header.split(","))
        writer.writerows(rows)


def main(folder: Path) -> None:
    """Write all tables."""
    draw = random.Random(0)
    known = films(draw)
    write(folder / "films.csv", known, "film,overview,genres")
    write(folder / "ratings.csv", ratings(draw, known), "user,film,rating")
    write(folder / "faq.csv", questions(draw), "question,answer")
    write(folder / "tickets.csv", tickets(draw), "subject,message,team")
    write(folder / "firms.csv", names(draw), "ours,theirs,same")
    write(folder / "logins.csv", logins(draw))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
