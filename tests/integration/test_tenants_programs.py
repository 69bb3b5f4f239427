"""Programs of one tenant are told to work on another's folders, versions, models and requests."""

import ast
import importlib
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.champion.fetch import fetch_champion
from components.promote.aliases import move_champion
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction
from htr.errors import MissingError, ServiceError, TenantError
from htr.tenants import VARIABLE, Tenant
from htr.versions import open_lines, open_store
from tests.datasets import sound_lines, write_lines
from tests.servers import ROOT, ModelRegistry, untaught_bundle
from tests.tenants import ASKED, ASKING, PERSON, PICTURE, TEXT, contents

WITHIN = {"serving.reader_process", "monitoring.governor.local_child", "htr.layout.pdfium_child"}
"""Programs that ours start with what they have looked at already."""
WITHOUT = {
    "k8s.cluster.lending",
    "k8s.images",
    "k8s.images.health",
    "k8s.images.sbom",
    "monitoring.dashboards.build",
}
"""Programs that touch nobody's data."""


def corrections(folder: Path, *, text: str = TEXT, writer: str = PERSON) -> CorrectionStore:
    """Return a store with one correction in it."""
    store = CorrectionStore(folder)
    correction = Correction(
        id="0001",
        time=datetime(2026, 11, 21, tzinfo=UTC),
        author="A",
        image_digest=image_digest(PICTURE),
        old_text="x",
        new_text=text,
        model_version="7",
        bundle_digest="sha256:" + "b" * 64,
        writer=writer,
    )
    store.add(correction, PICTURE)
    return store


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of the other tenant, with data in it."""
    folder = tmp_path / ASKED
    Tenant(ASKED).claim(folder)
    corrections(folder / "corrections")
    return folder


@pytest.fixture(autouse=True)
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be the one who asks; in the end nothing of the other tenant may have changed."""
    monkeypatch.setenv(VARIABLE, ASKING)
    monkeypatch.setenv("QUILLFLOW_TOKEN", "c" * 32)
    monkeypatch.setenv("QUILLFLOW_GOVERNOR_TOKEN", "c" * 32)
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():  # programs set theirs
        signal.signal(number, handler)
    if (tmp_path / ASKED).is_dir():
        (kept,) = CorrectionStore(tmp_path / ASKED / "corrections").read()[0]
        assert kept.correction.new_text == TEXT


COMMANDS = {
    "htr": [
        "publish {b}/lines --name mine", "train {b}/lines --out {a}/model", "read {b}/line.png",
        "evaluate {b}/lines --bundle {a}/model --out {a}/report",
        "fetch lines/letters --store {b}/store --out {a}/out",
        "import corrections {b}/corrections --out {a}/lines", "export page {b}/lines --out {a}/out",
        "verify {b}/bundle --key k",
        "versions lines --store {b}/store", "diff lines one two --store {b}/store",
        "erase-version lines letters --store {b}/store", "claim {b}/corrections",
        "fetch quillflow+file://{b}/store/lines/letters --out {a}/out",
    ],
    "serving": [
        "--bundle {b}/bundle", "--bundle {a}/bundle --log-dir {b}/log", "--bundle {a} --corrections {b}/new",
        "--bundle {a}/bundle --access-log {b}/access.jsonl", "--bundle {a}/bundle --token-file {b}/tokens",
        "--model models:/quillflow@champion --tracking-uri sqlite:///{b}/mlflow.db",
        "--model models:/quillflow@champion --cache-dir {b}/cache",
        "forget --writer Schwester --root {b}", "forget --writer Schwester --root {a} --root {b}/corrections",
        "forget --writer Schwester --root {root}", "forget --request 1 --root {a} --store {b}/store",
    ],
    "serving.pages": ["--predictor_host localhost:1 --predictor-token-file {b}/tokens"],
    "serving.storage": [
        "quillflow+file://{b}/store/bundle/" + "0" * 64 + " {a}/model",
        "quillflow+file://{a}/store/bundle/" + "0" * 64 + " {b}/model",
    ],
    "serving.web": ["--queue {b}/scans", "--requests {b}/governor --log {a}/log", "--requests {a} --log {b}/log"],
    "monitoring": [
        "check --bundle {a}/bundle --log {b}/log --out {a}/drift", "check --reference {b}/r --log {a} --out {a}/d",
        "check --bundle {a} --log {a} --out {a} --corrections {b}/corrections", "history --state {b}/governor",
        "replay --state {b}/governor", "serve-governor --state {b}/governor --local-root {a}",
        "serve-governor --state {a}/governor --local-root {a} --corrections-store {b}/corrections",
        "serve-governor --state {a}/governor --local-root {a} -p lines={b}/lines",
        "retrain --verdict {a}/v --bundle {a}/b --corrections {b}/c --state {a} --local-root {a}",
    ],
    "pipelines": [
        "run --root {a}/run -p lines={b}/lines", "run --root {b}/run -p lines={a}/lines", "fsck --root {b}",
        "fsck --root {root}", "fsck --store {b}/store", "compile --site {b}/site.toml", "loop --lines {b}/lines",
        "up --run {b}/run",
    ],
    "components.champion": ["--out {b}/champion", "--out {a}/c --tracking-uri sqlite:///{b}/mlflow.db"],
    "components.train": ["--work {b}/work"],
    "components.deploy": ["--gitops {b}/overlay", "--store {b}/store"],
}  # fmt: skip
"""Commands of each program that reach for the other's folder, {b}; {a} is its own."""


def programs() -> dict[str, ast.Module]:
    """Return the programs that run on somebody's data, by the name that they are run by."""
    found = {}
    for folder in ("htr", "serving", "components", "monitoring", "pipelines", "k8s"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if 'if __name__ == "__main__"' in text:
                name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
                found[name] = ast.parse(text)
    return {name: tree for name, tree in found.items() if name not in WITHIN | WITHOUT}


def test_every_program_is_tried() -> None:
    assert set(programs()) == set(COMMANDS)


@pytest.mark.parametrize(
    ("program", "command"), [(one, line) for one, lines in COMMANDS.items() for line in lines]
)
def test_a_program_refuses_another_tenants_folder_before_it_touches_it(
    program: str, command: str, tmp_path: Path, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(theirs)
    module = f"{program}.__main__" if (ROOT / program.replace(".", "/")).is_dir() else program
    argv = command.format(b=theirs, a=tmp_path / ASKING, root=tmp_path).split()
    status = importlib.import_module(module).main(argv)
    said = capsys.readouterr().err
    assert status == 2, said
    assert said.startswith("error: "), said
    assert "another tenant" in said or "not in the store of this process's tenant" in said, said
    assert contents(theirs) == before
    assert not (tmp_path / ASKING).exists()


def test_of_two_writers_of_one_name_the_others_is_not_erased(tmp_path: Path, theirs: Path) -> None:
    from serving.forget import main

    Tenant(ASKING).claim(tmp_path / ASKING)
    corrections(tmp_path / ASKING / "corrections", text="mine")
    assert main(["--writer", PERSON, "--root", str(tmp_path / ASKING)]) == 0
    assert CorrectionStore(tmp_path / ASKING / "corrections").read()[1] == 0
    assert CorrectionStore(theirs / "corrections").read()[1] == 1
    assert main(["--writer", PERSON, "--root", str(tmp_path / ASKING)]) == 1  # a tombstone, and nothing else
    # The other's tombstones say nothing about ours: the same picture is taken there still.
    corrections(theirs / "corrections")


def test_a_name_or_digest_in_the_store_leads_to_ones_own_versions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = write_lines(tmp_path / "lines", sound_lines(num_train=2, num_held_out=1)).path
    monkeypatch.setenv(VARIABLE, ASKED)
    published = open_store().publish("lines", "letters", lines)
    monkeypatch.setenv(VARIABLE, ASKING)
    for wanted in (published.digest, "letters", "never"):
        with pytest.raises(MissingError) as refused:
            open_store().find("lines", wanted)
        said = str(refused.value).replace(wanted, "NAME").replace(wanted[:12], "NAME")
        assert ASKED not in said
    assert open_store().names("lines") == {}
    for address in (published.uri, published.uri.replace(f"/{ASKED}/", "/never/")):
        with pytest.raises(TenantError, match="not in the store of this process's tenant"):
            open_lines(address)
    mine = open_store().publish("lines", "letters", lines)
    assert mine.digest == published.digest  # told apart by where they lie, not by what they hold
    open_store().erase("lines", mine.digest)
    monkeypatch.setenv(VARIABLE, ASKED)
    assert open_store().find("lines", "letters").digest == published.digest
    assert not list(open_store().check(deep=True))


def test_models_of_a_shared_registry_are_ones_own_whatever_name_is_asked_for(tmp_path: Path) -> None:
    shared = ModelRegistry(tmp_path / "mlflow", name=f"{ASKED}.quillflow")
    bundle = untaught_bundle(tmp_path / "bundle", seed=1)
    version = shared.add(bundle)
    shared.point("champion", version)
    for name in ("quillflow", f"{ASKED}.quillflow", "never"):
        assert fetch_champion(name, shared.uri, tmp_path / "out") == ""
        with pytest.raises(ServiceError):
            move_champion(version, "", model_name=name, tracking_uri=shared.uri)
    assert list((tmp_path / "out").iterdir()) == []
    kept = shared.client.get_model_version_by_alias(f"{ASKED}.quillflow", "champion")
    assert str(kept.version) == version


@pytest.mark.parametrize("name", ["quillflow", f"{ASKED}.quillflow", "never"])
def test_a_server_asks_the_registry_for_its_own_model_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from serving.__main__ import main

    shared = ModelRegistry(tmp_path / "mlflow", name=f"{ASKED}.quillflow")
    ports = ("--http_port", "0", "--grpc_port", "0")
    model = (
        "--model",
        f"models:/{name}@champion",
        "--tracking-uri",
        shared.uri,
        "--cache-dir",
        str(tmp_path / "c"),
    )
    assert main([*ports, *model, "--one-process"]) == 2
    assert f"models:/{ASKING}.{name}@champion" in capsys.readouterr().err
