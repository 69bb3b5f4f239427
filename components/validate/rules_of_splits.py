"""Rules that look across lines: splits that are there and stand apart, characters that training shows, copies."""

from typing import TYPE_CHECKING

from components.validate.expectations import Where
from components.validate.neighbours import unseen_characters
from components.validate.rule import Rule, between, expected, in_set

if TYPE_CHECKING:
    import pandas as pd

FEW_LINES = 20
"""A split of fewer lines says little."""
MAX_UNSEEN_SHARE = 0.05
"""Share of the characters outside train that train may never show."""
_ONE_SPLIT = ["", "train", "val", "test"]


def _there(split: str, purpose: str) -> Rule:
    rows = "ExpectTableRowCountToBeBetween"
    return Rule(
        name=f"split_{split}",
        promise=f"There are {split} lines: one at least, better {FEW_LINES}",
        complaint=f"split {split} holds {{observed:.0f}} lines",
        remedy=f"put more writers into split {split}: {purpose}",
        error=expected(rows, Where("split", "==", split), min_value=1),
        warning=expected(rows, Where("split", "==", split), min_value=FEW_LINES),
    )


SPLIT_RULES = (
    _there("train", "it is what is learnt from"),
    _there("val", "it says when to stop learning, and how far a confidence can be trusted"),
    _there("test", "it is the golden test that champions are compared on"),
    Rule(
        name="writers_in_one_split",
        promise="No writer is in two of train, val and test (corrected lines aside)",
        complaint="were written by someone who is in another split, too",
        detail="writer {writer!r} is in {writer_splits}",
        remedy="move all lines of a writer into one split, or give different people different names",
        error=in_set("writer_splits", *_ONE_SPLIT),
    ),
    Rule(
        name="pages_in_one_split",
        promise="No page is in two of train, val and test; where the writer is unknown that is an error",
        complaint="are on a page that is in another split, too",
        detail="page {page!r} is in {page_splits}",
        remedy="move all lines of a page into one split, or give different pages different names",
        error=in_set("page_splits", *_ONE_SPLIT, where=Where("writer", "==", "")),
        warning=in_set("page_splits", *_ONE_SPLIT),
    ),
    Rule(
        name="images_in_one_split",
        promise="No image is in two splits",
        complaint="have an image that is in another split, too",
        detail="the same image is in {image_splits}",
        remedy="leave all but one of them out: what was learnt by heart cannot be tested",
        error=in_set("image_splits", *_ONE_SPLIT, "recent"),
    ),
    Rule(
        name="images_in_one_split_in_any_form",
        promise="No image is in two splits, not even saved, scaled, dimmed or cut anew",
        complaint="look like a line in another split",
        detail="alike in {near_copy_splits}; text {text!r}",
        remedy="look at them (python -m htr audit shows them side by side); keep one of each",
        warning=in_set("near_copy_splits", *_ONE_SPLIT, "recent"),
    ),
    Rule(
        name="images_once",
        promise="No image is twice in a split",
        complaint="have an image that occurs more than once in their split",
        detail="{image_copies} times in {split}",
        remedy="leave all but one of them out",
        warning=between("image_copies", most=1),
    ),
    Rule(
        name="images_one_text",
        promise="The same image always has the same text",
        complaint="have an image that elsewhere has another text",
        detail="{image_texts} texts for one image; here {text!r}",
        remedy="look at the image and keep the text that is right",
        error=between("image_texts", most=1),
    ),
)


def coverage_rule(table: "pd.DataFrame") -> Rule:
    """Return the rule about characters that train never shows, with what there is of them in this table."""
    num_characters = int(table.loc[table["split"] != "train", "num_characters"].sum())
    share = int(table["num_unseen"].sum()) / max(1, num_characters)
    characters = " ".join(unseen_characters(table)).replace("{", "{{").replace("}", "}}")
    return Rule(
        name="alphabet_covered",
        promise=f"Train shows every character; at most {MAX_UNSEEN_SHARE:.0%} of the other splits lacks it",
        complaint=f"outside train hold characters that train never shows ({share:.1%} of all there): {characters}",
        detail="holds {unseen}",
        remedy="add train lines with these characters; the model can never read them otherwise",
        error=expected(
            "ExpectColumnSumToBeBetween", column="num_unseen", max_value=MAX_UNSEEN_SHARE * num_characters
        ),
        warning=between("num_unseen", most=0, where=Where("split", "!=", "train")),
    )
