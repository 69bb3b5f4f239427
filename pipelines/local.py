"""The DAG on one machine, by kfp.local: every step a process of its own, artifacts as plain files.

ROOT/kfp/           artifacts of every step of every run
ROOT/mlflow.db      MLflow's database, unless another one is named; ROOT/mlartifacts beside it
ROOT/checkpoints/   what a killed training resumes from
ROOT/logs/          everything that the steps printed
"""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.progress import ERROR_MARK, MARK
from components.report.tell import Ending, tell
from htr.errors import QuillflowError, ServiceError, SettingsError
from pipelines.children import PROJECT, run_module

if TYPE_CHECKING:
    from kfp.dsl.graph_component import GraphComponent


class PipelineError(QuillflowError):
    """A step of the pipeline failed; the text says which and why."""


def default_tracking_uri(root: Path) -> str:
    """Return the address of the embedded MLflow database below a root folder."""
    return f"sqlite:///{root.resolve() / 'mlflow.db'}"


def pipeline_named(name: str) -> "GraphComponent":
    """Return the DAG of that name, ``training`` or ``search``.

    Raises:
        SettingsError: there is none.
    """
    if name == "training":
        from pipelines.training import training

        return training
    if name == "search":
        from pipelines.search import search

        return search
    raise SettingsError(f"no pipeline is called {name!r}; known: training, search")


def run_in_process(arguments: Mapping[str, Any], root: Path, *, pipeline: str = "training") -> dict[str, Any]:
    """Run a DAG with kfp.local in this process; return what it came to, artifacts as paths."""
    from kfp import dsl, local

    dag = pipeline_named(pipeline)
    steps_path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), steps_path]))
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(root.resolve() / "kfp"), raise_on_error=True
    )
    task = dag(**arguments)
    return {name: value.path if isinstance(value, dsl.Artifact) else value for name, value in task.outputs.items()}


def run_shown(
    arguments: Mapping[str, Any],
    root: Path,
    *,
    show: Callable[[str], None],
    name: str = "pipeline",
    pipeline: str = "training",
) -> dict[str, Any]:
    """Run a DAG in a child process, show its progress lines, keep everything else in a log file.

    Args:
        arguments: pipeline parameters.
        root: where everything goes; see above.
        show: called with every progress line.
        name: of the log file and of the result file.
        pipeline: which DAG.

    Returns:
        What the run came to, as `run_in_process` does; it is also in ROOT/NAME.json.

    Raises:
        PipelineError: a step failed.
    """
    root = root.resolve()  # the child runs elsewhere
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    log = root / "logs" / f"{name}-{stamp}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    result = root / f"{name}.json"
    command = ["pipelines", "run", "--in-process", "--root", str(root), "--result", str(result)]
    command += ["--pipeline", pipeline]
    for key, value in arguments.items():
        command += ["-p", f"{key}={json.dumps(value) if isinstance(value, dict) else value}"]
    errors: list[str] = []
    with log.open("w", encoding="utf-8") as out:

        def on_line(line: str) -> None:
            out.write(line)
            text = line.strip()
            if text.startswith(MARK):
                show(text.removeprefix(MARK))
            elif text.startswith(ERROR_MARK) and text.removeprefix(ERROR_MARK) not in errors:
                errors.append(text.removeprefix(ERROR_MARK))  # once, however often the step was retried

        code = run_module(command, on_line, stop=signal.SIGKILL)
    if code != 0:
        reason = "\n".join(errors) or f"a step failed for a reason of its own (exit {code})"
        raise PipelineError(f"{reason}\n(full log: {log})")
    outcome: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if outcome.get("promoted"):
        point(root / "champion", outcome["evaluated"])
    return outcome


@contextmanager
def end_told(governor: str, root: Path, *, pipeline: str, show: Callable[[str], None]) -> Iterator[None]:
    """Tell the governor how a run on this machine ended, as the exit step does on a cluster.

    Args:
        governor: its address; "" takes QUILLFLOW_GOVERNOR from the environment, and without that nobody is told.
        root: of the run; its name and the time name the run.
        pipeline: which DAG.
        show: told where the governor could not be.
    """
    created = datetime.now(UTC)
    ending = Ending(
        pipeline=f"quillflow-{pipeline}",
        run_id=f"{root.resolve().name}-{created:%Y%m%d-%H%M%S}",
        state="SUCCEEDED",
    )
    try:
        yield
    except BaseException as error:
        state = "CANCELED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        _tell(replace(ending, state=state, said=str(error)), governor, show)
        raise
    _tell(ending, governor, show)


def _tell(ending: Ending, governor: str, show: Callable[[str], None]) -> None:
    if not governor and not os.environ.get("QUILLFLOW_GOVERNOR"):
        return
    try:
        show(f"report: {tell(ending, governor=governor)}")
    except ServiceError as error:  # what ended the run is what must be seen
        show(f"report: {error}")


def point(link: Path, target: str) -> None:
    """Make a symbolic link point to a target, at once for whoever looks; relative, so that it can be copied."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent) if Path(target).is_absolute() else target)
    fresh.replace(link)
