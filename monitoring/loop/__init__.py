"""The state of the loop as one page that people look at."""
