"""Names in any script, in figures: fonts that this machine has, or what to install."""

import warnings

import matplotlib
import pytest
from matplotlib import font_manager, ft2font
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from espnet_ser.report import fonts
from espnet_ser.report.figures import figure_png, save_figure, styled


@pytest.fixture
def another_font(tmp_path, monkeypatch):
    """As if there were one font besides matplotlib's own, with two Chinese letters."""
    path = font_manager.findfont("STIXGeneral")
    monkeypatch.setattr(fonts, "_paths", lambda: (("DejaVu Sans", font_manager.findfont("DejaVu Sans")), ("Mine", path)))
    monkeypatch.setattr(
        fonts,
        "_characters_of",
        lambda file: frozenset(ft2font.FT2Font(file).get_charmap()) | ({0x5F00, 0x5FC3} if file == path else set()),
    )


def test_a_font_is_taken_for_the_letters_that_others_lack(another_font):
    assert fonts.families_for(["happy", "w\u00fctend", "\u0437\u043b\u043e\u0439"]) == (["DejaVu Sans"], "")
    assert fonts.families_for(["happy", "\u5f00\u5fc3"]) == (["DejaVu Sans", "Mine"], "")
    assert fonts.families_for(["\u5f00\u6012 \u200d\n"]) == (["DejaVu Sans", "Mine"], "\u6012")


@pytest.mark.parametrize(
    ("letters", "package"),
    [
        ("\u5f00\u5fc3", "fonts-noto-cjk"),
        ("\u304b\u30ca", "fonts-noto-cjk"),
        ("\ud55c", "fonts-noto-cjk"),
        ("\u0e17", "fonts-thai-tlwg"),
        ("\u0916", "fonts-noto-core"),
        ("\u0d05", "fonts-noto-core"),
    ],
)
def test_what_helps_is_named(letters, package):
    assert f"install {package} (or another" in fonts.advice(letters)


def test_a_font_installed_since_matplotlib_made_its_list_is_found(monkeypatch):
    manager, path = font_manager.fontManager, font_manager.findfont("STIXGeneral")
    monkeypatch.setattr(manager, "ttflist", [font for font in manager.ttflist if font.name == "DejaVu Sans"])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [path, __file__])
    fonts._paths.cache_clear()
    try:
        assert ("STIXGeneral", path) in fonts._paths()
    finally:
        fonts._paths.cache_clear()


def test_other_fonts_than_matplotlibs_are_in_the_pdf_too(another_font, tmp_path):
    for name, kind in (("happy", b"/FontFile2"), ("\u5f00", b"/Type3")):
        figure = Figure()
        FigureCanvasAgg(figure)
        figure.text(0.5, 0.5, name)
        save_figure(figure, tmp_path / "figure.png")
        assert kind in (tmp_path / "figure.pdf").read_bytes()


def test_letters_that_no_font_has_are_one_warning_and_no_error(capsys, monkeypatch):
    monkeypatch.setattr(fonts, "_paths", lambda: (("DejaVu Sans", font_manager.findfont("DejaVu Sans")),))
    fonts._say_once.cache_clear()

    @styled
    def draw():
        figure = Figure()
        FigureCanvasAgg(figure)
        figure.text(0.5, 0.5, "\u5f00\u5fc3")
        return figure_png(figure)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw() == draw()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no font on this machine has \u5f00 \u5fc3: figures show boxes in their place; install fonts-noto-cjk" in said


def test_scripts_that_matplotlibs_own_font_has_are_drawn_from_right_to_left_too():
    assert fonts.families_for(["\u0633\u0639\u064a\u062f", "\u05e9\u05de\u05d7"])[1] == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = Figure()
        FigureCanvasAgg(figure)
        figure.text(0.5, 0.5, "\u0633\u0639\u064a\u062f")
        assert figure_png(figure)
    assert matplotlib.rcParams["font.family"] == ["sans-serif"]
