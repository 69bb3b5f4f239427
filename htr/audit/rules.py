"""Every rule of the audit: what should hold, how bad it is where it does not, and what to do then."""

from htr.audit.findings import Rule, Severity
from htr.audit.pictures import FAINT_CONTRAST, MIN_CONTRAST, MIN_SIDE
from htr.audit.texts import FEW, MAX_CHARACTERS

_KEEP_ONE = "keep one of them; what was learnt by heart cannot be tested"
_LOOK = "look at the image; correct the label or leave the line out"


def _rule(name: str, severity: Severity, promise: str, remedy: str) -> Rule:
    return Rule(name=name, severity=severity, promise=promise, remedy=remedy)


_ALL = (
    _rule("copy_in_two_splits", "error", "No image is in two splits, pixel by pixel", _KEEP_ONE),
    _rule("near_copy_in_two_splits", "error", "No image is in two splits in another form", _KEEP_ONE),
    _rule(
        "writer_in_two_splits",
        "error",
        "No writer is in two of train, val and test (corrected lines aside)",
        "python -m htr split puts each writer into one; or give different people different names",
    ),
    _rule(
        "page_in_two_splits",
        "error",
        "No page is in two of train, val and test",
        "python -m htr split --by page puts each page into one",
    ),
    _rule(
        "text_in_two_splits",
        "error",
        "No writer wrote the same text in two splits",
        "put all lines of a writer into one split",
    ),
    _rule("conflicting_labels", "error", "The same image has the same label", "keep the label that is right"),
    _rule("undecodable", "error", "Every image can be decoded", "export the image again, or leave the line out"),
    _rule(
        "infeasible",
        "warning",
        "Every image is wide enough for its text: CTC needs a time step a character",
        "check that text and image belong together and the line is not cut short; training leaves them out",
    ),
    _rule(
        "placeholder",
        "warning",
        "No text is a word that tables put in place of one",
        "look at the image; a policy on import drops them",
    ),
    _rule(
        "too_long",
        "warning",
        f"No text is longer than {MAX_CHARACTERS} characters",
        "cut paragraphs and pages into lines",
    ),
    _rule(
        "unseen_character",
        "warning",
        "Texts hold only what can be seen on paper",
        "remove it; where U+FFFD stands, export the table again as UTF-8",
    ),
    _rule(
        "mixed_scripts",
        "warning",
        "No word mixes letters of two scripts that look alike",
        "type it again; a policy can rewrite such letters",
    ),
    _rule(
        "rare_character",
        "warning",
        f"Every character is in {FEW} lines at least, of a thousand and more",
        "correct it, or rewrite it by a policy; no model learns it from so few",
    ),
    _rule("copy", "warning", "No image is twice in a split, pixel by pixel", "keep one of them"),
    _rule("near_copy", "warning", "No image is twice in a split in another form", "keep one of them"),
    _rule(
        "blank",
        "warning",
        f"Every image has {MIN_CONTRAST} grey levels between its darkest and lightest",
        "leave out lines where nothing is written",
    ),
    _rule(
        "faint",
        "warning",
        f"Every image has {FAINT_CONTRAST} grey levels between paper and ink",
        "scan it again where it can be had",
    ),
    _rule(
        "inverted", "warning", "Writing is darker than paper", "nothing has to be done; check that it was meant"
    ),
    _rule("lying", "warning", "No line lies on its side", "turn the image upright"),
    _rule("too_small", "warning", f"Every image is {MIN_SIDE} pixels wide and high", "cut it out again, larger"),
    _rule("likely_mislabel", "warning", "A trained model does not contradict the label", _LOOK),
    _rule("upside_down", "warning", "No line is upside down", "turn the image by half a turn"),
    _rule(
        "beyond_alphabet",
        "warning",
        "The model can write every character of every text",
        "train it further on lines with these characters; until then it cannot read them",
    ),
)

RULES = {rule.name: rule for rule in _ALL}
"""By name, in the order in which they are reported."""
WITH_MODEL = frozenset({"likely_mislabel", "upside_down", "beyond_alphabet"})
"""Rules that are only asked where there is a model."""
