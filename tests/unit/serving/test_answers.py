import json
from typing import Any

import pytest

from htr.alignment import Character
from htr.profile import EMBEDDING_SIZE, FEATURES, Profile
from htr.recogniser import Alternative, Observation, Reading
from htr.verdicts import Verdict
from serving.answers import check_outputs, v1_answer, v2_outputs
from serving.limits import Limits
from serving.refusals import ImageRefusedError, RequestError
from serving.stamp import Stamp, choose_request_id
from serving.wanted import NAMED_ALTERNATIVES, Wanted

STAMP = Stamp(model_version="7", request_id="r", bundle_digest="sha256:0")
CHARACTER = Character(character="Ł", left=0.0, right=9.5, confidence=0.75)
ALTERNATIVE = Alternative(text="Łódź", log_prob=-0.5, score=-0.25)
DAMAGED = ImageRefusedError("image is damaged", instance=1, verdict=Verdict.UNDECODABLE)


def observed(text: str, confidence: float, *verdicts: Verdict, **more: Any) -> Observation:
    measured = Profile(**dict.fromkeys(FEATURES, 0.5), embedding=(0.5,) * EMBEDDING_SIZE)
    reading = Reading(text=text, confidence=confidence, **more)
    return Observation(reading=reading, profile=measured, verdicts=verdicts or (Verdict.OK,))


def columns(*outcomes: Observation | ImageRefusedError, **wanted: Any) -> dict[str, list[Any]]:
    return {output.name: output.data for output in v2_outputs(outcomes, Wanted(**wanted))}


def test_answers_carry_text_confidence_verdicts_and_origin() -> None:
    outcomes = [observed("Łódź", 0.5), observed("", 1.0, Verdict.BLANK, Verdict.ROTATED_AND_FIXED)]
    assert v1_answer(outcomes, STAMP, Wanted()) == {
        "predictions": [
            {"text": "Łódź", "confidence": 0.5, "verdicts": ["ok"]},
            {"text": "", "confidence": 1.0, "verdicts": ["blank", "rotated_and_fixed"]},
        ],
        "model_version": "7",
        "request_id": "r",
        "bundle_digest": "sha256:0",
    }
    text, confidence, verdicts = v2_outputs(outcomes, Wanted())
    assert (text.name, text.datatype, text.shape, text.data) == ("text", "BYTES", [2], ["Łódź", ""])
    assert (confidence.name, confidence.datatype, confidence.data) == ("confidence", "FP32", [0.5, 1.0])
    assert (verdicts.datatype, verdicts.data) == ("BYTES", ["ok", "blank,rotated_and_fixed"])


def test_more_is_there_where_it_was_asked_for() -> None:
    full = observed("Ł", 0.5, characters=(CHARACTER,), alternatives=(ALTERNATIVE,))
    (prediction,) = v1_answer([full], STAMP, Wanted(characters=True, alternatives=2))["predictions"]
    place = {"character": "Ł", "left": 0.0, "right": 9.5, "confidence": 0.75}
    other = {"text": "Łódź", "log_prob": -0.5, "score": -0.25}
    assert (prediction["characters"], prediction["alternatives"]) == ([place], [other])
    found = columns(full, characters=True, alternatives=2)
    assert [json.loads(text) for text in found["characters"]] == [[place]]
    assert [json.loads(text) for text in found["alternatives"]] == [[other]]
    assert set(columns(full, alternatives=1)) == {"text", "confidence", "verdicts", "alternatives"}


def test_a_partial_answer_has_a_reason_in_the_place_of_a_reading() -> None:
    predictions = v1_answer([observed("a", 0.5), DAMAGED], STAMP, Wanted(partial=True))["predictions"]
    assert "error" not in predictions[0]
    assert predictions[1] == {
        "text": "", "confidence": 0.0, "verdicts": ["undecodable"], "error": "instance 1: image is damaged"
    }  # fmt: skip
    found = columns(observed("a", 0.5), DAMAGED, partial=True, characters=True)
    assert found["error"] == ["", "instance 1: image is damaged"]
    assert found["characters"][1] == "[]"


def test_only_outputs_that_exist_can_be_asked_for() -> None:
    check_outputs([])
    check_outputs(["confidence", "characters"])
    with pytest.raises(RequestError, match=r"no \['boxes'\]"):
        check_outputs(["text", "boxes"])


def test_naming_an_output_asks_for_it() -> None:
    assert Wanted().named(["text", "characters"]) == Wanted(characters=True)
    assert Wanted().named(["alternatives"]).alternatives == NAMED_ALTERNATIVES
    assert Wanted(alternatives=2).named(["alternatives", "error"]) == Wanted(alternatives=2, partial=True)


def test_parameters_are_off_by_default_and_others_are_let_be() -> None:
    for parameters in (None, {}, {"priority": 3, "binary_data_output": False}):
        assert Wanted.parse(parameters, Limits()) == Wanted()
    wanted = Wanted.parse({"characters": True, "alternatives": 3.0, "partial": True}, Limits())
    assert wanted == Wanted(characters=True, alternatives=3, partial=True)


@pytest.mark.parametrize(
    "parameters",
    [
        [],
        "characters",
        {"characters": 1},
        {"characters": "true"},
        {"characters": None},
        {"partial": "yes"},
        {"alternatives": True},
        {"alternatives": "3"},
        {"alternatives": -1},
        {"alternatives": 21},
        {"alternatives": 1.5},
        {"alternatives": float("nan")},
        {"alternatives": float("inf")},
    ],
)
def test_an_impossible_parameter_is_refused_by_name(parameters: object) -> None:
    name = next(iter(parameters)) if isinstance(parameters, dict) else ""
    with pytest.raises(RequestError, match=f"parameters.*{name}") as refused:
        Wanted.parse(parameters, Limits())
    assert refused.value.status == 400


def test_the_first_sane_request_id_is_kept_and_others_are_replaced() -> None:
    assert choose_request_id(None, "a-1", "b") == "a-1"
    assert choose_request_id("line\nbreak", "", "x" * 129, "ok") == "ok"
    fresh = choose_request_id("<script>")
    assert len(fresh) == 36
    assert fresh != choose_request_id("<script>")
