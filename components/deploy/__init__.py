"""Step 9: what serves on a cluster is told the champion's bundle, by its digest."""
