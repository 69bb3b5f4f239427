"""Rules that look at one shard, or at one line: its fields, its text, its image."""

from components.validate.expectations import Expected, Where
from components.validate.rule import Rule, between, expected, in_set, lengths
from htr.audit.pictures import MIN_CONTRAST, MIN_SIDE
from htr.audit.texts import CONTROLS, INVISIBLE, MAX_CHARACTERS, NOT_LABELS
from htr.lines import SPLITS

_IMPORT_AGAIN = "import the dataset again; files written by other programs need a dataset.json of their own"


def _enough_steps(where: Where | None = None, *, mostly: float = 1.0) -> Expected:
    return expected(
        "ExpectColumnPairValuesAToBeGreaterThanB",
        where,
        column_A="steps_available",
        column_B="steps_needed",
        or_equal=True,
        ignore_row_if="either_value_is_missing",  # an undecodable image is another rule's matter
        mostly=mostly,
    )


SHARD_RULES = (
    Rule(
        name="shard_schema",
        promise="Every shard has the columns of a lines dataset, with their types",
        complaint="have other columns",
        detail="{schema_faults}",
        remedy=_IMPORT_AGAIN,
        error=in_set("schema_faults", ""),
    ),
    Rule(
        name="shard_rows",
        promise="Every shard has as many rows as dataset.json says",
        complaint="have another number of rows",
        detail="{num_rows} rows, dataset.json says {promised_rows}",
        remedy=_IMPORT_AGAIN,
        error=expected("ExpectColumnPairValuesToBeEqual", column_A="num_rows", column_B="promised_rows"),
    ),
    Rule(
        name="shard_digests",
        promise="No shard was altered since it was written",
        complaint="were altered since they were written",
        detail="SHA-256 {sha256:.12}..., dataset.json says {promised_sha256:.12}...",
        remedy=_IMPORT_AGAIN,
        error=expected("ExpectColumnPairValuesToBeEqual", column_A="sha256", column_B="promised_sha256"),
    ),
)

FIELD_RULES = (
    Rule(
        name="values_present",
        promise="Every line has a value in every column",
        complaint="lack a value",
        detail="no value in {no_value}",
        remedy='fill in an id, an image and a text; where the rest is unknown it is ""',
        error=in_set("no_value", ""),
    ),
    Rule(
        name="ids_unique",
        promise="Every id occurs once",
        complaint="share their id with another line",
        detail="text {text!r}",
        remedy="give each line an id of its own",
        error=expected("ExpectColumnValuesToBeUnique", column="id"),
    ),
    Rule(
        name="split_known",
        promise=f"Every line is in one of the splits {', '.join(SPLITS)}",
        complaint="are in a split that nobody uses",
        detail="split {split!r}",
        remedy=f"name the split {', '.join(SPLITS[:-1])} or {SPLITS[-1]}",
        error=in_set("split", *SPLITS),
    ),
    Rule(
        name="language_codes",
        promise='Languages are ISO 639-3 codes, or ""',
        complaint="name their language in another way",
        detail="language {language!r}",
        remedy="write fra, eng, deu, ...; reports are broken down by it",
        warning=expected("ExpectColumnValuesToMatchRegex", column="language", regex="^(?:[a-z]{3})?$"),
    ),
)

TEXT_RULES = (
    Rule(
        name="text_present",
        promise="Every line has a text",
        complaint="have no text",
        detail="the text is empty",
        remedy="transcribe the line or leave it out",
        error=lengths("text", least=1),
    ),
    Rule(
        name="text_normalised",
        promise="Texts are in Unicode NFC, with single spaces and none at the ends",
        complaint="are written in another form",
        detail="text {text!r}",
        remedy="put every text through htr.alphabet.normalise; the importers do",
        error=in_set("normalised", True),
    ),
    Rule(
        name="text_controls",
        promise="No text holds a control character",
        complaint="hold a control character",
        detail="text {text!r}",
        remedy="remove it from the table that the dataset was imported from",
        error=expected("ExpectColumnValuesToNotMatchRegex", column="text", regex=CONTROLS),
    ),
    Rule(
        name="text_visible",
        promise="Texts hold only what can be seen on paper",
        complaint="hold an invisible character, or the mark of a broken encoding",
        detail="text {text!a}",
        remedy="remove it; where the mark U+FFFD occurs, export the table again as UTF-8",
        warning=expected("ExpectColumnValuesToNotMatchRegex", column="text", regex=INVISIBLE),
    ),
    Rule(
        name="text_recoverable",
        promise="Every text can be told from the way it stands on paper",
        complaint="mix writing directions so that another text would look the same",
        detail="text {text!r}",
        remedy="keep them, but expect that even a right reading of them counts as wrong: docs/scripts.md",
        warning=in_set("recoverable", True),
    ),
    Rule(
        name="text_length",
        promise=f"No text is longer than {MAX_CHARACTERS} characters, in 95 % of the lines at least",
        complaint=f"are longer than {MAX_CHARACTERS} characters",
        detail="{num_characters} characters",
        remedy="cut paragraphs and pages into lines",
        error=lengths("text", most=MAX_CHARACTERS, mostly=0.95),
        warning=lengths("text", most=MAX_CHARACTERS),
    ),
    Rule(
        name="text_is_a_label",
        promise="No text is a word that tables put in place of a transcription",
        complaint="have a word for a text that tables put in place of one",
        detail="text {text!r}",
        remedy="look at the images; leave out the lines where it is not what is written",
        warning=expected("ExpectColumnValuesToNotBeInSet", column="text_folded", value_set=list(NOT_LABELS)),
    ),
)

IMAGE_RULES = (
    Rule(
        name="images_decodable",
        promise="Every image can be decoded, 99 % of them at least",
        complaint="have an image that cannot be decoded",
        detail="image is {undecodable}",
        remedy="scan or export the image again, or leave the line out",
        error=in_set("undecodable", "", mostly=0.99),
        warning=in_set("undecodable", ""),
    ),
    Rule(
        name="images_not_blank",
        promise="Every image shows something",
        complaint="look blank",
        detail="{contrast:.0f} grey levels between darkest and lightest; text {text!r}",
        remedy="look at the image; leave out lines where nothing is written",
        warning=between("contrast", least=MIN_CONTRAST),
    ),
    Rule(
        name="images_large_enough",
        promise=f"Every image is at least {MIN_SIDE} pixels wide and high",
        complaint="are too small to be read",
        detail="shorter side {short_side:.0f} pixels",
        remedy="cut the line out again at a higher resolution",
        warning=between("short_side", least=MIN_SIDE),
    ),
    Rule(
        name="images_as_large_as_stored",
        promise="Width and height are those of the image",
        complaint="have an image of another size than stored",
        detail="{size_fault}",
        remedy="store the size of the encoded image; the importers do",
        warning=in_set("size_fault", ""),
    ),
    Rule(
        name="ctc_feasible",
        promise="Every image is wide enough for its text, in 90 % of the train lines at least",
        complaint="have fewer time steps than CTC needs for their text; training leaves them out",
        detail="{steps_available:.0f} steps, needs {steps_needed}; text {text!r}",
        remedy="check that text and image belong together and that the line is not cut short",
        error=_enough_steps(Where("split", "==", "train"), mostly=0.9),
        warning=_enough_steps(),
    ),
)
