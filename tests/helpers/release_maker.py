"""Makes a small release of tones laid out like IEMOCAP, with every oddity that the corpus has, and harms it on request."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

LABELS = ("neu", "hap", "exc", "sad", "ang", "fru", "xxx")
WORDS = ("Excuse me.", "it's  about jobs.It's fine.", "[LAUGHTER]", "Well, uh-huh [breathing] yes.", "No.")


@dataclass(frozen=True)
class Release:
    """Where the parts of a made release lie."""

    root: Path

    def labels(self, dialog: str = "Ses01F_impro01") -> Path:
        return self.root / f"Session{dialog[4]}" / "dialog" / "EmoEvaluation" / f"{dialog}.txt"

    def transcripts(self, dialog: str = "Ses01F_impro01") -> Path:
        return self.root / f"Session{dialog[4]}" / "dialog" / "transcriptions" / f"{dialog}.txt"

    def wav(self, utt_id: str = "Ses01F_impro01_F000") -> Path:
        return self.root / f"Session{utt_id[4]}" / "sentences" / "wav" / utt_id.rsplit("_", 1)[0] / f"{utt_id}.wav"


def make_release(
    root: Path,
    dialogs: tuple[str, ...] = ("F_impro01", "M_script01_1b"),
    turns: int = 2,
    sessions: tuple[int, ...] = (1, 2, 3, 4, 5),
    oddities: bool = True,
    labels: tuple[str, ...] = LABELS,
) -> Release:
    """Writes a release: in each session each dialog, in each dialog ``turns`` utterances of either speaker.

    Utterance number i of the release (in the order sessions, dialogs, F then M, turns) is labelled ``labels[i % len(labels)]``,
    says ``WORDS[i % 5]`` and is a tone of 800 + i samples.
    """
    release = Release(root)
    count = 0
    for dialog in (f"Ses0{session}{name}" for session in sessions for name in dialogs):
        label_lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        transcript_lines = []
        release.wav(f"{dialog}_F000").parent.mkdir(parents=True)
        for utt_id in (f"{dialog}_{letter}{turn:03d}" for letter in "FM" for turn in range(turns)):
            start_s = 6.5 + count
            label_lines += [
                f"[{start_s:.4f} - {start_s + 1:.4f}]\t{utt_id}\t{labels[count % len(labels)]}\t[0.5000, 2.5000, 5.5000]",
                "C-E2:\tNeutral;\t()",
                "C-F2:\t;\t()",
                "A-E4:\tval 2; act 4; dom  3;\t([accusing] again)",
                "",
            ]
            transcript_lines.insert(0, f"{utt_id} [{start_s:08.4f}-{start_s + 1:08.4f}]: {WORDS[count % len(WORDS)]}")
            write_wav(release.wav(utt_id), tone(800 + count))
            count += 1
        odd = oddities and dialog.endswith(dialogs[0])  # once per session is enough
        if odd:
            transcript_lines[0] = transcript_lines[0].replace("]: ", "]:\t", 1)
            transcript_lines += ["M: Hello?", "F: [LAUGHTER]", f"{dialog}_FXX0 [001.0000-002.0000]: Nobody labelled this."]
            write_wav(release.wav(f"{dialog}_FXX1"), tone(10))
        write_text(release.labels(dialog), label_lines)
        write_text(release.transcripts(dialog), transcript_lines)
        if odd:
            for path in (release.labels(dialog), release.transcripts(dialog), release.wav(f"{dialog}_F000")):
                path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07\xff\xfe[1.0 - 2.0]\t")
            for folder in ("Attribute", "Categorical", "Self-evaluation"):
                write_text(release.labels(dialog).parent / folder / f"{dialog}_e1.txt", ["[not a label]"])
    return release


def tone(num_samples: int, rate: int = 16000) -> np.ndarray:
    """A 440 Hz tone, float32 of shape [num_samples]."""
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(num_samples) / rate)).astype(np.float32)


def write_wav(path: Path, x: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> None:
    soundfile.write(path, x, rate, subtype=subtype, format="WAV")


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit(path: Path, old: str | bytes, new: str | bytes) -> None:
    """Replaces the first occurrence of ``old`` in a file, which must have one."""
    old, new = (part.encode() if isinstance(part, str) else part for part in (old, new))
    content = path.read_bytes()
    assert old in content, (path, old)
    path.write_bytes(content.replace(old, new, 1))
