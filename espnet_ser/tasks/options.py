"""ESPnet's options, read and tried out before a training touches anything: every mistake is one line."""

import inspect
import warnings
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from espnet2.utils.types import str_or_none

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.model_io.build import build_structure, load_initial_weights, load_intermediate
from espnet_ser.models.ser_model import SERModel
from espnet_ser.tasks.checks import check_idle_heads
from espnet_ser.tasks.config_values import check_values, read_mappings_as_data
from espnet_ser.tasks.intermediate import go_on_from
from espnet_ser.tasks.launch_options import LAUNCH_OPTIONS
from espnet_ser.tasks.ser import SERTask
from espnet_ser.train.espnet_patches import optim_classes, scheduler_classes
from espnet_ser.train.fill_cache import choose_cut

NOT_TRAINING = {"dry_run", "collect_stats", "print_config", "config", "output_dir", "ngpu", "labels", "token_list"}
NOT_TRAINING |= {"encoder_config", "trained_on", "pretrained_on", "ssl_source", "resume", "use_adapter"}
NOT_TRAINING |= {"no_forward_run", "best_model_criterion", "cache_cut", "cache_folder"}
NOT_TRAINING |= {"dist_backend", *LAUNCH_OPTIONS}


MOST = 2**63 - 1
WHOLE_NUMBERS = {
    "max_epoch": (1, MOST),
    "num_workers": (0, 1024),
    "accum_grad": (1, MOST),
    "seed": (0, 2**32 - 1),
    "gradient_every": (0, MOST),
}
"""Option -> the least and the most that it can be."""


def parse_options(
    command: Sequence[str], path: Path, config: Mapping, extra: Sequence[str], set_by_recipe: Iterable[str]
) -> Namespace:
    """ESPnet's options from the recipe's command, a configuration and what the user added.

    Args:
        command: The recipe's own options, ``--config`` among them.
        path: The configuration, named in errors.
        config: Its content.
        extra: The user's options.
        set_by_recipe: Options that the user must not set here, since the recipe has options of its own for them.

    Raises:
        InputError: For an unknown option (the nearest is named), one that is not the user's to set, or a wrong value.
    """
    parser = SERTask.get_parser()
    parser.allow_abbrev = False

    def error(message: str) -> NoReturn:
        raise InputError(f"{path} with {' '.join(extra) or 'no further options'}: {message}")

    parser.error = error
    known = {action.dest for action in parser._actions}
    for key in config:
        if key not in known:
            raise unknown_name("option", key, known, where=str(path))
    read_mappings_as_data(parser)
    check_values(parser, path, config)
    taken = (set(set_by_recipe) | NOT_TRAINING) & {*config, *(o[2:].partition("=")[0] for o in extra if o.startswith("--"))}
    if taken:
        raise InputError(f"--{min(taken)} is set by the recipe: it cannot be set in {path} or among the further options")
    asked, _ = parser.parse_known_args([*extra])
    args, unknown = parser.parse_known_args([*command, *extra])
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
        raise unknown_name("ESPnet option", unknown[0], options, where="further options")
    if args.scheduler != str_or_none(str(config.get("scheduler")).lower()):
        args.scheduler_conf = asked.scheduler_conf  # the configuration's are another scheduler's
    return args


def try_options(args: Namespace, intermediate: tuple[Namespace, SERModel] | None = None) -> tuple[Namespace, SERModel]:
    """Builds what the options ask for, on a copy of them and without drawing weights.

    Args:
        args: ESPnet's options.
        intermediate: What this gave for the intermediate finetuning, where that has yet to be trained.

    Returns:
        The options, filled in, and the model, without weights.

    Raises:
        InputError: When they ask for what cannot be.
    """
    args = Namespace(**vars(args))
    for name, (least, most) in WHOLE_NUMBERS.items():
        value = getattr(args, name)
        if type(value) is not int or not least <= value <= most:
            to = "" if most == MOST else f" to {most}"
            raise InputError(f"--{name} must be a whole number from {least}{to}, not {value!r}")
    if args.log_interval is not None and args.log_interval < 1:
        raise InputError(f"--log_interval must be 1 or more, or none, not {args.log_interval}")
    if args.ngpu > torch.cuda.device_count():
        raise InputError(
            f"--ngpu {args.ngpu}: torch finds {torch.cuda.device_count()} GPUs on this machine; give that many; or, where "
            "there is none, --dist_backend gloo for as many processes"
        )
    if min(args.keep_nbest_models) < 1:
        raise InputError(f"--keep_nbest_models must be 1 or more, not {min(args.keep_nbest_models)}")
    for name in ("dropout", "aux_weight"):
        if not 0.0 <= getattr(args, name) <= 1.0:
            raise InputError(f"--{name} must be 0 to 1, not {getattr(args, name)}")
    for name in ("reversal_scale", "grad_clip", "grad_clip_type"):
        if not getattr(args, name) > 0:
            raise InputError(f"--{name} must be above 0, not {getattr(args, name)}")
    if args.recompute_above is not None and not args.recompute_above > 0:
        raise InputError(f"--recompute_above must be above 0 (seconds), or none, not {args.recompute_above}")
    SERTask.complete(args)
    if intermediate is not None:
        go_on_from(args, intermediate[0], "the intermediate model")
    check_idle_heads(args)
    for kind, classes in (("optim", optim_classes), ("scheduler", scheduler_classes)):
        name, conf = getattr(args, kind), getattr(args, f"{kind}_conf")
        if name is None:
            continue
        if name not in classes:
            raise unknown_name(kind, str(name), classes)
        known = set(inspect.signature(classes[name]).parameters) - {"params", "optimizer"}
        for key in conf:
            if key not in known:
                raise unknown_name(f"key of {kind}_conf", key, known)
    model = build_structure(args)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter")
        if intermediate is not None:
            load_intermediate(model, intermediate[1].state_dict(), "the intermediate model")
        else:
            load_initial_weights(model, args)
    choose_cut(model, args.cache)
    names = [name for name, _ in model.named_parameters()]
    for prefix in args.freeze_param:
        if not any(name == prefix or name.startswith(f"{prefix}.") for name in names):
            raise InputError(f"--freeze_param {prefix}: no parameter is called so; the model has {names[0]} and others")
    for task in args.tasks:
        for prefix in args.freeze_param:
            if f"heads.{task}.".startswith(f"{prefix}."):
                raise InputError(f"--freeze_param {prefix}: the {task} head would not be trained; leave {task} out of --tasks")
    if args.optim_conf.get("lr") == 0:
        raise InputError("--optim_conf lr=0: a learning rate of 0 trains nothing")
    try:
        optimizers = SERTask.build_optimizers(args, model)
        if args.scheduler is not None:
            scheduler_classes[args.scheduler](optimizers[0], **args.scheduler_conf)
    except (TypeError, ValueError, AssertionError) as error:
        settings = f"{args.optim} {args.optim_conf}, scheduler {args.scheduler} {args.scheduler_conf}"
        raise InputError(f"optimiser {settings}: {error}") from error
    return args, model
