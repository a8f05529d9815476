"""Answers of models with many classes, on a telephone's width: no server, the HTML and the style alone."""

import pytest
from chromium import Page, chromium

from espnet_ser.demo.answer import prediction_html
from espnet_ser.demo.page_style import STYLE
from espnet_ser.inference.prediction import Decision, Prediction

SEVEN = ["anger", "boredom", "disgust", "anxiety/fear", "happiness", "neutral", "sadness"]
MANY = ["surprise_(positively_unexpected)", "disappointment", "embarrassment", *(f"class_number_{i}" for i in range(17))]
LINES = "[...document.querySelectorAll('.ser-name bdi')].map(e => e.getClientRects().length)"


@pytest.fixture(scope="module")
def bare_browser(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    with chromium(request.config.getoption("--chromium"), folder / "profile", folder / "none.wav") as browser:
        yield browser


@pytest.mark.parametrize("width", [360, 412])
@pytest.mark.parametrize("classes", [SEVEN, MANY])
def test_names_of_classes_are_whole_and_text_is_not_cut(bare_browser, tmp_path, width, classes):
    scores = {name: 1 / len(classes) for name in classes}
    told = prediction_html(Prediction({"emotion": Decision(classes[0], scores), "asr": "AND SO ON " * 300}, 9.0))
    head = f"<!doctype html><meta name='viewport' content='width=device-width'><style>{STYLE}</style>"
    (tmp_path / "page.html").write_text(f"{head}<body class='gradio-container'>{told}", encoding="utf-8")
    page = Page(bare_browser, width, 800, mobile=True)
    page.open((tmp_path / "page.html").as_uri())
    page.wait_for("document.querySelectorAll('.ser-bar').length > 6")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert set(page.evaluate(LINES)) <= {0, 1}  # none of those that are folded away
    assert page.evaluate("(e => e.scrollHeight - e.clientHeight)(document.querySelector('.ser-text'))") <= 1
    page.close()
