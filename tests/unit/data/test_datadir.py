import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import VALIDATOR
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import edit

from espnet_ser.characters import name_fault
from espnet_ser.data.datadir import Example, read_datadir, validate_datadir, write_datadir
from espnet_ser.data.lists import composed
from espnet_ser.errors import InputError


def make_example(speaker="Ses01_F", name="a", **changes):
    example = Example(
        utt=f"{speaker}-{name}",
        speaker=speaker,
        session=speaker[4],
        gender=speaker[-1].lower(),
        emotion="happy",
        label="exc",
        style="improvised",
        text="EXCUSE ME",
        wav=Path("/corpora/a b/it's.wav"),
        num_samples=16000,
        sha256="0" * 64,
        samples_sha256="1" * 64,
    )
    return replace(example, **changes)


def four():
    return [
        make_example("Ses01_M", "b"),
        make_example("Ses01_F", "b", text=""),
        make_example("Ses01_F", "a"),
        make_example("Ses02_F"),
    ]


@pytest.fixture
def folder(tmp_path):
    write_datadir(tmp_path / "data", four())
    return tmp_path / "data"


def test_the_files_are_kaldis(folder):
    assert (folder / "utt2spk").read_text() == "Ses01_F-a Ses01_F\nSes01_F-b Ses01_F\nSes01_M-b Ses01_M\nSes02_F-a Ses02_F\n"
    assert (folder / "spk2utt").read_text() == "Ses01_F Ses01_F-a Ses01_F-b\nSes01_M Ses01_M-b\nSes02_F Ses02_F-a\n"
    assert (folder / "spk2gender").read_text() == "Ses01_F f\nSes01_M m\nSes02_F f\n"
    assert (folder / "text").read_text().splitlines()[:2] == ["Ses01_F-a EXCUSE ME", "Ses01_F-b"]
    assert (folder / "wav.scp").read_text().splitlines()[0] == "Ses01_F-a /corpora/a b/it's.wav"
    assert (folder / "utt2num_samples").read_text().splitlines()[0] == "Ses01_F-a 16000"
    names = {"wav.scp", "text", "spk2utt", "spk2gender", "utt2samples_sha256"}
    names |= {f"utt2{field}" for field in ("spk", "emotion", "label", "gender", "style", "session", "num_samples", "sha256")}
    assert {path.name for path in folder.iterdir()} == names


def test_what_was_written_is_read_back_sorted(folder):
    assert read_datadir(folder) == sorted(four(), key=lambda example: example.utt)
    validate_datadir(folder)


WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8).map(composed)
NAME = WORD.filter(lambda name: not name_fault(name))
EXAMPLE = st.builds(
    make_example,
    speaker=st.sampled_from(["Ses01_F", "Ses01_M", "Ses05_F"]),
    name=NAME,
    emotion=NAME,
    text=st.lists(WORD, max_size=4).map(" ".join),
    wav=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=9).map(lambda name: Path(f"/x/{name}/a.wav")),
    num_samples=st.integers(1, 10**7),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(EXAMPLE, min_size=1, max_size=6, unique_by=lambda example: example.utt))
def test_any_examples_survive_the_round_trip(tmp_path_factory, examples):
    folder = tmp_path_factory.mktemp("data")
    write_datadir(folder, examples)
    validate_datadir(folder)
    assert read_datadir(folder) == sorted(examples, key=lambda example: example.utt)


@pytest.mark.skipif(not VALIDATOR.is_file(), reason=f"NOT HELD TO KALDI'S RULES: {VALIDATOR} is absent")
@pytest.mark.parametrize("name", ["plain", "a b", "it's", 'quo"te', "caf\u00e9 \u4f60", "dollar$HOME", "-dash"])
def test_kaldis_own_checks_pass_in_any_folder(tmp_path, name):
    write_datadir(tmp_path / name / "data", four())
    run = subprocess.run([VALIDATOR, "--no-feats", tmp_path / name / "data"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_path_that_is_not_utf8_survives(tmp_path):
    example = make_example(wav=Path("/x/caf\udce9.wav"))
    write_datadir(tmp_path, [example])
    assert b"/x/caf\xe9.wav\n" in (tmp_path / "wav.scp").read_bytes()
    assert read_datadir(tmp_path) == [example]


def test_optional_files_may_be_absent(folder):
    for name in ("text", "utt2style", "utt2label", "utt2sha256", "utt2session", "utt2gender"):
        (folder / name).unlink()
    first = read_datadir(folder)[0]
    assert (first.text, first.style, first.label, first.sha256, first.session) == ("", "", "", "", "")
    assert first.gender == "f"  # from spk2gender


def test_an_optional_field_that_nobody_has_leaves_no_file(folder):
    write_datadir(folder, [replace(example, style="") for example in four()])
    assert not (folder / "utt2style").exists()
    assert read_datadir(folder)[0].style == ""


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "spk2utt", "spk2gender", "utt2emotion", "utt2num_samples"])
def test_a_missing_required_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: No such file.*run stage 1"):
        read_datadir(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="none: no such data directory; run stage 1"):
        read_datadir(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("utt2emotion", "Ses01_F-b happy\n", "", "utt2emotion: no line for 'Ses01_F-b', which wav.scp has in line 2"),
        ("utt2style", "Ses01_F-b", "Ses01_F-bb", "utt2style: no line for 'Ses01_F-b'"),
        ("utt2emotion", "Ses02_F-a happy", "Ses02_F-a happy\nSes02_F-b sad", "utt2emotion:5: 'Ses02_F-b' is not in wav.scp"),
        ("utt2emotion", "Ses01_F-b happy", "Ses01_F-b", "utt2emotion:2: malformed"),
        ("utt2emotion", "Ses01_F-b happy", "Ses01_F-b very happy", "utt2emotion:2: malformed"),
        ("utt2emotion", "Ses01_F-b happy", "", "utt2emotion: no line for 'Ses01_F-b'"),
        ("utt2emotion", "Ses01_F-b happy", "Ses01_F-a happy", "utt2emotion:2: 'Ses01_F-a' is there twice, first in line 1"),
        ("utt2emotion", "Ses01_F-b happy", b"Ses01_F-b h\xe9", "utt2emotion:2: not UTF-8"),
        ("utt2num_samples", "Ses01_F-b 16000", "Ses01_F-b 1.6e4", "utt2num_samples:2: '1.6e4' is not a number"),
        ("utt2num_samples", "Ses01_F-b 16000", "Ses01_F-b 0", "utt2num_samples:2"),
        ("wav.scp", "Ses01_F-b /corpora/a b/it's.wav", "Ses01_F-b sox a.wav -t wav - |", "wav.scp:2: a command"),
        ("spk2gender", "Ses01_M m", "Ses01_M male", "spk2gender:2: gender 'male', expected f or m"),
        ("spk2gender", "Ses01_M m\n", "", "spk2gender: no line for 'Ses01_M'"),
        ("spk2utt", " Ses01_F-b", "", "spk2utt:1: 'Ses01_F' has other utterances"),
    ],
)
def test_a_bad_line_is_named_with_file_and_line(folder, name, old, new, message):
    edit(folder / name, old, new)
    with pytest.raises(InputError, match=f"{folder}/{message}"):
        read_datadir(folder)


def test_validation_wants_sorted_files_that_end_in_a_newline(folder):
    path = folder / "utt2emotion"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(InputError, match="utt2emotion:2: 'Ses01_F-a' comes after 'Ses01_F-b'"):
        validate_datadir(folder)
    path.write_text("".join(lines)[:-1])
    with pytest.raises(InputError, match="utt2emotion:4: .* no newline"):
        validate_datadir(folder)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no utterance"),
        ([make_example(name="a b")], "utt 'Ses01_F-a b' .* has a space in it"),
        ([make_example(name="a\u3000b")], r"has U\+3000 in it, which is not shown; rename it"),
        ([make_example(speaker="Ses01 F")], "has a space in it; rename it"),
        ([make_example(), make_example()], "two utterances are called 'Ses01_F-a'"),
        ([make_example(utt="a"), make_example("Ses00_F", utt="b")], "a sorts before b, and its speaker Ses01_F after Ses00_F"),
        ([make_example(), make_example(name="b", gender="m")], "two genders"),
        ([make_example(gender="x")], "gender 'x'"),
        ([make_example(), make_example(name="b", style="")], "style of Ses01_F-b is missing"),
        ([make_example(wav=Path("/a |"))], "wav.scp cannot hold"),
        ([make_example(wav=Path("/a\nb"))], "wav.scp cannot hold"),
        ([make_example(wav=Path("/a "))], "wav.scp cannot hold"),
        ([make_example(text="A  B")], "stray white space"),
        ([make_example(num_samples=0)], "0 samples"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, examples, message):
    with pytest.raises(InputError, match=message):
        write_datadir(tmp_path / "data", examples)
    assert not (tmp_path / "data").exists()


ANYTHING = st.text(st.characters(), max_size=6)


@settings(max_examples=150)
@given(
    st.builds(
        make_example,
        name=st.one_of(st.just("a"), ANYTHING),
        emotion=st.one_of(st.just("sad"), ANYTHING),
        label=ANYTHING,
        text=ANYTHING,
        wav=ANYTHING.map(lambda name: Path(f"/x/{name}")),
        num_samples=st.integers(-1, 10**10),
    )
)
def test_whatever_an_example_holds_it_is_read_back_or_refused(tmp_path_factory, example):
    folder = tmp_path_factory.mktemp("any") / "data"
    try:
        write_datadir(folder, [example])
    except InputError:
        assert not folder.exists()
    else:
        words = {name: composed(getattr(example, name)) for name in ("utt", "emotion", "label", "text")}
        assert read_datadir(folder) == [replace(example, **words)]
        validate_datadir(folder)


@settings(max_examples=150)
@given(st.sampled_from(["wav.scp", "utt2spk", "spk2utt", "spk2gender", "utt2emotion", "utt2num_samples", "text"]), st.data())
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("any") / "data"
    write_datadir(folder, four())
    content = (folder / name).read_bytes()
    place = data.draw(st.integers(0, len(content)))
    noise = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b" ", b"\t", b"\n", b"\r\n", b"\xa0", b"\0", "\u2028".encode()]))
    )
    (folder / name).write_bytes(content[:place] + noise + content[place + data.draw(st.integers(0, 4)) :])
    refusal = ""
    try:
        examples = read_datadir(folder)
    except InputError as error:
        refusal = str(error)
        examples = four()
    assert not refusal or refusal.startswith(f"{folder}/")
    assert len(examples) == 4
    for example in examples:
        assert example.text == " ".join(example.text.split())
