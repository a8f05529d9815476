"""Releases of IEMOCAP that stage 1 must refuse."""

import os
import shutil

from release_maker import edit, make_release

F000, F001 = "Ses01F_impro01_F000", "Ses01F_impro01_F001"


def spoilt(harm):
    """The case of a release after ``harm``."""

    def case(room):
        harm(room.release)
        return room.prepare()

    return case


def label_file(change):
    return spoilt(lambda release: change(release.labels()))


def transcript_file(change):
    return spoilt(lambda release: change(release.transcripts()))


def in_place_of(make):
    """A change that puts something else where a file was."""

    def change(path):
        path.unlink()
        make(path)

    return change


def session(release, number):
    return release.root / f"Session{number}"


def alone(release):
    for number in (2, 3, 4, 5):
        shutil.rmtree(session(release, number))


def no_class(room):
    make_release(room.root / "release", labels=("xxx", "fru"))
    return room.prepare(of=room.root / "release")


def file_for_folder(room):
    (room.root / "data").write_text("mine")
    return room.prepare()


def strangers_file(room):
    (room.root / "data" / "all").mkdir(parents=True)
    (room.root / "data" / "all" / "thesis.txt").write_text("years of work")
    return room.prepare()


def moved_dialog(release):
    os.rename(release.labels("Ses02F_impro01"), release.labels("Ses02F_impro01").with_name("Ses03F_impro09.txt"))


CASES = {
    "corpus: no such folder": (lambda room: room.prepare(of=room.root / "nowhere"), "no such folder"),
    "corpus: a file in place of the folder": (lambda room: room.prepare(of=room.release.labels()), "not a folder"),
    "corpus: an empty folder": (lambda room: room.prepare(of=room.root), "IEMOCAP is given out by USC on request"),
    "corpus: a session missing": (spoilt(lambda r: shutil.rmtree(session(r, 3))), "Session3: missing"),
    "corpus: a session that is a file": (
        spoilt(lambda r: (shutil.rmtree(session(r, 3)), session(r, 3).touch())),
        "Session3: missing",
    ),
    "corpus: a session without labels": (
        spoilt(lambda r: shutil.rmtree(session(r, 2) / "dialog" / "EmoEvaluation")),
        "no labelled utterance; expected files like Ses02F_impro01.txt",
    ),
    "corpus: one speaker's session alone": (spoilt(alone), "4 problems found"),
    "corpus: none of the four classes": (no_class, "none of the 40 utterances is happy, sad, angry, neutral"),
    "corpus: a dialog in another session's folder": (spoilt(moved_dialog), "not a dialog of session 2"),
    "corpus: smaller than it claims": (lambda room: room.prepare("--check_counts", "full"), "expected 10039, found 40"),
    "labels: an empty file": (label_file(lambda path: path.write_bytes(b"")), "no labelled utterance in it"),
    "labels: binary": (label_file(lambda path: path.write_bytes(bytes(range(256)) * 40)), "it holds NUL bytes"),
    "labels: UTF-16": (
        label_file(lambda path: path.write_bytes(path.read_text().encode("utf-16"))),
        "not text in UTF-8: it holds NUL bytes",
    ),
    "labels: Latin-1": (label_file(lambda path: edit(path, "\tneu\t", b"\tn\xe9u\t")), "byte 40 (0xe9) is not UTF-8"),
    "labels: cut short within a line": (
        label_file(lambda path: path.write_bytes(path.read_bytes()[: path.read_bytes().index(F001.encode()) + 22])),
        "malformed label line",
    ),
    "labels: an id twice": (label_file(lambda path: edit(path, F001, F000)), f"duplicate id {F000}, already labelled in line"),
    "labels: a label that nobody knows": (label_file(lambda path: edit(path, "\tneu\t", "\tneo\t")), "did you mean 'neu'"),
    "labels: of another dialog": (
        label_file(lambda path: edit(path, F000, "Ses01F_impro02_F000")),
        "does not belong to dialog",
    ),
    "labels: NaN for a time": (label_file(lambda path: edit(path, "[6.5000", "[nan")), ":3: malformed label line"),
    "labels: a time of 400 digits": (
        label_file(lambda path: edit(path, "[6.5000", "[" + "9" * 400)),
        ":3: malformed label line",
    ),
    "labels: a rating missing": (label_file(lambda path: edit(path, ", 5.5000]", "]")), ":3: malformed label line"),
    "labels: a line of a megabyte": (
        label_file(lambda path: edit(path, "2.5000", "2" * 1_000_000)),
        ":3: malformed label line",
    ),
    "labels: escapes for the terminal in a line": (
        label_file(lambda path: edit(path, "\tneu\t", "\t\x1b[2Jneu\x07\t")),
        "unknown label",
    ),
    "labels: file missing": (label_file(os.unlink), "missing; the audio of this dialog has no labels"),
    "labels: a folder in place of the file": (label_file(in_place_of(os.mkdir)), "cannot be read: Is a directory"),
    "labels: a pipe in place of the file": (label_file(in_place_of(os.mkfifo)), "a pipe or a device, not a file"),
    "labels: a dangling link": (
        label_file(in_place_of(lambda path: path.symlink_to("nowhere"))),
        "cannot be read: No such file or directory",
    ),
    "transcripts: missing": (transcript_file(os.unlink), "missing; 4 utterances of this dialog have a label but no transcript"),
    "transcripts: binary": (transcript_file(lambda path: path.write_bytes(b"\0\xff" * 500)), "it holds NUL bytes"),
    "transcripts: Latin-1": (transcript_file(lambda path: edit(path, "Excuse", b"Excus\xe9")), "(0xe9) is not UTF-8"),
    "transcripts: an utterance lost": (
        transcript_file(lambda path: edit(path, f"{F000} [", "Ses01F_impro01_F009 [")),
        f"no transcript for {F000}",
    ),
    "transcripts: malformed": (
        transcript_file(lambda path: edit(path, "006.5000-007", "six-007")),
        "malformed transcript line",
    ),
    "transcripts: an id twice": (transcript_file(lambda path: edit(path, f"{F001} [", f"{F000} [")), f"duplicate id {F000}"),
    "transcripts: a pipe in place of the file": (
        transcript_file(in_place_of(os.mkfifo)),
        "missing; 4 utterances of this dialog have a label but no transcript",
    ),
    "audio: a labelled utterance without": (spoilt(lambda r: r.wav().unlink()), f"{F000}.wav: no such file; check the path"),
    "audio: the folder of a dialog missing": (spoilt(lambda r: shutil.rmtree(r.wav().parent)), "have a label but no audio"),
    "data directories: a file in place of the folder": (file_for_folder, "not a folder; name another with --datadir"),
    "data directories: a stranger's file among them": (strangers_file, "thesis.txt: not made by stage 1, and would be lost"),
}
