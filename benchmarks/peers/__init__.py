"""Other people's recognisers and ours, trained and scored on the same lines within the same time.

    python -m benchmarks.peers --lines DATASET --minutes 18        (make bench)

    protocol.py      what an adapter must do, and what it is given; standard library only
    layout.py        lines dataset -> image files with .gt.txt beside them, one layout for all
    kraken.py, calamari.py, tesseract.py, ours.py      one adapter each
    environments.py  an environment of its own for each peer, versions pinned in requirements/
    leash.py         runs a child that cannot outlive the bench
    children.py      starts leashed children, shows how far they are, ends them when time is up
    meter.py         the training clock, inside a peer's process
    reading.py       the timed reading, inside a peer's process
    bench.py         prepare -> train -> read -> score, each peer's result kept as soon as it is there
    scoring.py       texts -> error rates, by htr.metrics, alike for all
    table.py         results -> JSON, Markdown, HTML

An adapter has two sides in one file: the class runs here; ``python -m benchmarks.peers.NAME`` runs inside the
peer's environment, where neither htr nor anything else of ours is installed. What both sides need uses the
standard library alone.
"""
