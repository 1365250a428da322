"""Hook of mkdocs: pages outside docs/ join the site, and links between files become links of pages.

In the repository every link names a file, so it works wherever the repository is shown. On the site
a link to a file that is no page becomes plain text.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]

# Page of the site: file of the repository.
ELSEWHERE = {
    "index.md": "README.md",
    "benchmarks.md": "benchmarks/README.md",
    "benchmark-log.md": "benchmarks/LOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?!https?:|#)([^()\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are files of the repository outside docs/."""
    for page, name in ELSEWHERE.items():
        content = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page with links to pages of the site."""
    here = ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return rewritten(markdown, here)


def rewritten(markdown: str, here: str) -> str:
    """Return the text of the file `here` with links for the site."""
    pages = {name: page for page, name in ELSEWHERE.items()}
    own = PurePosixPath(pages.get(here, here.removeprefix("docs/")))

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        name, sharp, anchor = target.partition("#")
        path = normpath(PurePosixPath(here).parent / name)
        if not (ROOT / path).exists():
            return found[0]  # broken: mkdocs says so
        page = pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if page is None:
            return text
        return f"{mark}[{text}]({relpath(page, own.parent)}{sharp}{anchor})"

    return LINK.sub(link, markdown)
