"""A trained network -> bundle files: weights as safetensors, the graph as ONNX, checked against each other."""

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file, save

from htr.bundle import ONNX, WEIGHTS, Bundle
from htr.errors import BundleError
from htr.model import LineNet, ModelConfig

MAX_DIFFERENCE = 1e-3
"""Largest difference in log-probability between torch and ONNX Runtime that an export may show."""


def bundle_files(net: LineNet) -> dict[str, Path | bytes]:
    """Return the network's two bundle files.

    Raises:
        BundleError: ONNX Runtime gives other scores than torch.
    """
    net = net.cpu().eval()
    graph = _onnx(net)
    _check_parity(net, graph)
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    return {WEIGHTS: save(weights), ONNX: graph}


def load_net(bundle: Bundle) -> LineNet:
    """Rebuild the torch network of a bundle.

    Raises:
        BundleError: the weights do not fit the architecture.
    """
    net = LineNet(ModelConfig.from_dict(bundle.architecture), len(bundle.alphabet))
    try:
        net.load_state_dict(load_file(bundle.path / WEIGHTS))
    except (RuntimeError, OSError) as error:
        raise BundleError(f"{bundle.path / WEIGHTS}: does not fit the architecture ({error})") from error
    return net.eval()


def _example(net: LineNet, steps: int) -> torch.Tensor:
    width = steps * net.config.column_step
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, net.config.height, width, generator=generator)


def _onnx(net: LineNet) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / ONNX
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):  # the exporter prints its progress
            # The TorchScript exporter: the newer one unrolls an LSTM at the example's width (torch 2.13).
            torch.onnx.export(
                net,
                (_example(net, 40),),
                str(file),
                dynamo=False,
                opset_version=17,
                input_names=["images"],
                output_names=["log_probs"],
                dynamic_axes={"images": {3: "width"}, "log_probs": {1: "steps"}},
            )
        return file.read_bytes()


def _check_parity(net: LineNet, graph: bytes) -> None:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for steps in (4, 57):
        images = _example(net, steps)
        with torch.no_grad():
            wanted = net(images).numpy()
        (got,) = session.run(None, {"images": images.numpy()})
        difference = float(np.abs(wanted - got).max())
        if not difference <= MAX_DIFFERENCE:
            raise BundleError(f"ONNX export differs from torch by {difference:.2g} over {steps} steps; report it")
