"""Writes docs/reference/ from the code: every command, every setting, and the Python that others may rely on.

python3 docs/generate.py
"""

import argparse
import ast
import importlib
import inspect
import re
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import yaml

from espnet_ser.bin.main import COMMANDS
from espnet_ser.experiment.systems import Finetuning, list_systems, load_system, systems_of_table

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- Made by docs/generate.py from the code. Change that, then: python3 docs/generate.py -->\n\n"

SCRIPTS = ("utils/validate_data_dir.sh", "utils/run.pl", "utils/setup_env.sh")
"""What else is called by hand, and says itself how."""

PUBLIC = {
    "espnet_ser/inference/speech_emotion.py": ("SpeechEmotion",),
    "espnet_ser/inference/prediction.py": ("Prediction", "Decision", "Moment"),
    "espnet_ser/errors.py": ("InputError", "CorpusError"),
    "espnet_ser/evaluation/predictions.py": ("read_predictions",),
    "espnet_ser/evaluation/metrics.py": ("unweighted_accuracy", "weighted_accuracy", "word_error_rate"),
    "espnet_ser/evaluation/intervals.py": ("intervals",),
    "espnet_ser/evaluation/significance.py": ("compare",),
    "espnet_ser/data/datadir.py": ("Example", "read_datadir"),
    "espnet_ser/tasks/ser.py": ("SERTask",),
    "espnet_ser/ez.py": ("register",),
}
"""Module -> its classes and functions on the page on Python."""

METHODS = {"SERTask": ("get_default_config", "build_model"), "SpeechEmotion": ("from_pretrained", "__call__", "each", "tasks")}
"""Of a class, the methods on that page; of the others none."""

ESPNET_OPTIONS = {
    "max_epoch": "epochs",
    "batch_type": "`folded`: `batch_size` utterances each; `numel`: `batch_bins` samples each",
    "batch_size": "utterances in a batch",
    "batch_bins": "samples in a batch",
    "accum_grad": "batches whose gradients are added up before a step",
    "optim": "optimiser, see below",
    "optim_conf": "its settings: `--optim_conf lr=5e-5 --optim_conf weight_decay=0.01`",
    "scheduler": "learning rate schedule, see below",
    "scheduler_conf": "its settings",
    "grad_clip": "largest norm of the gradient",
    "freeze_param": "names of parameters that are not trained",
    "keep_nbest_models": "epochs to keep by each criterion",
    "num_workers": "processes that read audio",
    "log_interval": "batches between two lines of the log",
    "use_amp": "bfloat16 or float16 autocast, on a GPU",
    "use_tf32": "TF32 in matrix products, on a GPU",
}
"""ESPnet's options that are of use here, in our words."""


def pages() -> dict[Path, str]:
    """Every page of the reference, by its path."""
    made = {"commands": commands_page(), "configs": configs_page(), "python": python_page()}
    return {REFERENCE / f"{name}.md": MADE + "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def commands_page() -> Iterator[str]:
    """The options of the recipe's scripts and of ``espnet-ser``."""
    yield from ("# Commands", "", "For whoever looks up an option. Every command says the same with `--help`.", "")
    yield from (
        "## run.sh",
        "",
        "Every recipe's `run.sh [options]`, from any folder, gives its choices and these options to the pipeline,",
        "`egs/TEMPLATE/ser.sh`; so does `run_table.sh --table 1|2|3|all`, for all systems of a table of the paper.",
        "",
    )
    yield from ("Options may be written with `-` or `_`. An option without a default is empty.")
    for heading, options in recipe_options():
        yield from ("", f"### {heading}", "", *table(("option", "default", "what it says"), options))
    for name, purpose in COMMANDS.items():
        parser = importlib.import_module(f"espnet_ser.bin.{name}").get_parser()
        yield from (
            "",
            f"## espnet-ser {name}",
            "",
            f"{sentence(purpose)} {parser.epilog.replace('example: ', 'E.g. `')}`.",
            "",
        )
        yield from table(("option", "default", "what it says"), map(option_row, own_actions(parser)))
    for script in SCRIPTS:
        said = subprocess.run([script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        yield from ("", f"## {script}", "", "```text", said.rstrip().replace(f"{ROOT}/", ""), "```")


def recipe_options() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """What stands at the top of ser.sh, and what recipes add: heading -> options, their defaults and meanings."""
    egs = ROOT / "egs"
    for part in (egs / "TEMPLATE" / "ser.sh").read_text().split("\n\n"):
        if re.fullmatch(r"# .*(\n[a-z0-9_]+=.*)+", part):
            yield part.partition("\n")[0].removeprefix("# "), options_in(part)
    for recipe in ("iemocap", "mini_iemocap", "TEMPLATE", "ravdess"):
        yield f"Of `egs/{recipe}` alone", options_in((egs / recipe / "local" / "options.sh").read_text())


def options_in(text: str) -> list[tuple[str, str, str]]:
    """What ``name=default # what it says`` declares, line by line."""
    found = re.findall(r"^([a-z0-9_]+)=(\S*) *(?:# (.*))?$", text, re.M)
    return [(f"`--{name}`", code(value), says) for name, value, says in found]


def own_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """A command's options, all but ``--help``."""
    return [action for action in parser._actions if action.dest != "help"]


def option_row(action: argparse.Action) -> tuple[str, str, str]:
    """An option's name, default and meaning."""
    name = f"`{action.option_strings[0]}`" if action.option_strings else f"`{action.metavar or action.dest}`"
    choices = f" ({', '.join(f'`{choice}`' for choice in action.choices if choice != '')})" if action.choices else ""
    says = argparse.HelpFormatter("")._expand_help(action) if action.help else ""
    needed = action.required and action.option_strings
    return name + choices, "needed" if needed else code(action.default), says


def configs_page() -> Iterator[str]:
    """Systems, and how they are trained."""
    yield from ("# Configurations", "", "For whoever changes what is trained, or how.", "", "## Systems", "")
    yield "A system is a file `conf/systems/NAME.yaml`; `--system NAME` runs it. Beside `ser`, the finetuning on emotion,"
    yield "it may have a `stage1`, a row in a table of the paper (`rows`) and the paper's figures for it (`paper`)."
    yield "The keys of a finetuning:"
    yield ""
    said = entries(section(inspect.getdoc(Finetuning), "Attributes"))
    rows = [(f"`{f.name}`", "needed" if f.name == "tasks" else code(f.default), said[f.name]) for f in fields(Finetuning)]
    yield from table(("key", "default", "what it says"), rows)
    yield from ("", "Those that are there, with the paper's UA and WA:", "")
    names = systems_of_table(ROOT / "conf", "all")
    names += sorted(set(list_systems(ROOT / "conf")) - set(names))
    systems = [load_system(ROOT / "conf", name) for name in names]
    yield from table(
        ("system", "tables", "stage1", "SER", "UA", "WA"),
        [
            (
                f"`{system.name}`",
                ", ".join(map(str, system.rows)),
                stage_text(system.intermediate) if system.intermediate else "",
                stage_text(system.ser),
                *(f"{system.paper[score]:.2f}" if score in system.paper else "" for score in ("ua", "wa")),
            )
            for system in systems
        ],
    )
    yield from ("", "## How they are trained", "")
    yield "A YAML file of options for each finetuning; `--stage1_config FILE` and `--stage2_config FILE` name another,"
    yield '`--stage1_args "--max_epoch 50"` and `--stage2_args` outrank it. What the recipe brings:'
    yield ""
    names = ("train_stage1.yaml", "train_ser.yaml", "mini/train_stage1.yaml", "mini/train_ser.yaml")
    files = {name: yaml.safe_load((ROOT / "conf" / name).read_text()) for name in names}
    keys = dict.fromkeys(key for content in files.values() for key in content)
    rows = [(f"`{key}`", *(code(content.get(key)) for content in files.values())) for key in keys]
    yield from table(("option", *(f"`conf/{name}`" for name in names)), rows)
    yield from task_options()


def task_options() -> Iterator[str]:
    """The options of a training: the task's own, and those of ESPnet that are of use."""
    from espnet_ser.experiment.training_run import MAY_CHANGE
    from espnet_ser.tasks.ser import SERTask
    from espnet_ser.train.espnet_patches import optim_classes, scheduler_classes

    parser = SERTask.get_parser()
    actions = {action.dest: action for action in parser._actions}
    by_recipe = {"tasks", "reversed_tasks", "encoder", "ssl", "gradient_surgery", "stage1_dir", "stage1_from"}
    by_recipe |= {"cache", "cache_dir", "cache_dtype", "trainable_layers", "skip_layer"}
    groups = {group.title: group._group_actions for group in parser._action_groups}
    own = [action for title in ("Model", "Speed") for action in groups[title] if action.dest not in by_recipe - MAY_CHANGE]
    yield from (
        "",
        "### Options of this package",
        "",
        "The system, run.sh and `espnet-ser gradients` set others themselves.",
        "",
    )
    yield from table(("option", "default", "what it says"), map(option_row, own))
    yield from (
        "",
        "### Options of ESPnet",
        "",
        "Those that are of use here, with ESPnet's defaults where the files above say nothing.",
        "",
    )
    rows = [(f"`--{name}`", code(actions[name].default), says) for name, says in ESPNET_OPTIONS.items()]
    yield from table(("option", "default", "what it says"), rows)
    yield from ("", f"Optimisers: {', '.join(code(name) for name in sorted(optim_classes))}.", "")
    yield f"Schedulers: {', '.join(code(name) for name in sorted(scheduler_classes))}."


def stage_text(stage: Finetuning) -> str:
    """A stage as its file says it, without what is default."""
    changed = [f.name for f in fields(Finetuning) if f.name != "tasks" and getattr(stage, f.name) != f.default]
    values = {name: getattr(stage, name) for name in changed}
    return ", ".join([" + ".join(stage.tasks), *(f"`{name}: {yaml_text(value)}`" for name, value in values.items())])


def yaml_text(value: object) -> str:
    """A value as it stands in YAML, on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()


def python_page() -> Iterator[str]:
    """Signatures and docstrings, read from the source."""
    yield from (
        "# Python",
        "",
        "For whoever calls the package from a program. `from espnet_ser import SpeechEmotion` is the short way to the",
    )
    yield "first class. What is not on this page may change without notice."
    for path, names in PUBLIC.items():
        module = path.removesuffix(".py").replace("/", ".")
        nodes = {node.name: node for node in ast.parse((ROOT / path).read_text()).body if hasattr(node, "name")}
        for name in names:
            node = nodes[name]
            yield from ("", f"## {name}", "")
            if isinstance(node, ast.FunctionDef):
                yield from function_text(node, f"{module}.{name}")
                continue
            yield from (f"`{module}.{name}`", "", *docstring_text(node))
            methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
            for method in METHODS.get(name, ()):
                shown = f"{name}.{method}".replace(".__call__", "(...)")  # an object that is called
                yield from ("", f"### {shown}", "", *function_text(methods[method], shown))


def function_text(node: ast.FunctionDef, name: str) -> Iterator[str]:
    """A function's signature, an argument a line where it has several, and its docstring."""
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    places = [*node.args.args]
    defaults = [None] * (len(places) - len(node.args.defaults)) + node.args.defaults
    arguments = [
        ast.unparse(place) + (f" = {ast.unparse(default)}" if default else "")
        for place, default in zip(places, defaults, strict=True)
        if place.arg not in ("self", "cls")
    ]
    shown = ", ".join(arguments) if len(arguments) < 3 else "\n    " + ",\n    ".join(arguments) + ",\n"
    call = "" if is_property else f"({shown})"
    yield from ("```text", f"{name}{call} -> {ast.unparse(node.returns)}", "```", "", *docstring_text(node))


SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")


def docstring_text(node: ast.AST) -> Iterator[str]:
    """A docstring as Markdown."""
    text = ast.get_docstring(node)
    yield from prose(text)
    for title in SECTIONS:
        if content := section(text, title):
            said = entries(content) if title not in ("Returns", "Yields") else {}
            yield from ("", f"*{title}*", "")
            yield from (f"- `{name}`: {what}" for name, what in said.items()) if said else (plain(" ".join(content.split())),)


def prose(text: str) -> Iterator[str]:
    """What stands before the sections, its examples fenced."""
    head = re.split(rf"\n\n?(?=(?:{'|'.join(SECTIONS)}):\n)", text)[0]
    for number, part in enumerate(re.split(r"\n\n", head)):
        yield from ("",) if number else ()
        if part.startswith(">>>"):
            yield from ("```pycon", part, "```")
        else:  # a paragraph, or a list
            yield from (plain(" ".join(item.split())) for item in re.split(r"\n(?=- )", part))


def section(text: str, title: str) -> str:
    """A section of a docstring, without its indent; empty where it has none."""
    found = re.search(rf"^{title}:\n((?:(?:    .*)?\n?)*)", text, re.MULTILINE)
    return textwrap.dedent(found[1]).strip() if found else ""


def entries(content: str) -> dict[str, str]:
    """The names that a section explains."""
    parts = re.findall(r"^(\w+): ((?:.|\n    )*)", content, re.MULTILINE)
    return {name: plain(" ".join(what.split())) for name, what in parts}


def plain(text: str) -> str:
    """A docstring's markup as Markdown's."""
    text = re.sub(r":\w+:`~[\w.]*?(\w+)`", r"`\1`", text)
    return re.sub(r":\w+:`([\w.]+)`", r"`\1`", text).replace("``", "`")


def sentence(text: str) -> str:
    """A phrase as a sentence."""
    return text[0].upper() + text[1:] + "."


def code(value: object) -> str:
    """A value as code; nothing for what is not set."""
    empty = value is None or value == "" or value == [] or value == {} or value is argparse.SUPPRESS
    return "" if empty else f"`{yaml_text(value) if not isinstance(value, str | Path) else value}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: written")
