"""Runs the steps of one notebook with one client; in the client's environment, not in ours.

Usage: python main.py CLIENT STEPS OUT, in a folder of its own, inside `object2vec sagemaker local`.

OUT is written: what the client saw. SDKs ask for the state of a job every ten to thirty seconds;
here every half second, so that a run takes seconds. Nothing else of them is changed.
"""

import importlib
import json
import sys
import time

import notebooks

POLL_S = 0.5
_sleep = time.sleep


def main(client, steps, out):
    """Run the steps and write what they return."""
    time.sleep = lambda seconds: _sleep(min(seconds, POLL_S))
    module = importlib.import_module("steps_" + client)
    if hasattr(module, "Account"):
        seen = getattr(notebooks, steps)(module.Account())
    else:  # it has the calls of the notebooks themselves
        seen = getattr(module, steps)()
    with open(out, "w") as file:
        json.dump(seen, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
