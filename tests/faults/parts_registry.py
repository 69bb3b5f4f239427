"""The parts that write to MLflow: a version is registered, an alias moves. Slower than the others, and fewer.

Whatever opens the database does so in a process that is forked for it: connections must not be shared.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from components import tracking
from components.promote.aliases import move_champion
from components.register.publish import publish
from htr.lines import Line, LinesWriter
from pipelines.fsck_registry import check_registry
from tests.faults.killing import run
from tests.faults.parts import Part, picture

MODEL = "quillflow"
DECISION = {"format_version": 1, "promote": True, "rule": "first", "reason": "no champion yet", "checks": []}


def registry_parts(bundle: Path, template: Path) -> list[Part]:
    """Return the parts that write to MLflow.

    Args:
        bundle: what is registered.
        template: folder for a registry with two versions, of which every round gets a copy.
    """
    made = in_a_process(lambda: _make(template, bundle))
    assert made == [], made

    def prepare(folder: Path) -> None:
        for name in ("mlflow.db", "run.txt"):
            shutil.copy(template / name, folder / name)

    return [
        Part(name="alias", act=move_alias, judge=judge_alias, prepare=prepare),
        Part(name="register", act=registering(bundle, template), judge=judge_registered, prepare=prepare),
    ]


def _make(template: Path, bundle: Path) -> Iterator[str]:
    """Make a registry of two versions, the first of them champion, and a run that is to register a third."""
    uri = f"sqlite:///{template / 'mlflow.db'}"
    image = picture(1)
    with LinesWriter(template / "lines") as writer:
        values = {"writer": "w", "page": "p", "language": "eng", "source": "s", "split": "test"}
        writer.add(Line(id="one", image=image, text="line", width=120, height=24, **values))
    for _ in range(2):
        run_id = _begin(uri)
        version = _publish(bundle, template, uri, run_id)
        if version == "1":
            move_champion("1", "", model_name=MODEL, tracking_uri=uri)
    (template / "run.txt").write_text(_begin(uri))
    yield from ()


def _begin(uri: str) -> str:
    with tracking.service(uri), tracking.tracked_run() as run_id:
        return run_id


def _publish(bundle: Path, template: Path, uri: str, run_id: str) -> str:
    files = {}
    for name in ("report.json", "report.html", "validation.html", "decision.json"):
        files[name] = template / name
        files[name].write_text(json.dumps(DECISION) if name == "decision.json" else name)
    return publish(bundle, template / "lines", run_id=run_id, model_name=MODEL, tracking_uri=uri, files=files)


def move_alias(folder: Path, promise: Callable[[str], None]) -> None:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    move_champion("2", "1", model_name=MODEL, tracking_uri=uri)
    promise("moved")


def judge_alias(folder: Path, promised: list[str]) -> Iterator[str]:
    yield from in_a_process(lambda: _judge_alias(folder))


def _judge_alias(folder: Path) -> Iterator[str]:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with tracking.service(uri) as client:
        aliases = {alias: str(v) for alias, v in client.get_registered_model(MODEL).aliases.items()}
    if (aliases.get("champion"), aliases.get("previous")) != ("2", "1"):
        yield f"aliases are {aliases}"
    yield from (one.said for one in check_registry(uri))


def registering(bundle: Path, template: Path) -> Callable[[Path, Callable[[str], None]], None]:
    def register(folder: Path, promise: Callable[[str], None]) -> None:
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        promise(_publish(bundle, template, uri, (folder / "run.txt").read_text()))

    return register


def judge_registered(folder: Path, promised: list[str]) -> Iterator[str]:
    yield from in_a_process(lambda: _judge_registered(folder, promised))


def _judge_registered(folder: Path, promised: list[str]) -> Iterator[str]:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with tracking.service(uri) as client:
        of_run = [
            str(one.version)
            for one in client.search_model_versions(f"name = '{MODEL}'")
            if one.run_id == (folder / "run.txt").read_text()
        ]
        aliases = {alias: str(v) for alias, v in client.get_registered_model(MODEL).aliases.items()}
    if len(of_run) != 1:
        yield f"the run registered versions {of_run}"
    if set(promised) - set(of_run):
        yield f"promised {promised}, registered {of_run}"
    if aliases.get("challenger") not in of_run:
        yield f"challenger is {aliases.get('challenger')}"
    yield from (one.said for one in check_registry(uri))


def in_a_process(tell: Callable[[], Iterator[str]]) -> list[str]:
    """Return what a function tells in a process of its own."""

    def act(_: Path, promise: Callable[[str], None]) -> None:
        for one in tell():
            promise(one.replace("\n", " "))

    ended = run(act, Path("/nowhere"))
    return [*ended.promised, *filter(None, [ended.error])]
