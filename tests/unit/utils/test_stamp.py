import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.errors import InputError
from espnet_ser.utils.atomic import atomic_path, atomic_write, disk_errors_as_input_errors, replace_folder
from espnet_ser.utils.hashing import file_sha256, fingerprint
from espnet_ser.utils.locks import locked
from espnet_ser.utils.stamp import Stamp

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def stamped(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("a")
    stamp = Stamp(tmp_path / ".stamp.json")
    stamp.write({"seed": 1, "optim": {"lr": 0.1}}, [tmp_path / "out"])
    return stamp


INPUTS = {"seed": 1, "optim": {"lr": 0.1}}


def test_sha256_of_a_file_is_the_standard_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_order_of_keys_does_not_change_a_fingerprint():
    assert fingerprint({"a": 1, "b": [{"c": 2, "d": 3}]}) == fingerprint({"b": [{"d": 3, "c": 2}], "a": 1})


def test_fingerprint_takes_paths_and_refuses_objects():
    assert fingerprint({"a": Path("/x")}) == fingerprint({"a": "/x"})
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_fingerprints_are_equal_where_the_json_is(first, second):
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (fingerprint(first) == fingerprint(second)) == same


def test_nothing_differs_after_a_run(stamped):
    assert stamped.difference(INPUTS) is None
    assert stamped.difference({"optim": {"lr": 0.1}, "seed": 1}) is None


def test_a_stage_that_never_ran_says_so(tmp_path):
    assert Stamp(tmp_path / "none.json").difference(INPUTS) == ["not run yet"]


def test_changed_added_and_removed_inputs_are_named(stamped):
    assert stamped.difference({"seed": 2, "optim": {"lr": 0.1}}) == ["seed: 1 -> 2"]
    assert stamped.difference({"seed": 1, "optim": {"lr": 0.2}}) == ["optim.lr: 0.1 -> 0.2"]
    assert stamped.difference({"optim": {"lr": 0.1}, "new": None}) == ["new: absent -> null", "seed: 1 -> absent"]


def test_a_changed_or_missing_output_is_named(stamped):
    output = stamped.path.parent / "out" / "a.txt"
    output.write_text("b")
    assert stamped.difference(INPUTS) == ["output out/a.txt: changed since it was written"]
    output.unlink()
    assert stamped.difference(INPUTS) == ["output out/a.txt: missing"]


def test_a_moved_folder_is_still_up_to_date(stamped, tmp_path):
    (tmp_path / "moved").mkdir()
    for name in ("out", ".stamp.json"):
        os.rename(tmp_path / name, tmp_path / "moved" / name)
    assert Stamp(tmp_path / "moved" / ".stamp.json").difference(INPUTS) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"inputs": {}}', '{"inputs": {}, "outputs": 3}', "\x00"])
def test_a_broken_stamp_means_run_again(tmp_path, content):
    (tmp_path / "s").write_text(content)
    (difference,) = Stamp(tmp_path / "s").difference({})
    assert "not a stamp" in difference


def test_atomic_write_leaves_one_whole_file(tmp_path):
    atomic_write(tmp_path / "f.txt", "caf\u00e9\n")
    atomic_write(tmp_path / "b.bin", b"\x00\xff")
    assert (tmp_path / "f.txt").read_bytes() == b"caf\xc3\xa9\n"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(os.listdir(tmp_path)) == ["b.bin", "f.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    atomic_write(tmp_path / "f.txt", "old")

    def fail():
        with atomic_path(tmp_path / "f.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == ["f.txt"]
    assert (tmp_path / "f.txt").read_text() == "old"


def test_replacing_a_folder_leaves_none_of_the_old(tmp_path):
    for name in ("new", "final"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"from_{name}").touch()
    replace_folder(tmp_path / "new", tmp_path / "final")
    assert os.listdir(tmp_path) == ["final"]
    assert os.listdir(tmp_path / "final") == ["from_new"]


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    for name in ("new", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"from_{name}").touch()
    (tmp_path / "final").symlink_to("elsewhere")
    replace_folder(tmp_path / "new", tmp_path / "final")
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "final"]
    assert os.readlink(tmp_path / "final") == "elsewhere"
    assert os.listdir(tmp_path / "final") == ["from_new"]


def test_a_failed_replacement_puts_the_old_folder_back(tmp_path):
    (tmp_path / "final").mkdir()
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "absent", tmp_path / "final")
    assert os.listdir(tmp_path) == ["final"]


def test_a_lock_leaves_no_file_and_keeps_others_out(tmp_path):
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            with locked(tmp_path):
                order = "late" if (tmp_path / "written_under_lock").exists() else "early"
            (tmp_path / order).touch()
            os._exit(0)
        (tmp_path / "written_under_lock").touch()
    os.waitpid(child, 0)
    assert sorted(os.listdir(tmp_path)) == ["late", "written_under_lock"]


def test_a_full_disk_is_the_users_and_other_errors_are_ours():
    with pytest.raises(InputError, match="/data: cannot write: No space left on device"), disk_errors_as_input_errors("/data"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), disk_errors_as_input_errors("/data"):
        raise FileNotFoundError


@given(st.data())
def test_a_stamp_with_any_flipped_bit_is_none(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("stamp")
    (folder / "a.txt").write_text("a")
    stamp = Stamp(folder / ".stamp.json")
    stamp.write({"seed": 1, "optim": {"lr": 0.1}, "name": "\u00e9"}, [folder / "a.txt"])
    assert stamp.changed_outputs() == []
    content = bytearray(stamp.path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    stamp.path.write_bytes(bytes(content))
    assert stamp.changed_outputs() != []
    assert stamp.difference({"seed": 1, "optim": {"lr": 0.1}, "name": "\u00e9"}) is not None
    assert stamp.inputs() == {}


def test_a_stamp_without_a_checksum_still_counts(stamped):
    """The first ones had none."""
    stamp = json.loads(stamped.path.read_text())
    del stamp["sha256"]
    stamped.path.write_text(json.dumps(stamp))
    assert stamped.difference(INPUTS) is None
    stamped.path.write_text(json.dumps({**stamp, "sha257": ""}))
    assert stamped.difference(INPUTS) == [f"{stamped.path} was changed since it was written"]


def test_what_another_process_was_writing_and_what_file_managers_leave_is_no_output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    for name in (".b.4321.0123abcd.txt", ".DS_Store", "._a.txt", ".nfs0000"):
        (folder / name).write_text("half")
    stamp = Stamp(tmp_path / "done.json")
    stamp.write({}, [folder])
    assert list(stamp.output_sha256()) == ["out/a.txt"]
