import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_maker import RUN, SYSTEM, write

from espnet_ser.report.page import grid_html
from espnet_ser.report.system import SystemReport
from espnet_ser.report.tables import detail_grids, fold_grid
from espnet_ser.report.write import write_table_report

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "line", "circle", "br", "link"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of a finished system, of a malicious one, and of one that is not finished."""
    folder = tmp_path_factory.mktemp("table")
    good = write(folder / "mine")
    evil = write(folder / "evil", replace(SYSTEM, name=EVIL), run={**RUN, "command": EVIL, "settings": {EVIL: EVIL}})
    missing = SystemReport.of(replace(SYSTEM, name="missing"), folder / "missing", None, {})
    write_table_report(f"Table {EVIL}", [good, evil, missing], folder / "out", EVIL)
    return folder


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "out" / "report.html").read_text()


def test_the_page_needs_nothing_but_itself(html):
    page = Page(html)
    references = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in references)
    assert not re.search(r"url\(|@import|https?://", html)
    targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {reference[1:] for reference in references if reference.startswith("#")} <= targets
    assert not page.all("script")


def test_names_and_commands_are_text(html):
    page = Page(html)
    assert "<script" not in html
    assert EVIL in "".join(page.texts)
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_markdown_lets_no_html_through(folder):
    for path in (folder / "out" / "RESULTS.md", folder / "evil" / "RESULTS.md"):
        outside_code = re.sub(r"`[^`]*`", "", path.read_text())
        assert "<script" not in outside_code


def test_every_system_has_a_row_and_the_finished_ones_their_figures(html):
    page = Page(html)
    texts = "".join(page.texts)
    assert "missing (not finished)" in texts
    assert "2 of 3 systems finished" in texts
    images = page.all("img")
    assert len(images) == 1 + 2 * 3  # bars; confusion, curves, embeddings of each
    assert all(image["alt"] and int(image["width"]) > 100 for image in images)
    assert len(page.all("details")) == 3
    assert len(page.all("h1")) == 1
    assert all(attrs.get("scope") in ("col", "row", "colgroup") for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert texts.count("best UA") == 1


def test_the_page_of_a_system_has_the_numbers_of_its_results(folder):
    made = SystemReport.read(SYSTEM, folder / "mine")
    page = (folder / "mine" / "report.html").read_text()
    for grid in (fold_grid(made), *detail_grids(made.results)):
        assert grid_html(grid) in page
    summary = made.results["summary"]["last"]["ua"]
    texts = "".join(Page(page).texts)
    assert (
        f"UA mean over folds {summary['mean']:.2f} ± {summary['std']:.2f}; pooled {summary['pooled']:.2f}, 95 % interval "
        f"{summary['ci95'][0]:.2f} to {summary['ci95'][1]:.2f} (utterances)" in texts
    )


def test_strips_show_ours_and_the_papers_on_one_scale(html):
    charts = [attrs["aria-label"] for attrs in Page(html).all("svg")]
    assert charts == ["UA: ours 75.00, paper 76.10"] * 2 + ["UA: paper 76.10"]
    centres = {attrs["cx"] for attrs in Page(html).all("circle")}
    assert len(centres) == 1
