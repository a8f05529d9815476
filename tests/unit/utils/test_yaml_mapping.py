import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.errors import InputError
from espnet_ser.utils.yaml_mapping import MAX_BYTES, MAX_DEPTH, read_yaml_mapping


def read(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml_mapping(path, missing="make it")


def test_what_configurations_hold_is_read(tmp_path):
    text = "a: 1\nb: [x, 'y & *z', \"!\"]\nc: {2: 1, d: null}\ngrad_clip: .inf\nnan: .nan\nlr: 1.0e-4\nlong: |\n  a\n  b\n"
    content = read(tmp_path, text)
    assert math.isnan(content.pop("nan"))
    assert content == {
        "a": 1,
        "b": ["x", "y & *z", "!"],
        "c": {2: 1, "d": None},
        "grad_clip": math.inf,
        "lr": 1e-4,
        "long": "a\nb\n",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\n", "anchors and aliases .* are not taken: write the value out \\(line 1\\)"),
        ("a: 1\nb: *x\n", "anchors and aliases"),
        ("a: !!python/name:os.system ''\n", "tags are not taken"),
        ("a: !mine 1\n", "tags are not taken"),
        ("a: !!int ''\n", "tags are not taken"),
        ("a: 1\na: 2\n", "the key 'a' stands twice in one mapping"),
        ("x:\n  b: 1\n  c: 2\n  b: 1\n", "the key 'b' stands twice"),
        ("a: " + "[" * 5000, "nested deeper than"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than"),
        ("a: 0x" + "f" * 5000, "a number of 5002 characters"),
        ("a: 1" + ":1" * 5000, "a number of 10001 characters"),
        ("a: 2020-01-01\n", "only numbers, text, lists and mappings"),
        ("a: 2020-99-99\n", "only numbers, text, lists and mappings"),
        ("? [a, b]\n: 1\n", "not YAML"),
        ("- a\n", "not a mapping of names to values"),
        ("1: a\n", "not a mapping of names to values"),
        ("", "not a mapping of names to values"),
        ("a: [", "not YAML"),
        (b"a: \xff\n", "not YAML"),
        (b"a: \x07\n", "not YAML"),
        ("# " + "x" * MAX_BYTES, "larger than 4,194,304 bytes"),
    ],
)
def test_all_else_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"a\.yaml: .*{message}") as error:
        read(tmp_path, text)
    assert str(error.value).isprintable()


@given(st.text("a1:-[]{}&*!|>'\"#,?\n \t.%@`0x_", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_mapping_or_one_line(tmp_path_factory, text):
    try:
        content = read(tmp_path_factory.mktemp("y"), text)
    except InputError as error:
        content = {"refused": str(error)}
    assert isinstance(content, dict)
    assert content.get("refused", "").isprintable()
