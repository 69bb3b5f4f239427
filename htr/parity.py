"""The parity certificate: how far the 8-bit network reads from the one that was trained.

Validation lines are read with both. Where the character error rate rises by more than MAX_CER_DELTA, or no
certificate is there, the recogniser reads with the 32-bit graph.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from htr.bundle import INT8, Bundle, Parity
from htr.ctc import best_path
from htr.errors import DataError, ImageError
from htr.image import decode
from htr.lines import LinesDataset
from htr.metrics import ErrorCounts, count_errors
from htr.recogniser import Recogniser


def certify(
    bundle: Bundle, dataset: LinesDataset, *, split: str = "val", on_line: Callable[[int], None] = lambda _: None
) -> Bundle:
    """Return the bundle with its certificate, which is not yet on disk; as it is where it has no 8-bit graph.

    Args:
        bundle: fp32 and int8 graph.
        dataset: lines that training did not see.
        split: which of them.
        on_line: called with the number of lines read so far.

    Raises:
        DataError: no line of the split can be read.
    """
    if INT8 not in bundle.files:
        return bundle
    full, small = Recogniser(bundle, precision="fp32"), Recogniser(bundle, precision="int8")
    counts = {name: ErrorCounts() for name in ("fp32", "int8")}
    difference, changed = 0.0, 0
    for line in dataset.lines(split):
        try:
            grey = decode(line.image)
            scores = {"fp32": full.log_probs(grey), "int8": small.log_probs(grey)}
        except ImageError:
            continue
        difference = max(difference, float(np.abs(np.exp(scores["fp32"]) - np.exp(scores["int8"])).max()))
        texts = {name: bundle.alphabet.decode(best_path(found).class_ids) for name, found in scores.items()}
        changed += texts["fp32"] != texts["int8"]
        for name, text in texts.items():
            counts[name] += count_errors(line.text, text)
        on_line(counts["fp32"].lines)
    if not counts["fp32"].lines:
        raise DataError(f"{dataset.path}: no readable line in split {split!r} to compare the graphs on")
    parity = Parity(
        lines=counts["fp32"].lines,
        changed_lines=changed,
        max_difference=difference,
        cer_fp32=counts["fp32"].cer,
        cer_int8=counts["int8"].cer,
    )
    return replace(bundle, parity=parity)
