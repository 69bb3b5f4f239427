"""How a decided training is launched: here as a process, on Kubeflow as a run."""

import json
from pathlib import Path

import pytest

from htr.errors import ServiceError, SettingsError
from monitoring.retrain import KfpLauncher, LocalLauncher
from tests.fakes import kfp_server


def write_pipelines(folder: Path, body: str) -> None:
    """Write a program that stands where ``python -m pipelines`` is looked for."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    program = f"import json, sys, time\nfrom pathlib import Path\n{body}\n"
    (folder / "pipelines" / "__main__.py").write_text(program)


def test_the_local_launcher_passes_root_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pipelines(tmp_path, "Path('seen').write_text(json.dumps(sys.argv[1:]))")
    monkeypatch.chdir(tmp_path)
    launcher = LocalLauncher(root=Path("runs"), extra=["--quiet"])
    assert launcher.start({"lines": "a b", "corrections": "c=d"}).startswith("local-")
    expected = ["run", "--root", "runs", "-p", "lines=a b", "-p", "corrections=c=d", "--quiet"]
    assert json.loads((tmp_path / "seen").read_text()) == expected


def test_a_local_pipeline_that_fails_shows_its_output_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pipelines(tmp_path, "print('step 1 failed'); sys.exit(7)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServiceError, match="exit code 7"):
        LocalLauncher(root=Path("runs")).start({})
    assert "step 1 failed" in capfd.readouterr().out


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11-slim", install_kfp_package=False)
    def note(lines: str, epochs: int, rate: float, quick: bool) -> str:
        return f"{lines} {epochs} {rate} {quick}"

    @dsl.pipeline(name="training")
    def training(
        lines: str, corrections: str = "", epochs: int = 3, rate: float = 0.1, quick: bool = False
    ) -> None:
        note(lines=lines, epochs=epochs, rate=rate, quick=quick)

    path = tmp_path_factory.mktemp("package") / "training.yaml"
    compiler.Compiler().compile(training, str(path))
    return path


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_kubeflow_gets_one_run_with_typed_parameters(package: Path) -> None:
    given = {"lines": "s3://b/7", "corrections": "12", "epochs": "10", "rate": "1e-3", "quick": "true"}
    with kfp_server() as (host, runs):
        launcher = KfpLauncher(host=host, package=package, experiment="nightly")
        assert launcher.start(given) == "run-1"
        assert launcher.ends_as == "submitted"
    (run,) = runs
    expected = {"lines": "s3://b/7", "corrections": "12", "epochs": 10, "rate": 0.001, "quick": True}
    assert run["runtime_config"]["parameters"] == expected
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "training"


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_a_refusing_kubeflow_is_named_with_its_reason(package: Path) -> None:
    with kfp_server(accepts=False) as (host, _), pytest.raises(ServiceError, match=f"{host}.*429") as caught:
        KfpLauncher(host=host, package=package).start({"lines": "x"})
    assert "quota exceeded" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"epoch": "3"}, "no parameter 'epoch'"), ({"epochs": "many"}, "-p epochs=many: expected .*NUMBER_INTEGER")],
)
def test_arguments_that_do_not_fit_the_package_are_refused(
    package: Path, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        KfpLauncher(host="http://127.0.0.1:1", package=package).check(arguments)


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: not a compiled pipeline"):
        KfpLauncher(host="http://127.0.0.1:1", package=tmp_path / "none.yaml").check({})
