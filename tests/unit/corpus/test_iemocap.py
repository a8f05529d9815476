import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from release_maker import edit, make_release, tone, write_wav

from espnet_ser.corpus import iemocap
from espnet_ser.corpus.iemocap import find_release, read_release
from espnet_ser.corpus.iemocap_files import LABELS, read_labels, read_transcripts
from espnet_ser.data.audio import hash_samples, load_audio
from espnet_ser.errors import CorpusError, InputError
from espnet_ser.utils.hashing import file_sha256

RAVDESS = ROOT.parent / "shared" / "data" / "ravdess_release"


@pytest.fixture
def release(tmp_path):
    return make_release(tmp_path / "release")


def problems_of(release):
    with pytest.raises(CorpusError) as caught:
        read_release(release.root, nj=1)
    return caught.value.problems


def only_problem_of(release):
    (problem,) = problems_of(release)
    return problem


def test_one_record_per_labelled_utterance_sorted_by_id(release):
    utterances = read_release(release.root, nj=1)
    assert len(utterances) == 5 * 2 * 4
    ids = [utterance.utt_id for utterance in utterances]
    assert ids == sorted(set(ids))


def test_every_field_of_an_utterance(release):
    utterances = {utterance.utt_id: utterance for utterance in read_release(release.root, nj=1)}
    utterance = utterances["Ses02M_script01_1b_F001"]  # number 13 of the release
    assert (utterance.session, utterance.dialog) == (2, "Ses02M_script01_1b")
    assert (utterance.speaker, utterance.gender) == ("Ses02_F", "f")  # not the M of the dialog's name
    assert utterance.style == "scripted"
    assert utterances["Ses02F_impro01_M000"].style == "improvised"
    assert (utterance.label, utterance.emotion) == ("xxx", None)
    assert (utterance.start_s, utterance.end_s) == (19.5, 20.5)
    assert (utterance.valence, utterance.activation, utterance.dominance) == (0.5, 2.5, 5.5)
    assert utterance.transcript == "Well, uh-huh [breathing] yes."
    assert utterance.wav == release.wav("Ses02M_script01_1b_F001")
    assert (utterance.num_samples, utterance.sample_rate) == (813, 16000)
    assert utterance.duration_s == 813 / 16000
    assert utterance.sha256 == file_sha256(utterance.wav)
    assert utterance.samples_sha256 == hash_samples(load_audio(utterance.wav))
    assert utterance.kaldi_id == "Ses02_F-Ses02M_script01_1b_F001"


def test_happy_takes_excited_in_and_other_labels_have_no_class(tmp_path):
    release = make_release(tmp_path / "r", turns=6, labels=LABELS)
    emotion_of = {utterance.label: utterance.emotion for utterance in read_release(release.root, nj=1)}
    assert emotion_of == dict.fromkeys(LABELS) | {
        "hap": "happy",
        "exc": "happy",
        "sad": "sad",
        "ang": "angry",
        "neu": "neutral",
    }


def test_the_parent_of_the_release_will_do(tmp_path):
    release = make_release(tmp_path / "IEMOCAP_full_release")
    assert read_release(tmp_path, nj=1) == read_release(release.root, nj=1)


def test_processes_find_what_one_process_finds(tmp_path):
    release = make_release(tmp_path / "r", turns=6)
    assert read_release(release.root, nj=2) == read_release(release.root, nj=1)


def test_line_ends_and_a_byte_order_mark_do_not_matter(release):
    expected = read_release(release.root, nj=1)
    for path in (release.labels(), release.transcripts()):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_release(release.root, nj=1) == expected


def test_other_rates_and_stereo_are_counted_at_16k(release):
    write_wav(release.wav(), tone(48000, 48000), 48000)
    write_wav(release.wav("Ses01F_impro01_F001"), tone(4000, 8000).repeat(2).reshape(-1, 2), 8000)
    first, second, *_ = read_release(release.root, nj=1)
    assert (first.num_samples, first.sample_rate) == (16000, 48000)
    assert (second.num_samples, second.sample_rate) == (8000, 8000)


def capitals(*folders):
    """Renames these folders, and what is in them, as some file systems do."""
    for folder in folders:
        for path in folder.iterdir():
            path.rename(path.with_name(path.name.upper()))
        folder.rename(folder.with_name(folder.name.upper()))


def temporary(path, name):
    path.with_name(name).write_bytes(path.read_bytes())


HARMLESS = {
    "latin-1 in a rater's comment": lambda r: edit(r.labels(), "Neutral;", b"Neutr\xe9;"),
    "latin-1 in the words of an id that nobody labelled": lambda r: edit(r.transcripts(), "Nobody", b"N\xf6body"),
    "a rater's line that is empty": lambda r: edit(r.labels(), "C-E2:\tNeutral;\t()", ""),
    "brackets in the header": lambda r: edit(r.labels(), "% [", "% [V, A, D] ["),
    "other blanks in a label line": lambda r: edit(r.labels(), "[6.5000 - 7.5000]\t", "[ 6.5000-7.5000 ]  "),
    "ratings without blanks": lambda r: edit(r.labels(), "[0.5000, 2.5000, 5.5000]", "[5e-1,2.5,5.5]  "),
    "a transcript line that is indented": lambda r: edit(r.transcripts(), "Ses01F_impro01_F000 [", " \tSes01F_impro01_F000 ["),
    "no blank after the times": lambda r: edit(r.transcripts(), "]: ", "]:"),
    "the same line twice": lambda r: r.transcripts().write_text(2 * r.transcripts().read_text()),
    "a WAV without a line": lambda r: temporary(r.wav(), "Ses01F_impro01_F099.wav"),
    "folders of others": lambda r: (r.root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01 notes.txt").mkdir(),
    "copies of a label file": lambda r: [
        temporary(r.labels(), f"Ses01F_impro01{name}") for name in (" (1).txt", " copy.txt", " - Copy.txt", ".txt~", ".txt.bak")
    ],
    "a copy of a folder of audio": lambda r: (r.wav().parent.parent / "Ses01F_impro01_16k").mkdir(),
    "a list of somebody's own": lambda r: temporary(r.labels(), "Ses01_mine.txt"),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_what_copies_of_the_corpus_hold_changes_nothing(release, change):
    expected = read_release(release.root, nj=1)
    HARMLESS[change](release)
    assert read_release(release.root, nj=1) == expected


def test_names_in_capitals_are_read_as_the_corpus_spells_them(release):
    expected = [replace(utterance, wav=None) for utterance in read_release(release.root, nj=1)]
    session = release.root / "Session1"
    capitals(release.wav().parent, session / "dialog" / "EmoEvaluation", session / "dialog" / "transcriptions", session)
    found = read_release(release.root, nj=1)
    assert [replace(utterance, wav=None) for utterance in found] == expected
    assert found[0].wav == release.root / "SESSION1" / "SENTENCES" / "wav" / "SES01F_IMPRO01" / "SES01F_IMPRO01_F000.WAV"


def test_linked_sessions_are_read(release, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for session in "12":
        (elsewhere / f"Session{session}").symlink_to(release.root / f"Session{session}")
    for session in "345":
        os.rename(release.root / f"Session{session}", elsewhere / f"Session{session}")
    assert len(read_release(elsewhere, nj=1)) == 40


@pytest.mark.parametrize(
    "place", ["IEMOCAP_full_release", "corpora/IEMOCAP_full_release", "a/IEMOCAP", "IEMOCAP_withoutVideos"]
)
def test_a_release_below_the_folder_is_found(tmp_path, place):
    release = make_release(tmp_path / place, turns=1)
    assert find_release(f"{tmp_path}/") == release.root


def test_of_several_releases_that_of_the_corpus_or_none_is_taken(tmp_path):
    for name in ("mini", "other"):
        make_release(tmp_path / name, dialogs=(), sessions=())
        (tmp_path / name / "Session1").mkdir(parents=True)
    with pytest.raises(CorpusError, match="2 releases in it: give one, .*mini or .*other"):
        find_release(tmp_path)
    (tmp_path / "IEMOCAP_full_release" / "Session1").mkdir(parents=True)
    assert find_release(tmp_path) == tmp_path / "IEMOCAP_full_release"


def test_valid_utf8_beyond_ascii_is_accepted(release):
    edit(release.transcripts(), "Excuse me.", "Excus\u00e9 me.")
    assert read_release(release.root, nj=1)[0].transcript == "Excus\u00e9 me."


@pytest.mark.parametrize("name", ["absent", "empty", "file"])
def test_without_a_corpus_one_line_says_how_to_get_it(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="IEMOCAP is given out .* Session1 to Session5") as caught:
        read_release(tmp_path / name)
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]


def test_a_missing_session_is_named(release):
    os.rename(release.root / "Session3", release.root / "Session_3")
    assert only_problem_of(release) == f"{release.root / 'Session3'}: missing; copy the release again"


def test_a_session_without_labels_is_named(release):
    for dialog in ("Ses04F_impro01", "Ses04M_script01_1b"):
        release.labels(dialog).unlink()
    assert "Session4/dialog/EmoEvaluation: no labelled utterance" in only_problem_of(release)


HARMS = {
    "no such file": lambda path: path.unlink(),
    "truncated: the header promises 1600 bytes of audio, 1500 found": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: write_wav(path, tone(0)),
    "not audio": lambda path: path.write_bytes(b"no audio at all " * 10),
    "399 samples at 16 kHz, too short": lambda path: write_wav(path, tone(399)),
    "398 samples at 16 kHz, too short": lambda path: write_wav(path, tone(199, 8000), 8000),
    "1 of its 800 samples are NaN": lambda path: write_wav(path, tone(800) / ([0.0] + [1.0] * 799), subtype="FLOAT"),
}


@pytest.mark.parametrize("message", HARMS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")
def test_a_bad_wav_is_named(release, message):
    HARMS[message](release.wav())
    problem = only_problem_of(release)
    assert problem.startswith(f"{release.wav()}: ")
    assert message in problem


def test_400_samples_are_enough(release):
    write_wav(release.wav(), tone(400))
    assert read_release(release.root, nj=1)[0].num_samples == 400


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[6.5000 - 7.5000]", "[6.5000 to 7.5000]", ":3: malformed label line"),
        ("\tneu\t[0.5000", "\t[0.5000", ":3: malformed label line"),
        ("2.5000, 5.5000]", "2.5000]", ":3: malformed label line"),
        ("\tneu\t", "\tneo\t", ":3: unknown label 'neo' (did you mean 'neu'?)"),
        ("Ses01F_impro01_F000", "Ses01F_impro02_F000", ":3: 'Ses01F_impro02_F000' does not belong to dialog Ses01F_impro01"),
        ("Ses01F_impro01_F000", "Ses01F_impro01_X000", ":3: 'Ses01F_impro01_X000' does not belong to dialog"),
        ("Ses01F_impro01_F001", "Ses01F_impro01_F000", ":8: duplicate id Ses01F_impro01_F000, already labelled in line 3"),
        ("\tneu\t", b"\tn\xe9u\t", ":3: byte 40 (0xe9) is not UTF-8; convert the file, with iconv"),
    ],
)
def test_a_bad_label_line_is_named_with_file_and_line(release, old, new, expected):
    edit(release.labels(), old, new)
    assert only_problem_of(release).startswith(f"{release.labels()}{expected}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Ses01F_impro01_F000 [", "Ses01F_impro01_F009 [", ": no transcript for Ses01F_impro01_F000"),
        ("F000 [006.5000-007.5000]:", "F000 [006.5000-007.5000", ":4: malformed transcript line"),
        ("Ses01F_impro01_F001 [", "Ses01F_impro01_F000 [", ":4: duplicate id Ses01F_impro01_F000, with other words in line 3"),
        ("Excuse me.", b"Excus\xe9 me.", ":4: byte 47 (0xe9) is not UTF-8"),
    ],
)
def test_a_bad_transcript_is_named(release, old, new, expected):
    edit(release.transcripts(), old, new)
    assert problems_of(release)[0].startswith(f"{release.transcripts()}{expected}")


def test_missing_transcripts_and_wav_folders_are_named_once_per_dialog(release):
    release.transcripts().unlink()
    os.rename(release.wav().parent, release.wav().parent.with_name("elsewhere"))
    assert problems_of(release) == [
        f"{release.transcripts()}: missing; 4 utterances of this dialog have a label but no transcript: copy it again",
        f"{release.wav().parent}: missing; 4 utterances of this dialog have a label but no audio: copy it again",
    ]


def test_a_dialog_in_the_wrong_session_is_named(release):
    release.labels("Ses02F_impro07").write_bytes(release.labels().read_bytes())
    os.rename(release.labels("Ses02F_impro07"), release.labels("Ses02F_impro07").with_name("Ses01F_impro07.txt"))
    assert "Ses01F_impro07.txt: not a dialog of session 2" in only_problem_of(release)


def test_all_problems_are_told_together(release):
    edit(release.labels(), "\tneu\t", "\tneo\t")
    release.wav("Ses02F_impro01_F000").unlink()
    write_wav(release.wav("Ses05F_impro01_M001"), tone(0))
    os.rename(release.root / "Session3", release.root / "Session_3")
    assert len(problems_of(release)) == 4


TIME = st.decimals(0, 999, places=4)
RATING = st.decimals("-0.5", "5.5", places=4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("FM"), TIME, TIME, st.sampled_from(LABELS), RATING, RATING, RATING), max_size=5),
)
def test_written_labels_are_read_back(tmp_path_factory, turns):
    path = tmp_path_factory.mktemp("labels") / "Ses01F_impro05a.txt"
    expected = {}
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"]
    for i, (letter, start, end, label, *ratings) in enumerate(turns):
        utt_id = f"Ses01F_impro05a_{letter}{i:03d}"
        lines += ["", f"[{start} - {end}]\t{utt_id}\t{label}\t[{ratings[0]}, {ratings[1]}, {ratings[2]}]", "C-E2:\t;\t()"]
        expected[utt_id] = (label, float(start), float(end), *map(float, ratings))
    path.write_text("\n".join(lines))
    problems = []
    assert {utt_id: tuple(fields.values()) for utt_id, fields in read_labels(path, problems).items()} == expected
    assert problems == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=20), st.just(b"[1.0 - 2.0]\tSes01F_impro01_F000\tneu\t[1, 1, 1]")), max_size=4))
@example([b"[", b"[\xff"])
def test_any_bytes_give_records_or_problems_never_a_crash(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("labels") / "Ses01F_impro01.txt"
    path.write_bytes(b"\n".join(lines))
    problems = []
    labelled = read_labels(path, problems)
    starting = sum(line.startswith(b"[") for line in b"\n".join(lines).replace(b"\r", b"\n").split(b"\n"))
    assert len(labelled) + len(problems) >= (min(starting, 1) if b"\0" in path.read_bytes() else starting)
    assert all(problem.startswith(f"{path}:") for problem in problems)


@pytest.mark.skipif(
    not RAVDESS.is_dir(), reason=f"NO REAL SPEECH: {RAVDESS} is absent, so the release of real speech goes unread"
)
def test_real_speech_in_the_same_layout_is_read():
    utterances = read_release(RAVDESS, nj=1)
    assert len(utterances) == 320
    assert len({utterance.speaker for utterance in utterances}) == 10
    assert sum(utterance.emotion is not None for utterance in utterances) == 280


@pytest.mark.parametrize("spoilt", [" [", "(", ""])
def test_a_label_line_that_lost_its_bracket_is_malformed_and_not_passed_by(release, spoilt):
    path = release.labels("Ses01F_impro01")
    lines = path.read_text().splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if line.startswith("[") and "Ses01F" in line)
    lines[number] = spoilt + lines[number][1:]
    path.write_text("".join(lines))
    assert f"{path}:{number + 1}: malformed label line" in only_problem_of(release)


def test_audio_of_a_dialog_without_a_label_file_is_a_problem(release):
    release.labels("Ses04F_impro01").unlink()
    assert "Ses04F_impro01.txt: missing; the audio of this dialog has no labels" in only_problem_of(release)


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(b"Ses01F_impro01_F000 [1.0-2.0]: Yes.")), max_size=4))
def test_any_bytes_for_transcripts_give_words_or_problems_never_a_crash(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("transcripts") / "Ses01F_impro01.txt"
    path.write_bytes(b"\n".join(lines))
    problems = []
    words = read_transcripts(path, ["Ses01F_impro01_F000"], problems)
    assert words.keys() <= {"Ses01F_impro01_F000"}
    assert words or problems
    assert all(problem.startswith(f"{path}:") for problem in problems)


WORDS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=30)


@given(st.lists(st.tuples(st.sampled_from("FM"), TIME, TIME, WORDS), max_size=5))
def test_written_transcripts_are_read_back(tmp_path_factory, turns):
    path = tmp_path_factory.mktemp("transcripts") / "Ses01F_impro05a.txt"
    expected = {f"Ses01F_impro05a_{letter}{i:03d}": words.strip() for i, (letter, *_, words) in enumerate(turns)}
    times = [f"[{start:08.4f}-{end:08.4f}]" for _, start, end, _ in turns]
    lines = [f"{utt} {time}: {words}" for (utt, words), time in zip(expected.items(), times, strict=True)]
    path.write_text("\n".join([*lines, "M: and a remark"]), encoding="utf-8")
    problems = []
    assert read_transcripts(path, expected, problems) == expected
    assert problems == []


@given(st.text(max_size=60))
def test_any_text_in_a_release_is_read_or_is_one_problem_a_line(tmp_path_factory, text):
    release = make_release(tmp_path_factory.mktemp("r") / "release", dialogs=("F_impro01",), turns=1, oddities=False)
    edit(release.transcripts(), "Excuse me.", text.encode("utf-8", errors="surrogatepass"))
    problems = []
    try:
        first = read_release(release.root, nj=1)[0]
    except CorpusError as error:
        problems = error.problems
    assert all(problem.isprintable() for problem in problems)
    assert problems or first.transcript == text.strip() or len(text.splitlines()) > 1


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_reading_process_that_is_killed_is_one_line(monkeypatch):
    monkeypatch.setattr(iemocap, "_probe", killed)
    with pytest.raises(InputError, match="a process that read audio was killed"):
        iemocap.scan_audio([Path("a.wav")] * 100, nj=2)
