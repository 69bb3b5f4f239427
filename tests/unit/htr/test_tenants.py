import json
import multiprocessing
import threading
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.errors import SettingsError, TenantError
from htr.tenants import DEFAULT, MARK, VARIABLE, Tenant
from htr.tokens import Token, read_token
from htr.versions import FileCache, find_version, open_lines, open_store, parse_version_uri, store_uri

GOLDEN = Path(__file__).parents[2] / "golden" / "tenant-1"
A, B = Tenant("claims"), Tenant("ward-7")
DESK, WARD = "a" * 20, "b" * 20


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "-a",
        "a-",
        "a" * 41,
        "a/b",
        "..",
        "a.b",
        "a b",
        "a\n",
        "ä",
        "a_b",
        "lines",
        "bundle",
        "blobs",
        "doctor",
    ],
)
def test_a_name_that_could_be_a_path_or_lie_among_others_files_is_none(name: str) -> None:
    with pytest.raises(SettingsError, match="a tenant's name is"):
        Tenant(name)


def test_the_environment_alone_says_whose_process_it_is() -> None:
    assert Tenant.of({}).name == Tenant.of({VARIABLE: ""}).name == DEFAULT
    assert Tenant.of({VARIABLE: "ward-7"}) == B


def test_without_tenants_everything_is_as_it_was(tmp_path: Path) -> None:
    nobody = Tenant()
    assert nobody.store("s3://bucket/store", "") == "s3://bucket/store"
    assert nobody.store("s3://bucket/store", "s3://other/one") == "s3://other/one"
    assert nobody.registered("quillflow") == "quillflow"
    assert nobody.cache(tmp_path) == tmp_path
    nobody.claim(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


# The store of versions.


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, A.name)
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    return (tmp_path / "store").as_uri()


def test_a_tenant_has_one_store_below_the_one_that_all_share(root: str) -> None:
    assert store_uri() == f"{root}/claims"
    assert store_uri(f"{root}/claims") == f"{root}/claims"
    assert open_store().uri == f"{root}/claims"
    assert parse_version_uri("store:letters", "lines").store == f"{root}/claims"


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "/ward-7",
        "/claims/../ward-7",
        "/claims/deeper",
        "/claims2",
        "/claim",
        "/Claims",
        "/claims%2F..%2Fward-7",
    ],
)
def test_no_spelling_of_an_address_leads_out_of_it(root: str, tail: str) -> None:
    for ask in (store_uri, open_store):
        with pytest.raises(TenantError, match="not in the store of this process's tenant"):
            ask(root + tail)
    for address in (f"quillflow+{root}{tail}/lines/{'0' * 64}", f"quillflow+{root}{tail}/bundle/letters"):
        for find in (open_lines, lambda one: find_version(one, ""), parse_version_uri):
            with pytest.raises(SettingsError):
                find(address)


def test_what_is_there_and_what_is_not_are_refused_in_the_same_words(root: str, tmp_path: Path) -> None:
    said = set()
    (tmp_path / "store" / "ward-7").mkdir(parents=True)
    for other in ("ward-7", "nobody"):
        with pytest.raises(TenantError) as refused:
            open_store(f"{root}/{other}")
        said.add(str(refused.value))
    assert len(said) == 1


def test_buckets_and_prefixes_of_s3_are_told_apart_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, A.name)
    monkeypatch.setenv("QUILLFLOW_STORE", "s3://bucket/store")
    assert store_uri() == "s3://bucket/store/claims"
    for other in (
        "s3://bucket/store/ward-7",
        "s3://bucket/store",
        "s3://other/store/claims",
        "file:///store/claims",
    ):
        with pytest.raises(TenantError):
            open_store(other)
    monkeypatch.delenv("QUILLFLOW_STORE")
    with pytest.raises(SettingsError, match="QUILLFLOW_STORE is not"):
        open_store("s3://bucket/store/claims")


def test_files_that_were_fetched_are_kept_apart_though_known_by_their_digest(tmp_path: Path) -> None:
    named = {"QUILLFLOW_CACHE": str(tmp_path)}
    folders = {FileCache.of({**named, VARIABLE: name}).folder for name in ("claims", "ward-7", "")}
    assert folders == {tmp_path, tmp_path / "tenants" / "claims", tmp_path / "tenants" / "ward-7"}


def test_names_in_mlflow_are_the_tenants_own_whatever_is_asked_for() -> None:
    assert A.registered("quillflow") == A.registered("claims.quillflow") == "claims.quillflow"
    assert A.registered("ward-7.quillflow") == "claims.ward-7.quillflow"
    assert Tenant("claims-2").registered("claims.quillflow") == "claims-2.claims.quillflow"


# Folders.


def test_a_folder_belongs_to_who_claimed_it_and_so_does_what_lies_below(tmp_path: Path) -> None:
    B.claim(tmp_path / "b")
    assert json.loads((tmp_path / "b" / MARK).read_text()) == {"format_version": 1, "tenant": "ward-7"}
    B.claim(tmp_path / "b")
    B.claim(tmp_path / "b" / "log")
    assert not (tmp_path / "b" / "log").exists()  # its folder's mark says it already
    (tmp_path / "link").symlink_to(tmp_path / "b" / "log")
    for path in (
        tmp_path / "b", tmp_path / "b" / "nothing" / "here", tmp_path / "x" / ".." / "b", tmp_path / "link" / "y",
    ):  # fmt: skip
        B.check(path)
        for other in (A, Tenant()):
            with pytest.raises(TenantError, match="belongs to another tenant") as refused:
                other.check(path)
            assert "ward-7" not in str(refused.value).replace(str(path), "")
            with pytest.raises(TenantError):
                other.claim(path)
    A.check(tmp_path / "b2")


def test_data_of_nobody_are_claimed_by_hand_only(tmp_path: Path) -> None:
    (tmp_path / "corrections.jsonl").touch()
    with pytest.raises(TenantError, match="python -m htr claim"):
        A.claim(tmp_path)
    A.mark(tmp_path)
    A.claim(tmp_path)
    with pytest.raises(TenantError):
        B.mark(tmp_path)
    with pytest.raises(TenantError):  # nor what it lies in
        B.mark(tmp_path.parent)
    with pytest.raises(TenantError, match="nobody whom"):
        Tenant().mark(tmp_path / "new")


@pytest.mark.parametrize(
    "mark", [b"", b"{", b"[]", b'{"format_version": 2, "tenant": "claims"}', b'{"format_version": 1}']
)
def test_a_damaged_mark_is_nobodys_leave(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / MARK).write_bytes(mark)
    for one in (A, Tenant()):
        with pytest.raises(TenantError, match="whose it is cannot be found out"):
            one.check(tmp_path / "log")


def test_the_mark_is_as_it_was_written_down(tmp_path: Path) -> None:
    A.claim(tmp_path / "mine")
    assert (tmp_path / "mine" / MARK).read_bytes() == (GOLDEN / MARK).read_bytes()
    A.check(GOLDEN)


def _claims(tenant: Tenant, folder: Path, gate: threading.Barrier, refused: list[Tenant]) -> None:
    gate.wait()
    try:
        tenant.claim(folder)
    except TenantError:
        refused.append(tenant)


def test_of_two_who_claim_at_once_one_gets_it(tmp_path: Path) -> None:
    for number in range(20):
        folder, gate, refused = tmp_path / str(number), threading.Barrier(2), list[Tenant]()
        both = [threading.Thread(target=_claims, args=(one, folder, gate, refused)) for one in (A, B)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert len(refused) == 1
        assert sorted(one.name for one in folder.iterdir()) == [MARK]


def _claim_and_die(folder: Path, steps: int) -> None:
    import os
    import sys

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal steps
        steps -= 1
        if steps < 0:
            os._exit(9)
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    A.mark(folder)


def test_a_claim_that_is_killed_anywhere_is_ended_by_the_next(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    for steps in range(0, 400, 27):
        folder = tmp_path / str(steps)
        child = forked.Process(target=_claim_and_die, args=(folder, steps))
        child.start()
        child.join()
        A.claim(folder)
        with pytest.raises(TenantError):
            B.check(folder)


def test_options_are_looked_through_for_paths_of_others(tmp_path: Path) -> None:
    B.claim(tmp_path / "b")
    theirs = str(tmp_path / "b" / "lines")
    for value in (
        Path(theirs), theirs, [Path(theirs)], [("lines", theirs)], [f"lines={theirs}"], f"sqlite:///{theirs}/mlflow.db",
        f"file://{theirs}", f"quillflow+file://{theirs}/lines/letters",
    ):  # fmt: skip
        B.check_options([value])
        with pytest.raises(TenantError):
            A.check_options(["quillflow", 3, None, value])
    A.check_options(
        [
            "http://mlflow:5000",
            "models:/quillflow@champion",
            "sqlite:///none.db",
            "x" * 9000,
            "y" * 400,
            "a\0b",
            "",
        ]
    )


def test_the_command_says_whose_a_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claim", str(tmp_path / "data")]) == 2
    monkeypatch.setenv(VARIABLE, "ward-7")
    assert main(["claim", str(tmp_path / "data")]) == 0
    assert "belongs to tenant ward-7" in capsys.readouterr().out
    monkeypatch.setenv(VARIABLE, "claims")
    assert main(["claim", str(tmp_path / "data")]) == 2
    assert main(["publish", str(tmp_path / "data" / "x"), "--name", "letters"]) == 2
    assert "belongs to another tenant" in capsys.readouterr().err


# Tokens.


def read(text: str, tenant: str = "") -> Token | None:
    return read_token(
        None, {"QUILLFLOW_TOKEN": text, VARIABLE: tenant}, flag="--token-file", variable="QUILLFLOW_TOKEN"
    )


def test_of_a_file_that_all_share_a_process_keeps_its_own_tenants_words(tmp_path: Path) -> None:
    text = f"claims/desk: {DESK}\nward-7/desk: {WARD}\nold: {'c' * 20}\n"
    for tenant, own in (("claims", DESK), ("ward-7", WARD), ("", "c" * 20)):
        token = read(text, tenant)
        assert token is not None
        assert [token.admits(f"Bearer {sent}") for sent in (DESK, WARD, "c" * 20)].count(True) == 1
        assert token.client(f"Bearer {own}") == ("desk" if tenant else "old")
        assert token.others == ()


@pytest.mark.parametrize(
    ("text", "tenant", "said"),
    [
        (f"ward-7/desk: {WARD}", "claims", "no client of this process's tenant"),
        (f"desk: {WARD}", "claims", "no client of this process's tenant"),
        (f"ward-7/desk: {WARD}", "", "no client of this process's tenant"),
        (f"claims/desk: {DESK}\nward-7/desk: {DESK}", "claims", "the same token"),
        (f"../desk: {DESK}", "claims", "before the slash"),
        (f"/desk: {DESK}", "claims", "before the slash"),
        (f"a/b/desk: {DESK}", "a", "before the slash"),
    ],
)
def test_a_word_that_leaves_open_whose_it_is_lets_nobody_in(text: str, tenant: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        read(text, tenant)
    assert DESK not in str(refused.value)


def test_a_word_alone_is_that_of_whoever_was_given_it_and_a_tenant_needs_one() -> None:
    token = read(DESK, "claims")
    assert token is not None
    assert token.admits(f"Bearer {DESK}")
    with pytest.raises(SettingsError, match="clients must have a token"):
        read_token(None, {VARIABLE: "claims"}, flag="--token-file", variable="QUILLFLOW_TOKEN")
