"""A trained network -> bundle files: weights as safetensors, the graph as ONNX with 32 and with 8 bits.

The 32-bit graph is checked against torch here; the 8-bit one is judged on real lines, by htr.parity.
"""

import contextlib
import io
import logging
import math
import tempfile
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from htr.bundle import EMBEDDING, INT8, LOG_PROBS, ONNX, WEIGHTS, Bundle
from htr.errors import BundleError
from htr.model import LineNet, ModelConfig
from htr.profile import EMBEDDING_SIZE

MAX_DIFFERENCE = 1e-3
"""Largest difference in log-probability between torch and ONNX Runtime that an export may show."""


def bundle_files(net: LineNet) -> dict[str, Path | bytes]:
    """Return the network's bundle files.

    Raises:
        BundleError: ONNX Runtime gives other scores than torch.
    """
    net = net.cpu().eval()
    graph = _onnx(net)
    _check_parity(net, graph)
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    return {WEIGHTS: save(weights), ONNX: graph, INT8: _quantised(graph)}


def load_net(bundle: Bundle) -> LineNet:
    """Rebuild the torch network of a bundle.

    Raises:
        BundleError: the weights do not fit the architecture, or are none.
    """
    net = LineNet(ModelConfig.from_dict(bundle.architecture), len(bundle.alphabet))
    try:
        net.load_state_dict(load_file(bundle.path / WEIGHTS))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise BundleError(f"{bundle.path / WEIGHTS}: does not fit the architecture ({error})") from error
    return net.eval()


_PROJECTION_SEED = 17


class _Exported(torch.nn.Module):
    """The network with a second output: the encoder's features, averaged over the line and projected to a few.

    The projection is random, from a generator whose numbers never change, and needs no training: distances between
    lines survive it (Johnson and Lindenstrauss 1984). It multiplies and sums, since a matrix product would be
    quantised with the others.
    """

    def __init__(self, net: LineNet) -> None:
        super().__init__()
        self.net = net
        features = net.head.in_features
        drawn = np.random.RandomState(_PROJECTION_SEED).standard_normal((features, EMBEDDING_SIZE))
        self.register_buffer("projection_DE", torch.tensor(drawn / math.sqrt(features), dtype=torch.float32))

    def forward(self, images_B1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BTD = self.net.encode(images_B1HW)
        pooled_BD1 = features_BTD.float().mean(dim=1)[:, :, None]
        return self.net.score(features_BTD), (pooled_BD1 * cast(torch.Tensor, self.projection_DE)).sum(dim=1)


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
                _Exported(net).eval(),
                (_example(net, 40),),
                str(file),
                dynamo=False,
                opset_version=17,
                input_names=["images"],
                output_names=[LOG_PROBS, EMBEDDING],
                dynamic_axes={"images": {3: "width"}, LOG_PROBS: {1: "steps"}},
            )
        return file.read_bytes()


def _quantised(graph: bytes) -> bytes:
    """Return the graph with 8-bit weights in its matrix products and LSTMs; activations are scaled as they come.

    Convolutions stay as they are: with 8 bits they ran at half the speed (docs/experiments.md). Weights use 7
    of the 8 bits, so that processors without VNNI do not saturate.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / ONNX, Path(folder) / INT8
        source.write_bytes(graph)
        logging.getLogger().addFilter(_no_advice)
        try:
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["LSTM", "MatMul", "Gemm"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.getLogger().removeFilter(_no_advice)
        return target.read_bytes()


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _check_parity(net: LineNet, graph: bytes) -> None:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for steps in (4, 57):
        images = _example(net, steps)
        with torch.no_grad():
            wanted = net(images).numpy()
        (got,) = session.run([LOG_PROBS], {"images": images.numpy()})
        difference = float(np.abs(wanted - got).max())
        if not difference <= MAX_DIFFERENCE:
            raise BundleError(f"ONNX export differs from torch by {difference:.2g} over {steps} steps; report it")
