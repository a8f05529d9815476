import collections
import hashlib
import json
import os
import re
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from espnet_ser.bin import prepare, synthesize
from espnet_ser.corpus import iemocap
from espnet_ser.corpus.transcript import normalise
from espnet_ser.data.datadir import read_datadir
from espnet_ser.errors import InputError
from espnet_ser.synthetic import espeak
from espnet_ser.synthetic import release as synthetic
from espnet_ser.synthetic.espeak import Prosody, SpeechRequest, check_voice, speak, speak_many
from espnet_ser.synthetic.plan import plan_release
from espnet_ser.synthetic.release import SPEAKER_VOICES, synthesize_release
from espnet_ser.synthetic.slots import FULL_CLASSES

NUM_UTTS = 288
MERGED = {"hap": "hap", "exc": "hap", "sad": "sad", "ang": "ang", "neu": "neu"}


def labelled_turns(num_utts, seed=0):
    return [turn for dialog in plan_release(num_utts, seed) for turn in dialog.turns if turn.label is not None]


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def real_files(release, pattern):
    return sorted(path for path in release.glob(pattern) if not path.name.startswith("."))


def read_wav(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15


def word_list(transcript):
    return re.sub(r"[^a-z' ]", " ", re.sub(r"\[\w+\]", " ", transcript).lower()).split()


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    output = tmp_path_factory.mktemp("spoken") / "release"
    assert synthesize_release(output, num_utts=NUM_UTTS, nj=2)
    return output


@pytest.fixture(scope="module")
def transcription_lines(release):
    files = real_files(release, "Session*/dialog/transcriptions/*.txt")
    return {path.stem: path.read_text(encoding="ascii").splitlines() for path in files}


@pytest.fixture(scope="module")
def evaluation_texts(release):
    files = real_files(release, "Session*/dialog/EmoEvaluation/*.txt")
    return {path.stem: path.read_text(encoding="ascii") for path in files}


@pytest.fixture(scope="module")
def full_turns():
    return labelled_turns(10_039)


def test_same_arguments_give_the_same_bytes_whatever_nj(tmp_path):
    for name, nj in (("one", 1), ("two", 2)):
        synthesize_release(tmp_path / name, num_utts=24, nj=nj)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_another_seed_gives_other_texts_and_sounds(tmp_path):
    for name, seed in (("zero", 0), ("one", 1)):
        synthesize_release(tmp_path / name, num_utts=24, seed=seed, audio="noise")
    zero, one = digests(tmp_path / "zero"), digests(tmp_path / "one")
    shared = [name for name in zero if zero[name] == one.get(name)]
    assert shared
    assert all("/._" in name for name in shared)


def test_speech_depends_neither_on_the_other_requests_nor_on_nj():
    requests = [SpeechRequest(f"We {verb} it.", "en-us+f2", Prosody(snr_db=20), 7) for verb in ("see", "want", "need")]
    together = list(speak_many(requests, nj=2))
    for request, samples in zip(requests, together, strict=True):
        alone = speak(request.text, request.voice, request.prosody, request.seed)
        assert alone.dtype == np.float32
        np.testing.assert_array_equal(alone, samples)


def test_prosody_changes_length_and_level():
    text = "We need the money today."
    slow, fast = speak(text, "en-us+m2", Prosody(rate_wpm=110)), speak(text, "en-us+m2", Prosody(rate_wpm=220))
    assert 1.6 < len(slow) / len(fast) < 2.4
    louder = speak(text, "en-us+m2", Prosody(gain_db=6))
    assert 20 * np.log10(np.std(louder)) == pytest.approx(-24, abs=0.2)


def test_speech_is_made_faster_until_it_fits():
    request = SpeechRequest("We need the money today, and tomorrow we need it again.", "en-us", max_duration_s=1.5)
    assert len(next(speak_many([request]))) <= 1.5 * 16_000


@pytest.mark.parametrize(
    ("voice", "said"), [("en-us+nosuch", "nosuch"), ("en-us+F1", "'f1'"), ("en-us+", "variant"), ("xx-yy+f1", "xx-yy")]
)
def test_unknown_voice_is_an_error(voice, said):
    with pytest.raises(InputError, match=re.escape(said)):
        speak("Hello.", voice)


def test_text_without_words_is_an_error():
    with pytest.raises(InputError, match="no word"):
        speak(" ... ")


def test_every_corpus_voice_exists():
    assert len(set(SPEAKER_VOICES.values())) == 10
    for voice in SPEAKER_VOICES.values():
        check_voice(voice)


@pytest.mark.parametrize("num_utts", [20, 33, 100, 480, 3000])
def test_small_release_is_balanced_over_class_session_and_gender(num_utts):
    turns = labelled_turns(num_utts)
    assert len(turns) == len({turn.utt for turn in turns}) == num_utts
    four = [turn for turn in turns if turn.label in MERGED]
    assert len(four) >= 0.75 * num_utts
    cells = collections.Counter((turn.session, turn.gender, MERGED[turn.label]) for turn in four)
    counts = [cells[session, gender, label] for session, gender in FULL_CLASSES for label in set(MERGED.values())]
    assert max(counts) - min(counts) <= 1
    scripted = sum("script" in turn.utt for turn in four)
    assert 0.35 < scripted / len(four) < 0.65


def test_default_release_has_every_label_and_four_hundred_of_the_four_classes():
    counts = collections.Counter(turn.label for turn in labelled_turns(480))
    assert set(counts) == {"hap", "exc", "sad", "ang", "neu", "xxx", "fru", "sur", "fea", "oth", "dis"}
    assert sum(counts[label] for label in MERGED) == 400
    assert counts["sad"] == counts["ang"] == counts["neu"] == 100
    assert counts["xxx"] > counts["fru"] > counts["sur"]


def test_words_say_nothing_about_the_emotion():
    shares = collections.defaultdict(collections.Counter)
    for turn in labelled_turns(10_000):
        if turn.label in MERGED:
            shares[MERGED[turn.label]].update(word_list(turn.words))
    words = {word for counts in shares.values() for word in counts}
    assert 25 <= len(words) <= 45
    for word in words:
        rates = [counts[word] / counts.total() for counts in shares.values()]
        assert max(rates) - min(rates) < 0.01


def test_some_scripted_transcripts_repeat_across_sessions():
    sessions = collections.defaultdict(set)
    turns = [turn for turn in labelled_turns(480) if turn.words]
    for turn in turns:
        sessions[turn.words].add(turn.session)
    scripted = [turn for turn in turns if "script" in turn.utt]
    repeated = sum(len(sessions[turn.words]) > 1 for turn in scripted)
    assert 0.2 < repeated / len(scripted) < 0.45


def test_full_plan_has_the_published_label_counts(full_turns):
    assert len(full_turns) == len({turn.utt for turn in full_turns}) == 10_039
    per_session = collections.Counter(turn.session for turn in full_turns)
    assert [per_session[session] for session in range(1, 6)] == [1819, 1811, 2136, 2103, 2170]
    labels = collections.Counter(turn.label for turn in full_turns)
    four = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
    assert labels == four | {"xxx": 2507, "fru": 1849, "sur": 107, "fea": 40, "oth": 3, "dis": 2}


def test_full_plan_has_the_published_dialogs():
    dialogs = plan_release(10_039)
    per_session = collections.Counter(dialog.session for dialog in dialogs)
    assert [per_session[session] for session in range(1, 6)] == [28, 30, 32, 30, 31]
    assert sum(dialog.out_of_order for dialog in dialogs) == 67
    assert {"Ses03M_impro08b", "Ses05M_script01_1b"} < {dialog.name for dialog in dialogs}


def test_full_plan_has_the_published_four_class_table(full_turns):
    cells = collections.Counter((turn.session, turn.gender, MERGED[turn.label]) for turn in full_turns if turn.label in MERGED)
    table = {
        (1, "F"): (132, 78, 147, 171),
        (1, "M"): (146, 116, 82, 213),
        (2, "F"): (166, 113, 67, 135),
        (2, "M"): (161, 84, 70, 227),
        (3, "F"): (128, 172, 92, 130),
        (3, "M"): (158, 133, 148, 190),
        (4, "F"): (185, 62, 205, 76),
        (4, "M"): (118, 81, 122, 182),
        (5, "F"): (159, 132, 78, 221),
        (5, "M"): (283, 113, 92, 163),
    }
    for (session, gender), counts in table.items():
        assert tuple(cells[session, gender, label] for label in ("hap", "sad", "ang", "neu")) == counts


@pytest.mark.parametrize("seed", [0, 1])
def test_full_plan_has_the_published_texts_and_durations(seed):
    turns = labelled_turns(10_039, seed)
    four = [turn for turn in turns if turn.label in MERGED]
    assert len(four) == 5531
    assert sum("script" in turn.utt for turn in four) == 2588
    assert sum("impro" in turn.utt for turn in four) == 2943
    assert sum(not word_list(turn.transcript) for turn in four) == 31
    durations_s = np.array([turn.num_samples / 16_000 for turn in four])
    assert (durations_s < 1).sum() == 27
    assert (durations_s > 15).sum() == 78
    assert durations_s.min() == 0.585
    assert durations_s.max() == 34.14
    assert round(durations_s.sum() / 3600, 2) == 6.99
    assert round(durations_s.mean(), 2) == 4.55
    assert sum(turn.num_samples for turn in turns) / 16_000 / 3600 == pytest.approx(12, abs=0.1)


SHAPES = {
    "a hyphen": r"\w-\w",
    "a dash": r"--",
    "an elision at the beginning": r"(^|\s)'\w",
    "an elision at the end": r"\win'",
    "two elisions": r"n't've",
    "an abbreviation of letters": r"\b([A-Z]\.){2}",
    "a title": r"\bMrs?\. ",
    "glued sentences": r"[a-z.][.?][A-Z]",
    "a double space": r"  ",
    "a tag": r"\[\w+\]",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_full_plan_has_the_shapes_of_real_transcripts(full_turns, shape):
    assert sum(bool(re.search(SHAPES[shape], turn.transcript)) for turn in full_turns) >= 50


def test_full_plan_has_words_about_which_two_ways_to_count_disagree(full_turns):
    four = [turn.transcript for turn in full_turns if turn.label in MERGED]
    by_normalise = [len(normalise(text).split()) for text in four]
    by_blanks = [len(re.sub(r"\[\w+\]", " ", text).split()) for text in four]
    assert by_normalise.count(0) == by_blanks.count(0) == 31
    assert by_normalise.count(1) < 371 <= by_blanks.count(1)


def _header(path):
    return SimpleNamespace(num_samples=400, sample_rate=16_000, sha256=path.stem, samples_sha256=path.stem)


def test_stage_1_goes_on_though_derived_figures_of_a_full_release_differ(tmp_path, monkeypatch, capsys):
    sound = np.zeros(400, np.float32)
    monkeypatch.setattr(synthetic, "_noises", lambda turns, seed: (sound for _ in turns))
    monkeypatch.setattr(
        synthetic, "_write_wav", lambda path, samples: None
    )  # ten thousand files, whose content counts for nothing
    monkeypatch.setattr(iemocap, "scan_audio", lambda paths, nj: [_header(path) for path in paths])
    synthesize_release(tmp_path / "release", num_utts=10_039, audio="noise")
    prepare.main(["--iemocap", str(tmp_path), "--datadir", str(tmp_path / "data")])
    report = capsys.readouterr().out
    derived = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in report.splitlines() if "differs" in line}
    assert derived["of one word or none"][1:] == ["402", "differs"]
    assert derived["mean in s"] == ["0.03", "4.55", "differs"]  # 400 samples each
    assert "data: written" in report
    assert len(read_datadir(tmp_path / "data" / "four_class")) == 5531


def test_full_plan_leaves_ctc_more_frames_than_characters(full_turns):
    for turn in full_turns:
        assert len(" ".join(word_list(turn.transcript))) < 0.8 * 50 * turn.num_samples / 16_000, turn


def test_planned_length_is_kept_to_the_sample():
    turns = [turn for turn in labelled_turns(10_039)[:400] if turn.words and turn.num_samples < 48_000][:12]
    for turn, samples in zip(turns, synthetic._sounds(turns, seed=0, nj=2), strict=True):
        assert samples.shape == (turn.num_samples,)


@pytest.mark.parametrize("num_utts", [19, 10_040, -1])
def test_size_out_of_range_is_an_error(tmp_path, num_utts):
    with pytest.raises(InputError, match=f"num_utts {num_utts}.*20 to 10039"):
        synthesize_release(tmp_path / "release", num_utts=num_utts)
    assert list(tmp_path.iterdir()) == []


def test_every_label_has_a_wav_and_a_line(release, evaluation_texts, transcription_lines):
    names = [name for text in evaluation_texts.values() for name in re.findall(r"^\[.*\]\t(\S+)\t\w{3}\t\[", text, re.M)]
    assert len(names) == NUM_UTTS
    spoken = {line.split()[0] for lines in transcription_lines.values() for line in lines}
    wavs = {path.stem for path in real_files(release, "Session*/sentences/wav/*/*.wav")}
    assert set(names) <= wavs
    assert set(names) <= spoken
    assert all(re.search(r"XX\d$", name) for name in wavs ^ (spoken - {"F:", "M:"}))
    assert any(name.endswith("_FXX0") for name in spoken - wavs)
    assert any(name.endswith("_FXX1") for name in wavs - spoken)


def test_evaluation_files_are_as_in_the_corpus(release, evaluation_texts):
    block = r"\[\d+\.\d{4} - \d+\.\d{4}\]\tSes\w+_[FM]\d{3}\t\w{3}\t\[\d\.\d{4}, \d\.\d{4}, \d\.\d{4}\]\n"
    raters = r"(C-E\d:\t[\w; ]+;\t\(.*\)\n)+C-[FM]\d:\t[\w; ]*;\t\(\)\n(A-E\d:\tval \d; act \d; dom  \d;\t\(.*\)\n)+\n"
    vad = set()
    for name, text in evaluation_texts.items():
        header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        assert text.startswith(header)
        assert re.fullmatch(f"({block}{raters})+", text[len(header) :]), name
        letters = "".join(re.findall(r"^\[.*_([FM])\d{3}\t", text, re.M))
        assert re.fullmatch("F*M*", letters), letters
        vad.update(re.findall(r"\d\.\d{4}(?=\]$)", text, re.M))
    assert {"0.5000", "5.5000"} <= vad
    assert re.search(r"^C-F\d:\t;\t\(\)$", "\n".join(evaluation_texts.values()), re.M)
    assert {path.name for path in release.glob("Session*/dialog/EmoEvaluation/*") if path.is_dir()} == {
        "Attribute",
        "Categorical",
        "Self-evaluation",
    }


def test_transcriptions_have_the_quirks_of_the_corpus(transcription_lines):
    lines = [line for each in transcription_lines.values() for line in each]
    timed = [re.fullmatch(r"(Ses\w+) \[(\d{3}\.\d{4})-(\d{3}\.\d{4})\]: (.+)", line) for line in lines]
    assert all(match or re.match(r"[FM]: \w", line) for match, line in zip(timed, lines, strict=True))
    assert None in timed
    texts = [match[4] for match in timed if match]
    assert 0.25 < sum("  " in text for text in texts) / len(texts) < 0.4
    for quirk in (r"\[LAUGHTER\]|\[laughter\]", r"\[BREATHING\]", r"\w\t\w", r"[a-z]\.[A-Z]", r"^[a-z]", r"^(\[\w+\] ?)+$"):
        assert any(re.search(quirk, text) for text in texts), quirk
    starts = {
        name: [line.split("[")[1][:8] for line in each if "XX" not in line and "[" in line]
        for name, each in transcription_lines.items()
    }
    assert 0.3 < sum(times != sorted(times) for times in starts.values()) / len(starts) < 0.6


def test_quirks_leave_the_words_as_spoken():
    for turn in labelled_turns(480):
        assert word_list(turn.transcript) == word_list(turn.words)


def test_macos_files_lie_beside_real_ones(release):
    temporary = [path for path in release.rglob("._*")]
    assert {path.suffix for path in temporary} == {".txt", ".wav"}
    for path in temporary:
        assert path.with_name(path.name[2:]).exists()
        with pytest.raises(UnicodeDecodeError):
            path.read_text(encoding="utf-8")


def test_wavs_last_as_long_as_their_times_say(release, transcription_lines):
    durations_s = {path.stem: len(read_wav(path)) / 16_000 for path in real_files(release, "Session*/sentences/wav/*/*.wav")}
    for line in (line for lines in transcription_lines.values() for line in lines):
        match = re.match(r"(\w+) \[([\d.]+)-([\d.]+)\]", line)
        if match and match[1] in durations_s:
            assert float(match[3]) - float(match[2]) == pytest.approx(durations_s[match[1]], abs=2e-4)
    assert 1 < np.mean(list(durations_s.values())) < 3
    assert max(durations_s.values()) < 6


def utterance_statistics(samples):
    """Mean and deviation of log mel-like bands' cosine transform, of energy, and of F0 by autocorrelation: shape (48,)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 640)[::320]  # (num_frames, 640)
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames * np.hanning(640), 1024)) ** 2 + 1e-9  # (num_frames, 513)
    edges = np.unique(np.round(np.geomspace(6, 513, 25)).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1))  # (num_frames, 24)
    basis = np.cos(np.pi / 24 * (np.arange(24) + 0.5)[:, None] * np.arange(20))
    cepstra = bands @ basis  # (num_frames, 20)
    correlation = np.fft.irfft(power)[:, 32:267]  # lags of 500 to 60 Hz
    log_f0 = np.log(16_000 / (32 + correlation.argmax(axis=1)))
    energy = bands.max(axis=1)
    voiced = log_f0[energy > np.median(energy)]
    f0 = [voiced.mean(), voiced.std(), *np.percentile(voiced, [10, 50, 90])]
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), f0, [energy.mean(), energy.std(), energy.max()]])


def test_linear_classifier_hears_the_emotion_of_new_speakers_but_not_all_of_it(release, evaluation_texts):
    features, labels, sessions = [], [], []
    for dialog, text in evaluation_texts.items():
        for utt, label in re.findall(r"^\[.*\]\t(\S+)\t(\w{3})\t\[", text, re.M):
            if label in MERGED:
                session = utt[4]
                samples = read_wav(release / f"Session{session}" / "sentences" / "wav" / dialog / f"{utt}.wav")
                features.append(utterance_statistics(samples))
                labels.append(MERGED[label])
                sessions.append(session)
    features, labels, sessions = np.array(features), np.array(labels), np.array(sessions)
    recalls = []
    for session in "12345":
        test = sessions == session
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        classifier.fit(features[~test], labels[~test])
        recalls.append(100 * recall_score(labels[test], classifier.predict(features[test]), average="macro"))
    assert 60 < np.mean(recalls) < 90, recalls
    print("UA per fold", np.round(recalls, 1), "mean", np.mean(recalls).round(2))


def test_same_release_is_made_once(tmp_path, capsys, monkeypatch):
    output = tmp_path / "new" / "release"
    arguments = ["--output", str(output), "--num_utts", "20", "--audio", "noise"]
    synthesize.main(arguments)
    assert "spoke 20 utterances" in capsys.readouterr().out
    assert json.loads((output / ".synthetic.json").read_text())["num_utts"] == 20
    before = output.stat().st_mtime_ns
    monkeypatch.setattr(synthetic, "plan_release", lambda *_: pytest.fail("planned again"))
    synthesize.main([*arguments, "--nj", "1"])
    assert "already" in capsys.readouterr().out
    assert output.stat().st_mtime_ns == before


def test_folder_with_anything_else_is_left_alone(tmp_path):
    output = tmp_path / "release"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a synthetic release.*choose another folder"):
        synthesize_release(output, num_utts=20, audio="noise")
    (output / "thesis.txt").unlink()
    synthesize_release(output, num_utts=20, audio="noise")  # an empty folder holds nothing to lose
    with pytest.raises(InputError, match="another release.*choose another folder"):
        synthesize_release(output, num_utts=21, audio="noise")
    with pytest.raises(InputError, match="another release"):
        synthesize_release(output, num_utts=20, audio="speech")


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(path, samples):
        raise OSError("disk full")

    monkeypatch.setattr(synthetic, "_write_wav", fail)
    with pytest.raises(OSError, match="disk full"):
        synthesize_release(tmp_path / "release", num_utts=20, audio="noise")
    assert list(tmp_path.iterdir()) == []


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        synthesize.main(["--help"])
    assert "espnet-ser synthesize --output release" in capsys.readouterr().out


def test_a_process_that_dies_while_it_speaks_is_one_line(monkeypatch):
    monkeypatch.setattr(espeak, "_speak", lambda request: os._exit(3))
    with pytest.raises(InputError, match=r"espeak-ng died \(status 3\) while it spoke 'good'"):
        list(speak_many([SpeechRequest("good", "en-us", Prosody(), 0)], nj=1))


def test_a_killed_runs_leftovers_are_cleared(tmp_path):
    (tmp_path / ".release.4321.0123abcd" / "Session1").mkdir(parents=True)
    assert synthesize_release(tmp_path / "release", num_utts=20, audio="noise")
    assert os.listdir(tmp_path) == ["release"]
    assert sorted(os.listdir(tmp_path / "release"))[1:] == [f"Session{n}" for n in range(1, 6)]
