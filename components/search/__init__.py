"""The search's steps: trials planned up front and what came of them; and the pruned search with its record."""
