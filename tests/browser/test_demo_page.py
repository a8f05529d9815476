"""The page in a real browser: what people see there is what the models tell."""

import signal
import time

import numpy as np
import pytest
import soundfile
from PIL import Image

from espnet_ser.demo.timeline import runs

UPLOAD, CLEAR = ".upload-container", "button[aria-label='Clear']"
ANSWER = """(() => {
  const text = selector => document.querySelector(`.ser-prediction ${selector}`)?.innerText ?? null;
  const bar = e => [e.querySelector(".ser-name").innerText, e.querySelector(".ser-value").innerText,
    e.querySelector(".ser-track > span").getBoundingClientRect().width / e.querySelector(".ser-track").clientWidth];
  return {label: text(".ser-label"), bars: [...document.querySelectorAll(".ser-bar")].map(bar), voice: text(".ser-gender"),
    words: text(".ser-text"), length: text(".ser-length")};
})()"""


def answer_after(page, act):
    """What the page tells after something was done there."""
    act()
    page.wait_for("!!document.querySelector('.ser-prediction')")
    return page.evaluate(ANSWER)


def give(page, path):
    page.choose_file(UPLOAD, path)


def clear(page):
    page.click(CLEAR)
    page.wait_for("!!document.querySelector('#ser-answer .ser-empty') && !!document.querySelector('.upload-container')")


def click_example(page, name):
    page.wait_for(f"""(() => {{
        const found = [...document.querySelectorAll(".ser-examples button")].filter(e => e.innerText == {name!r});
        found.forEach(e => e.click());
        return found.length;
    }})()""")


def check_answer(shown, told):
    """Every part of what is shown, against what SpeechEmotion tells."""
    assert shown["label"] == told.label
    assert [(name, value) for name, value, _ in shown["bars"]] == [(n, f"{100 * s:.1f} %") for n, s in told.scores.items()]
    assert [width for *_, width in shown["bars"]] == pytest.approx(list(told.scores.values()), abs=0.02)
    gender = {"f": "female", "m": "male"}[told.gender.label]
    assert shown["voice"] == f"{gender} ({100 * told.gender.scores[told.gender.label]:.1f} %)"
    words = " ".join(told.text.split())
    assert shown["words"].strip('“”"') == (words or "none recognised")
    assert shown["length"].startswith(f"{told.duration_s:.1f} s")


def test_an_uploaded_recording_is_answered_as_speech_emotion_answers(open_page, recordings, speech_emotion):
    page = open_page()
    shown = []
    for name in ("one", "two", "mp3"):
        shown.append(answer_after(page, lambda name=name: give(page, recordings[name])))
        check_answer(shown[-1], speech_emotion(recordings[name]))
        clear(page)
    assert shown[0]["bars"] != shown[1]["bars"], "they are all alike: nothing was compared"


def test_a_long_recording_has_a_timeline(open_page, recordings, speech_emotion, screenshot):
    page = open_page()
    shown = answer_after(page, lambda: give(page, recordings["long"]))
    told = speech_emotion(recordings["long"])
    check_answer(shown, told)
    page.wait_for("document.querySelector('.ser-timeline img')?.naturalWidth > 1000")
    page.click(".ser-timeline summary")
    rows = page.evaluate("[...document.querySelectorAll('.ser-timeline tbody tr')].map(e => e.innerText.split('\\t'))")
    assert rows == [[f"{start_s:.1f}", f"{end_s:.1f}", label] for start_s, end_s, label in runs(told.timeline)]
    page.click(".ser-timeline summary")
    time.sleep(2)  # the player draws
    path = screenshot(page, "demo.png")
    assert 20_000 < path.stat().st_size < 300_000
    clear(page)
    assert page.evaluate("document.querySelector('#ser-over-time').innerText.trim()") == ""


def test_on_a_telephone_nothing_scrolls_sideways(open_page, recordings, screenshot):
    page = open_page(390, 844, mobile=True)
    answer_after(page, lambda: give(page, recordings["long"]))
    # The narrow figure: text in it is as large as that of the page.
    page.wait_for("Math.abs(document.querySelector('.ser-timeline img')?.naturalWidth - 540) < 2")
    time.sleep(2)
    wide = "[...document.querySelectorAll('body *')].map(e => e.getBoundingClientRect().right).filter(x => x > 391).length"
    assert page.evaluate("[window.innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    assert page.evaluate(wide) == 0
    path = screenshot(page, "demo_phone.png")
    with Image.open(path) as image:
        assert image.width == 390
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "text.wav: not audio that libsndfile can read"),
        ("longer", "longer.wav: 61 s, and 60 s is the most here; cut it into parts"),
    ],
)
def test_a_bad_recording_is_a_message_and_the_next_is_answered(open_page, recordings, speech_emotion, name, message):
    page = open_page()
    give(page, recordings[name])
    page.wait_for("!!document.querySelector('.ser-problem')")
    assert page.evaluate("document.querySelector('.ser-problem').innerText").startswith(message)
    clear(page)
    check_answer(answer_after(page, lambda: give(page, recordings["one"])), speech_emotion(recordings["one"]))


def test_too_large_a_file_is_a_message(open_page, recordings, speech_emotion):
    page = open_page()
    give(page, recordings["huge"])
    page.wait_for("document.body.innerText.includes('exceed the maximum allowed size')")
    page.problems.clear()  # Gradio asks how far the upload is, which has not begun
    click_example(page, "even")
    page.wait_for("!!document.querySelector('.ser-prediction')")


def test_what_the_microphone_hears_is_answered(open_page, recordings):
    page = open_page()
    page.click("button[aria-label='Record audio']")
    page.click("button.record-button")
    page.wait_for("document.querySelector('.stop-button')?.getBoundingClientRect().width > 0")
    time.sleep(3)
    shown = answer_after(page, lambda: page.click("button.stop-button"))
    assert 1 < float(shown["length"].removesuffix(" s")) < 15
    assert sum(float(value.removesuffix(" %")) for _, value, _ in shown["bars"]) == pytest.approx(100, abs=0.3)


def test_examples_say_what_they_are(open_page, recordings, speech_emotion):
    page = open_page()
    assert "made by a program (espeak-ng), not by people" in page.evaluate("document.body.innerText")
    shown = answer_after(page, lambda: click_example(page, "fast, loud, bright"))
    check_answer(shown, speech_emotion(recordings["one"]))


def test_two_people_at_once_get_their_own_answers(open_page, recordings, speech_emotion):
    pages = [open_page(), open_page()]
    names = ("long", "two")
    for page, name in zip(pages, names, strict=True):
        give(page, recordings[name])
    for page, name in zip(pages, names, strict=True):
        page.wait_for("!!document.querySelector('.ser-prediction')")
        check_answer(page.evaluate(ANSWER), speech_emotion(recordings[name]))


def test_the_page_can_be_used_without_a_mouse_or_eyes(open_page, recordings):
    page = open_page()
    answer_after(page, lambda: give(page, recordings["long"]))
    page.wait_for("!!document.querySelector('.ser-timeline img')")
    assert page.evaluate("document.querySelector('.ser-prediction').getAttribute('role')") == "status"
    assert page.evaluate("document.querySelector('.ser-timeline img').alt").startswith("Timeline: 0 to ")
    assert page.evaluate("[...document.images].filter(e => !e.alt && e.src).length") == 0
    unnamed = "[...document.querySelectorAll('button')].filter(e => !(e.innerText || e.ariaLabel || e.title).trim()).length"
    assert page.evaluate(unnamed) == 0
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_no_recording_stays_and_nobody_else_was_asked(served, open_page, tmp_path):
    """Last: it ends the program."""
    page = open_page()
    soundfile.write(tmp_path / "mine.wav", 0.1 * np.random.default_rng(5).standard_normal(32000), 16000)
    answer_after(page, lambda: give(page, tmp_path / "mine.wav"))
    assert len(list(served.temporary.rglob("mine.wav"))) == 1
    assert served.end() == 128 + signal.SIGTERM
    assert list(served.temporary.iterdir()) == []
    asked = set(served.watched.read_text().split())
    assert asked <= {"127.0.0.1", "localhost", "::1"}, asked
    assert "Traceback" not in served.log.read_text()
    page.problems.clear()  # that the program is gone
