"""Cleaning rules as data: a small TOML file that two people can read and agree on, for every text of an import.

    format_version = 1
    name = "letters"              # stands in the dataset's lineage, with the digest of the file
    unicode = "NFC"               # or NFKC, which also makes ligatures and full-width letters plain

    [[rule]]
    name = "unreadable"           # the reason that dropped rows are quarantined with
    action = "drop"               # or keep: no later rule touches the text; or rewrite: goes on with another text
    is = ["UNREADABLE", "???"]    # or matches = 'regex', longer_than = 110, shorter_than = 2, has = "lower_case"
    ignore_case = true            # for is and matches
    rarer_than = 0.02             # only where less than that share of all texts, before any rule, meets it
    to = ""                       # rewrite: what takes the place of all that matches, or of the text that is
    why = "nobody could read it"

Rules are asked in order. Policies that come along lie in the folder ``policies`` and go by their names.
"""

import hashlib
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from htr.alphabet import normalise
from htr.errors import SettingsError
from htr.importers.rows import RowRejected

FORMAT_VERSION = 1
SHIPPED = Path(__file__).with_name("policies")
_HAS: dict[str, Callable[[str], bool]] = {
    "lower_case": str.islower,
    "upper_case": str.isupper,
    "digit": str.isdigit,
}
_CONDITIONS = ("is", "matches", "longer_than", "shorter_than", "has")
_RULE_KEYS = {"name", "action", "why", "to", "ignore_case", "rarer_than", *_CONDITIONS}
_SHOWN = 200
"""Characters of a text that the quarantine list shows."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule: which texts it meets, and what becomes of them."""

    name: str
    action: Literal["drop", "keep", "rewrite"]
    meets: Callable[[str], bool]
    rewritten: Callable[[str], str]
    """The text after a rewrite; of other actions the text itself."""
    rarer_than: float | None
    """Share of all texts, before any rule, 0..1, at which this one is off; None where it always holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A policy file that was read."""

    name: str
    digest: str
    """``sha256:...`` of the file."""
    form: Literal["NFC", "NFKC"]
    rules: tuple[Rule, ...]

    @classmethod
    def load(cls, name: str | Path) -> "Policy":
        """Read a policy: a path, or the name of one that comes along.

        Raises:
            SettingsError: there is none, or it is no policy of this version; says which rule and what to do.
        """
        path = Path(name)
        shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.toml"))}
        path = shipped.get(str(name), path)
        if not path.is_file():
            raise SettingsError(
                f"policy {name}: no such file; give a .toml file, or the name of one that comes along: "
                f"{', '.join(shipped)}"
            )
        try:
            data = path.read_bytes()
            return _policy(tomllib.loads(data.decode("utf-8")), path, hashlib.sha256(data).hexdigest())
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits and deep nests, too
            raise SettingsError(f"{path}: not TOML ({error}); see docs/your-own-lines.md") from error
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error


class Cleaner:
    """Applies a policy to the texts of one import, and counts what each rule took.

    Args:
        policy: None does no more than normalise.
        texts: gives all texts of the import as they lie there; asked only where a rule hangs on shares.
    """

    def __init__(self, policy: Policy | None, texts: Callable[[], Iterable[str]]) -> None:
        self._policy = policy
        self._took: Counter[str] = Counter()
        self._shares = self._measured(texts)

    def text(self, raw: str) -> str:
        """Return the text that a line gets.

        Raises:
            RowRejected: a rule drops it, or nothing is left of it.
        """
        text = self._plain(raw)
        for rule in self._policy.rules if self._policy and text else ():
            if self._is_off(rule) or not rule.meets(text):
                continue
            self._took[rule.name] += 1
            if rule.action == "drop":
                raise RowRejected(rule.name, f"label {text[:_SHOWN]!r}")
            if rule.action == "keep":
                break
            text = normalise(rule.rewritten(text))
            if not text:
                raise RowRejected(rule.name, f"nothing is left of {raw[:_SHOWN]!r}")
        if not text:
            raise RowRejected("no_text")
        return text

    def lineage(self) -> dict[str, Any]:
        """Return what ``dataset.json`` is to say of it: empty without a policy."""
        if self._policy is None:
            return {}
        rules = {
            rule.name: {"action": rule.action, "took": self._took[rule.name]}
            | ({"share": round(self._shares[rule.name], 6)} if rule.name in self._shares else {})
            | ({"off": True} if self._is_off(rule) else {})
            for rule in self._policy.rules
        }
        return {"policy": {"name": self._policy.name, "digest": self._policy.digest, "rules": rules}}

    def _plain(self, raw: str) -> str:
        """Return a text as the first rule gets it."""
        return normalise(unicodedata.normalize(self._policy.form if self._policy else "NFC", raw))

    def _is_off(self, rule: Rule) -> bool:
        return rule.rarer_than is not None and self._shares[rule.name] >= rule.rarer_than

    def _measured(self, texts: Callable[[], Iterable[str]]) -> dict[str, float]:
        rules = [rule for rule in self._policy.rules if rule.rarer_than is not None] if self._policy else []
        if not rules:
            return {}
        met: Counter[str] = Counter()
        total = 0
        for text in map(self._plain, texts()):
            total += 1
            met.update(rule.name for rule in rules if rule.meets(text))
        return {rule.name: met[rule.name] / max(1, total) for rule in rules}


def _policy(raw: dict[str, Any], path: Path, digest: str) -> Policy:
    if raw.get("format_version") != FORMAT_VERSION:
        raise SettingsError(
            f"{path}: format_version is {raw.get('format_version')!r}, this program reads {FORMAT_VERSION}"
        )
    unknown = set(raw) - {"format_version", "name", "unicode", "rule"}
    form, name, rules = raw.get("unicode", "NFC"), raw.get("name"), raw.get("rule", [])
    if unknown:
        raise SettingsError(f"{path}: unknown {sorted(unknown)}; remove it")
    if form not in {"NFC", "NFKC"}:
        raise SettingsError(f"{path}: unicode is {form!r}, must be NFC or NFKC")
    if not isinstance(name, str) or not name or not isinstance(rules, list):
        raise SettingsError(f"{path}: wants a name, and rules that begin with [[rule]]")
    made = tuple(_rule(rule, f"{path}, rule {number}") for number, rule in enumerate(rules, start=1))
    if len({rule.name for rule in made}) < len(made):
        raise SettingsError(f"{path}: two rules have the same name; they are counted by it")
    return Policy(name=name, digest=f"sha256:{digest}", form=form, rules=made)


def _rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, dict) or set(raw) - _RULE_KEYS:
        raise SettingsError(f"{where}: knows only {', '.join(sorted(_RULE_KEYS))}, got {raw!r}")
    name, action, share = raw.get("name"), raw.get("action"), raw.get("rarer_than")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingsError(f"{where}: name {name!r} must be small letters, digits and _; rows are counted by it")
    where = f"{where} ({name})"
    if action not in {"drop", "keep", "rewrite"}:
        raise SettingsError(f"{where}: action is {action!r}, must be drop, keep or rewrite")
    if share is not None and not (isinstance(share, int | float) and 0 < share <= 1):
        raise SettingsError(f"{where}: rarer_than is {share!r}, must be above 0 and at most 1")
    if (action == "rewrite") != isinstance(raw.get("to"), str) or (action != "rewrite" and "to" in raw):
        raise SettingsError(f'{where}: a rewrite, and nothing else, wants to = "..."')
    if not isinstance(raw.get("why", ""), str) or not isinstance(raw.get("ignore_case", False), bool):
        raise SettingsError(f"{where}: why is a text, and ignore_case true or false")
    return Rule(
        name=name, action=action, meets=_condition(raw, where), rewritten=_rewriting(raw, where), rarer_than=share
    )


def _condition(raw: dict[str, Any], where: str) -> Callable[[str], bool]:
    given = [key for key in _CONDITIONS if key in raw]
    if len(given) != 1:
        raise SettingsError(f"{where}: wants one of {', '.join(_CONDITIONS)}, got {given or 'none'}")
    (key,) = given
    value = raw[key]
    if key == "is" and isinstance(value, list) and all(isinstance(word, str) for word in value):
        fold = str.casefold if raw.get("ignore_case") else str
        words = {fold(normalise(word)) for word in value}
        return lambda text: fold(text) in words
    if key == "matches" and isinstance(value, str):
        found = _pattern(raw, where).search
        return lambda text: found(text) is not None
    if key == "longer_than" and type(value) is int:
        return lambda text: len(text) > value
    if key == "shorter_than" and type(value) is int:
        return lambda text: len(text) < value
    if key == "has" and value in _HAS:
        kind = _HAS[value]
        return lambda text: any(map(kind, text))
    wanted = {"is": "a list of texts", "matches": "a regex", "has": f"one of {', '.join(_HAS)}"}
    raise SettingsError(f"{where}: {key} is {value!r}, must be {wanted.get(key, 'a whole number')}")


def _rewriting(raw: dict[str, Any], where: str) -> Callable[[str], str]:
    if raw["action"] != "rewrite":
        return str
    to = raw["to"]
    if "is" in raw:
        return lambda _: str(to)
    if "matches" not in raw:
        raise SettingsError(f"{where}: a rewrite wants matches or is, which say what to put something else for")
    pattern = _pattern(raw, where)
    try:
        pattern.sub(to, "")
        re.sub(pattern, to, "", count=0)
    except (re.error, IndexError) as error:
        raise SettingsError(f"{where}: to = {to!r} names a group that matches has not ({error})") from error
    return lambda text: pattern.sub(to, text)


def _pattern(raw: dict[str, Any], where: str) -> "re.Pattern[str]":
    try:
        return re.compile(raw["matches"], re.IGNORECASE if raw.get("ignore_case") else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise SettingsError(f"{where}: matches is no regex ({error})") from error


def cleaner_for(policy: str | Path | None, texts: Callable[[], Iterable[str]]) -> Cleaner:
    """Return the cleaner of a policy by path or name, or one that only normalises.

    Raises:
        SettingsError: see `Policy.load`.
        DataError: the texts cannot be read.
    """
    return Cleaner(None if policy is None else Policy.load(policy), texts)
