"""Triton's clients at work: ``python -m tests.triton HTTP GRPC IMAGE...`` prints what each is told, as JSON.

A process of its own: Triton's and KServe's packages define the same gRPC messages, which one process cannot hold.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException


def read(module: Any, address: str, images: list[bytes], **options: Any) -> dict[str, Any]:
    """Return the readings, or the error."""
    tensor = module.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=np.object_))
    with module.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("htr")
        try:
            answer = client.infer("htr", [tensor], request_id="t-1", **options)
        except InferenceServerException as error:
            return {"error": error.message()}
    texts = [text.decode() if isinstance(text, bytes) else text for text in answer.as_numpy("text")]
    told = answer.get_response()
    request_id = told["id"] if isinstance(told, dict) else told.id
    return {"texts": texts, "confidences": answer.as_numpy("confidence").tolist(), "request_id": request_id}


def metadata(http: str, grpc: str) -> dict[str, Any]:
    """Return names and types of inputs and outputs, as each client is told them."""
    with tritonclient.http.InferenceServerClient(http) as client:
        told = client.get_model_metadata("htr")
        by_http = {one["name"]: one["datatype"] for one in told["inputs"] + told["outputs"]}
    with tritonclient.grpc.InferenceServerClient(grpc) as client:
        told = client.get_model_metadata("htr")
        by_grpc = {one.name: one.datatype for one in [*told.inputs, *told.outputs]}
    return {"http": by_http, "grpc": by_grpc}


def main() -> None:
    """Ask everything, print everything."""
    http, grpc, *files = sys.argv[1:]
    images = [Path(file).read_bytes() for file in files]
    bad = [images[0], b"not an image"]
    plain = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in ("text", "confidence")]
    found = {
        "http": read(tritonclient.http, http, images),
        "http, JSON": read(tritonclient.http, http, images, outputs=plain),
        "grpc": read(tritonclient.grpc, grpc, images),
        "http, bad": read(tritonclient.http, http, bad),
        "grpc, bad": read(tritonclient.grpc, grpc, bad),
        "metadata": metadata(http, grpc),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
