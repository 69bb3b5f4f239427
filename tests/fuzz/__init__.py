"""Whatever bytes come in, nothing may crash, hang, or open what lies outside of its folder.

    targets.py    what is fuzzed: a function of bytes each, with sound bytes to begin with; add yours there
    importers.py  targets: importers, lines datasets, policies
    sandbox.py    what must hold of every input
    mutations.py  sound and broken files in, new broken files out
    guided.py     one target, led by coverage (atheris)
    __main__.py   the long run: make fuzz MINUTES=30
    test_fuzz.py  the short run of `make check`

Files that broke something once, or were made to, lie in tests/corpus/TARGET; every run begins with them.
"""
