"""Cleaning rules as data: what each rule does, what it counts, and what is refused."""

from pathlib import Path

import pytest

from htr.errors import SettingsError
from htr.importers.manifest import import_manifest
from htr.importers.names_csv import import_names_csv
from htr.importers.policy import SHIPPED, Cleaner, Policy, cleaner_for
from htr.importers.rows import RowRejected
from htr.lines import LinesDataset
from tests.unit.htr.importers.test_manifest import num_rows, read_quarantine, write_table


def policy(tmp_path: Path, *rules: str, head: str = 'format_version = 1\nname = "p"\n') -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(head + "".join(f"\n[[rule]]\n{rule}\n" for rule in rules), encoding="utf-8")
    return path


def cleaned(path: Path, *texts: str) -> tuple[list[str], Cleaner]:
    """Return what becomes of each text: the text, or in brackets the rule that dropped it."""
    cleaner = cleaner_for(path, lambda: texts)
    results = []
    for text in texts:
        try:
            results.append(cleaner.text(text))
        except RowRejected as refusal:
            results.append(f"[{refusal.reason}]")
    return results, cleaner


def test_rules_are_asked_in_order_and_count_what_they_took(tmp_path: Path) -> None:
    path = policy(
        tmp_path,
        'name = "surname"\naction = "keep"\nis = ["NULL"]',
        'name = "null"\naction = "drop"\nis = ["null"]\nignore_case = true',
        'name = "double"\naction = "rewrite"\nmatches = "(.)\\\\1+"\nto = "\\\\1"',
        'name = "long"\naction = "drop"\nlonger_than = 4',
        'name = "short"\naction = "drop"\nshorter_than = 2',
        'name = "digits"\naction = "drop"\nhas = "digit"',
    )
    results, cleaner = cleaned(path, "NULL", "Null", "aabb", "abcdef", "x", "a1", "  ")
    assert results == ["NULL", "[null]", "ab", "[long]", "[short]", "[digits]", "[no_text]"]
    rules = cleaner.lineage()["policy"]["rules"]
    assert {name: rule["took"] for name, rule in rules.items()} == {
        "surname": 1,
        "null": 1,
        "double": 1,
        "long": 1,
        "short": 1,
        "digits": 1,
    }


def test_a_rule_for_what_is_rare_is_off_where_it_is_usual(tmp_path: Path) -> None:
    path = policy(tmp_path, 'name = "small"\naction = "drop"\nhas = "lower_case"\nrarer_than = 0.25')
    assert cleaned(path, *["A"] * 9, "b")[0][-1] == "[small]"
    results, cleaner = cleaned(path, "A", "b")
    assert results == ["A", "b"]
    assert cleaner.lineage()["policy"]["rules"]["small"] == {
        "action": "drop",
        "took": 0,
        "share": 0.5,
        "off": True,
    }


def test_shares_are_of_texts_in_the_policys_form_and_before_its_earlier_rules(tmp_path: Path) -> None:
    path = policy(
        tmp_path,
        'name = "caps"\naction = "rewrite"\nmatches = "x"\nto = "X"',
        'name = "small"\naction = "drop"\nhas = "lower_case"\nrarer_than = 0.5',
        'name = "ligature"\naction = "drop"\nmatches = "fi"\nrarer_than = 0.5',
        head='format_version = 1\nname = "p"\nunicode = "NFKC"\n',
    )
    results, cleaner = cleaned(path, "x", "\ufb01n", "A")
    assert results == ["X", "[ligature]", "A"]
    rules = cleaner.lineage()["policy"]["rules"]
    assert [rules[name]["share"] for name in ("small", "ligature")] == [0.666667, 0.333333]


def test_compatibility_forms_become_plain_only_where_the_policy_says_so(tmp_path: Path) -> None:
    nfkc = policy(tmp_path, head='format_version = 1\nname = "p"\nunicode = "NFKC"\n')
    assert cleaned(nfkc, "\ufb01n \uff21")[0] == ["fin A"]
    assert Cleaner(None, list).text("\ufb01n  e\u0301") == "\ufb01n \u00e9"


def test_a_text_that_is_rewritten_to_nothing_is_dropped_by_that_rule(tmp_path: Path) -> None:
    path = policy(tmp_path, 'name = "marks"\naction = "rewrite"\nmatches = "[?]"\nto = ""')
    assert cleaned(path, "??", "a?")[0] == ["[marks]", "a"]


def test_every_policy_that_comes_along_is_sound_and_does_what_it_says() -> None:
    assert {Policy.load(path.stem).name for path in SHIPPED.glob("*.toml")} == {
        "names",
        "plain-marks",
        "strict-names",
    }
    strict = cleaned(
        Path("strict-names"), "nan", "NAN", "Empty", "unreadable", "A" * 35, *["DUPONT"] * 300, "Dupont"
    )[0]
    assert strict[:5] == ["[nan]", "NAN", "[empty_label]", "[unreadable]", "[too_long]"]
    assert strict[-1] == "[rare_lower_case]"
    assert cleaned(Path("plain-marks"), "« l’été » – …")[0] == ['"l\'été" - ...']


BAD = {
    "no TOML": ("a = ", "not TOML"),
    "another version": ('format_version = 2\nname = "p"', "format_version is 2"),
    "no name": ("format_version = 1", "wants a name"),
    "another form": ('format_version = 1\nname = "p"\nunicode = "NFD"', "NFC or NFKC"),
    "unknown field": ('format_version = 1\nname = "p"\nrules = 1', "unknown"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, kind: str) -> None:
    content, told = BAD[kind]
    (tmp_path / "p.toml").write_text(content)
    with pytest.raises(SettingsError, match=told):
        Policy.load(tmp_path / "p.toml")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('name = "a"\naction = "drop"', "wants one of is"),
        ('name = "a"\naction = "drop"\nis = ["x"]\nhas = "digit"', "wants one of is"),
        ('name = "a"\naction = "burn"\nis = ["x"]', "drop, keep or rewrite"),
        ('name = "A b"\naction = "drop"\nis = ["x"]', "small letters"),
        ('name = "a"\naction = "drop"\nis = "x"', "a list of texts"),
        ('name = "a"\naction = "drop"\nmatches = "("', "no regex"),
        ('name = "a"\naction = "drop"\nlonger_than = true', "a whole number"),
        ('name = "a"\naction = "drop"\nhas = "ink"', "one of lower_case"),
        ('name = "a"\naction = "drop"\nis = ["x"]\nto = "y"', "a rewrite, and nothing else"),
        ('name = "a"\naction = "rewrite"\nmatches = "x"', "a rewrite, and nothing else"),
        ('name = "a"\naction = "rewrite"\nlonger_than = 3\nto = "y"', "wants matches or is"),
        ('name = "a"\naction = "rewrite"\nmatches = "x"\nto = "\\\\2"', "names a group"),
        ('name = "a"\naction = "drop"\nis = ["x"]\nrarer_than = 2', "rarer_than is 2"),
        ('name = "a"\naction = "drop"\nis = ["x"]\nfoo = 2', "knows only"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_name(tmp_path: Path, rule: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Policy.load(policy(tmp_path, rule))


def test_two_rules_of_one_name_and_missing_files_are_refused(tmp_path: Path) -> None:
    rule = 'name = "a"\naction = "drop"\nis = ["x"]'
    with pytest.raises(SettingsError, match="same name"):
        Policy.load(policy(tmp_path, rule, rule))
    with pytest.raises(SettingsError, match="strict-names"):
        Policy.load("stricter-names")


def test_the_dataset_says_which_policy_made_it_and_its_counts_add_up(tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "text": text} for n, text in enumerate(["one", "NaN", "two…", "nan"])]
    path = policy(
        tmp_path,
        'name = "nan"\naction = "drop"\nis = ["nan"]\nignore_case = true',
        'name = "dots"\naction = "rewrite"\nmatches = "…"\nto = "..."',
    )
    info = import_manifest(write_table(tmp_path, rows), tmp_path / "out", policy=path)
    assert [line.text for line in LinesDataset.open(tmp_path / "out").lines()] == ["one", "two..."]
    assert read_quarantine(tmp_path / "out") == {"1.png": "nan", "3.png": "nan"}
    assert num_rows(info) == 4
    lineage = LinesDataset.open(tmp_path / "out").info.lineage
    assert lineage["importer"] == "manifest"
    assert lineage["origin"] == "t.csv"
    assert lineage["policy"]["digest"].startswith("sha256:")
    assert lineage["policy"]["rules"]["nan"]["took"] == info.counts["quarantined"]["nan"] == 2
    assert lineage["policy"]["rules"]["dots"]["took"] == 1


def test_names_can_be_imported_by_other_rules_than_their_own(tmp_path: Path) -> None:
    rows = [
        {"FILENAME": f"{n}.png", "IDENTITY": text, "file_name": f"{n}.png"}
        for n, text in enumerate(["EMPTY", "NA"])
    ]
    table = write_table(tmp_path, rows)
    assert import_names_csv(table, tmp_path / "own").counts["quarantined"] == {"empty_label": 1}
    other = import_names_csv(table, tmp_path / "other", policy=policy(tmp_path))
    assert other.num_lines == 2
