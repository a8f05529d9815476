from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

from espnet_ser.corpus import counts
from espnet_ser.corpus.counts import DERIVED, check_counts, derived_figures, published_counts, summary_table
from espnet_ser.corpus.iemocap import EMOTIONS, Utterance
from espnet_ser.errors import CorpusError, InputError

FOUR_CLASS_PER_SESSION = {1: 1085, 2: 1023, 3: 1151, 4: 1031, 5: 1241}


@pytest.fixture(scope="module")
def published():
    """Records with exactly the published counts, and no audio behind them."""
    dialogs = {
        session: [f"Ses0{session}F_{'impro' if i % 2 else 'script'}{i:02d}" for i in range(count)]
        for session, count in counts.DIALOGS_PER_SESSION.items()
    }
    excited = iter(range(1041))
    label_of = {"sad": "sad", "angry": "ang", "neutral": "neu"}
    turns = [
        (session, gender, label_of.get(emotion) or ("exc" if next(excited, None) is not None else "hap"))
        for (session, gender), row in counts.FOUR_CLASS.items()
        for emotion, count in zip(EMOTIONS, row, strict=True)
        for _ in range(count)
    ]
    num_samples = [9360, *[14400] * 26, 546240, *[256000] * 77, *[70399] * 5426]  # 0.585, 0.9, 34.14, 16, 4.39994 s
    texts = ["[LAUGHTER]"] * 31 + ["Yes."] * 371 + ["Uh-huh."] * 5129
    styles = ["script"] * 2588 + ["impro"] * 2943
    others = [label for label in ("xxx", "fru", "sur", "fea", "oth", "dis") for _ in range(counts.UTTERANCES_PER_LABEL[label])]
    for session, count in counts.UTTERANCES_PER_SESSION.items():
        turns += [(session, "f", others.pop()) for _ in range(count - FOUR_CLASS_PER_SESSION[session])]
    num_samples += [16000] * (len(turns) - 5531)
    texts += [""] * (len(turns) - 5531)
    styles += ["any"] * (len(turns) - 5531)
    next_dialog = {
        (session, style): cycle([dialog for dialog in names if style in dialog or style == "any"])
        for session, names in dialogs.items()
        for style in ("script", "impro", "any")
    }
    utterances = []
    for i, ((session, gender, label), samples, text, style) in enumerate(zip(turns, num_samples, texts, styles, strict=True)):
        dialog = next(next_dialog[session, style])
        utterances.append(
            Utterance(
                utt_id=f"{dialog}_{gender.upper()}{i}",
                session=session,
                dialog=dialog,
                speaker=f"Ses0{session}_{gender.upper()}",
                gender=gender,
                style="scripted" if "script" in dialog else "improvised",
                label=label,
                start_s=0.0,
                end_s=1.0,
                valence=3.0,
                activation=3.0,
                dominance=3.0,
                transcript=text,
                wav=Path("a.wav"),
                num_samples=samples,
                sample_rate=16000,
                sha256="",
            )
        )
    return utterances


def problems_of(utterances, mode="auto"):
    with pytest.raises(CorpusError) as caught:
        check_counts(utterances, mode)
    return caught.value.problems


def test_the_published_tables_agree_with_each_other():
    assert sum(counts.UTTERANCES_PER_SESSION.values()) == sum(counts.UTTERANCES_PER_LABEL.values()) == 10039
    assert sum(counts.DIALOGS_PER_SESSION.values()) == 151
    for session, count in FOUR_CLASS_PER_SESSION.items():
        assert sum(counts.FOUR_CLASS[session, "f"]) + sum(counts.FOUR_CLASS[session, "m"]) == count
    assert [sum(column) for column in zip(*counts.FOUR_CLASS.values(), strict=True)] == [1636, 1084, 1103, 1708]
    assert sum(counts.FOUR_CLASS_PER_STYLE.values()) == 5531


def test_the_published_corpus_passes(published):
    assert check_counts(published, "auto") == check_counts(published, "full")
    assert "differs" not in check_counts(published).replace("derived figure differs", "")
    assert derived_figures(published) == DERIVED
    totals = summary_table(published).splitlines()[-2]  # the columns of corpus.md, summed by hand
    assert totals.split() == ["total", "770", "557", "589", "733", "866", "527", "514", "975", "5531", "10039"]


def test_a_lost_utterance_is_seen_in_every_count_it_is_in(published):
    lost = next(i for i, utterance in enumerate(published) if utterance.label == "sad" and utterance.duration_s < 5)
    found = problems_of([*published[:lost], *published[lost + 1 :]])
    assert "count of utterances: expected 10039, found 10038" in found
    assert "count of four-class utterances in session 1: expected 1085, found 1084" in found
    assert "count of sad utterances in session 1, gender f: expected 78, found 77" in found


def test_a_speaker_taken_from_the_dialogs_name_is_seen(published):
    found = problems_of([replace(utterance, gender="f") for utterance in published])
    assert "count of angry utterances in session 5, gender m: expected 92, found 0" in found


def swapped(published, old, **changes):
    """One utterance for which ``old`` holds, changed."""
    index = next(i for i, utterance in enumerate(published) if utterance.emotion and old(utterance))
    return [*published[:index], replace(published[index], **changes), *published[index + 1 :]]


@pytest.mark.parametrize(
    ("old", "changes", "expected"),
    [
        (lambda u: u.label == "hap", {"label": "exc"}, "utterances labelled hap: expected 595, found 594"),
        (lambda u: u.style == "scripted", {"style": "improvised"}, "four-class scripted utterances: expected 2588, found 2587"),
        (lambda u: u.gender == "f", {"gender": "m"}, "happy utterances in session 1, gender m: expected 146, found 147"),
    ],
)
def test_each_published_count_is_checked(published, old, changes, expected):
    assert f"count of {expected}" in problems_of(swapped(published, old, **changes))


@pytest.mark.parametrize(
    ("old", "changes", "name", "found"),
    [
        (lambda u: u.transcript == "[LAUGHTER]", {"transcript": "Oh ha."}, "without a word", "30"),
        (lambda u: u.transcript == "Yes.", {"transcript": "Oh-oh."}, "of one word or none", "401"),
        (lambda u: u.num_samples == 9360, {"num_samples": 9376}, "shortest in s", "0.586"),
        (lambda u: u.num_samples == 546240, {"num_samples": 546400}, "longest in s", "34.15"),
        (lambda u: u.num_samples == 14400, {"num_samples": 16000}, "under 1 s", "26"),
        (lambda u: u.num_samples == 256000, {"num_samples": 240000}, "over 15 s", "77"),
    ],
)
def test_each_derived_figure_is_reported_and_never_refused(published, old, changes, name, found):
    report = check_counts(swapped(published, old, **changes), "full").splitlines()
    assert next(line for line in report if name in line).split()[-3:] == [found, DERIVED[name], "differs"]


def test_a_refusal_names_the_way_on(published):
    with pytest.raises(CorpusError, match=r"copy again .* --check_counts partial goes on without this check"):
        check_counts(published[:-1])
    assert check_counts(published[:-1], "partial") == ""


def test_a_missing_dialog_is_counted(published):
    found = problems_of([replace(u, dialog=u.dialog.replace("01", "03")) for u in published])
    assert "count of dialogs in session 3: expected 32, found 31" in found


def test_mean_and_total_duration_are_reported(published):
    shorter = [replace(u, num_samples=70239) if u.num_samples == 70399 else u for u in published]  # 10 ms less: -54 s, -0.01 s
    report = [line.split() for line in check_counts(shorter).splitlines()]
    assert [line for line in report if line[-1] == "differs"] == [
        ["hours", "6.97", "6.99", "differs"],
        ["mean", "in", "s", "4.54", "4.55", "differs"],
    ]


def test_a_smaller_release_passes_unless_told_to_be_full(published):
    small = published[:5019]
    assert len({utterance.dialog for utterance in small}) < 151
    assert check_counts(small) == ""
    assert len(problems_of(small, "full")) > 10
    assert len(problems_of(published[:5020])) > 10


def test_all_dialogs_make_a_release_full(published):
    one_each = list({utterance.dialog: utterance for utterance in published}.values())
    assert len(one_each) == 151
    assert "count of utterances: expected 10039, found 151" in problems_of(one_each)
    assert check_counts(one_each, "partial") == ""


def test_every_published_count_is_counted(published):
    assert len(problems_of([], "full")) == len(published_counts()) == 75


def test_an_unknown_mode_is_named(published):
    with pytest.raises(InputError, match="'ful'.*did you mean 'full'"):
        check_counts(published, "ful")
