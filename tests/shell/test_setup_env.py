"""utils/setup_env.sh in a small copy of the repository, with a stand-in for uv: nothing is downloaded."""

import os
import shutil
import subprocess
import sys
import time

import pytest

OF_TESTS = "pytest xdist hypothesis librosa onnx onnxruntime espnet_model_zoo gradio"
MODULES = ["espnet_ser", "torch", "transformers", "espnet2", "soundfile"]

# Installs empty modules. What it does besides can be set by each test: TROUBLE is run before the last module is written.
UV = """#!/usr/bin/env bash
set -eu
printf '%s\\n' "$*" >>"{log}"
echo "stand-in uv at work" >&2
site=$("$4" -c 'import site; print(site.getsitepackages()[0])')
for module in espnet_ser torch transformers espnet2; do : >"$site/$module.py"; done
eval "${{TROUBLE:-}}"
: >"$site/soundfile.py"
case "$6" in *test*) for module in {of_tests}; do : >"$site/$module.py"; done ;; esac
"""

# An interpreter that cannot see what is installed next to it.
BARE_PYTHON = """#!/usr/bin/env bash
exec "{python}" -S "$@"
"""


def write_script(path, text):
    path.write_text(text)
    path.chmod(0o755)


class Repo:
    """The copy of the repository, and how to run its setup_env.sh."""

    def __init__(self, folder, utils):
        self.root = folder / "a repo"
        self.venv = self.root / ".venv"
        self.bin = folder / "bin"
        self.log = folder / "uv.log"
        (self.root / "utils").mkdir(parents=True)
        for name in ("setup_env.sh", "parse_options.sh"):
            shutil.copy(utils / name, self.root / "utils" / name)
        (self.root / "setup.py").write_text("# packaging\n")
        (self.root / "constraints.txt").write_text("uv==0.0.1\npip==1.2\n")
        self.bin.mkdir()
        write_script(self.bin / "python3", BARE_PYTHON.format(python=sys._base_executable))
        write_script(self.bin / "uv", UV.format(log=self.log, of_tests=OF_TESTS))
        self.cwd = folder

    def start(self, *arguments, env=None):
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "PYTHONPATH", "VIRTUAL_ENV")}
        environment["PATH"] = f"{self.bin}:/usr/bin:/bin"
        return subprocess.Popen(
            [str(self.root / "utils/setup_env.sh"), *arguments],
            cwd=self.cwd,
            env={**environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, env=None):
        process = self.start(*arguments, env=env)
        process.out, process.err = process.communicate(timeout=60)
        return process

    def installs(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def repo(tmp_path, utils):
    return Repo(tmp_path, utils)


def test_first_use_makes_the_environment_and_the_second_does_nothing(repo):
    first = repo.run()
    assert first.returncode == 0, first.err
    assert first.out == ""
    assert "about 5 GB" in first.err
    constraints = repo.root / "constraints.txt"
    python = repo.venv / "bin/python"
    assert repo.installs() == [f"pip install --python {python} -e {repo.root} pip -c {constraints} -b {constraints}"]
    second = repo.run()
    assert (second.returncode, second.out, second.err) == (0, "", "")
    assert len(repo.installs()) == 1


def test_the_environment_can_be_activated_by_the_rule(repo):
    repo.run()
    script = 'python3 -c "import espnet_ser" 2>/dev/null || . "$1/.venv/bin/activate"; python3 -c "import espnet_ser, torch"'
    done = subprocess.run(["bash", "-euc", script, "-", repo.root], env={"PATH": f"{repo.bin}:/usr/bin:/bin"}, cwd=repo.cwd)
    assert done.returncode == 0


def test_the_current_python_is_used_where_it_has_everything(repo, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    for name in MODULES:
        (site / f"{name}.py").touch()
    result = repo.run(env={"PYTHONPATH": str(site)})
    assert (result.returncode, result.out, result.err) == (0, "", "")
    assert not repo.venv.exists()

    lacking = repo.run("--extras", "test", env={"PYTHONPATH": str(site)})
    assert lacking.returncode == 1
    assert f"not the extra(s) 'test' (no {OF_TESTS})" in lacking.err
    assert not repo.venv.exists()

    (site / "torch.py").unlink()
    assert repo.run(env={"PYTHONPATH": str(site)}).returncode == 0
    assert repo.venv.exists()


def test_a_package_that_is_only_found_from_the_current_folder_is_not_installed(repo):
    repo.cwd = repo.root
    for name in MODULES:
        (repo.root / f"{name}.py").touch()
    assert repo.run().returncode == 0
    assert len(repo.installs()) == 1


def test_a_missing_extra_is_added_and_kept(repo):
    repo.run()
    assert repo.run("--extras", "test").returncode == 0
    assert f"-e {repo.root}[test] pip" in repo.installs()[1]
    assert repo.run("--extras", "test").err == ""
    assert repo.run().err == ""
    (repo.root / "setup.py").write_text("# new packaging\n")
    repo.run()
    assert len(repo.installs()) == 3
    assert f"-e {repo.root}[test] pip" in repo.installs()[2]


def test_changed_pins_install_again_in_place(repo):
    repo.run()
    kept = repo.venv / "kept"
    kept.touch()
    (repo.root / "constraints.txt").write_text("uv==0.0.2\npip==1.2\n")
    assert repo.run().returncode == 0
    assert len(repo.installs()) == 2
    assert kept.exists()
    assert repo.run().err == ""


def test_changed_pins_install_again_while_the_environment_is_active(repo):
    repo.run()
    (repo.root / "constraints.txt").write_text("uv==0.0.2\npip==1.2\n")
    (repo.venv / ".unfinished").touch()
    result = repo.run(env={"PATH": f"{repo.venv}/bin:{repo.bin}:/usr/bin:/bin", "PYTHON": f"{repo.venv}/bin/python"})
    assert result.returncode == 0, result.err
    assert len(repo.installs()) == 2


def test_an_interrupted_install_is_done_anew(repo):
    killed = repo.run(env={"TROUBLE": 'touch "$site/half"; kill -9 $PPID; exit 1'})
    assert killed.returncode != 0
    assert not (repo.venv / ".complete").exists()
    assert list(repo.venv.rglob("half"))
    assert repo.run().returncode == 0
    assert not list(repo.venv.rglob("half"))
    assert repo.run().err == ""


def test_a_moved_repository_is_set_up_anew(repo):
    repo.run()
    repo.root = repo.root.rename(repo.root.with_name("moved repo"))
    repo.venv = repo.root / ".venv"
    result = repo.run()
    assert f"making {repo.venv}" in result.err
    assert str(repo.venv) in (repo.venv / "bin/activate").read_text()


def test_two_calls_at_once_install_once(repo):
    first = repo.start(env={"TROUBLE": "sleep 1.5"})
    while not repo.installs():
        time.sleep(0.02)
    second = repo.run()
    assert "waiting for it" in second.err
    assert second.returncode == 0
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert len(repo.installs()) == 1


def test_through_a_recipe_folder_with_a_link_to_utils(repo):
    recipe = repo.root / "egs/x"
    recipe.mkdir(parents=True)
    (recipe / "utils").symlink_to("../../utils")
    done = subprocess.run(
        ["utils/setup_env.sh"],
        cwd=recipe,
        env={"PATH": f"{repo.bin}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (repo.venv / ".complete").exists()


def test_pip_takes_over_where_there_is_no_uv(repo, tmp_path):
    log = tmp_path / "pip.log"
    stand_in = f"""#!/usr/bin/env bash
# A Python whose environments hold a copy of this script; its pip can install everything but uv.
here=$(dirname "$0")
case "$1 $2" in
    "-m venv") mkdir -p "$4/bin" "$4/site" && cp "$0" "$4/bin/python" ;;
    "-m pip")
        printf '%s\\n' "${{*:3}}" >>"{log}"
        case "$*" in
            *uv==*) exit 1 ;;
            *" -e "*) for module in {" ".join(MODULES)}; do : >"$here/../site/$module.py"; done ;;
        esac ;;
    *) PYTHONPATH=$here/../site exec "{sys._base_executable}" -S "$@" ;;
esac
"""
    write_script(repo.bin / "python3", stand_in)
    (repo.bin / "uv").unlink()
    result = repo.run()
    assert result.returncode == 0, result.err
    calls = [line for line in log.read_text().splitlines() if line.startswith("install")]
    assert calls == [
        "install --quiet uv==0.0.1",
        "install --quiet pip==1.2",
        f"install -e {repo.root} -c {repo.root}/constraints.txt",
    ]


def test_modules_that_are_still_missing_are_an_error(repo):
    result = repo.run(env={"TROUBLE": "exit 0"})
    assert result.returncode == 1
    assert "these modules are missing: soundfile" in result.err
    assert not (repo.venv / ".complete").exists()


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["--extras", "tset"], {}, "unknown extra 'tset'; known: demo, export, test, zoo"),
        (["--extra", "test"], {}, "unknown option '--extra', did you mean --extras?"),
        (["now"], {}, "unexpected argument 'now'"),
        ([], {"PYTHON": "/no/such/python"}, "PYTHON='/no/such/python' is not a Python 3.10, 3.11 or 3.12"),
    ],
)
def test_wrong_use_is_one_clear_line(repo, arguments, env, message):
    result = repo.run(*arguments, env=env)
    assert result.returncode in (1, 2)
    assert message in result.err
    assert result.err.count("\n") == 1
    assert repo.installs() == []


def test_no_suitable_python_is_one_clear_line(repo):
    for name in ("python3", "python3.10", "python3.11", "python3.12"):
        write_script(repo.bin / name, "#!/bin/sh\nexit 1\n")
    result = repo.run()
    assert result.returncode == 1
    assert (
        result.err
        == "setup_env.sh: no Python 3.10, 3.11 or 3.12 on PATH: install one, or name it with PYTHON=/path/to/python3\n"
    )


def test_doing_nothing_is_quick(repo):
    repo.run()
    elapsed_s = []
    for _ in range(5):  # the best of several, for a busy machine
        begin = time.monotonic()
        repo.run()
        elapsed_s.append(time.monotonic() - begin)
    assert min(elapsed_s) < 0.3
