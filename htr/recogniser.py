"""The recogniser: encoded line images in, readings out. The only inference path in the project.

Every line is read by itself, at its own width: what else is asked for at the same time cannot change a reading.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from htr.alphabet import normalise
from htr.bundle import INT8, ONNX, Bundle
from htr.ctc import BestPath, Scores, best_path
from htr.errors import BundleError
from htr.image import Grey, decode, line_tensor
from htr.likelihood import text_log_prob
from htr.profile import Profile, profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the recogniser read on one line."""

    text: str
    confidence: float
    """Calibrated probability that the whole line is right, from 0 to 1."""
    log_prob: float = 0.0
    """Log-probability of the text over all its alignments, at most 0: what the confidence is computed from."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"Reading.confidence must be within 0..1, got {self.confidence!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A reading with the profile row that drift detection wants."""

    reading: Reading
    profile: Profile


class Recogniser:
    """A loaded model. Safe to use from several threads at once.

    Args:
        bundle: an opened bundle; its files were checked against their digests.
        num_threads: processor threads for one line.
        precision: ``fp32``, ``int8``, or ``auto``: int8 where the bundle's certificate says that it reads as well.

    Raises:
        BundleError: the graph cannot be loaded.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 1, precision: str = "auto") -> None:
        self.bundle = bundle
        small = precision == "int8" or (precision == "auto" and INT8 in bundle.files and bundle.parity.trusted)
        graph = bundle.path / (INT8 if small else ONNX)
        self.digest = bundle.digest
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(f"{graph}: cannot be loaded ({error}); fetch the bundle again") from error

    @classmethod
    def load(cls, path: Path | str, *, num_threads: int = 1) -> "Recogniser":
        """Open a bundle folder and load its network.

        Raises:
            BundleError: missing, incomplete, altered, or of another version.
        """
        return cls(Bundle.open(path), num_threads=num_threads)

    def read(self, images: Iterable[bytes]) -> list[Reading]:
        """Read encoded images, one line each, in order.

        Raises:
            ImageError: an image cannot be decoded.
        """
        return [self._read(decode(data))[0] for data in images]

    def observe(self, images: Iterable[bytes]) -> Iterator[Observation]:
        """Read encoded images and measure them; lazily, so that callers can show progress.

        Raises:
            ImageError: an image cannot be decoded.
        """
        for data in images:
            grey = decode(data)
            reading, path, log_probs_TK = self._read(grey)
            yield Observation(reading=reading, profile=profile(grey, log_probs_TK, path, reading.text))

    def scores(self, data: bytes) -> Scores:
        """Return the log-probability of every class at every step of one encoded line, shape (T, K).

        Raises:
            ImageError: the image cannot be decoded.
        """
        return self._scores(decode(data))

    def _scores(self, grey: Grey) -> Scores:
        tensor_1HW = line_tensor(grey, self.bundle.geometry)
        (log_probs_BTK,) = self._session.run(None, {"images": tensor_1HW[None]})
        return np.asarray(log_probs_BTK[0])

    def _read(self, grey: Grey) -> tuple[Reading, BestPath, Scores]:
        log_probs_TK = self._scores(grey)
        path = best_path(log_probs_TK)
        text = normalise(self.bundle.alphabet.decode(path.class_ids))
        log_prob = text_log_prob(log_probs_TK, path.class_ids)
        confidence = self.bundle.calibration.confidence(
            log_prob=log_prob, best_path=path.log_prob, num_characters=len(text)
        )
        return Reading(text=text, confidence=confidence, log_prob=log_prob), path, log_probs_TK
