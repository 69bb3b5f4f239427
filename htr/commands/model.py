"""The commands that make a model and measure it: train, evaluate, calibrate, tune."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from htr.bundle import ERROR_MODEL, REFERENCE, Bundle, amend_bundle, refuse_what_is_there
from htr.decoding import MAX_BEAM, Decoding
from htr.errors import DataError, OutputError, SettingsError
from htr.lines import SPLITS
from htr.pretrained import resolve
from htr.recogniser import Recogniser
from htr.versions import open_lines

Say = Callable[[str], None]


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the parsers; each sets ``handler(args, say) -> exit status``."""
    verb = verbs.add_parser("train", help="train a model on a lines dataset")
    verb.add_argument("lines", help="lines dataset, or the address of one")
    verb.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    verb.add_argument("--base", help="bundle to start from; pretrained: the one that ships")
    verb.add_argument("--config", type=Path, help="training settings, JSON: such as the best.json of a search")
    verb.add_argument("--max-lines", type=int, help="lines shown; default: as in --config, or 20,000")
    verb.add_argument("--seed", type=int, help="default: as in --config, or 1")
    verb.add_argument("--model", help="shape of the network: fast (the default), strong, gru or attention")
    verb.add_argument("--devices", type=int, help="GPUs, or processes on a processor; default: 1")
    verb.add_argument("--machines", type=int, help="with more than one, start it on each by torchrun; default: 1")
    verb.add_argument("--precision", help="32, bf16, or auto, the default: bf16 where it is a gain")
    verb.add_argument("--work", type=Path, help="folder for checkpoints; default: OUT.checkpoints")
    verb.add_argument(
        "--checkpoints",
        default="",
        metavar="STORE",
        help="s3://BUCKET/PREFIX or a folder that keeps a copy of the checkpoint, for machines that come and go",
    )
    verb.set_defaults(handler=_train)

    verb = verbs.add_parser("evaluate", help="measure a model on a lines dataset")
    verb.add_argument("lines", help="lines dataset, or the address of one")
    verb.add_argument("--bundle", type=Path, required=True)
    verb.add_argument("--split", default="test", choices=SPLITS)
    verb.add_argument("--out", type=Path, help="file for the report, JSON")
    verb.set_defaults(handler=_evaluate)

    verb = verbs.add_parser("tune", help="give a model a language model and beam search, weighted on split val")
    verb.add_argument("lines", help="lines dataset, or the address of one, as for training")
    verb.add_argument("--bundle", type=Path, required=True)
    verb.add_argument("--out", type=Path, required=True, help="folder for the tuned bundle")
    verb.add_argument("--order", type=int, default=6, choices=range(2, 11), help="characters of an n-gram")
    verb.add_argument("--beam", type=int, default=12, help="prefixes kept at every step")
    verb.add_argument("--lexicon", action="store_true", help="also penalise words that no training text holds")
    verb.add_argument("--max-lines", type=int, default=500, help="val lines to tune by")
    verb.set_defaults(handler=_tune)

    verb = verbs.add_parser(
        "calibrate",
        help="fit confidence, 8-bit certificate, drift reference and error estimate on lines not trained on",
    )
    verb.add_argument("lines", help="lines dataset, or the address of one")
    verb.add_argument("--bundle", type=Path, required=True)
    verb.add_argument("--split", default="val", choices=SPLITS, help="lines to fit on; default: val")
    verb.add_argument(
        "--spoilt",
        type=int,
        default=2400,
        metavar="N",
        help="spoilt lines to fit the estimate of errors on; 0: none",
    )
    verb.add_argument("--out", type=Path, required=True, help="folder for the calibrated bundle")
    verb.set_defaults(handler=_calibrate)


def _train(args: argparse.Namespace, say: Say) -> int:
    from htr.settings import training_config
    from htr.train import Progress, train

    settings = _train_settings(args)
    config = training_config(settings)
    base = Bundle.open(resolve(args.base)) if args.base else None
    if base is not None:
        _refuse_other_shape(settings, base)
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.stage == "training" and (progress.metrics or now - last > 5):
            last = now
            left = (progress.total - progress.done) / progress.rate if progress.rate else 0
            cer = f", validation CER {progress.metrics['val_cer']:.1%}" if progress.metrics else ""
            rate = f"{progress.rate:.0f} lines/s, {left:.0f} s left"
            sys.stderr.write(f"{progress.done:,} of {progress.total:,} lines, {rate}{cer}\n")

    result = train(
        open_lines(args.lines),
        args.out,
        config,
        work=args.work or args.out.with_name(args.out.name + ".checkpoints"),
        base=base,
        checkpoints=args.checkpoints,
        on_progress=show,
    )
    if result is None:  # one of several processes: the first one tells
        return 0
    say(f"wrote {args.out}: validation CER {result.validation_cer:.1%} after {result.epochs} epochs")
    say(f"lines: {result.lines}; making batches took {result.loader_share:.1%} of the time")
    return 0


def _train_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of --config and the flags; --model gives what the file's ``model`` leaves open.

    Raises:
        SettingsError: --config cannot be read; --model is unknown, or meets --base.
    """
    from htr.model import PRESETS
    from htr.settings import read_settings

    settings = read_settings(args.config) if args.config else {}
    for name in ("max_lines", "seed", "devices", "machines", "precision"):
        if (value := getattr(args, name)) is not None:
            settings[name] = value
    if args.model is not None:
        if args.model not in PRESETS:
            raise SettingsError(f"--model {args.model}: unknown; choose one of {', '.join(PRESETS)}")
        if args.base:
            raise SettingsError(
                f"--model {args.model}: the network is that of --base {args.base}; leave out --model"
            )
        given = settings.get("model", {})
        if isinstance(given, dict):  # else it is told of with the other settings
            settings["model"] = {**PRESETS[args.model].to_dict(), **given}
    return settings


def _refuse_other_shape(settings: dict[str, Any], base: Bundle) -> None:
    """Refuse what a file says of the network and a base's network never becomes.

    Raises:
        SettingsError: the file names something that does not apply to a base's network, and is not so already.
    """
    from htr.model import ModelConfig
    from htr.settings import training_config

    wanted, there = training_config(settings).model, ModelConfig.from_dict(base.architecture)
    other = [
        f"model.{name}"
        for name in sorted(settings.get("model", {}))
        if name not in {"dropout", "residual"} and getattr(wanted, name) != getattr(there, name)
    ]
    if other:
        raise SettingsError(
            f"{', '.join(other)} cannot be chosen with --base, whose network is otherwise; of its settings "
            "model.dropout and model.residual apply"
        )


def _evaluate(args: argparse.Namespace, say: Say) -> int:
    from htr.confidence_figures import confidence_figures
    from htr.evaluate import evaluate, rates, rates_by
    from htr.report import build_report

    found = evaluate(Recogniser.load(resolve(args.bundle)), open_lines(args.lines), [args.split])
    if not found.lines:
        raise DataError(f"{args.lines}: no line in split {args.split!r}; choose another --split")
    for name, group in [("all", rates(found.lines)), *rates_by(found.lines, "source").items()]:
        low, high = group.cer_interval
        say(
            f"{name}: {group.lines} lines, CER {group.cer:.1%} [{low:.1%}, {high:.1%}], "
            f"in graphemes {group.grapheme_cer:.1%}, WER {group.wer:.1%}, exact {group.exact_match:.1%}"
        )
    trust = confidence_figures(found.lines)
    say(
        f"confidence: expected calibration error {trust.error.ece:.1%} (by chance {trust.error.by_chance:.1%}); "
        f"check {trust.checked_share:.1%} of the lines for {trust.target_cer:.0%} CER in the rest"
    )
    if args.out:
        try:
            text = json.dumps(build_report(found, None), ensure_ascii=False)
            args.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{args.out}: cannot be written ({error.strerror}); choose another --out") from error
    return 0


def _calibrate(args: argparse.Namespace, say: Say) -> int:
    from htr.confidence_figures import confidence_figures
    from htr.error_fit import fit_error_model
    from htr.evaluate import calibrate, evaluate, profile_bytes, recalibrated
    from htr.parity import certify

    if args.spoilt < 0:
        raise SettingsError(f"--spoilt must be 0 or more, got {args.spoilt}")
    refuse_what_is_there(args.out)
    lines = open_lines(args.lines)
    bundle = certify(Bundle.open(resolve(args.bundle)), lines, split=args.split)
    recogniser = Recogniser(bundle)
    found = evaluate(recogniser, lines, [args.split])
    readable = [line for line in found.lines if line.profile is not None]
    if not readable:
        raise DataError(f"{args.lines}: no readable line in split {args.split!r}; choose another --split")
    calibration = calibrate(readable)
    errors = fit_error_model(recogniser, lines, readable, num_spoilt=args.spoilt) if args.spoilt else None
    files: dict[str, Path | bytes] = {REFERENCE: profile_bytes(readable)}
    if errors:
        files[ERROR_MODEL] = errors.to_bytes()
    amend_bundle(bundle, args.out, files, calibration=calibration)
    before, after = (confidence_figures(e.lines).error for e in (found, recalibrated(found, calibration)))
    say(f"wrote {args.out}: confidence fitted on {len(readable):,} lines of split {args.split!r}")
    say(f"expected calibration error on these lines: {before.ece:.1%} before, {after.ece:.1%} after")
    if errors:
        off = sum(abs(case.estimated - case.measured) for case in errors.cases) / max(1, len(errors.cases))
        say(f"error rates of {len(errors.cases)} kinds of lines left out are estimated {off:.1%} off on average")
    parity = bundle.parity
    if parity.lines:
        used = "reads with 8 bits" if parity.trusted else "reads with 32 bits"
        say(f"CER with 32 bits {parity.cer_fp32:.2%}, with 8 bits {parity.cer_int8:.2%}: {used}")
    return 0


def _tune(args: argparse.Namespace, say: Say) -> int:
    from htr.tuning import tune

    if not 1 <= args.beam <= MAX_BEAM or args.max_lines < 1:
        raise SettingsError(f"--beam must be within 1..{MAX_BEAM} and --max-lines at least 1")

    def show(decoding: Decoding, cer: float) -> None:
        weights = f"weight {decoding.ngram_weight:.2f}, bonus {decoding.insertion_bonus:.2f}"
        sys.stderr.write(f"{weights}, lexicon penalty {decoding.lexicon_penalty:.2f}: CER {cer:.2%}\n")

    tuned = tune(
        Bundle.open(resolve(args.bundle)),
        open_lines(args.lines),
        args.out,
        order=args.order,
        beam=args.beam,
        with_lexicon=args.lexicon,
        max_lines=args.max_lines,
        on_try=show,
    )
    kept = tuned.bundle.decoding
    say(f"wrote {args.out}: {kept.to_dict() if kept else 'best path, which no other decoding bettered'}")
    say(f"CER on {tuned.lines} val lines: {tuned.best_path_cer:.2%} by best path, {tuned.cer:.2%} tuned")
    return 0
