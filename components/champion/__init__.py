"""Step 3: the model that serves today, fetched from the registry."""
