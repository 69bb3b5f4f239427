"""The search pipeline: what it compiles to, and the command in front of it."""

from pathlib import Path

import pytest
import yaml

from pipelines.__main__ import main, parameters
from pipelines.local import pipeline_named

pytestmark = pytest.mark.untraced


def test_the_search_compiles_to_a_loop_over_the_planned_trials_that_is_collected(tmp_path: Path) -> None:
    out = tmp_path / "search.yaml"
    assert main(["compile", "--pipeline", "search", "--out", str(out)]) == 0
    spec = next(iter(yaml.safe_load_all(out.read_text())))
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    ((name, loop),) = [(name, task) for name, task in tasks.items() if "parameterIterator" in task]
    assert loop["inputs"]["parameters"][loop["parameterIterator"]["items"]["inputParameter"]] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "plan"}
    }
    assert loop["iteratorPolicy"] == {"parallelismLimit": 4}
    assert tasks["collect"]["dependentTasks"] == [name, "plan"]
    assert tasks["collect"]["inputs"]["parameters"]["results"]["taskOutputParameter"]["producerTask"] == name
    here = pipeline_named("search").pipeline_spec.root.output_definitions  # not out of an exit handler
    assert set(here.artifacts) == {"best", "table", "page"}


def test_parameters_are_those_of_the_pipeline_that_is_named() -> None:
    pairs = ["lines=/data", "trials=8", 'settings={"model": {"height": 48}}']
    assert parameters(pairs, "search") == {"lines": "/data", "trials": 8, "settings": {"model": {"height": 48}}}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lines", "{tmp}", "--pruned"], "not a lines dataset"),
        (["--lines", "{tmp}", "--config", "{tmp}/absent.json"], "absent.json"),
        (["--lines", "{tmp}", "--pruned", "--trials", "0"], "trials must be within"),
    ],
)
def test_a_mistake_ends_in_one_message(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "--root", str(tmp_path / "root"), *(word.format(tmp=tmp_path) for word in words)]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert told in message
