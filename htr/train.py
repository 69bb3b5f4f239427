"""Training: a lines dataset in, a bundle out.

    1. decode the lines once; leave out and list what CTC cannot learn
    2. start from nothing, or from a base bundle whose output layer grows by the new characters
    3. AdamW with warm-up and cosine, gradients clipped, best validation CER kept, or the last epoch
    4. export the best weights as a bundle

Everything follows from (dataset, config, base): a run that is killed and started again with the same work folder
goes on at the last finished epoch, or after a SIGTERM at the very step, and ends as one left alone.
"""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file

from htr.alphabet import Alphabet
from htr.bundle import Bundle, refuse_what_is_there, write_bundle
from htr.checkpoint_store import CheckpointStore
from htr.devices import Devices
from htr.errors import DataError, OutputError
from htr.export import bundle_files, load_net
from htr.fitting import BEST, LAST, Choice, Fit
from htr.image import Geometry
from htr.lines import CORRECTIONS, LinesDataset
from htr.model import LineNet, ModelConfig, deepened
from htr.module import LineModule
from htr.plan import Plan
from htr.store import LineStore, open_store
from htr.train_config import TrainConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What training did."""

    bundle: Bundle
    epochs: int
    validation_cer: float
    """Of the epoch that was kept, as a fraction."""
    lines: dict[str, int]
    """Lines of the dataset by what became of them: ``train``, ``val``, and ``excluded_...`` by reason."""
    resumed_at_epoch: int
    """0 for a run that started afresh."""
    loader_share: float
    """Share of the training time that passed in making batches, 0..1."""
    train_ids: list[str] = field(default_factory=list)
    """Lines that were learnt from."""
    excluded: list[tuple[str, str]] = field(default_factory=list)
    """(line id, reason) of the train and val lines that were left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a training run stands."""

    stage: str
    """``decoding`` or ``training``."""
    done: int
    """Lines so far."""
    total: int
    rate: float = 0.0
    """Lines a second."""
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """At the end of an epoch: ``loss``, ``val_loss``, ``val_cer``, ``learning_rate``; else empty."""


def train(
    dataset: LinesDataset,
    out: Path,
    config: TrainConfig,
    *,
    work: Path,
    base: Bundle | None = None,
    git_commit: str = "",
    checkpoints: str = "",
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> TrainResult | None:
    """Train on the ``train`` lines, choose by the ``val`` lines, write a bundle.

    Args:
        dataset: must have lines in both splits.
        out: folder for the bundle.
        config: how.
        work: folder for checkpoints; the same folder and arguments resume a killed run.
        base: start from these weights, geometry and alphabet.
        git_commit: noted in the bundle.
        checkpoints: address of a store, ``s3://BUCKET/PREFIX`` or a folder, that keeps a copy of the checkpoint
            and gives it back where the work folder has none; "" for none.
        on_progress: called often while decoding and training, and at every epoch's end.

    Returns:
        What was done; None in all but the first of several processes that something else started (torchrun).

    Raises:
        DataError: a split has no usable line.
        OutputError: there is something at ``out``, or it or ``work`` cannot be written.
        SettingsError: this machine has no such devices.
        PreemptedError: SIGTERM came while it learnt; the same call goes on.
    """
    refuse_what_is_there(out)
    if work.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{work}: lies in {out}, where the bundle alone may lie; choose another work folder")
    devices = Devices(
        accelerator=config.accelerator,
        count=config.devices,
        machines=config.machines,
        precision=config.precision,
        num_threads=config.num_threads,
    )
    devices.check()
    torch.set_num_threads(config.num_threads)
    torch.manual_seed(config.seed)
    alphabet = Alphabet.of_texts(dataset.texts("train"))
    if base is not None:
        alphabet = base.alphabet.extended(dataset.texts("train"))
        net = deepened(grown(load_net(base), base.alphabet, alphabet), config.model.residual)
        net.drop(config.model.dropout)
        net.train()  # it came ready to read, and Lightning leaves it as it is: nothing would be dropped
        geometry = base.geometry
    else:
        net = LineNet(config.model, len(alphabet))
        geometry = Geometry(height=config.model.height, column_step=config.model.column_step)
    train_lines, val_lines = _load(dataset, work / "lines", geometry, alphabet, on_progress)
    corrected = [source == CORRECTIONS for source in train_lines.sources]
    if base is not None and (config.base_norm == "held" or (config.base_norm == "auto" and any(corrected))):
        net.hold_norms(ModelConfig.from_dict(base.architecture).residual)
    plan = Plan.of(
        train_lines.widths,
        corrected=corrected,
        max_lines=config.max_lines,
        batch_size=config.batch_size,
        seed=config.seed,
        correction_share=config.correction_share,
        ranks=devices.ranks,
        by_pixels=config.batches_by == "pixels",
    )
    module = LineModule(
        net,
        train_lines,
        val_lines,
        plan,
        alphabet=alphabet,
        geometry=geometry,
        learning_rate=config.learning_rate * (0.5 if base is not None else 1.0),
        weight_decay=config.weight_decay,
        warmup_share=config.warmup_share,
        augmentation=config.augmentation,
        shortcut_weight=config.shortcut_weight,
        masking=config.masking,
        joining=config.joining,
        auxiliary_weight=config.auxiliary_weight,
        label_smoothing=config.label_smoothing,
    )
    keep_last = config.keep == "last" or (config.keep == "auto" and any(corrected))
    choice = Choice(keep_last=keep_last, patience=config.patience, averaging=config.averaging)
    key = _key(dataset, config, base)
    elsewhere = CheckpointStore(address=checkpoints, key=key, names=(LAST, BEST)) if checkpoints else None
    if len(val_lines) < devices.ranks:
        raise DataError(
            f"{dataset.path}: {len(val_lines)} usable lines in split 'val' for {devices.ranks} devices; "
            "each of them judges at least one: give more lines, or fewer devices"
        )
    fit = Fit(work / key, module, devices, choice, elsewhere)

    def told(done: int, rate: float, epoch: int, metrics: dict[str, float]) -> None:
        total = plan.total_lines
        on_progress(Progress(stage="training", done=done, total=total, rate=rate, epoch=epoch, metrics=metrics))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and workers, which does not apply here
        fitted = fit.run(clip_norm=config.clip_norm, on_progress=told)
    if fitted is None:
        return None
    net.load_state_dict(load_file(fit.best_weights))
    bundle = write_bundle(
        Bundle(
            path=out,
            architecture=net.config.to_dict(),
            alphabet=alphabet,
            geometry=geometry,
            dataset_digest=dataset.digest,
            git_commit=git_commit,
            base_digest=base.digest if base is not None else "",
            trained_lines=len(train_lines),
        ),
        bundle_files(net),
    )
    logger.info("trained %d epochs, validation CER %.3f", fitted.epochs, fitted.best_cer)
    counts = {"train": len(train_lines), "val": len(val_lines)}
    for name, samples in (("train", train_lines), ("val", val_lines)):
        counts |= {f"excluded_{name}_{reason}": n for reason, n in samples.reasons().items()}
    return TrainResult(
        bundle=bundle,
        epochs=fitted.epochs,
        validation_cer=fitted.best_cer,
        lines=counts,
        resumed_at_epoch=fitted.resumed_at,
        loader_share=fitted.loader_share,
        train_ids=train_lines.ids,
        excluded=[*train_lines.excluded, *val_lines.excluded],
    )


def grown(net: LineNet, old: Alphabet, new: Alphabet) -> LineNet:
    """Return the network with an output for every character of a larger alphabet, what it knows kept.

    New characters start improbable (a bias below every known one), so that readings are unchanged at first.
    """
    if len(new) == len(old):
        return net
    larger = LineNet(net.config, len(new))
    state, fresh = net.state_dict(), larger.state_dict()
    for head in ("head", "shortcut"):
        bias, weight = fresh[f"{head}.bias"], fresh[f"{head}.weight"]
        bias.fill_(float(state[f"{head}.bias"].min()) - 2.0)
        bias[: len(old)] = state[f"{head}.bias"]
        weight[: len(old)] = state[f"{head}.weight"]
        state |= {f"{head}.bias": bias, f"{head}.weight": weight}
    larger.load_state_dict(state)
    return larger


def _load(
    dataset: LinesDataset,
    folder: Path,
    geometry: Geometry,
    alphabet: Alphabet,
    on_progress: Callable[[Progress], None],
) -> tuple[LineStore, LineStore]:
    loaded: list[LineStore] = []
    for split in ("train", "val"):
        total = dataset.info.counts["split"].get(split, 0)

        def report(done: int, total: int = total) -> None:
            if done % 256 == 0 or done == total:
                on_progress(Progress(stage="decoding", done=done, total=total))

        lines = open_store(dataset, split, folder, geometry=geometry, alphabet=alphabet, on_line=report)
        if not len(lines):
            left_out = ", ".join(f"{reason} {count}" for reason, count in lines.reasons().items())
            raise DataError(
                f"{dataset.path}: no usable line in split {split!r} ({total} there"
                f"{f'; left out: {left_out}' if left_out else ''}); training needs lines in 'train' and in 'val', "
                "and python -m htr split deals them anew"
            )
        loaded.append(lines)
    return loaded[0], loaded[1]


def _key(dataset: LinesDataset, config: TrainConfig, base: Bundle | None) -> str:
    parts = [dataset.digest, asdict(config), base.digest if base is not None else ""]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
