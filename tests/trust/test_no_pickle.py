"""No path of ours runs what it reads: no unpickling, no YAML objects, no eval; by every file's syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("htr", "components", "pipelines", "serving", "monitoring", "benchmarks", "k8s")
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
BUILT_INS = {"eval", "exec", "compile", "__import__"}
METHODS = {"read_pickle", "to_pickle", "unsafe_load", "full_load", "load_from_checkpoint"}
"""`load_from_checkpoint` is Lightning's, which unpickles unless told otherwise."""
JUSTIFIED: dict[tuple[str, str], str] = {}
"""(file, what is found there) -> why that is no way in. There is none, and each would want a reason that holds."""


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        yield from ((node.lineno, name) for name in names if name.split(".")[0] in MODULES)  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            yield from ((node.lineno, found) for found in call_findings(node))


def call_findings(call: ast.Call) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if name in BUILT_INS or last in METHODS:
        yield name
    if name == "torch.load" and not is_true(given.get("weights_only")):
        yield "torch.load without weights_only=True"
    if last == "load" and name.startswith(("yaml.", "ruamel.")):
        yield name
    if "allow_pickle" in given and not is_false(given["allow_pickle"]):
        yield f"{name} with allow_pickle"
    if last == "import_module" and call.args and ast.unparse(call.args[0]).strip("'\"") in MODULES:
        yield ast.unparse(call)


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_no_file_of_ours_unpickles_or_evaluates() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 300, "the folders are not where they were"
    found = [
        (str(file.relative_to(ROOT)), line, what)
        for file in files
        for line, what in findings(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert [one for one in found if (one[0], one[2]) not in JUSTIFIED] == []
    assert set(JUSTIFIED) <= {(file, what) for file, _, what in found}, "a justification outlived its reason"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib as j",
        "from joblib.numpy_pickle import load",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=asked)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "pd.read_pickle(f)",
        "LineModule.load_from_checkpoint(f)",
        "eval(text)",
        "exec(text)",
        "importlib.import_module('pickle')",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert list(findings(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)", "yaml.safe_load(t)", "net.eval()"],
)
def test_the_search_lets_pass(code: str) -> None:
    assert not list(findings(ast.parse(code)))


def test_lightning_resumes_by_weights_only_too() -> None:
    """Lightning opens the checkpoint that training resumes from by itself: it is told not to unpickle."""
    calls = [
        call
        for file in (ROOT / "htr").rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and any(keyword.arg == "ckpt_path" for keyword in call.keywords)
    ]
    assert calls, "training resumes in another way now: look how"
    for call in calls:
        assert any(keyword.arg == "weights_only" and is_true(keyword.value) for keyword in call.keywords)
