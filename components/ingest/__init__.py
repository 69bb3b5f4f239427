"""Step 1: the lines to learn from and the corrections that people made, as one dataset."""
