import json

import matplotlib.image
import numpy as np
import pytest
from matplotlib.text import Text
from report_maker import LABELS, RUN, SYSTEM, embeddings, history, line, predictions, report, write

from espnet_ser.data.datadir import Example
from espnet_ser.demo import timeline
from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import summarise
from espnet_ser.inference.prediction import Moment
from espnet_ser.report import figures
from espnet_ser.report.figures import COLUMN, PAGE, plot_bars, plot_confusion, plot_curves, plot_embeddings, plot_layers
from espnet_ser.report.gradients import plot_gradients
from espnet_ser.report.markdown import results_markdown, table_markdown
from espnet_ser.report.page import system_page
from espnet_ser.report.projection import MIN_TSNE_POINTS, project
from espnet_ser.report.system import SystemReport
from espnet_ser.report.wording import SELECTION_NOTES
from espnet_ser.report.write import labelled_embeddings


def test_markdown_shows_every_fold_the_mean_the_slices_and_the_paper(tmp_path):
    made = report(tmp_path)
    text = results_markdown(made, ["confusion"])
    assert (
        "| held-out fold | **UA (last)** | **WA (last)** | UA (others) | WA (others) | UA (oracle) | WA (oracle) "
        "| gender UA* | WER* | CER* | utterances |" in text
    )
    assert "| 1 | 75.00 | 87.50 | 50.00 | 75.00 | 100.00 | 100.00 | 100.00 | 50.00 | 33.33 | 8 |" in text
    assert "| **mean ± deviation** | **62.50 ± 17.68** | **68.75 ± 26.52** | 50.00 ± 0.00 |" in text
    assert "| paper (IEMOCAP) | 76.10 | 74.94 | 76.10 | 74.94 | 76.10 | 74.94 | 98.57 | 22.80 | – | 5531 |" in text
    ends = {
        name: {key: " to ".join(f"{end:.2f}" for end in scores[key]) for key in ("ci95", "ci95_speakers")}
        for name, scores in ((name, made.results["summary"]["last"][name]) for name in ("ua", "wa"))
    }
    assert (
        f"Headline (`last`), folds 1, 2 of 5: UA mean over folds **62.50 ± 17.68**; pooled **75.00**, 95 % interval "
        f"{ends['ua']['ci95']} (utterances), {ends['ua']['ci95_speakers']} (speakers). WA mean over folds **68.75 ± 26.52**; "
        f"pooled **75.00**, 95 % interval {ends['wa']['ci95']} (utterances), {ends['wa']['ci95_speakers']} (speakers).\n"
        in text
    )
    assert "\n| angry | 8 | 75.00 | 85.71 | 80.00 |\n" in text
    assert "\n| **macro-F1** |  |  |  | **73.33** |\n" in text
    assert "\n| labelled | angry | sad |\n| --- | ---: | ---: |\n| angry | 6 | 2 |\n| sad | 1 | 3 |\n" in text
    assert "\n| Ses01_F | 1 | 8 | 2 | 75.00 | 87.50 |\n| Ses02_F | 2 | 4 | 2 | 50.00 | 50.00 |\n" in text
    assert "holds out" not in text  # no fold lacks a class
    assert "| style: improvised | 7 | 61.25 | 58.50 | 2 |" in text
    assert all(f"- `{selection}`: " in text for selection in ("last", "others", "oracle"))
    assert "- command: `./run.sh --system mine`" in text
    assert "- trained with: `date 2026-01-01; torch 2.10.0`\n- scored with: `date 2026-01-02; torch 2.11.0`" in text
    assert "](figures/confusion.png)" in text
    assert "figures/curves.png" not in text


def test_a_selection_that_nobody_could_make_is_left_out_and_it_is_said_why(tmp_path):
    write(tmp_path, selections=("last", "oracle"))
    text = results_markdown(SystemReport.read(SYSTEM, tmp_path), [])
    assert "| held-out fold | **UA (last)** | **WA (last)** | UA (oracle) | WA (oracle) | gender UA* |" in text
    assert "- `others` is left out: it needs a further fold, trained for as many epochs." in text
    assert "`others` is left out" in (tmp_path / "report.html").read_text().replace("<code>others</code>", "`others`")


def test_a_single_fold_has_no_deviation(tmp_path):
    made = write(tmp_path, folds=("2",))
    text = (tmp_path / "RESULTS.md").read_text()
    assert "Headline (`last`), fold 2 of 5: UA **50.00**, 95 % interval " in text
    assert "(speakers)" not in text  # there is one
    assert "| **mean ± deviation** | **50.00** | **50.00** | 50.00 |" in text
    assert made.ua["std"] is None
    assert '"std": null' in (tmp_path / "results.json").read_text()
    assert "UA 50.00, 95 % interval" in (tmp_path / "report.html").read_text()
    assert "± 0.00" not in text + (tmp_path / "report.html").read_text()


def test_a_fold_that_lacks_a_class_is_named(tmp_path):
    lines = predictions()
    lines["2"] = {s: [line for line in of if line["emotion"]["ref"] == "angry"] for s, of in lines["2"].items()}
    results = summarise("mine", {**lines, "3": lines["2"]})
    results["folds"]["1"]["absent"]["gender"] = ["m|w"]
    text = results_markdown(SystemReport.of(SYSTEM, tmp_path, results, RUN), [])
    told = (
        "- A fold's UA is over the classes that it holds out: folds 2, 3 have no `sad`; of genders fold 1 has no `m|w`. A mean"
    )
    assert told in text
    page = system_page(SystemReport.of(SYSTEM, tmp_path, results, RUN))
    assert "folds 2, 3 have no <code>sad</code>" in page
    assert told in table_markdown("T", [SystemReport.of(SYSTEM, tmp_path, results, RUN)] * 2, [], RUN)


def test_many_speakers_are_cut_short_and_many_classes_left_out(tmp_path):
    lines = [line(i, f"class{i:02d}", "class00") | {"speaker": f"s{i:02d}"} for i in range(70)]
    text = results_markdown(SystemReport.of(SYSTEM, tmp_path, summarise("mine", {"1": {"last": lines}}), RUN), [])
    assert "The 60 of 70 speakers with the lowest UA (last" in text
    assert text.count(" | 1 | 1 | 1 | 0.00 | 0.00 |\n") == 60
    assert "Confusion matrix" not in text


def test_no_selection_is_called_a_bound():
    assert "bound" not in " ".join(SELECTION_NOTES.values())
    assert "chosen on test data" in SELECTION_NOTES["oracle"]


def test_figures_are_pictures_of_the_numbers(tmp_path):
    plot_confusion(
        [line["emotion"] for by in predictions().values() for line in by["last"]], tmp_path / "confusion.png", "mine"
    )
    plot_curves({"stage1": {"1": history()}, "SER": {"1": history(), "2": []}}, tmp_path / "curves.png")
    score = {"mean": 70.0, "std": 2.0, "pooled": 69.0, "ci95": [68.0, 71.0]}
    plot_bars({"a": score, "b": None}, {"a": 72.0, "b": 60.0}, tmp_path / "bars.png")
    plot_layers({0: score, 2: None, 4: {**score, "std": None}}, {0: 61.0, 2: 64.0}, tmp_path / "layers.png")
    plot_embeddings({"1": embeddings(), "2": embeddings(4)}, tmp_path / "embeddings.png")
    for name in ("confusion", "curves", "bars", "layers", "embeddings"):
        image = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert min(image.shape[:2]) > 150, name
        assert np.ptp(image[..., :3]) > 0.5, name
        pdf = (tmp_path / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-"), name
        assert b"CreationDate" not in pdf, name
        assert b"/FontFile2" in pdf, name  # letters, not their outlines
    assert len(list(tmp_path.iterdir())) == 10


def test_figures_fit_a_papers_column_or_page_and_their_text_is_of_8_points_and_whole(tmp_path, drawn):
    lines = [line for by in predictions().values() for line in by["last"]]
    score = {"mean": 70.0, "std": 2.0, "pooled": 69.0, "ci95": [68.0, 71.0]}
    folds = {str(fold): embeddings() for fold in range(1, 6)}
    cosines = {"emotion, asr": {part: {"1": [0.1, -0.2]} for part in ("input", *map(str, range(1, 13)), "all")}}
    draw = {
        "confusion": lambda path: plot_confusion(
            [line["emotion"] for line in lines], path, "asr_gender_skip__ser_gender\n5531 held-out utterances"
        ),
        "names": lambda path: plot_confusion([{"ref": "n" * 12 + c, "hyp": "a"} for c in "abcdefgh"], path),
        "curves": lambda path: plot_curves({"stage 1": {fold: history() for fold in folds}}, path),
        "bars": lambda path: plot_bars({"asr_gender_skip__ser_gender": None, "stl": score}, {"stl": 72.0}, path),
        "few": lambda path: plot_bars({"stl": score}, {"stl": 72.0}, path),
        "layers": lambda path: plot_layers({0: score, 2: score}, {0: 61.0}, path),
        "embeddings": lambda path: plot_embeddings(folds, path),
        "two": lambda path: plot_embeddings(dict(list(folds.items())[:2]), path),
        "gradients": lambda path: plot_gradients(cosines, path),
    }
    widths = {}
    for name, of in draw.items():
        of(tmp_path / f"{name}.png")
        figure = drawn[-1]
        widths[name] = figure.get_figwidth()
        frame = figure.bbox.padded(1)
        for text, box in figure.boxes.items():
            assert text.get_fontsize() >= 8, (name, text)
            assert frame.x0 <= box.x0 <= box.x1 <= frame.x1, (name, text)
            assert frame.y0 <= box.y0 <= box.y1 <= frame.y1, (name, text)
    column = {"confusion", "few", "layers", "two", "gradients"}
    assert {name for name, width in widths.items() if width <= COLUMN} == column
    assert max(widths.values()) <= PAGE


def test_the_papers_line_is_drawn_where_there_is_one(tmp_path, drawn):
    score = {"mean": 70.0, "std": 2.0}
    for paper in ({}, {0: 61.0}):
        plot_layers({0: score, 2: score}, paper, tmp_path / "layers.png")
    assert ["paper (IEMOCAP)" in [text.get_text() for text in figure.findobj(Text)] for figure in drawn] == [False, True]


ODD_NAMES = ["$$", "a$\\frac{$", "$x$", "_sad", "\x1b[2Jwiped", "\u06a9\u200c\u0645", "x" * 250]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, to be looked at."""
    drawn, png = [], figures.figure_png

    def keep(figure):
        drawn.append(figure)
        made = png(figure)
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            for tick in axis.get_major_ticks():
                if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval()):
                    tick.set_visible(False)  # not drawn, but found
                    tick.label1.set_visible(False)
        texts = (text for text in figure.findobj(Text) if text.get_text() and text.get_visible())
        figure.boxes = {text: text.get_window_extent() for text in texts}
        return made

    monkeypatch.setattr(figures, "project", lambda points: points[:, :2])
    monkeypatch.setattr(figures, "figure_png", keep)
    monkeypatch.setattr(timeline, "figure_png", keep)
    return drawn


def draw_confusion(path):
    plot_confusion([{"ref": name, "hyp": name} for name in ODD_NAMES], path, "$$")


def draw_bars(path):
    plot_bars(dict.fromkeys(ODD_NAMES, {"mean": 50.0}), {}, path)


def draw_embeddings(path):
    labels = {"emotion": ODD_NAMES, "gender": ["$$", "f"] * 3 + ["m"]}
    plot_embeddings({"$": (embeddings(len(ODD_NAMES))[0], labels)}, path)


def draw_timeline(path):
    moments = [Moment("$$", dict.fromkeys(ODD_NAMES, 0.1), float(start), start + 2.0) for start in range(3)]
    path.write_bytes(timeline.timeline_png(np.ones(16000 * 4, np.float32), moments))


@pytest.mark.parametrize("draw", [draw_confusion, draw_bars, draw_embeddings, draw_timeline])
def test_names_are_drawn_as_they_are_spelt(tmp_path, drawn, draw):
    draw(tmp_path / "figure.png")
    (figure,) = drawn
    texts = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in texts)
    shown = {text.get_text().removesuffix(" (not finished)") for text in texts}
    assert {"$$", "a$\\frac{$", "$x$", "_sad", "\\x1b[2Jwiped", ODD_NAMES[5], "x" * 31 + "\u2026"} <= shown


def test_many_classes_and_folds_make_no_endless_picture(tmp_path, drawn):
    names = [f"class{number}" for number in range(100)]
    plot_confusion([{"ref": name, "hyp": name} for name in names], tmp_path / "confusion.png")
    plot_embeddings(
        {name: (np.eye(2), {"emotion": names[:2], "gender": ["", ""]}) for name in names}, tmp_path / "embeddings.png"
    )
    assert all(max(figure.get_size_inches()) < 30 for figure in drawn)


@pytest.mark.parametrize("num_utterances", [1, 2, MIN_TSNE_POINTS - 1, MIN_TSNE_POINTS, 60])
def test_projection_is_the_same_each_time_and_finite(num_utterances):
    values, *_ = embeddings(num_utterances)
    points = project(values)
    assert points.shape == (num_utterances, 2)
    assert np.isfinite(points).all()
    assert (project(values) == points).all()
    assert np.isfinite(project(np.ones_like(values))).all()


def test_projection_keeps_apart_what_is_apart():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, (40, 8)), rng.normal(30, 1, (40, 8))])
    points = project(values)
    middle = points.mean(axis=0)
    side = (points - middle) @ (points[:40].mean(axis=0) - middle)
    assert (side[:40] > 0).all()
    assert (side[40:] < 0).all()


def test_a_report_written_twice_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert [str(file) for file in files] == [
        "RESULTS.md",
        "figures/confusion.pdf",
        "figures/confusion.png",
        "figures/curves.pdf",
        "figures/curves.png",
        "figures/embeddings.pdf",
        "figures/embeddings.png",
        "report.html",
        "results.json",
        "run.json",
    ]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["settings"] == {"encoder": "tiny", "seed": 0}


def test_embeddings_get_the_labels_of_their_utterances(tmp_path):
    example = dict(speaker="s", session="1", label="", style="", text="", wav="", num_samples=1, sha256="")
    examples = [Example(utt=f"u{i}", gender="fm"[i % 2], emotion=LABELS[i], **example) for i in range(4)]
    path = tmp_path / "embeddings.npz"
    np.savez(path, utts=np.array(["u3", "u0"]), embeddings=np.eye(2, dtype=np.float32))
    values, labels = labelled_embeddings(path, examples)
    assert values.tolist() == [[1, 0], [0, 1]]
    assert labels == {"emotion": ["sad", "angry"], "gender": ["m", "f"]}
    with pytest.raises(InputError, match="not the embeddings of this fold"):
        labelled_embeddings(path, examples[:3])
    path.write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="train the fold again"):
        labelled_embeddings(path, examples)
