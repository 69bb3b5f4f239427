"""The container image that every step runs in; the one place that reads the environment at import.

KFP's cache key holds the image string, so a tag must name the code: compile with QUILLFLOW_IMAGE set to a tag
that carries the git commit.
"""

import os

GPUS = int(os.environ.get("QUILLFLOW_GPUS", "1"))
"""GPUs that the compiled train step asks for; 0 for clusters without."""
TRIALS_AT_ONCE = int(os.environ.get("QUILLFLOW_TRIALS_AT_ONCE", "4"))
"""Trials of a search that the compiled pipeline runs side by side."""
PIPELINE_IMAGE = os.environ.get("QUILLFLOW_IMAGE", "quillflow/components:dev")
