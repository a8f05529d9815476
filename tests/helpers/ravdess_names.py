"""RAVDESS as its authors give it out: a small one of noise, and real speech laid out as IEMOCAP put back under official names.

python3 tests/ravdess_names.py ../shared/data/ravdess_release /tmp/ravdess
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

CODES = {"neu": "01", "hap": "03", "sad": "04", "ang": "05", "fea": "06"}


def make_official(folder: Path, actors=(1, 2, 3, 4), emotions=("01", "04", "05")) -> Path:
    """Bursts of noise: each actor says both sentences with each emotion, once."""
    rng = np.random.default_rng(0)
    for actor in actors:
        (folder / f"Actor_{actor:02d}").mkdir(parents=True)
        for emotion in emotions:
            for statement in ("01", "02"):
                path = folder / f"Actor_{actor:02d}" / f"03-01-{emotion}-01-{statement}-01-{actor:02d}.wav"
                soundfile.write(path, 0.1 * rng.standard_normal(int(rng.integers(5000, 9000))), 16000)
    return folder


def as_official(release: Path, folder: Path) -> int:
    """Links the takes of a release laid out as IEMOCAP under official names.

    Intensity, sentence and emotion are what the release says. Session k's woman becomes actor 2k and its man 2k - 1, and takes
    that differ in nothing else are repetitions in their order; which of RAVDESS's actors and repetitions they were, the
    release does not say.

    Returns:
        How many there are.
    """
    takes: Counter[str] = Counter()
    for labels in sorted(release.glob("Session*/dialog/EmoEvaluation/*.txt")):
        dialog, session = labels.stem, int(labels.stem[3:5])
        words = (labels.parents[1] / "transcriptions" / labels.name).read_text()
        statement = "01" if "Kids are talking" in words else "02"
        intensity = "01" if "impro" in dialog else "02"
        told = [line.split("\t")[1:3] for line in labels.read_text().splitlines() if line.startswith("[")]
        for utt, label in sorted(told):
            actor = 2 * session - (utt.rpartition("_")[2][0] == "M")
            name = f"03-01-{CODES[label]}-{intensity}-{statement}"
            takes[f"{name}-{actor}"] += 1
            link = folder / f"Actor_{actor:02d}" / f"{name}-{takes[f'{name}-{actor}']:02d}-{actor:02d}.wav"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((release / f"Session{session}" / "sentences" / "wav" / dialog / f"{utt}.wav").resolve())
    return takes.total()


if __name__ == "__main__":
    print(f"{sys.argv[2]}: {as_official(Path(sys.argv[1]), Path(sys.argv[2]))} takes")
