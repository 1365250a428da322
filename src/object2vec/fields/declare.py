"""Fields as Python code declares them: ``Tokens("genres", "|")`` is ``genres:tokens("|")``."""

from __future__ import annotations

from object2vec.fields.kinds import KINDS
from object2vec.fields.specification import declared

Token = declared(KINDS["token"])
Tokens = declared(KINDS["tokens"])
Text = declared(KINDS["text"])
Characters = declared(KINDS["characters"])
IPv4 = declared(KINDS["ipv4"])
IPv6 = declared(KINDS["ipv6"])
Number = declared(KINDS["number"])
Date = declared(KINDS["date"])
Ids = declared(KINDS["ids"])
