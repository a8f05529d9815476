"""What a second stage takes over from the first, and where it may differ."""

from argparse import Namespace

from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_config import OF_TRAINING


def go_on_from(args: Namespace, stage1: Namespace, source: object) -> None:
    """Fills in what the second stage has from the first: the encoder as it was there, but for how it is trained.

    Args:
        args: The second stage's options.
        stage1: The first one's, filled in.
        source: The first stage, named in errors.

    Raises:
        InputError: When the second stage wants another encoder, other tokens or classes, or the gender head elsewhere.
    """
    if args.encoder == "ssl":
        from transformers import CONFIG_MAPPING

        if args.normalize_waveform not in (None, stage1.normalize_waveform):
            raise InputError(
                f"--normalize_waveform {args.normalize_waveform}: {source} was trained otherwise; give both stages the same"
            )
        own = {name: value for name, value in stage1.encoder_conf.items() if name not in OF_TRAINING}
        args.encoder_config, args.normalize_waveform = {**stage1.encoder_config, **own}, stage1.normalize_waveform
        there = {**CONFIG_MAPPING[args.encoder_config["model_type"]]().to_dict(), **args.encoder_config}
        for name, value in args.encoder_conf.items():
            if name not in OF_TRAINING and name in there and _plain(there[name]) != _plain(value):
                raise InputError(
                    f"--encoder_conf {name}={value}: {source} has {name} {there[name]}, and its weights are of that encoder; "
                    f"give it to both stages (--stage1_args and --stage2_args), or to neither"
                )
    shared = set(args.tasks) & set(stage1.tasks)
    if "asr" in shared and args.token_list != stage1.token_list:
        raise InputError(f"{source} spells with other tokens than {args.token_dir}: run stage 3 again")
    if "gender" in shared and args.skip_layer != stage1.skip_layer:
        raise InputError(
            f"--skip_layer {args.skip_layer}: the gender head goes on from {source}, which has skip_layer {stage1.skip_layer}; "
            f"give both stages the same"
        )
    for task in sorted(shared - {"asr"}):
        if args.labels[task] != stage1.labels[task]:
            raise InputError(
                f"{source} tells the {task} classes {', '.join(stage1.labels[task])}, and not {', '.join(args.labels[task])}: "
                f"its head cannot go on; take the same data for both stages (--stage1_data four)"
            )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
