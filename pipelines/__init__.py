"""The DAG, and the commands that compile it, submit it, run it here, and drive the whole loop."""
