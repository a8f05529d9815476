"""utils/validate_data_dir.sh on a small good directory, and on it with one fault at a time."""

import pytest

GOOD = {
    "utt2spk": "A_F-1 A_F\nA_F-2 A_F\nA_M-1 A_M\n",
    "spk2utt": "A_F A_F-1 A_F-2\nA_M A_M-1\n",
    "spk2gender": "A_F f\nA_M m\n",
    "text": "A_F-1 HELLO THERE\nA_F-2\nA_M-1 OH\n",
    "wav.scp": "A_F-1 /x/a b.wav\nA_F-2 sox x - |\nA_M-1 c.wav\n",
    "utt2num_samples": "A_F-1 160\nA_F-2 20\nA_M-1 3\n",
    "utt2emotion": "A_F-1 ang\nA_F-2 hap\nA_M-1 neu\n",
}


@pytest.fixture
def validate(sh, utils):
    """Check the good directory with some of its files changed (None: taken away)."""
    folder = sh.folder / "data=x dir"
    folder.mkdir()

    def run(changes=None, options=("--no-feats",)):
        for name, content in {**GOOD, **(changes or {})}.items():
            if content is not None:
                (folder / name).write_bytes(content.encode())
        return sh(utils / "validate_data_dir.sh", *options, folder.name)

    return run


def test_a_good_directory_passes(validate):
    result = validate()
    assert result.stderr == ""
    assert result.stdout == "validate_data_dir.sh: successfully validated data=x dir (3 utterances, 2 speakers)\n"
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"utt2spk": None}, "utt2spk: is missing"),
        ({"spk2utt": None}, "spk2utt: is missing"),
        ({"text": None}, "text: is missing"),
        ({"wav.scp": None}, "wav.scp: is missing"),
        ({"wav.scp": ""}, "wav.scp: is empty"),
        ({"text": "A_F-1 X\nA_F-2 Y\nA_M-1 Z"}, "text: the last line has no newline"),
        ({"text": "A_F-1 X\r\nA_F-2 Y\nA_M-1 Z\n"}, "text: line 1: has a carriage return"),
        ({"text": "A_F-1 X\n\nA_F-2 Y\nA_M-1 Z\n"}, "text: line 2: is empty"),
        ({"text": " A_F-1 X\nA_F-2 Y\nA_M-1 Z\n"}, "text: line 1: begins with white space"),
        ({"text": "A_F-2 X\nA_F-1 Y\nA_M-1 Z\n"}, "text: line 2: is out of order: A_F-1 comes after A_F-2"),
        ({"text": "A_F-1 X\nA_F-1 Y\nA_F-2 Y\nA_M-1 Z\n"}, "text: line 2: repeats the key A_F-1 of line 1"),
        ({"text": "A_F-1 X\nA_F-2 [LAUGHTER]\nA_M-1 Z\n"}, "text: line 2: [LAUGHTER] is a tag"),
        ({"text": "A_F-1 X\nA_M-1 Z\n"}, "text: 1 utterance(s) of utt2spk missing: A_F-2"),
        ({"wav.scp": GOOD["wav.scp"] + "B x\n"}, "wav.scp: 1 utterance(s) not in utt2spk: B"),
        ({"wav.scp": "A_F-1\nA_F-2 x\nA_M-1 x\n"}, "wav.scp: line 1: has 1 field(s), needs 2 or more"),
        ({"utt2emotion": "A_F-1 ang\n"}, "utt2emotion: 2 utterance(s) of utt2spk missing: A_F-2 A_M-1"),
        ({"utt2emotion": "A_F-1 ang\nA_F-2\nA_M-1 neu\n"}, "utt2emotion: line 2: has 1 field(s)"),
        ({"utt2num_samples": "A_F-1 160\nA_F-2 0\nA_M-1 3\n"}, 'utt2num_samples: line 2: "0" is not a count above zero'),
        ({"utt2spk": "A_F-1 A_F x\nA_F-2 A_F\nA_M-1 A_M\n"}, "utt2spk: line 1: has 3 fields, 2 at most"),
        ({"spk2gender": "A_F f\nA_M male\n"}, 'spk2gender: line 2: "male" is not f or m'),
        ({"spk2gender": "A_F f\n"}, "spk2gender: 1 speaker(s) of spk2utt missing: A_M"),
        ({"spk2utt": "A_F A_F-1\nA_M A_M-1\n"}, "spk2utt: does not give A_F-2 to A_F, as utt2spk does"),
        ({"spk2utt": "A_F A_F-1 A_F-2\nA_M A_F-2 A_M-1\n"}, "spk2utt: gives A_F-2 to A_M, unlike utt2spk"),
        ({"spk2utt": "A_F A_F-2 A_F-1\nA_M A_M-1\n"}, "spk2utt: line 1: A_F-1 is out of order"),
        ({"segments": "A_F-1 r 0 1\nA_F-2 r 2 1\nA_M-1 r 0 1\n", "wav.scp": "r x\n"}, "segments: line 2: bad times 2 to 1"),
        (
            {"segments": "A_F-1 q 0 1\nA_F-2 r 1 2\nA_M-1 r 0 1\n", "wav.scp": "r x\n"},
            "segments: recording q is not in wav.scp",
        ),
    ],
)
def test_each_fault_is_named(validate, changes, problem):
    result = validate(changes)
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"validate_data_dir.sh: {problem}" in result.stderr


def test_speakers_must_be_grouped(validate):
    changes = {
        "utt2spk": "A_F-1 Z\nA_F-2 Z\nA_M-1 A\n",
        "spk2utt": "A A_M-1\nZ A_F-1 A_F-2\n",
        "spk2gender": "A f\nZ m\n",
    }
    assert "utt2spk: is not sorted by speaker, first at 'A_M-1 A'" in validate(changes).stderr


def test_keys_are_sorted_as_bytes_whatever_the_locale(validate):
    names = ["10", "9", "B", "a", "é"]
    changes = {
        name: "".join(f"{key} {key}\n" for key in names) for name in ("utt2spk", "spk2utt", "text", "wav.scp", "utt2emotion")
    }
    changes |= {"utt2num_samples": "".join(f"{key} 5\n" for key in names), "spk2gender": "".join(f"{key} f\n" for key in names)}
    result = validate(changes)
    assert result.stderr == ""
    assert "(5 utterances, 5 speakers)" in result.stdout


def test_every_problem_is_listed_and_counted(validate):
    result = validate({"spk2gender": "A_F f\nA_M x\n", "text": None, "utt2num_samples": "A_F-1 0\nA_F-2 -1\nA_M-1 2\n"})
    assert result.stderr.count("\n") == 5
    assert "validate_data_dir.sh: 4 problem(s) in data=x dir\n" in result.stderr


def test_options_say_which_files_need_not_be_there(validate):
    assert "feats.scp: is missing" in validate(options=()).stderr
    assert validate({"feats.scp": "A_F-1 x\nA_F-2 x\nA_M-1 x\n"}, options=()).returncode == 0
    assert validate({"feats.scp": "A_F-1 x\n"}).returncode == 1


def test_text_and_wav_can_be_left_out(validate):
    assert validate({"text": None, "wav.scp": None}, options=("--no-feats", "--no-text", "--no-wav")).returncode == 0


def test_wrong_use_is_one_clear_line(sh, utils):
    script = utils / "validate_data_dir.sh"
    assert sh(script).returncode == 2
    assert "unknown option --no-feat " in sh(script, "--no-feat", "x").stderr
    missing = sh(script, "--no-feats", "no such")
    assert (missing.returncode, missing.stderr) == (1, "validate_data_dir.sh: no such directory: no such\n")
    assert "Usage" in sh(script, "--help").stdout
