import errno
import fcntl

import pytest

from espnet_ser.utils.locks import lock_file, locked


def without_locks(monkeypatch, code):
    def fail(_file, _operation):
        raise OSError(code, "no")

    monkeypatch.setattr(fcntl, "flock", fail)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_stops_nobody_and_is_named(tmp_path, monkeypatch, capsys, code):
    without_locks(monkeypatch, code)
    with open(tmp_path / "lock", "a") as file, locked(tmp_path):
        assert lock_file(file)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path) in said


def test_another_error_of_a_lock_is_not_hidden(tmp_path, monkeypatch):
    without_locks(monkeypatch, errno.EBADF)
    with open(tmp_path / "lock", "a") as file, pytest.raises(OSError, match="no"):
        lock_file(file)


def test_a_file_that_another_has_is_not_locked_twice(tmp_path):
    with open(tmp_path / "lock", "a") as first:
        assert lock_file(first)
        with open(tmp_path / "lock", "a") as second:
            assert not lock_file(second)
    with open(tmp_path / "lock", "a") as third:
        assert lock_file(third)
