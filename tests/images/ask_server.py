"""Asks a model server by V1, V2 and gRPC; prints what each read, as JSON.

Run inside a container's network: ``nsenter --net=/proc/PID/ns/net python ask_server.py IMAGE...``
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest


def main() -> None:
    images = [Path(name).read_bytes() for name in sys.argv[1:]]
    texts = [base64.b64encode(image).decode() for image in images]
    with httpx.Client(base_url="http://127.0.0.1:8080", timeout=60, trust_env=False) as http:
        v1 = http.post("/v1/models/htr:predict", json={"instances": texts})
        tensor = {"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
        v2 = http.post("/v2/models/htr/infer", json={"inputs": [tensor]})
    answers = {
        "v1": [one["text"] for one in v1.raise_for_status().json()["predictions"]],
        "v2": next(out["data"] for out in v2.raise_for_status().json()["outputs"] if out["name"] == "text"),
        "grpc": asyncio.run(_by_grpc(images)),
    }
    sys.stdout.write(json.dumps(answers))


async def _by_grpc(images: list[bytes]) -> list[str]:
    tensor = InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=np.object_))
    async with InferenceGRPCClient("127.0.0.1:8081") as client:
        answer = await client.infer(InferRequest("htr", [tensor]))
    (text,) = (output for output in answer.outputs if output.name == "text")
    return [one.decode() for one in text.as_numpy().tolist()]


if __name__ == "__main__":
    main()
