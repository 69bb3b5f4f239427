"""Watching a champion at work: drift verdicts, and the guard that turns them into at most one retraining."""
