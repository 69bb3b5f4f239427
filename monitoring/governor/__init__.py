"""The retrain governor: alerts, labels and wishes in; at most one retraining at a time out, and why."""
