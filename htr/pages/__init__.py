"""Whole pages: reading them, what was read as JSON, PDF, ALTO and PAGE, and many files at a time."""
