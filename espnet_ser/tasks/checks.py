"""What a training refuses, or says, before it begins, so that its numbers mean what they seem to."""

import logging
from argparse import Namespace
from collections.abc import Sequence

import torch

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.data.leakage import alike_speakers
from espnet_ser.data.loader import Labels
from espnet_ser.data.tokens import Tokenizer
from espnet_ser.errors import InputError
from espnet_ser.models.losses import frames_needed, weighted
from espnet_ser.tasks_table import MAIN_TASK, of_kind


def check_classes(labels: Labels, train: Sequence[Example]) -> None:
    """Stops where a class cannot be learnt. Raises InputError when no training utterance is of a class, or there is one class
    alone.
    """
    for task in of_kind("classes", labels):
        classes = labels[task]
        if len(classes) < 2:
            raise InputError(f"every utterance of this fold has the {task} {classes[0]}: there is nothing to predict")
        missing = sorted(set(classes) - {example.target(task) for example in train})
        if missing:
            other = "leave it out (--classes)" if task == MAIN_TASK else f"a system that does not predict {task} (--system)"
            raise InputError(
                f"no training utterance of this fold has the {task} {' or '.join(missing)}, which cannot be learnt so: take "
                f"more data or other folds (--folds_by), or {other}"
            )


def report_doubts(args: Namespace) -> None:
    """Says which emotions no held-out utterance has, and which held-out speakers may be trained on under another id. To
    ESPnet's log, once that has been set up: a line before that would keep it from being so.
    """
    if args.train_dir is None or args.valid_dir is None:
        return
    train, held_out = read_datadir(args.train_dir), read_datadir(args.valid_dir)
    missing = sorted(set((args.labels or {}).get(MAIN_TASK, ())) - {example.emotion for example in held_out})
    if missing:
        logging.warning(f"no held-out utterance is {' or '.join(missing)}: UA is over the classes that are there")
    if warning := alike_speakers(train, held_out):
        logging.warning(warning)


def report_crowded(examples: Sequence[Example], tokenizer: Tokenizer, encoder: torch.nn.Module) -> None:
    """Says which utterances CTC leaves out because their frames cannot hold their tokens."""
    num_frames = encoder.num_frames(torch.tensor([example.num_samples for example in examples])).tolist()
    crowded = [
        example.utt
        for example, frames in zip(examples, num_frames, strict=True)
        if frames_needed(tokenizer.text_to_ids(example.text)) > frames
    ]
    if crowded:
        logging.warning(
            f"{len(crowded)} of {len(examples)} training utterances have more tokens than CTC can place in their frames, and "
            f"teach no words: {', '.join(crowded)}"
        )


def check_selection_options(args: Namespace) -> None:
    """Refuses what would let the held-out fold choose the epoch or the learning rate, or load weights unchecked. Raises
    InputError: names the option.
    """
    if args.patience is not None:
        raise InputError("--patience: stopping early would let the held-out fold choose the epoch; set --max_epoch")
    if args.scheduler is not None and "plateau" in args.scheduler:
        raise InputError(f"--scheduler {args.scheduler}: the held-out fold would choose the learning rate; take another one")
    if args.init_param:
        raise InputError("--init_param: their training data are unknown; give --ssl, or train an intermediate model")


def check_idle_heads(args: Namespace) -> None:
    """Refuses to carry a head that nothing trains, since its scores would be those of chance. Raises InputError: names the
    tasks whose weight is zero.
    """
    shares = weighted(dict.fromkeys(args.tasks, torch.ones(())), args.aux_weight, args.literal_eq)
    idle = [task for task, share in shares.items() if not share > 0]
    if idle:
        equation = ", literal_eq" if args.literal_eq else ""
        raise InputError(
            f"aux_weight {args.aux_weight:g}{equation} leaves {', '.join(idle)} untrained: take another weight, or leave "
            f"{'it' if len(idle) == 1 else 'them'} out of the system"
        )
