"""The container image that every step runs in; the one place that reads the environment at import.

KFP's cache key holds the image string, so a tag must name the code: compile with QUILLFLOW_IMAGE set to a tag
that carries the git commit.
"""

import os

GPUS = int(os.environ.get("QUILLFLOW_GPUS", "1"))
"""GPUs that the compiled train step asks for; 0 for clusters without."""
PIPELINE_IMAGE = os.environ.get("QUILLFLOW_IMAGE", "quillflow/pipeline:dev")
