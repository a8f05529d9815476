"""What a command imports, and that the parts of ESPnet left out are there for whoever wants them."""

import subprocess
import sys

import pytest
from tiny_recipe import CONF

from espnet_ser.train.espnet_patches import HARDLY_CALLED


def python(code: str) -> str:
    """What a program prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_by(code: str) -> set[str]:
    """The modules that a program has imported when it ends."""
    printed = python(f"import atexit, sys\natexit.register(lambda: print('\\nimported:', *sys.modules))\n{code}")
    return set(printed.rpartition("imported: ")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["predict", "--help"],
        ["demo", "--help"],
        ["table", "--help"],
        ["select", "--help"],
        ["systems", "--conf", str(CONF)],
    ],
)
def test_commands_that_train_nothing_do_not_import_torch(arguments):
    imported = imported_by(f"from espnet_ser.bin.main import main; main({arguments})")
    assert "espnet_ser.bin.main" in imported
    assert not imported & {"torch", "transformers", "espnet2", "matplotlib", "scipy", "sklearn", "gradio"}


MISTAKES = [
    ["predict", "--model", "exp/mistyped", "a.wav"],
    ["predict", "--model", "a/b/c", "a.wav"],
    ["predict", "--model", "notrained", "a.wav"],
    ["predict", "--model", "model", "mistyped.wav"],
    ["predict", "--model", "model", "--window", "-1", "a.wav"],
    ["demo", "--model", "exp/mistyped"],
    ["train", "--stage", "ser", "--system", "mistyped", "--job", "1"],
    ["train", "--stage", "ser", "--system", "stl", "--job", "1", "--datadir", "mistyped"],
    ["gradients", "--stage", "ser", "--system", "mistyped"],
    ["pack", "--system", "mistyped"],
    ["pack", "--system", "stl", "--datadir", "mistyped"],
    ["score", "--system", "mistyped"],
    ["score", "--system", "stl", "--expdir", "mistyped"],
    ["select", "--system", "stl", "--datadir", "mistyped"],
    ["table", "--systems", "mistyped"],
    ["verify", "mistyped"],
    ["compare", "mistyped", "mistyped too"],
    ["seeds", "--system", "mistyped", "--seeds", "1 2"],
]


def test_a_mistake_is_found_before_torch_is_imported(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.yaml").touch()
    (tmp_path / "notrained").mkdir()
    code = "import os\nfrom espnet_ser.bin.main import main\n"
    code += f"os.chdir({str(tmp_path)!r}); os.symlink({str(CONF)!r}, 'conf')\n"
    for arguments in MISTAKES:
        code += f"try: main({arguments})\nexcept SystemExit as end: print(repr(str(end)))\n"
        code += f"assert 'torch' not in sys.modules, {arguments}\n"
    imported = imported_by(code)
    assert not imported & {"torch", "transformers", "matplotlib", "sklearn", "gradio"}


def test_choosing_the_epoch_does_not_import_torch(trained):
    arguments = list(map(str, ("select", *trained.where())))
    imported = imported_by(f"from espnet_ser.bin.main import main; main({arguments})")
    assert "espnet_ser.evaluation.selection" in imported
    assert not imported & {"torch", "transformers", "espnet2"}


def test_the_task_imports_no_other_task_of_espnet():
    imported = imported_by("import espnet_ser.tasks.options")
    assert "espnet2.tasks.abs_task" in imported
    foreign = {"nltk", "g2p_en", "numba", "librosa", "pyworld", "scipy.stats", "matplotlib", "torch_complex"}
    assert not imported & (foreign | {"espnet2.gan_tts", "espnet2.enh", "espnet2.asr", "espnet2.tts", *HARDLY_CALLED})


@pytest.mark.long
def test_espnets_own_tasks_work_after_ours_in_the_same_process():
    printed = python("""
import torch
import typeguard
import espnet_ser.tasks.ser
import espnet2.tasks.abs_task as base
from espnet2.layers.create_adapter import create_adapter
from espnet2.main_funcs.calculate_all_attentions import calculate_all_attentions
assert typeguard.typechecked.__module__.startswith("typeguard")
for function in (create_adapter, base.create_adapter):
    try:
        function(torch.nn.Linear(1, 1), "no such adapter", {})
    except AssertionError as error:
        print(error)
import nltk
nltk.download = lambda *names, **options: False
from espnet2.tasks.lm import LMTask
print(LMTask.get_parser().parse_args(["--output_dir", "exp"]).output_dir)
""")
    assert printed.count("Adapter no such adapter is not supported") == 2
    assert printed.endswith("exp\n")


def test_an_espnet_that_keeps_more_in_those_modules_is_imported_whole(tmp_path):
    files = {
        "__init__.py": "",
        "tasks/abs_task.py": "from espnet2.layers.create_adapter import create_adapter, ADAPTERS\n"
        "class AbsTask: adapters = ADAPTERS\n"
        "optim_classes = scheduler_classes = {}\n",
        "train/trainer.py": "class Trainer: pass\nclass TrainerOptions: pass\n",
        "layers/create_adapter.py": "ADAPTERS = ['lora']\ndef create_adapter(): pass\n",
    }
    for name, content in files.items():
        path = tmp_path / "espnet2" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    printed = python(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from espnet_ser.train.espnet_patches import AbsTask
print(AbsTask.adapters)
""")
    assert printed == "['lora']\n"
