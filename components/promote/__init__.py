"""Step 8, only when the gate says so: the aliases move."""
