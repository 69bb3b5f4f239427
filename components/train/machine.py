"""One machine's part of a training that the train step has ordered: lines from the store, a bundle into it.

All machines run the same command, started by torchrun; the first publishes. Checkpoints go to a folder that all of
them see, and to the store, so that a job whose pods come and go goes on. Who finds the result there has nothing
to do.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from components.train.order import Order, Result, read_result, write_result
from htr.bundle import Bundle
from htr.settings import training_config
from htr.signing import sign_if_asked
from htr.train import Progress, train
from htr.versions import Lineage, find_version, open_lines, open_store

NAME = "trained"
"""What the newest bundle of such a training goes by in the store. Registered ones have the model's name."""


def train_ordered(order: Order, work: Path, *, say: Callable[[str], None]) -> None:
    """Train as ordered.

    Args:
        order: what.
        work: folder for checkpoints that all machines see.
        say: told how it goes.

    Raises:
        SettingsError: an unknown or impossible setting.
        DataError: the store has no such lines or base, or no line is usable.
        StoreError: the store is away or refuses.
        PreemptedError: SIGTERM came while it learnt; the same call goes on.
    """
    store = open_store()
    if read_result(store.uri, order.key) is not None:
        say(f"{order.key}: trained already")
        return
    config = training_config(order.settings)
    epochs: dict[int, dict[str, float]] = {}

    def on_progress(progress: Progress) -> None:
        if progress.metrics:
            epochs[progress.epoch] = {"epoch": progress.epoch, **progress.metrics}
            say(f"epoch {progress.epoch + 1}, validation CER {progress.metrics['val_cer']:.1%}")

    with tempfile.TemporaryDirectory() as folder:
        base = None
        if order.base:
            there, version = find_version(order.base, "bundle")
            base = Bundle.open(there.fetch("bundle", version.digest, Path(folder) / "base"))
        result = train(
            open_lines(order.lines),
            Path(folder) / "bundle",
            config,
            work=work / order.key,
            base=base,
            git_commit=order.git_commit,
            checkpoints=store.uri,
            on_progress=on_progress,
        )
        if result is None:  # the first machine tells
            return
        sign_if_asked(result.bundle.path)
        made = store.publish("bundle", NAME, result.bundle.path, Lineage(commit=order.git_commit))
        say(f"published {made.uri}")
        write_result(
            store.uri,
            order.key,
            Result(
                bundle=made.uri,
                curves=[epochs[number] for number in sorted(epochs)],
                epochs=result.epochs,
                validation_cer=result.validation_cer,
                lines=result.lines,
                resumed_at_epoch=result.resumed_at_epoch,
                loader_share=result.loader_share,
                train_ids=result.train_ids,
                excluded=result.excluded,
            ),
        )
