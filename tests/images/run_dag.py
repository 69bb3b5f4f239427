"""Runs the training DAG with kfp.local, every step a container of one image under what the cluster's policy asks.

    python -m tests.images.run_dag IMAGE ROOT GIVEN.json RESULT.json

GIVEN holds the pipeline's arguments, the network that the steps join and their environment. DOCKER_HOST says where
the daemon is. A process of its own: the steps take their image from the environment when
they are imported, and kfp.local is set up once a process.
"""

import json
import os
import sys
from pathlib import Path


def main(image: str, root: str, given: str, result: str) -> None:
    os.environ |= {"QUILLFLOW_IMAGE": image, "QUILLFLOW_GPUS": "0"}
    from docker.types import Mount
    from kfp import dsl, local

    from pipelines.training import training

    told = json.loads(Path(given).read_text())
    runner = local.DockerRunner(
        user="10001:10001",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode=told["network"],
        environment=told["environment"],
        pids_limit=200,
        tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=512m"},  # noqa: S108 - in the container
        # Beside kfp's own mount of the artifacts: lines and registry lie in the root, too.
        mounts=[Mount(target=root, source=root, type="bind")],
    )
    local.init(runner, pipeline_root=str(Path(root) / "kfp"), raise_on_error=True)
    outputs = training(**told["arguments"]).outputs
    found = {name: one.path if isinstance(one, dsl.Artifact) else one for name, one in outputs.items()}
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
