"""Step 7: the evaluated bundle becomes a version of the registered model."""
