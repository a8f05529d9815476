"""Audio, models and options that ``espnet-ser predict`` must refuse."""

import os

import numpy as np
from bad_audio import PNG, wav_bytes
from model_maker import change_config, make_model
from release_maker import tone, write_wav


def predict(room, *argv):
    """The command, with a model that is sound."""
    if not (room.made / "model").exists():
        make_model(room.made / "model", tasks=["emotion"], labels={"emotion": ["angry", "happy"]})
    return ("predict", "--model", room.made / "model", *argv)


def of_file(content, name="a.wav"):
    """The case of one file with this content."""

    def case(room):
        (room.root / name).write_bytes(content)
        return predict(room, name)

    return case


def of_list(text, *more):
    """The case of a list of audio, besides a sound ``a.wav``."""

    def case(room):
        write_wav(room.root / "a.wav", tone(8000))
        (room.root / "wav.scp").write_bytes(text if isinstance(text, bytes) else text.encode())
        return predict(room, "wav.scp", *more)

    return case


def with_options(*options):
    """The case of a sound file and these options."""

    def case(room):
        write_wav(room.root / "a.wav", tone(8000))
        return predict(room, "a.wav", *options)

    return case


def nan(room):
    write_wav(room.root / "a.wav", np.where(np.arange(1000) == 7, np.nan, 0), subtype="FLOAT")
    return predict(room, "a.wav")


def without_audio(room):
    (room.root / "audio" / "deep").mkdir(parents=True)
    (room.root / "audio" / "deep" / "notes.txt").write_text("no audio")
    return predict(room, "audio")


def pipe(room):
    os.mkfifo(room.root / "a.wav")
    return predict(room, "a.wav")


def all_bad(room):
    for name in ("a", "b"):
        (room.root / f"{name}.wav").write_bytes(PNG)
    return predict(room, "a.wav", "b.wav", "--output", "told.csv", "--format", "csv")


def audio_for_a_model(room):
    write_wav(room.root / "a.wav", tone(8000))
    return ("predict", "--model", "a.wav", "a.wav")


def no_model(*model):
    def case(room):
        write_wav(room.root / "a.wav", tone(8000))
        return ("predict", *model, "a.wav")

    return case


def other_classes(room):
    write_wav(room.root / "a.wav", tone(8000))
    other = make_model(room.root / "other", tasks=["emotion"], labels={"emotion": ["angry", "sad"]})
    return predict(room, "--model", other, "a.wav")


def damaged_model(room):
    write_wav(room.root / "a.wav", tone(8000))
    model = make_model(room.root / "model")
    change_config(model, tasks=["emotion", "telepathy"])
    return ("predict", "--model", model, "a.wav")


COMMAND = "touch harm; cat a.wav |"

CASES = {
    "predict: of nothing": (lambda room: predict(room), "the following arguments are required: AUDIO"),
    "predict: an empty name": (lambda room: predict(room, ""), "an empty name; name an audio file"),
    "predict: a file that is not there": (lambda room: predict(room, "nowhere.wav"), "nowhere.wav: no such file or folder"),
    "predict: a pattern that matches nothing": (lambda room: predict(room, "*.wav"), "*.wav: matches no file"),
    "predict: a folder without audio": (without_audio, "audio: no audio file below this folder (.wav, .flac, .ogg, .mp3"),
    "predict: standard input twice": (lambda room: predict(room, "-", "-"), "standard input (-) can be read once alone"),
    "predict: an empty file": (of_file(b""), "a.wav: empty: it holds no audio"),
    "predict: a header and no sample": (of_file(wav_bytes(0)), "a.wav: empty: it holds no audio"),
    "predict: one sample": (
        of_file(wav_bytes(1)),
        "a.wav: 1 samples at 16 kHz, too short: the encoder's first frame needs 400",
    ),
    "predict: a picture": (of_file(PNG), "a.wav: not audio that libsndfile can read"),
    "predict: a picture called mp3": (of_file(PNG, "a.mp3"), "a.mp3: not audio that libsndfile can read"),
    "predict: a truncated file": (of_file(wav_bytes()[:1000]), "a.wav: truncated"),
    "predict: NaN": (nan, "a.wav: 1 of its 1000 samples are NaN or infinite"),
    "predict: a pipe that nobody writes to": (pipe, "a.wav: cannot be read: a pipe or a device, not a file"),
    "predict: nothing but bad files": (all_bad, "2 recordings: 2 problems found; fix them and run again a.wav: not audio"),
    "predict: a list of commands": (of_list(f"utt {COMMAND}\n"), "wav.scp:1: a command, not a path"),
    "predict: a command among paths": (of_list(f"utt1 a.wav\nutt2 {COMMAND} \n"), "wav.scp:2: a command, not a path"),
    "predict: an empty list": (of_list(""), "wav.scp: lists no audio"),
    "predict: a list without ids": (of_list("a.wav\n"), "wav.scp:1: malformed line 'a.wav'"),
    "predict: a list with an id twice": (of_list("utt a.wav\nutt a.wav\n"), "wav.scp:2: 'utt' is there twice"),
    "predict: a list of a file that is not there": (of_list("utt b.wav\n"), "b.wav: no such file"),
    "predict: a list that is no text": (of_list(b"\xff\xfe\0\0" * 9), "wav.scp: UTF-16, where UTF-8 is read"),
    "predict: an unknown format": (with_options("--format", "xml"), "--format: unknown value 'xml'"),
    "predict: an unknown selection": (with_options("--selection", "best"), "known: dev, last, oracle, others"),
    "predict: epochs that nobody chose": (with_options("--selection", "oracle"), "selection.json is missing: run stage 5"),
    "predict: a window of 0 s": (with_options("--window", "0"), "a window of 0.0 s: give 0.1 to 3600 s"),
    "predict: a window of NaN s": (with_options("--window", "nan"), "a window of nan s"),
    "predict: a window in words": (with_options("--window", "long"), "--window: invalid float value: 'long'"),
    "predict: windows with gaps": (
        with_options("--window", "1", "--hop", "2"),
        "a hop of 2.0 s: give 0.01 s to a whole window",
    ),
    "predict: batches of 0 s": (with_options("--batch_seconds", "0"), "batches of 0 s: give a number above 0"),
    "predict: batches of infinite length": (with_options("--batch_seconds", "inf"), "batches of inf s"),
    "predict: a device that is none": (with_options("--device", "gpu"), "device 'gpu': neither a CPU nor a GPU"),
    "predict: GPU 99": (with_options("--device", "cuda:99"), "device 'cuda:99': torch cannot compute there"),
    "predict: an output that is audio": (with_options("--output", "a.wav"), "--output a.wav: a name of audio"),
    "predict: an output in no folder": (with_options("--output", "x/told.csv"), "--output x/told.csv: x is no folder"),
    "predict: an output that is a folder": (with_options("--output", "."), "--output .: there, and no file"),
    "predict: an output that is a device": (with_options("--output", "/dev/null"), "--output /dev/null: there, and no file"),
    "predict: embeddings as text": (
        with_options("--embedding", "e.txt"),
        "--embedding e.txt: the name must end in .npz or .ark",
    ),
    "predict: two outputs of one name": (
        with_options("--embedding", "e.npz", "--output", "e.npz"),
        "also the file of --embedding",
    ),
    "predict: an id twice for Kaldi": (with_options("a.wav", "--format", "kaldi"), "a.wav: there twice"),
    "predict: an id of two words for Kaldi": (
        lambda room: predict(room, "--embedding", "e.ark", write_wav(room.root / "a b.wav", tone(8000)) or "a b.wav"),
        "a b.wav: no id for Kaldi",
    ),
    "predict: no model": (no_model(), "exp/asr_gender_skip__ser: no such model"),
    "predict: a model that is not there": (no_model("--model", "./nowhere"), "./nowhere: no such model"),
    "predict: a model without a name": (no_model("--model", ""), "an empty name; name a trained model's folder"),
    "predict: a folder that is no model": (no_model("--model", "."), "config.yaml is missing; train the model first"),
    "predict: audio for a model": (audio_for_a_model, "a.wav: "),
    "predict: a damaged model": (damaged_model, "config.yaml: tasks must be"),
    "predict: models of other classes": (other_classes, "its classes of emotion are angry, sad"),
}
