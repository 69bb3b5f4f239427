import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.bundle import MANIFEST, ONNX, WEIGHTS, Bundle, amend_bundle
from htr.errors import BundleError, OutputError, SettingsError, SignatureError
from htr.lines import file_sha256
from htr.signing import SIGNATURE, find_verify_key, make_keys, sign_bundle, sign_if_asked, verify_bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "signed")
    sign_bundle(bundle, keys[0])
    return bundle


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def swap_alphabet(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["alphabet"][0], manifest["alphabet"][1] = manifest["alphabet"][1], manifest["alphabet"][0]
    (bundle / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=2))
    Bundle.open(bundle)  # its own digests do not notice


def exchange_weights(bundle: Path) -> None:
    flip(bundle / WEIGHTS)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][WEIGHTS] = file_sha256(bundle / WEIGHTS)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    Bundle.open(bundle)


def link(bundle: Path) -> None:
    (bundle / ONNX).replace(bundle.parent / "elsewhere.onnx")
    (bundle / ONNX).symlink_to(bundle.parent / "elsewhere.onnx")


def claim_our_key(bundle: Path) -> None:
    ours = json.loads((bundle / SIGNATURE).read_text())
    private, _ = make_keys(bundle.parent / "theirs")
    flip(bundle / WEIGHTS)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][WEIGHTS] = file_sha256(bundle / WEIGHTS)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    sign_bundle(bundle, private)
    forged = json.loads((bundle / SIGNATURE).read_text())
    forged["verificationMaterial"] = ours["verificationMaterial"]
    (bundle / SIGNATURE).write_text(json.dumps(forged))


def sign_other_statement(bundle: Path) -> None:
    signature = json.loads((bundle / SIGNATURE).read_text())
    statement = json.loads(base64.b64decode(signature["dsseEnvelope"]["payload"]))
    statement["predicate"]["serialization"]["ignore_paths"].append("extra.bin")
    signature["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    (bundle / SIGNATURE).write_text(json.dumps(signature))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte in the graph": (lambda bundle: flip(bundle / ONNX), r"not what was signed \(Hash mismatch"),
    "a flipped byte in the manifest": (lambda bundle: flip(bundle / MANIFEST), "bundle.json"),
    "a swapped alphabet": (swap_alphabet, "Hash mismatch for 'bundle.json'"),
    "exchanged weights, digests written anew": (exchange_weights, "Hash mismatch"),
    "an extra file": (lambda bundle: (bundle / "setup.py").write_text("x"), "Extra files .*setup.py"),
    "an extra file of git": (lambda bundle: (bundle / ".gitattributes").write_text("x"), "Extra files"),
    "an extra file in a folder": (lambda bundle: shutil.copytree(bundle, bundle / ".git"), "Extra files"),
    "a missing file": (lambda bundle: (bundle / WEIGHTS).unlink(), "Missing files .*weights"),
    "a link in place of a file": (link, "holds a link"),
    "no signature": (lambda bundle: (bundle / SIGNATURE).unlink(), "not signed"),
    "an empty signature": (lambda bundle: (bundle / SIGNATURE).write_bytes(b""), "damaged"),
    "a signature of another shape": (lambda bundle: (bundle / SIGNATURE).write_text('{"a": []}'), "damaged"),
    "a huge signature": (lambda bundle: (bundle / SIGNATURE).write_bytes(b"[" * (1 << 21)), "larger than any"),
    "a deeply nested signature": (lambda bundle: (bundle / SIGNATURE).write_bytes(b"[" * 100_000), "damaged"),
    "a signature of theirs under our key's name": (claim_our_key, "forged"),
    "a statement changed after it was signed": (sign_other_statement, "forged"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_bundle_is_refused_with_its_reason(name: str, signed: Path, keys: tuple[Path, Path]) -> None:
    verify_bundle(signed, keys[1])
    tamper, reason = TAMPERED[name]
    tamper(signed)
    with pytest.raises(SignatureError, match=reason):
        verify_bundle(signed, keys[1])


def test_every_single_file_of_a_bundle_is_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    for file in [path for path in signed.iterdir() if path.name != SIGNATURE]:
        content = file.read_bytes()
        for place in (0, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 128
            file.write_bytes(changed)
            with pytest.raises(SignatureError, match="not what was signed"):
                verify_bundle(signed, keys[1])
        file.write_bytes(content)
    verify_bundle(signed, keys[1])


def test_another_key_does_not_verify(signed: Path, tmp_path: Path) -> None:
    _, other = make_keys(tmp_path / "other")
    with pytest.raises(SignatureError, match="signed with another key"):
        verify_bundle(signed, other)


def test_a_bundle_keeps_its_digest_when_signed_and_its_copies_are_signed(
    tiny_bundle: Path, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    assert Bundle.open(signed).digest == Bundle.open(tiny_bundle).digest
    verify_bundle(shutil.copytree(signed, tmp_path / "of another name"), keys[1])


def test_a_link_to_a_bundle_stands_for_it(signed: Path, keys: tuple[Path, Path]) -> None:
    champion = signed.with_name("champion")
    champion.symlink_to(signed.name)
    sign_bundle(champion, keys[0])
    verify_bundle(champion, keys[1])
    assert champion.is_symlink()


def test_an_amended_bundle_is_unsigned(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    amended = amend_bundle(Bundle.open(signed), tmp_path / "amended", {}, metrics={"cer": 0.5})
    with pytest.raises(SignatureError, match="not signed"):
        verify_bundle(amended.path, keys[1])


def test_nothing_is_signed_that_is_no_part_of_the_bundle(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match=r"notes\.txt is no part of the bundle"):
        sign_bundle(signed, keys[0])
    (signed / "notes.txt").unlink()
    (signed / ONNX).write_bytes(b"other")
    with pytest.raises(BundleError, match="altered"):
        sign_bundle(signed, keys[0])


def test_keys_are_never_overwritten_and_the_private_one_is_its_owners(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    assert private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="already"):
        make_keys(tmp_path / "keys")
    private.unlink()
    before = public.read_bytes()
    with pytest.raises(OutputError, match="already"):
        make_keys(tmp_path / "keys")
    assert public.read_bytes() == before


def test_what_is_no_key_is_named(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("no key")
    for call in (sign_bundle, verify_bundle):
        for key in (tmp_path / "k", tmp_path / "none"):
            with pytest.raises(SettingsError, match="python -m htr keys"):
                call(signed, key)


def test_the_environment_says_whether_to_sign_and_to_verify(
    tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    assert not sign_if_asked(bundle, {})
    assert sign_if_asked(bundle, {"QUILLFLOW_SIGN_KEY": str(keys[0])})
    assert find_verify_key({}) is None
    assert find_verify_key({"QUILLFLOW_VERIFY_KEY": str(keys[1])}) == keys[1]
    with pytest.raises(SettingsError, match="cannot be read"):
        find_verify_key({"QUILLFLOW_VERIFY_KEY": str(tmp_path / "none")})


def test_the_commands_sign_and_verify(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, folder = str(shutil.copytree(tiny_bundle, tmp_path / "bundle")), str(tmp_path / "keys")
    assert main(["keys", "--out", folder]) == 0
    assert main(["verify", bundle, "--key", f"{folder}/signing.pub"]) == 2
    assert "not signed" in capsys.readouterr().err
    assert main(["sign", bundle, "--key", f"{folder}/signing.key"]) == 0
    assert main(["verify", bundle, "--key", f"{folder}/signing.pub"]) == 0
    assert "unchanged since" in capsys.readouterr().out
