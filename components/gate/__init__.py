"""Step 6: may the challenger take over? Rules on the evaluation report, and nothing else."""
