"""What decoding is worth: best path beside beam search, with a language model, with a lexicon.

    python benchmarks/decoding.py BUNDLE LINES [--split test] [--max-lines N] [--tune-lines N] [--beam 12]

Language model and lexicon come from the train texts, the weights from the bundle, where it is tuned, or else from
val lines in this run; the lexicon's penalty is searched on val lines. Then the network runs once over the split
asked for, and every decoder on the same scores. Times are those of decoding alone, in processor time on one
thread; compare ratios, where the machine's mood cancels out.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.alphabet import Alphabet, normalise
from htr.beam import BeamSearch
from htr.ctc import Scores, best_path
from htr.decoding import Decoding
from htr.lexicon import Lexicon
from htr.lines import SPLITS, LinesDataset
from htr.metrics import ErrorCounts, bootstrap_ratio, count_errors, paired_bootstrap
from htr.ngram import NGram
from htr.pretrained import resolve
from htr.recogniser import Recogniser
from htr.tuning import START, ScoredLine, scored_lines, search_weights

Decoder = Callable[[Scores], tuple[int, ...]]


def main() -> None:
    """Print the orders of the language model, then one row a decoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="folder of a bundle; pretrained: the one that ships")
    parser.add_argument("lines", type=Path)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--max-lines", type=int, default=100_000, help="lines of the split")
    parser.add_argument("--tune-lines", type=int, default=300, help="val lines that weights are searched on")
    parser.add_argument("--beam", type=int, default=Decoding().beam)
    parser.add_argument("--orders", action="store_true", help="also measure language models of other orders")
    args = parser.parse_args()
    recogniser, dataset = Recogniser.load(resolve(args.bundle)), LinesDataset.open(args.lines)
    alphabet = recogniser.bundle.alphabet
    texts = [alphabet.visual(text) for text in dataset.texts("train")]  # as the network goes along the line
    if args.orders:
        print_orders(texts, [alphabet.visual(text) for text in dataset.texts("val")])
    ngram, lexicon = NGram.fit(texts), Lexicon.of_texts(texts)
    val = list(scored_lines(recogniser, dataset, "val", max_lines=args.tune_lines))
    started = time.process_time()
    lines = list(scored_lines(recogniser, dataset, args.split, max_lines=args.max_lines))
    network_ms = (time.process_time() - started) / len(lines) * 1e3
    tuned = recogniser.bundle.decoding
    if tuned is None or not tuned.ngram_weight:
        tuned, _ = search_weights(val, alphabet, ngram, None, start=START)
    with_ngram = replace(tuned, beam=args.beam, lexicon_penalty=0.0)
    with_both, _ = search_weights(val, alphabet, ngram, lexicon, start=with_ngram, names=["lexicon_penalty"])
    with_words = replace(Decoding(beam=args.beam), lexicon_penalty=with_both.lexicon_penalty or 1.0)
    decoders: dict[str, Decoder] = {"best path": lambda scores: tuple(best_path(scores).class_ids)}
    for name, decoding in [
        (f"beam {args.beam}", Decoding(beam=args.beam)),
        ("beam + lexicon", with_words),
        ("beam + n-gram", with_ngram),
        ("beam 4 + n-gram", replace(with_ngram, beam=4)),
        ("beam + n-gram + lexicon", with_both),
    ]:
        decoders[name] = searcher(BeamSearch(alphabet, decoding, ngram=ngram, lexicon=lexicon))
    print(f"{args.bundle}: {len(lines)} lines of split {args.split!r}; {len(val)} val lines to search on")
    print(f"n-gram weight {with_ngram.ngram_weight}, bonus {with_ngram.insertion_bonus}", end="; ")
    print(f"lexicon of {len(lexicon)} words, penalty {with_both.lexicon_penalty} beside the n-gram")
    print(f"image and network: {network_ms:.1f} ms a line\n")
    print_table(lines, alphabet, decoders)


def searcher(search: BeamSearch) -> Decoder:
    """Return a function from scores to the class ids of the best text."""
    return lambda scores: search.search(scores)[0].class_ids


def print_orders(train: list[str], val: list[str]) -> None:
    """Print what each order costs and how well it predicts the val texts."""
    print("order  n-grams  file, KB  bits a character of the val texts")
    for order in range(3, 9):
        model = NGram.fit(train, order=order)
        size = len(model.to_bytes()) / 1e3
        print(f"{order:5}  {len(model):7}  {size:8.0f}  {model.bits_per_character(val):.3f}", flush=True)
    print()


def print_table(lines: list[ScoredLine], alphabet: Alphabet, decoders: dict[str, Decoder]) -> None:
    """Print error rates with 95 % bootstrap intervals over lines, times, and both as ratios to the first row."""
    print(" " * 26 + "CER         interval  ratio    less by (paired)  exact     ms  times")
    first_edits: list[int] = []
    first_cer, first_ms = 1.0, 1.0
    for name, decode in decoders.items():
        decode(lines[0].log_probs_TK)
        started = time.process_time()
        readings = [normalise(alphabet.decode(decode(line.log_probs_TK))) for line in lines]
        ms = (time.process_time() - started) / len(lines) * 1e3
        counts = [count_errors(line.truth, text) for line, text in zip(lines, readings, strict=True)]
        total = sum(counts, ErrorCounts())
        edits, lengths = [c.edits for c in counts], [c.characters for c in counts]
        low, high = bootstrap_ratio(edits, lengths)
        if not first_edits:
            first_edits, first_cer, first_ms = edits, total.cer, ms
        _, least, most = paired_bootstrap(first_edits, edits, lengths)
        print(
            f"{name:24} {total.cer:6.2%} [{low:6.2%},{high:6.2%}] {total.cer / first_cer:6.2f} "
            f"[{least:6.2%}, {most:6.2%}] {total.exact_match:6.1%} {ms:6.2f} {ms / first_ms:6.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
