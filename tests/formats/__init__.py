"""Every format that one process writes and another reads; its golden file, its writer, its reader.

A change of a format needs a new version number, and that a golden file of its own, since the old ones stay as they
are: ``python -m tests.formats`` writes those that are missing and touches no other.
"""
