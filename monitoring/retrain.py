"""The retrain guard: a drift verdict and corrected lines in, at most one pipeline run for them out.

`monitoring.policy` decides; the guard writes the decision down, keeps others out while a training runs, and starts
it through a launcher: the pipeline on this machine, or Kubeflow Pipelines.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from htr.errors import ServiceError, SettingsError
from monitoring.decisions import Decision, DecisionLog
from monitoring.policy import Request, choose, remarks


class Launcher(Protocol):
    """Starts the training pipeline."""

    @property
    def ends_as(self) -> Literal["done", "submitted"]:
        """What it means when ``start`` returns: the run ended well, or a cluster accepted it."""

    def start(self, arguments: Mapping[str, str]) -> str:
        """Start a run and return its id; raise ServiceError when it did not start or did not succeed."""


class RetrainGuard:
    """Decides, writes down, starts.

    Args:
        state_dir: holds the decision log and the lock; the same folder for everybody who may start a training.
        clock: tells the time, with time zone.
    """

    def __init__(self, state_dir: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.log = DecisionLog(state_dir)
        self._clock = clock

    def consider(
        self,
        request: Request,
        launcher: Launcher,
        arguments: Mapping[str, str],
        announce: Callable[[Decision], None] = lambda decision: None,
    ) -> Decision:
        """Decide, and when it is ``train``, start the pipeline and wait for the launcher.

        Args:
            request: what to decide on.
            launcher: starts the pipeline.
            arguments: the pipeline's parameters.
            announce: told the decision once it is written down, before anything starts.

        Returns:
            The last decision written: of a training, how it ended.

        Raises:
            ServiceError: the pipeline could not be started or failed; that is written down too.
            DataError: the decision log is damaged.
            OutputError: the decision cannot be written; then nothing was started either.
        """
        with self.log.alone() as alone:
            history = self.log.read()
            choice, reason = choose(request, history, in_progress=not alone)
            decision = Decision(
                time=self._clock(),
                cause=request.cause,
                verdict=_summary(request.verdict),
                decision=choice,
                reason=reason + (remarks(request, history) if alone else ""),
                key=request.key,
                outcome="started" if choice == "train" else "",
            )
            self.log.append(decision)
            announce(decision)
            if choice != "train":
                return decision
            try:
                run_id = launcher.start(arguments)
            except Exception as error:
                # Not on KeyboardInterrupt: whether the run goes on is then unknown, which is what "started" says.
                self.log.append(replace(decision, time=self._clock(), outcome="failed", reason=str(error)))
                raise
            ended = replace(decision, time=self._clock(), outcome=launcher.ends_as, run_id=run_id)
            self.log.append(ended)
            return ended


@dataclass(frozen=True, kw_only=True)
class LocalLauncher:
    """Runs the pipeline on this machine, to its end; its output is shown as it comes."""

    ends_as: ClassVar[Literal["done"]] = "done"

    root: Path
    """Where the run is kept."""
    extra: Sequence[str] = ()
    """More options for ``python -m pipelines run``."""

    def start(self, arguments: Mapping[str, str]) -> str:
        """Run the pipeline; return when it has ended well."""
        given = [word for name, value in arguments.items() for word in ("-p", f"{name}={value}")]
        command = [sys.executable, "-m", "pipelines", "run", "--root", str(self.root), *given, *self.extra]
        with subprocess.Popen(command, close_fds=False) as process:  # it shares the guard's lock
            code = process.wait()
        if code:
            raise ServiceError(f"the pipeline ended with exit code {code}; its output above says why")
        return f"local-{process.pid}"


@dataclass(frozen=True, kw_only=True)
class KfpLauncher:
    """Hands a compiled pipeline to Kubeflow Pipelines, and does not wait for its end."""

    ends_as: ClassVar[Literal["submitted"]] = "submitted"

    host: str
    package: Path
    """What ``python -m pipelines compile`` wrote."""
    experiment: str = "quillflow"
    client: Any = None
    """A `kfp.Client`; by default one is made for the host."""

    def start(self, arguments: Mapping[str, str]) -> str:
        """Submit a run; return when the server has accepted it."""
        typed = self.check(arguments)
        try:
            run = self._client().create_run_from_pipeline_package(
                str(self.package), arguments=typed, experiment_name=self.experiment
            )
        except Exception as error:  # kfp lets through whatever its HTTP and YAML libraries raise
            said = str(error).strip() or repr(error)
            raise ServiceError(f"{self.host}: Kubeflow Pipelines did not confirm the run: {said}") from error
        return str(run.run_id)

    def check(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Give every argument the type that the package declares: the server refuses "10" for the number 10.

        Raises:
            SettingsError: the package is not a compiled pipeline, or the arguments do not fit it.
        """
        try:
            from kfp.components import load_component_from_file
            from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType
        except ImportError as error:
            raise SettingsError("kfp is not installed; pip install 'quillflow[pipeline]'") from error
        try:
            spec = load_component_from_file(str(self.package)).pipeline_spec
        except Exception as error:
            raise SettingsError(f"{self.package}: not a compiled pipeline ({error}); compile it first") from error
        declared = spec.root.input_definitions.parameters
        typed = {}
        for name, value in arguments.items():
            if name not in declared:
                raise SettingsError(f"{self.package}: has no parameter {name!r}; it has {sorted(declared)}")
            kind = ParameterType.ParameterTypeEnum.Name(declared[name].parameter_type)
            try:
                typed[name] = value if kind == "STRING" else json.loads(value)
            except ValueError as error:
                raise SettingsError(f"-p {name}={value}: expected a value of type {kind}") from error
        return typed

    def _client(self) -> Any:
        if self.client is not None:
            return self.client
        import kfp

        return kfp.Client(host=self.host)


def _summary(verdict: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: verdict[name] for name in ("state", "rows", "since", "until", "bundle_digest")}
    return {**kept, "drifted": [feature["name"] for feature in verdict["features"] if feature["drifted"]]}
