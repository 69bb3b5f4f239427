"""The one inference path, and the profile rows it makes."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from htr.bundle import Bundle, amend_bundle
from htr.calibration import Calibration
from htr.ctc import best_path
from htr.decoding import LEXICON, NGRAM, Decoding
from htr.errors import BundleError, ImageError
from htr.export import load_net
from htr.image import decode, line_tensor
from htr.lexicon import Lexicon
from htr.likelihood import text_log_prob
from htr.ngram import NGram
from htr.recogniser import Reading, Recogniser
from tests.conftest import line_png

IMAGES = [
    line_png(text, seed=n) for n, text in enumerate(["a", "hello there", "a much longer line of text", "of"])
]


def test_a_reading_does_not_depend_on_what_else_is_asked(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    alone = [recogniser.read([image])[0] for image in IMAGES]
    assert recogniser.read(IMAGES) == alone
    assert recogniser.read(IMAGES[::-1]) == alone[::-1]


@pytest.fixture
def fond_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The untaught bundle with a beam search that asks a language model and a lexicon."""
    texts = ["hello there", "a much longer line of text", "of a line"]
    return amend_bundle(
        Bundle.open(tiny_bundle),
        tmp_path / "fond",
        {NGRAM: NGram.fit(texts).to_bytes(), LEXICON: Lexicon.of_texts(texts).to_bytes()},
        decoding=Decoding(beam=6, ngram_weight=0.5, insertion_bonus=0.8, lexicon_penalty=0.5),
    ).path


def test_a_beam_search_reads_each_line_alone_too_and_leaves_the_profile_alone(
    tiny_bundle: Path, fond_bundle: Path
) -> None:
    recogniser, plain = Recogniser.load(fond_bundle), Recogniser.load(tiny_bundle)
    alone = [Recogniser.load(fond_bundle).read([image])[0] for image in IMAGES]
    assert recogniser.read(IMAGES) == alone
    assert recogniser.read(IMAGES[::-1]) == alone[::-1]
    assert [r.text for r in alone] != [r.text for r in plain.read(IMAGES)]
    for image, tuned, untuned in zip(IMAGES, recogniser.observe(IMAGES), plain.observe(IMAGES), strict=True):
        alike = {"surprise": 0.0, "text_log_prob": 0.0, "beam_margin": 0.0}
        assert replace(tuned.profile, **alike) == replace(untuned.profile, **alike)
        assert (tuned.profile.surprise > 0, untuned.profile.surprise, untuned.profile.beam_margin) == (True, 0, 0)
        read = recogniser.bundle.alphabet.encode(tuned.reading.text)
        assert tuned.reading.log_prob == pytest.approx(text_log_prob(plain.log_probs(decode(image)), read))


def test_a_copy_of_another_decoding_starts_without_the_old_ones_calibration(
    fond_bundle: Path, tmp_path: Path
) -> None:
    fond = Bundle.open(fond_bundle)
    curve = Calibration(slope=-1.0, length_slope=0.5, search_slope=-0.5)
    fitted = amend_bundle(fond, tmp_path / "fitted", {}, calibration=curve)
    (searched,) = Recogniser(fitted).read(IMAGES[:1])
    assert searched.confidence != Recogniser(fond).read(IMAGES[:1])[0].confidence
    plain = amend_bundle(fitted, tmp_path / "plain", {}, decoding=None)
    assert plain.calibration == Calibration()
    assert 0 <= Recogniser(plain).read(IMAGES[:1])[0].confidence <= 1
    assert amend_bundle(fitted, tmp_path / "same", {}, decoding=fitted.decoding).calibration == curve


@pytest.mark.parametrize("kind", ["tiny_bundle", "fond_bundle"])
def test_what_else_is_asked_for_does_not_change_the_reading(kind: str, request: pytest.FixtureRequest) -> None:
    recogniser = Recogniser.load(request.getfixturevalue(kind))
    plain = recogniser.read(IMAGES)
    assert [(r.characters, r.alternatives) for r in plain] == [(None, ())] * len(IMAGES)
    for alternatives in (1, 3, 40):
        full = recogniser.read(IMAGES, characters=True, alternatives=alternatives)
        assert [(r.text, r.confidence, r.log_prob) for r in full] == [
            (r.text, r.confidence, r.log_prob) for r in plain
        ]
        for reading in full:
            texts = [one.text for one in reading.alternatives]
            assert texts[0] == reading.text
            assert len(texts) == len(set(texts)) <= alternatives
            scores = [one.score for one in reading.alternatives[1:]]
            assert scores == sorted(scores, reverse=True)
            assert all(one.log_prob <= 0 for one in reading.alternatives)
    assert max(len(reading.alternatives) for reading in full) > 3


@pytest.mark.parametrize("kind", ["tiny_bundle", "fond_bundle"])
def test_characters_spell_the_text_and_lie_on_the_image(kind: str, request: pytest.FixtureRequest) -> None:
    for image, reading in zip(
        IMAGES, Recogniser.load(request.getfixturevalue(kind)).read(IMAGES, characters=True), strict=True
    ):
        characters = reading.characters or ()
        assert "".join(one.character for one in characters) == reading.text
        edges = [edge for one in characters for edge in (one.left, one.right)]
        assert edges == sorted(edges)
        assert all(0 <= edge <= decode(image).shape[1] for edge in edges)
        assert all(0 <= one.confidence <= 1 for one in characters)


def test_places_are_told_in_pixels_of_the_image_as_sent(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    small = decode(IMAGES[2])
    large = io.BytesIO()
    Image.fromarray(small).resize((small.shape[1] * 3, small.shape[0] * 3), Image.Resampling.NEAREST).save(
        large, "PNG"
    )
    first, second = recogniser.read([IMAGES[2], large.getvalue()], characters=True)
    ends = [max(c.right for c in reading.characters or ()) for reading in (first, second)]
    assert ends[0] > small.shape[1] / 2
    assert ends[1] / ends[0] == pytest.approx(3, rel=0.2)


def test_more_alternatives_than_can_be_kept_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(ValueError, match="alternatives must be within"):
        Recogniser.load(tiny_bundle).read(IMAGES, alternatives=100_000)


def test_threads_read_what_one_reader_reads(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    alone = recogniser.read(IMAGES)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(recogniser.read, [IMAGES] * 8):
            assert answer == alone


def test_onnx_reads_what_torch_reads(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    net, recogniser = load_net(bundle), Recogniser(bundle)
    for image in IMAGES:
        tensor = torch.from_numpy(line_tensor(decode(image), bundle.geometry)[None])
        with torch.no_grad():
            log_probs_TK = net(tensor)[0].numpy()
        path = best_path(log_probs_TK)
        (reading,) = recogniser.read([image])
        assert reading.text == " ".join(bundle.alphabet.decode(path.class_ids).split())
        assert reading.log_prob == pytest.approx(text_log_prob(log_probs_TK, path.class_ids), abs=1e-2)


def test_a_bad_image_is_an_image_error(tiny_bundle: Path) -> None:
    with pytest.raises(ImageError, match="not an image"):
        Recogniser.load(tiny_bundle).read([b"nonsense"])


def test_a_graph_that_is_no_graph_is_a_bundle_error(tiny_bundle: Path, tmp_path: Path) -> None:
    from htr.bundle import ONNX

    broken = amend_bundle(Bundle.open(tiny_bundle), tmp_path / "b", {ONNX: b"not a graph"})
    with pytest.raises(BundleError, match="cannot be loaded"):
        Recogniser(broken)


def test_a_confidence_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Reading(text="a", confidence=1.5)
