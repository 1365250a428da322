"""Make the demo's data file from WordNet's synsets.

    python scripts/make_demo_data.py FOLDER

FOLDER holds `synset_gloss.tsv.zst` (synset, terms, gloss) and `LICENSE`. Each gloss ends before its
first example sentence. The result is src/object2vec/data/wordnet.tsv.zst, a line of terms and
definition for each synset, and WORDNET-LICENSE beside it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from zstandard import ZstdCompressor, ZstdDecompressor

DATA = Path(__file__).parents[1] / "src" / "object2vec" / "data"
EXAMPLES = re.compile(r'\s*;\s*".*')
ATTRIBUTION = """\
wordnet.tsv.zst holds the terms and definitions of WordNet 3.1 by Princeton University
(https://wordnet.princeton.edu). Its example sentences, identifiers and relations are left out.
The licence of WordNet:

"""


def main(folder: Path) -> None:
    """Read WordNet from `folder` and write the two files."""
    packed = (folder / "synset_gloss.tsv.zst").read_bytes()
    text = ZstdDecompressor().decompressobj().decompress(packed).decode("utf-8")
    lines = []
    for line in text.rstrip("\n").split("\n"):
        _, terms, gloss = line.split("\t")
        lines.append(f"{terms}\t{EXAMPLES.sub('', gloss).strip()}\n")
    DATA.mkdir(exist_ok=True)
    compressed = ZstdCompressor(level=22).compress("".join(lines).encode("utf-8"))
    (DATA / "wordnet.tsv.zst").write_bytes(compressed)
    licence = (folder / "LICENSE").read_text(encoding="utf-8")
    (DATA / "WORDNET-LICENSE").write_text(ATTRIBUTION + licence, encoding="utf-8")
    print(f"{len(lines):,} definitions in {len(compressed):,} bytes")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
