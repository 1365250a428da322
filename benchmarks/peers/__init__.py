"""What a user would take instead: other tools on the data and splits of object2vec's benchmarks.

One file for each task, with a function for each peer; `python -m benchmarks.peers.TASK --data DIR`
runs them, each seed in a process of its own, and writes ``results/peers_TASK.json``. They need the
``peers`` extra. The settings stand in the code; those that were compared on the dev part stand in
``GRID``, and ``--choose`` compares them again without looking at test.
"""
