"""What a SER finetuning takes over from the first, and where it may differ."""

from argparse import Namespace

from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_config import OF_TRAINING
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.tasks_table import of_kind, skipping


def go_on_from(args: Namespace, intermediate: Namespace, source: object) -> None:
    """Fills in what the SER finetuning has from the first: the encoder as it was there, but for how it is trained.

    Args:
        args: The SER finetuning's options.
        intermediate: The first one's, filled in.
        source: The intermediate finetuning, named in errors.

    Raises:
        InputError: When the SER finetuning wants another encoder, other tokens or classes, or the gender head elsewhere.
    """
    if ENCODERS[args.encoder].pretrained:
        from transformers import CONFIG_MAPPING

        if args.normalize_waveform not in (None, intermediate.normalize_waveform):
            raise InputError(
                f"--normalize_waveform {args.normalize_waveform}: {source} was trained otherwise; "
                f"give both finetunings the same"
            )
        own = {name: value for name, value in intermediate.encoder_conf.items() if name not in OF_TRAINING}
        args.encoder_config, args.normalize_waveform = {**intermediate.encoder_config, **own}, intermediate.normalize_waveform
        there = {**CONFIG_MAPPING[args.encoder_config["model_type"]]().to_dict(), **args.encoder_config}
        for name, value in args.encoder_conf.items():
            if name not in OF_TRAINING and name in there and _plain(there[name]) != _plain(value):
                raise InputError(
                    f"--encoder_conf {name}={value}: {source} has {name} {there[name]}, and its weights are of that encoder; "
                    f"give it to both finetunings (--stage1_args and --stage2_args), or to neither"
                )
    if args.pooling != intermediate.pooling:
        raise InputError(f"--pooling {args.pooling}: {source} has {intermediate.pooling}; give both finetunings the same")
    shared = set(args.tasks) & set(intermediate.tasks)
    if of_kind("ctc", shared) and args.token_list != intermediate.token_list:
        raise InputError(f"{source} spells with other tokens than {args.token_dir}: run stage 3 again")
    with_skip = skipping(sorted(shared))
    if with_skip and args.skip_layer != intermediate.skip_layer:
        raise InputError(
            f"--skip_layer {args.skip_layer}: the {with_skip[0]} head goes on from {source}, which has skip_layer "
            f"{intermediate.skip_layer}; give both finetunings the same"
        )
    for task in sorted(of_kind("classes", shared)):
        if args.labels[task] != intermediate.labels[task]:
            raise InputError(
                f"{source} tells the {task} classes {', '.join(intermediate.labels[task])}, and not "
                f"{', '.join(args.labels[task])}: its head cannot go on; "
                f"take the same data for both finetunings (--stage1_data four)"
            )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
