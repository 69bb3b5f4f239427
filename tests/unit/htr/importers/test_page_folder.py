"""Importing page images with ALTO or PAGE XML: lines are cut out rightly, and nothing outside is touched."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.errors import DataError, SettingsError
from htr.image import decode
from htr.importers.folders import Known
from htr.importers.page_folder import Cutting, import_page_folder
from htr.lines import LinesDataset
from tests.nasty_images import turned
from tests.shared_lot import SHARED_DATA, needs_shared
from tests.unit.htr.importers.test_manifest import assert_nothing_written, num_rows, read_quarantine

WIDTH, HEIGHT = 400, 300
INK = {"first": (50, 60, 300, 90), "second": (50, 150, 200, 180)}
"""Boxes of black on the page: left, top, right, bottom."""


def page_image(*, dark: bool = False) -> Image.Image:
    grey = np.full((HEIGHT, WIDTH), 220, np.uint8)
    for left, top, right, bottom in INK.values():
        grey[top + 8 : bottom - 8, left + 8 : right - 8] = 20
    return Image.fromarray(255 - grey if dark else grey)


def points(box: tuple[int, int, int, int], *, scale: float = 1) -> str:
    left, top, right, bottom = (number * scale for number in box)
    return f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"


def page_xml(
    body: str, *, file_name: str = "a.png", size: tuple[float, float] = (WIDTH, HEIGHT), year: int = 2019
) -> str:
    names = {2013: "2013-07-15", 2019: "2019-07-15"}
    return (
        f'<?xml version="1.0"?><PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{names[year]}">'
        f'<Page imageFilename="{file_name}" imageWidth="{size[0]}" imageHeight="{size[1]}">{body}</Page></PcGts>'
    )


def page_line(name: str, text: str, *, more: str = "", scale: float = 1, attributes: str = "") -> str:
    return (
        f'<TextLine id="{name}" {attributes}><Coords points="{points(INK[name], scale=scale)}"/>{more}'
        f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
    )


def write(folder: Path, xml: str, image: Image.Image | None = None, name: str = "a") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xml").write_text(xml, encoding="utf-8")
    (image or page_image()).save(folder / f"{name}.png")
    return folder


def imported(folder: Path, out: Path, **options: object) -> dict[str, object]:
    import_page_folder(folder, out, **options)  # type: ignore[arg-type]
    return {line.id.rpartition("/")[2]: line for line in LinesDataset.open(out).lines()}


def share_of_ink(image: bytes) -> float:
    return float((decode(image) < 128).mean())


BOTH = f"<TextRegion>{page_line('first', 'one')}{page_line('second', 'two')}</TextRegion>"


@pytest.mark.parametrize("year", [2013, 2019])
def test_page_lines_are_cut_out_of_their_place(tmp_path: Path, year: int) -> None:
    lines = imported(write(tmp_path / "in", page_xml(BOTH, year=year)), tmp_path / "out")
    assert {name: line.text for name, line in lines.items()} == {"first": "one", "second": "two"}
    for name, line in lines.items():
        left, top, right, bottom = INK[name]
        assert (line.width, line.height) == (
            pytest.approx(right - left, abs=8),
            pytest.approx(bottom - top, abs=8),
        )
        assert share_of_ink(line.image) > 0.3
        assert line.page == "a"


@pytest.mark.parametrize("version", [2, 3, 4])
def test_alto_of_every_version_is_read(tmp_path: Path, version: int) -> None:
    box = 'HPOS="50" VPOS="60" WIDTH="250" HEIGHT="30"'
    shape = f'<Shape><Polygon POINTS="{points(INK["first"]).replace(",", " ")}"/></Shape>' if version > 2 else ""
    baseline = {2: "", 3: 'BASELINE="88"', 4: 'BASELINE="50 88 300 88"'}[version]
    xml = (
        f'<alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#"><Description><MeasurementUnit>pixel'
        "</MeasurementUnit><sourceImageInformation><fileName>D:\\scans\\a.png</fileName></sourceImageInformation>"
        f'</Description><Layout><Page WIDTH="{WIDTH}" HEIGHT="{HEIGHT}"><PrintSpace><TextBlock>'
        f'<TextLine ID="l" {box} {baseline}>{shape}<String CONTENT="several"/><SP/><String CONTENT="strin"/>'
        '<HYP CONTENT="-"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>'
    )
    (line,) = imported(write(tmp_path / "in", xml), tmp_path / "out").values()
    assert line.text == "several strin-"
    assert share_of_ink(line.image) > 0.3


def test_types_texts_and_faults_of_real_files(tmp_path: Path) -> None:
    body = (
        '<TextRegion production="printed">'
        + page_line("first", "one", attributes='custom="structure {type:handwritten;}"')
        + page_line("second", "two")
        + "</TextRegion><TextRegion>"
        + page_line("second", "l&amp;#x27;été &amp;lt;3").replace('id="second"', 'id="third"')
        + '<TextLine id="words"><Coords points="50,60 300,60 300,90 50,90"/><Word><TextEquiv><Unicode>by'
        "</Unicode></TextEquiv></Word><Word><TextEquiv><Unicode>words</Unicode></TextEquiv></Word></TextLine>"
        '<TextLine id="best"><Coords points="50,60 300,60 300,90 50,90"/><TextEquiv index="1"><Unicode>worse'
        '</Unicode></TextEquiv><TextEquiv index="0"><Unicode>best</Unicode></TextEquiv></TextLine>'
        '<TextLine id="textless"><Coords points="50,60 300,60 300,90"/></TextLine>'
        '<TextLine id="placeless"><TextEquiv><Unicode>where?</Unicode></TextEquiv></TextLine>'
        '<TextLine id="outside"><Coords points="900,900 950,900 950,950"/><TextEquiv><Unicode>off</Unicode>'
        "</TextEquiv></TextLine></TextRegion>"
    )
    folder = write(tmp_path / "in", page_xml(body))
    lines = imported(folder, tmp_path / "out")
    assert {name: line.text for name, line in lines.items()} == {
        "first": "one",
        "third": "l'été <3",
        "words": "by words",
        "best": "best",
    }
    info = LinesDataset.open(tmp_path / "out").info
    assert info.counts["quarantined"] == {"no_outline": 1, "no_text": 1, "outside_page": 1, "type_printed": 1}
    assert info.lineage["notes"] == {"texts_escaped_twice": 1}
    assert num_rows(info) == 8
    assert len(imported(folder, tmp_path / "all", cutting=Cutting(drop_types=frozenset()))) == 5


def test_a_baseline_alone_gives_a_strip_as_high_as_the_lines_are_apart(tmp_path: Path) -> None:
    def line(name: str, y: int) -> str:
        return (
            f'<TextLine id="{name}"><Baseline points="50,{y} 300,{y}"/>'
            f"<TextEquiv><Unicode>{name}</Unicode></TextEquiv></TextLine>"
        )

    folder = write(
        tmp_path / "in", page_xml(f"<TextRegion>{line('a', 85)}{line('b', 120)}{line('c', 155)}</TextRegion>")
    )
    lines = imported(folder, tmp_path / "out")
    assert all(line.height == pytest.approx(1.05 * 35, abs=8) for line in lines.values())
    assert share_of_ink(lines["a"].image) > 0.2
    by_baseline = imported(
        write(
            tmp_path / "full",
            page_xml(BOTH.replace("<TextEquiv>", '<Baseline points="50,88 300,88"/><TextEquiv>')),
        ),
        tmp_path / "strips",
        cutting=Cutting(by="baseline", max_height=16),
    )
    assert {line.height for line in by_baseline.values()} <= set(range(8, 17))


def test_a_photograph_is_cut_in_the_frame_that_it_was_marked_in(tmp_path: Path) -> None:
    upright, lying = tmp_path / "upright", tmp_path / "lying"
    write(upright, page_xml(BOTH))
    (upright / "a.png").write_bytes(turned(6, image=page_image()))
    write(lying, page_xml(BOTH))  # the program that marked it did not look at EXIF
    exif = Image.Exif()
    exif[0x0112] = 6
    page_image().save(lying / "a.png", exif=exif)
    one, two = imported(upright, tmp_path / "one"), imported(lying, tmp_path / "two")
    for name in INK:
        np.testing.assert_array_equal(decode(one[name].image), decode(two[name].image))
    assert LinesDataset.open(tmp_path / "two").info.lineage["notes"]["pages_marked_before_rotation"] == 1


def test_marks_of_another_resolution_are_scaled_and_of_another_shape_refused(tmp_path: Path) -> None:
    plain = imported(write(tmp_path / "plain", page_xml(BOTH)), tmp_path / "one")
    body = (
        f"<TextRegion>{page_line('first', 'one', scale=2.5)}{page_line('second', 'two', scale=2.5)}</TextRegion>"
    )
    folder = write(tmp_path / "scaled", page_xml(body, size=(2.5 * WIDTH, 2.5 * HEIGHT)))
    write(folder, page_xml(BOTH, file_name="b.png", size=(HEIGHT, WIDTH)), name="b")
    scaled = imported(folder, tmp_path / "two")
    for name in INK:
        np.testing.assert_array_equal(decode(plain[name].image), decode(scaled[name].image))
    assert read_quarantine(tmp_path / "two") == {"b/first": "page_size", "b/second": "page_size"}


def test_light_writing_on_dark_paper_stays_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", page_xml(BOTH), page_image(dark=True))
    for line in imported(folder, tmp_path / "out").values():
        assert np.median(decode(line.image)[0]) < 60, "what is painted over is paper, too"


@pytest.mark.parametrize(
    "layout",
    [("page/a.xml", "a.png"), ("a.xml", "images/a.png"), ("page/a.xml", "images/a.png"), ("a.page.xml", "a.png")],
)
def test_images_are_found_where_programs_put_them(tmp_path: Path, layout: tuple[str, str]) -> None:
    for name in layout:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "in" / layout[0]).write_text(page_xml(BOTH, file_name="/home/x/other.png"))
    page_image().save(tmp_path / "in" / layout[1])
    assert len(imported(tmp_path / "in", tmp_path / "out", known=Known(writer_from="page"))) == 2


@pytest.mark.parametrize("name", ["../secret.png", "/{0}/secret.png", "linked.png", "file:///{0}/secret.png"])
def test_no_image_outside_of_the_folder_is_ever_opened(tmp_path: Path, name: str) -> None:
    page_image().save(tmp_path / "secret.png")
    folder = write(tmp_path / "in", page_xml(BOTH), name="good")
    (folder / "good.png").rename(folder / "a.png")
    (folder / "linked.png").symlink_to(tmp_path / "secret.png")
    (folder / "bad.xml").write_text(page_xml(BOTH, file_name=name.format(tmp_path)))
    (folder / "linked.xml").symlink_to(tmp_path / "secret.png")
    imported(folder, tmp_path / "out")
    quarantined = read_quarantine(tmp_path / "out")
    assert quarantined.pop("linked") == "outside_folder"
    assert quarantined.keys() == {"bad/first", "bad/second"}
    assert set(quarantined.values()) <= {"no_image", "outside_folder"}


BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BAD = {
    "bomb": f'<!DOCTYPE l [<!ENTITY l0 "lol">{BILLION}]>' + page_xml("&l9;")[21:],
    "external": '<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + page_xml(f"<TextRegion>{page_line('first', '&e;')}</TextRegion>")[21:],
    "dtd": '<!DOCTYPE l SYSTEM "http://127.0.0.1:9/x.dtd">' + page_xml(BOTH)[21:],
    "deep": "<PcGts>" + "<a>" * 100_000,
    "nothing": "",
    "text": "not xml",
    "nan": page_xml(BOTH.replace("50,60", "nan,60")),
    "huge": page_xml(BOTH, size=(1e300, 1)),
    "two pages": page_xml(BOTH + f'</Page><Page imageWidth="1" imageHeight="1">{BOTH}'),
    "html": "<html><body/></html>",
    "undeclared": page_xml(f"<TextRegion>{page_line('first', '&nbsp;')}</TextRegion>"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("kind", BAD)
def test_a_broken_or_hostile_file_is_one_row_of_the_quarantine(tmp_path: Path, kind: str, encoding: str) -> None:
    folder = write(tmp_path / "in", page_xml(BOTH))
    (folder / "bad.xml").write_bytes(BAD[kind].encode(encoding))
    began = time.monotonic()
    info = import_page_folder(folder, tmp_path / "out")
    assert time.monotonic() - began < 5
    assert (info.num_lines, info.counts["quarantined"]) == (2, {"bad_xml": 1})


def test_points_far_outside_cost_nothing(tmp_path: Path) -> None:
    far = page_line("first", "one").replace("50,60", "-1e300,-1e300").replace("300,90", "1e300,1e300")
    lines = imported(write(tmp_path / "in", page_xml(f"<TextRegion>{far}</TextRegion>")), tmp_path / "out")
    assert lines["first"].width <= WIDTH + 50


def test_folders_and_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match=r"holds no \.xml"):
        import_page_folder(tmp_path / "in", tmp_path / "out")
    with pytest.raises(SettingsError, match="crop"):
        Cutting(by="box")
    with pytest.raises(SettingsError, match="max-height"):
        Cutting(max_height=3)
    (tmp_path / "in" / "a.xml").write_text(page_xml(BOTH, file_name="gone.png"))
    with pytest.raises(DataError, match="none of its 2 rows"):
        import_page_folder(tmp_path / "in", tmp_path / "out")
    assert_nothing_written(tmp_path / "out")


@pytest.mark.shared
@needs_shared
def test_the_shared_pages_add_up(tmp_path: Path) -> None:
    info = import_page_folder(SHARED_DATA / "pages", tmp_path / "out", cutting=Cutting(max_height=64))
    assert (info.num_lines, info.counts["quarantined"]) == (
        358,
        {"no_text": 1, "type_print": 4, "type_printed": 17},
    )
    pages = LinesDataset.open(tmp_path / "out").columns(["page"])["page"].to_pylist()
    assert len(set(pages)) == 8
    buffer = io.BytesIO(next(LinesDataset.open(tmp_path / "out").lines()).image)
    assert Image.open(buffer).mode == "L"
