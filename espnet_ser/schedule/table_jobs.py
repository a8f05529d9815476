"""The jobs of a table: which trainings its systems need, which of them they share, and what follows them."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.experiment.setup import Setup
from espnet_ser.experiment.systems import System, check_tag, load_system, systems_of_table
from espnet_ser.experiment.training_run import Experiment
from espnet_ser.layout import system_folder
from espnet_ser.schedule.jobs import Job


def table_systems(conf_dir: Path, table: str, asked: Sequence[str], tag: str = "") -> list[System]:
    """The systems to run, each once.

    Args:
        conf_dir: The folder ``conf`` of the recipe.
        table: ``1``, ``2``, ``3``, ``all``, or empty for whatever systems are asked for.
        asked: Their names; none for all of the table.
        tag: Suffix of their folders.

    Raises:
        InputError: For an unknown table or system, one that the table does not have, or when nothing says which.
    """
    if not table and not asked:
        raise InputError("which systems? Give --table 1, 2, 3 or all, or --systems with their names")
    if table:
        known = systems_of_table(conf_dir, table)
        for name in asked:
            if name not in known:
                raise unknown_name("system", name, known, where=f"table {table}")
        asked = asked or known
    for name in asked:
        check_tag(conf_dir, name, tag)
    return [load_system(conf_dir, name) for name in dict.fromkeys(asked)]


def table_jobs(
    systems: Sequence[System],
    folds: Sequence[str],
    setup: Setup,
    options: Sequence[str],
    training_options: Sequence[str],
    num_gpus: int = 0,
    command: str = "",
) -> list[Job]:
    """Every training of every fold, each once, and for each system the choice of epochs and the scores.

    Args:
        systems: The rows of the table.
        folds: The folds to run.
        setup: With what they are trained, and where things lie.
        options: The same for the command line of every job.
        training_options: Further ones for trainings.
        num_gpus: GPUs of each training.
        command: The command line to record with the figures.

    Returns:
        The jobs: intermediate trainings, then system by system.
    """
    espnet_ser = (sys.executable, "-m", "espnet_ser")
    jobs: dict[str, Job] = {}

    def training(finetuning: str, row: str, system: System, fold: str, depends_on: tuple[str, ...]) -> Job:
        folder = setup.folder(system, finetuning, fold)
        which = ("--stage", finetuning, "--system", system.name, "--folds", fold, "--job", "1")
        return Job(
            row=row,
            column=f"fold {fold}",
            command=(*espnet_ser, "train", *which, *options, *training_options),
            log=folder.parent / "log" / f"train.fold{fold}.log",
            depends_on=depends_on,
            is_done=partial(_is_trained, system, finetuning, fold, setup),
            folder=folder,
            num_gpus=num_gpus,
        )

    for system in systems:
        if system.intermediate is not None:
            for fold in folds:
                job = training("stage1", f"stage1/{system.intermediate_name}", system, fold, ())
                jobs.setdefault(job.name, job)
    for system in systems:
        trained = [
            training(
                "ser",
                system.name,
                system,
                fold,
                (f"stage1/{system.intermediate_name} fold {fold}",) if system.intermediate else (),
            )
            for fold in folds
        ]
        logs = system_folder(setup.expdir, system.name, setup.tag) / "log"
        which = ("--system", system.name, "--folds", " ".join(folds), *options)
        select = Job(
            row=system.name,
            column="select",
            command=(*espnet_ser, "select", *which),
            log=logs / "select.log",
            depends_on=tuple(job.name for job in trained),
        )
        score = Job(
            row=system.name,
            column="score",
            command=(*espnet_ser, "score", *which, f"--command={command}"),
            log=logs / "score.log",
            depends_on=(select.name,),
        )
        jobs |= {job.name: job for job in (*trained, select, score)}
    return list(jobs.values())


def _is_trained(system: System, finetuning: str, fold: str, setup: Setup) -> bool:
    return Experiment.of_fold(system, finetuning, fold, setup).is_done()
