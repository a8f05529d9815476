"""The commands of the documentation, run as readers run them: page by page, in one shell, from a checkout's folder.

Where a page names what a test cannot have, something small of the same kind stands in for it. The tables below say what.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from checkout import MINI_OPTIONS, ROOT, copy_of_repository
from doc_pages import PAGES, blocks

from espnet_ser.data.datadir import read_datadir

STAND_INS = {
    # The mini recipe is IEMOCAP's on speech of its own. It has been run with these options, so that most of it is up to date.
    "egs/iemocap": "egs/mini_iemocap",
    "egs/mini_iemocap/run.sh": " ".join(["egs/mini_iemocap/run.sh", *(f"'{word}'" for word in MINI_OPTIONS)]),
    "/path/to/IEMOCAP_full_release": "egs/mini_iemocap/release/240",
    # An encoder of the hub.
    "facebook/wav2vec2-base": "conf/mini/encoder",
    # A corpus of one's own: of each speaker two utterances of each emotion.
    "/path/to/recordings": "my_recordings",
    "--folds_by 5": "--folds_by 2",
    # A fold is enough to see that a system is trained.
    "--system stl_n8": "--system stl_n8 --folds 1",
    # The environment that runs the tests is the one.
    ". .venv/bin/activate": "true",
    "utils/setup_env.sh": "true",
}
"""What a page says -> what is run in its place."""

SMALLER = {
    "egs/TEMPLATE/ser.sh": ("ssl=facebook/wav2vec2-base", "ssl=conf/mini/encoder"),
    "conf/train_ser.yaml": ("max_epoch: 100", "max_epoch: 1"),
    "conf/train_stage1.yaml": ("max_epoch: 100", "max_epoch: 1"),
}
"""A file of the checkout -> what is changed in it."""

RUN = {
    page: found for page in PAGES if (found := [b for b in blocks(page) if b.language in ("sh", "python") and not b.not_run])
}


@pytest.fixture(scope="module")
def checkout(mini, tmp_path_factory):
    """A copy of the repository in which the mini recipe has been run, with what readers bring."""
    recipe, _ = mini
    root = copy_of_repository(tmp_path_factory.mktemp("docs"))
    for name, (old, new) in SMALLER.items():
        text = (root / name).read_text()
        assert text.count(old) == 1, name
        (root / name).write_text(text.replace(old, new))
    for name in ("data", "dump", "exp", "release"):
        shutil.copytree(recipe / name, root / "egs" / "mini_iemocap" / name, symlinks=True)
    bring_recordings(root)
    return root


def bring_recordings(root):
    mini = root / "egs" / "mini_iemocap"
    (root / "my_recordings").mkdir()
    counts = Counter()
    for example in read_datadir(mini / "data" / "four_class"):
        kind = f"{example.speaker.replace('_', '')}_{example.emotion}"
        counts[kind] += 1
        if counts[kind] <= 2:
            shutil.copy(example.wav, root / "my_recordings" / f"{kind}_{counts[kind]}.wav")
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * 16000)
    for name in ("a.wav", "recording.wav", "talk.flac", "recordings/one.wav", "talks/monday/two.mp3"):
        for folder in (root, mini):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name, noise, 16000)


def with_stand_ins(code):
    for said, stands_in in STAND_INS.items():
        code = re.sub(rf"(?<![\w/]){re.escape(said)}(?![\w-])", lambda _, new=stands_in: new, code)
    return code


def script_of(page, folder, done):
    """A page's blocks as one script of bash, each announced by its place.

    What has been run before, word for word and from the checkout's folder, is not run again.
    """
    lines, away = ["set -euo pipefail"], False
    for block in RUN[page]:
        code = with_stand_ins(block.code)
        away = away or "cd " in code
        if not away:
            if code in done:
                continue
            done.add(code)
        if block.language == "python":
            program = folder / f"{block.line}.py"
            program.write_text(code)
            code = f"'{sys.executable}' '{program}'\n"
        lines += [f"echo '== {block.place}'", code]
    return "\n".join(lines)


DONE = set()

FIRST = Path("README.md")
"""All other pages take longer than they change."""

PARAMETERS = [page if page == FIRST else pytest.param(page, marks=pytest.mark.long) for page in RUN]


@pytest.mark.parametrize("page", PARAMETERS, ids=str)
def test_the_commands_of_the_page_work(checkout, page, tmp_path):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}
    script = script_of(page, tmp_path, DONE)
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, check=False, **kept)
    assert done.returncode == 0, f"{script}\n\n{done.stdout[-6000:]}"
    assert "Traceback" not in done.stdout


def test_every_stand_in_is_needed():
    said = "".join(block.code for page in RUN for block in RUN[page])
    assert not [name for name in STAND_INS if name not in said]
