import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from htr.bundle import MANIFEST, Bundle
from htr.errors import OutputError
from htr.signing import VERIFY_VARIABLE, make_keys, sign_bundle
from htr.versions import open_store
from serving import storage
from tests.servers import ROOT, untaught_bundle


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store's folder and the address of a bundle in it."""
    folder = tmp_path_factory.mktemp("store")
    bundle = untaught_bundle(tmp_path_factory.mktemp("bundles") / "one", seed=1)
    return folder, open_store(folder).publish("bundle", "quillflow", bundle).uri


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_bundle_is_fetched_whole_into_a_folder_that_is_there_and_once(
    published: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "lost+found").mkdir()
    assert storage.main([published[1], str(folder)]) == 0
    assert Bundle.open(folder).digest == "sha256:" + published[1][-64:]
    assert not any(name.startswith(".") for name in names(folder))
    stamp = (folder / MANIFEST).stat().st_mtime_ns
    assert storage.main([published[1], str(folder)]) == 0
    assert (folder / MANIFEST).stat().st_mtime_ns == stamp
    assert capsys.readouterr().out.splitlines() == [f"fetched {published[1]}", f"already there: {published[1]}"]


def test_each_failure_has_its_code_and_one_line_and_leaves_nothing(
    published: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = published[1]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("not ours")
    bad_store = tmp_path / "altered"
    bundle = untaught_bundle(tmp_path / "two", seed=2)
    altered = open_store(bad_store).publish("bundle", "quillflow", bundle)
    largest = max(altered.files, key=lambda file: file.size)
    (bad_store / "blobs" / largest.sha256[:2] / largest.sha256).write_bytes(b"\0" * largest.size)
    cases = [
        (uri.replace("quillflow+", ""), "models", 2),
        (uri[:-64] + "quillflow", "models", 2),
        (uri[:-64] + "0" * 64, "models", 4),
        (altered.uri, "models", 5),
        (uri, "foreign", 6),
    ]
    for address, name, code in cases:
        assert storage.main([address, str(tmp_path / name)]) == code, address
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1, told
        assert told[0].startswith("error: ")
    assert not (tmp_path / "models").exists() or not names(tmp_path / "models")
    assert names(foreign) == {"letter.txt"}
    monkeypatch.setenv(VERIFY_VARIABLE, str(tmp_path / "no-key"))
    assert storage.main([uri, str(tmp_path / "models")]) == 2
    assert VERIFY_VARIABLE in capsys.readouterr().err


def test_with_a_key_only_what_its_holder_signed_is_left_there(
    published: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, public = make_keys(tmp_path / "keys")
    bundle = untaught_bundle(tmp_path / "signed", seed=3)
    sign_bundle(bundle, private)
    signed = open_store(tmp_path / "store").publish("bundle", "quillflow", bundle).uri
    monkeypatch.setenv(VERIFY_VARIABLE, str(public))
    assert storage.main([signed, str(tmp_path / "models")]) == 0
    assert "model.sig" in names(tmp_path / "models")
    assert storage.main([signed, str(tmp_path / "models")]) == 0
    assert storage.main([published[1], str(tmp_path / "other")]) == 5
    assert "not signed" in capsys.readouterr().err
    assert not names(tmp_path / "other")
    monkeypatch.setenv(VERIFY_VARIABLE, str(make_keys(tmp_path / "strangers")[1]))
    assert storage.main([signed, str(tmp_path / "other")]) == 5
    assert not names(tmp_path / "other")


def test_a_bundle_damaged_since_it_was_fetched_is_not_taken_for_it(
    published: tuple[Path, str], tmp_path: Path
) -> None:
    storage.fetch(published[1], tmp_path / "models")
    (tmp_path / "models" / "model.onnx").write_bytes(b"other")
    with pytest.raises(OutputError, match=r"something else is there .*altered"):
        storage.fetch(published[1], tmp_path / "models")


def test_killed_at_any_change_of_the_folder_it_leaves_no_half_bundle_and_the_next_try_is_whole(
    published: tuple[Path, str], tmp_path: Path
) -> None:
    place = 0
    while True:
        place += 1
        folder = tmp_path / f"{place}"
        was_killed = killed_at(published[1], folder, place)
        if (folder / MANIFEST).exists():
            Bundle.open(folder)  # the manifest comes last
        assert storage.fetch(published[1], folder) == (not (place > 1 and not was_killed))
        Bundle.open(folder)
        assert storage.STAGING not in names(folder)
        if not was_killed:
            break
    assert place > 10


def killed_at(uri: str, folder: Path, place: int) -> bool:
    """Fetch in a fork that ends itself at the n-th change of a folder; return whether it came to that."""
    child = os.fork()
    if not child:
        left = place

        def audit(event: str, _arguments: object) -> None:
            nonlocal left
            if event in {"os.rename", "os.mkdir", "os.rmdir", "os.remove"}:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)
        code = 1
        try:
            storage.fetch(uri, folder)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_two_that_fetch_into_one_volume_do_not_mix(published: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    with storage._alone(folder), pytest.raises(OutputError, match="another process"):
        storage.fetch(published[1], folder)


def test_the_command_starts_without_the_server_and_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "serving.storage", "s3://x/y", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "kserve" not in done.stderr
    assert "torch" not in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
