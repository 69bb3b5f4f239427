"""The commands of `python -m htr`, a module for each family; each imports what it needs when it is called."""
