"""Asks questions of a server with a real client; runs in the client's environment, not in ours.

Usage: python asking.py boto3|sdk2|sdk3 ADDRESS QUESTIONS ANSWERS

QUESTIONS is a JSON file with a list of {"content_type", "accept", "instances"}, the types None
where the client shall not name one. ANSWERS is written: what the client said to every question, and
every host that the process reached for. Only loopback is let through.
"""

import importlib
import json
import sys
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost")
REACHED: set[str] = set()


def watch(event, arguments):
    """Note the host of every look-up and connection; refuse those beyond this machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    REACHED.add(str(host))
    if host not in LOOPBACK:
        rule = "the client: must reach for this machine only"
        raise PermissionError(f"{rule}; got {host}. Switch off what asks for it.")


def answer(ask, question):
    """Return what the client made of the answer, or of the refusal."""
    from botocore.exceptions import ClientError

    try:
        return {"answer": ask(question["content_type"], question["accept"], question["instances"])}
    except ClientError as err:
        return {"kind": type(err).__name__, "text": str(err), "response": err.response}


def main(name, address, questions, answers):
    """Put every question to the server and write the answers."""
    sys.addaudithook(watch)  # before the client is imported
    ask = importlib.import_module(f"ask_{name}").connect(address)
    said = [answer(ask, question) for question in json.loads(Path(questions).read_text())]
    Path(answers).write_text(json.dumps({"answers": said, "reached": sorted(REACHED)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
