"""The exit step: whatever became of a run, the governor hears of it."""
