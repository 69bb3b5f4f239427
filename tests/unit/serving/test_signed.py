import json
import shutil
from pathlib import Path

import pytest

from htr.bundle import MANIFEST, ONNX, Bundle
from htr.errors import BundleError, SignatureError
from htr.signing import VERIFY_VARIABLE, make_keys, sign_bundle
from serving.champion import ModelUri, Registry
from serving.follow import Champion
from serving.served import Observer, load_warm, serve_bundle, signed_only
from tests.conftest import line_png
from tests.servers import ModelRegistry, refused_start, untaught_bundle

CHAMPION = ModelUri(name="quillflow", alias="champion")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"))


class Loads:
    """Loads, and says what came so far as to be parsed"""

    def __init__(self) -> None:
        self.parsed: list[Path] = []

    def __call__(self, folder: Path) -> Observer:
        self.parsed.append(folder)
        return load_warm(folder)


def test_nothing_of_a_refused_bundle_is_parsed(tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    loads = Loads()
    (bundle / ONNX).write_bytes(b"what onnxruntime must never see")
    with pytest.raises(SignatureError):
        serve_bundle(bundle, load=signed_only(loads, keys[1]))
    assert loads.parsed == []


def test_what_is_loaded_is_what_was_verified_whatever_becomes_of_the_folder_meanwhile(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Somebody who may write the folder exchanges everything between check and load"""
    ours, theirs = (untaught_bundle(tmp_path / str(seed), seed=seed) for seed in range(2))
    sign_bundle(ours, keys[0])
    digest = Bundle.open(ours).digest
    places = []

    def exchanged(folder: Path) -> Observer:
        places.append(folder)
        shutil.rmtree(ours)
        shutil.copytree(theirs, ours)
        assert folder.parent.stat().st_mode & 0o077 == 0, "nobody else may enter"
        return load_warm(folder)

    served = serve_bundle(ours, load=signed_only(exchanged, keys[1]))
    assert served.recogniser.digest == digest != Bundle.open(ours).digest
    assert len(list(served.recogniser.observe([line_png("a line")]))) == 1, "it needs its files no more"
    assert not places[0].exists()


def test_a_refusal_names_the_folder_that_was_given(
    tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with pytest.raises(SignatureError, match=f"^{bundle}: not signed"):
        serve_bundle(bundle, load=signed_only(load_warm, keys[1]))
    sign_bundle(bundle, keys[0])
    (bundle / "link").symlink_to("/nowhere")
    with pytest.raises(SignatureError, match="holds a link"):
        serve_bundle(bundle, load=signed_only(load_warm, keys[1]))
    with pytest.raises(BundleError, match="not a model bundle"):
        serve_bundle(tmp_path / "nowhere", load=signed_only(load_warm, keys[1]))


def test_an_unsigned_version_leaves_the_signed_one_in_service(keys: tuple[Path, Path], tmp_path: Path) -> None:
    store = ModelRegistry(tmp_path / "mlflow")
    good, bad = (untaught_bundle(tmp_path / str(seed), seed=seed) for seed in range(2))
    sign_bundle(good, keys[0])
    store.point("champion", store.add_pyfunc(good))
    loads = Loads()
    champion = Champion(Registry(store.uri, tmp_path / "cache", load=signed_only(loads, keys[1])), CHAMPION)
    assert champion.served.version == "1"

    store.point("champion", store.add_pyfunc(bad))
    assert not champion.check()
    assert (champion.served.version, len(loads.parsed)) == ("1", 1)

    sign_bundle(bad, keys[0])
    store.point("champion", store.add_pyfunc(bad))
    assert champion.check()
    assert champion.served.version == "3"


def test_a_cached_version_that_was_altered_is_fetched_again(keys: tuple[Path, Path], tmp_path: Path) -> None:
    store = ModelRegistry(tmp_path / "mlflow")
    bundle = untaught_bundle(tmp_path / "bundle", seed=1)
    sign_bundle(bundle, keys[0])
    store.point("champion", store.add(bundle))
    load = signed_only(load_warm, keys[1])
    Champion(Registry(store.uri, tmp_path / "cache", load=load), CHAMPION)
    (manifest,) = (tmp_path / "cache").rglob(MANIFEST)
    manifest.write_text(manifest.read_text().replace('"a"', '"A"'))
    assert Champion(Registry(store.uri, tmp_path / "cache", load=load), CHAMPION).served.version == "1"
    assert '"A"' not in manifest.read_text()


def test_a_server_with_a_public_key_does_not_start_without_a_signature(
    tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    sign_bundle(bundle, keys[0])
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["alphabet"].reverse()
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    monkeypatch.setenv(VERIFY_VARIABLE, str(keys[1]))
    code, said = refused_start("--bundle", str(bundle))
    assert (code, "not what was signed" in said, "Traceback" in said) == (2, True, False)
