"""What strangers' names and texts do to a terminal, a table or a page that they are written to: nothing."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from espnet_ser.bin.main import main
from espnet_ser.characters import escape, is_shown, spelt_out, spelt_out_json
from espnet_ser.data.audio_list import NamedAudio
from espnet_ser.inference.output_formats import Predicted, csv_text, jsonl_text, table_text
from espnet_ser.inference.prediction import Decision, Moment, Prediction
from espnet_ser.report.grid import Grid, code_markdown, grid_markdown, text_markdown
from espnet_ser.report.page import grid_html
from espnet_ser.utils.say import say

HARMFUL = [
    "\x1b[2J",
    "\x9b2J",
    "\x07",
    "\r",
    "\x08",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2028",
    "\x85",
    "\ufeff",
    "\udce9",
]
HARMLESS = "caf\u00e9 \u0645\u06cc\u200c\u0631\u0648\u0645 \u0915\u094d\u200d\u0937 \u4f60 \U0001f468\u200d\U0001f469 q\u0301"


@pytest.mark.parametrize("harmful", HARMFUL, ids=ascii)
def test_whatever_is_printed_or_written_for_people_shows_itself(capsys, harmful):
    name = f"a{harmful}b"
    say(name)
    written = [capsys.readouterr().out, escape(name), text_markdown(name), code_markdown(name)]
    outputs = {"emotion": Decision(name, {name: 1.0}), "asr": name}
    prediction = Prediction(outputs, duration_s=1.0, timeline=(Moment(name, {name: 1.0}, 0.0, 1.0),))
    told = [Predicted(NamedAudio(name, None), prediction)]
    written += [table_text(told), csv_text(told), jsonl_text(told)]
    for text in written:
        assert all(is_shown(c) or c == "\n" for c in text), ascii(text)
    assert json.loads(jsonl_text(told))["utt"] == name


def test_scripts_and_emoji_stay_legible(capsys):
    say(HARMLESS)
    assert capsys.readouterr().out == f"{HARMLESS}\n"
    assert spelt_out(HARMLESS) == escape(HARMLESS) == text_markdown(HARMLESS) == spelt_out_json(HARMLESS) == HARMLESS


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)", "\t=1", "\uff1d1"])
def test_no_cell_of_a_csv_file_is_a_formula(name):
    prediction = Prediction({"emotion": Decision(name, {name: 1.0}), "asr": name}, duration_s=1.0)
    cells = [cell for row in csv.reader(io.StringIO(csv_text([Predicted(NamedAudio(name, None), prediction)]))) for cell in row]
    assert sum(name.strip() in cell for cell in cells) == 4  # the id, the label, the text and a column's head
    assert not [cell for cell in cells if cell != "-" and cell.startswith(("=", "+", "-", "@", "\t", "\uff1d"))]


def test_no_cell_of_markdown_is_anything_but_text():
    harm = ["[a](http://b.c)", "![a](b)", "`a`", "*a*", "__a__", "$a$", "<img src=x>", "a|b", "~~a~~", "\\|", "https://b.c"]
    (row,) = grid_markdown(Grid("", tuple("x" * len(harm)), (tuple(harm),))).splitlines()[2:]
    assert row == (
        r"| \[a](http:&#47;/b.c) | !\[a](b) | \`a\` | \*a* | \__a_\_ | \$a\$ | &lt;img src=x&gt; | a\|b | \~\~a\~\~ | \\\| | "
        r"https:&#47;/b.c |"
    )
    assert text_markdown("asr_gender_skip__ser happy* 95 % [70, 80]") == r"asr_gender_skip__ser happy* 95 % \[70, 80]"
    assert code_markdown("a `` b") == "``` a `` b ```"


def test_no_cell_of_a_page_turns_what_stands_around_it():
    assert "\u202e" not in grid_html(Grid("\u202e", ("a\u202e", "b"), (("\u202e", "\u202e"),)))


def test_the_table_of_folds_and_lists_of_audio_spell_out_or_refuse(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", 0.1 * np.ones(8000), 16000)
    (tmp_path / "k").mkdir()
    for name, value in {"wav.scp": "a.wav", "utt2spk": "s{}", "utt2emotion": "sad\x1b[2J"}.items():
        (tmp_path / "k" / name).write_text("".join(f"s{n}-1 {value.format(n)}\n" for n in range(3)))
    with pytest.raises(SystemExit) as error:
        main(["folds", "--data", "k", "--datadir", "data", "--nj", "1"])
    assert str(error.value) == (
        "espnet-ser folds: error: k/utt2emotion:1: 'sad\\x1b[2J' has U+001B in it, which is not shown; write it otherwise"
    )
