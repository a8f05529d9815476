"""From a configuration to a model: its structure, and the weights that training begins with."""

import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.model_io.encoder_config import encoder_settings
from espnet_ser.model_io.encoder_folder import read_encoder_config, wants_normalized_waveform
from espnet_ser.model_io.weights import (
    build_encoder,
    load_pretrained_encoder,
    load_weights,
    read_trained_weights,
)
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.models.heads import HEADS
from espnet_ser.models.pooling import POOLINGS
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.tasks_table import TASKS, of_kind, skipping


def build_untrained(args: Namespace) -> SERModel:
    """The model's structure with fresh weights: all that a trained model's weights need to be loaded into.

    Raises:
        InputError: When the settings do not fit together.
    """
    sizes = dict.fromkeys(of_kind("ctc", args.tasks), len(getattr(args, "token_list", None) or ()))
    sizes |= {task: len((args.labels or {}).get(task, ())) for task in of_kind("classes", args.tasks)}
    sizes |= dict.fromkeys(of_kind("regression", args.tasks), 1)
    for task in args.tasks:
        if task not in sizes:
            raise unknown_name("task", task, TASKS)
        if not sizes[task]:
            what = "token_list: the tokens" if TASKS[task].kind == "ctc" else f"labels: {{{task}: [...]}}, the classes"
            raise InputError(f"the model cannot be built without {what} of {task}; training takes them from the data")
    spec = ENCODERS[args.encoder]
    encoder = _build_ssl_encoder(args) if spec.pretrained else spec.load()()
    pooling = POOLINGS[args.pooling](encoder.dim)
    heads = {}
    for task in args.tasks:
        head = HEADS[TASKS[task].kind]
        num_vectors = 2 if TASKS[task].sees_skip and encoder.skip_layer is not None else 1
        dim = encoder.dim if head.of_frames else num_vectors * pooling.dim
        heads[task] = head(dim, sizes[task], args.dropout, args.reversal_scale if task in args.reversed_tasks else None)
    return SERModel(encoder, heads, args.aux_weight, args.literal_eq, args.gradient_surgery, args.ctc_reduction, pooling)


def build_structure(args: Namespace) -> SERModel:
    """As :func:`build_untrained`, but a pretrained encoder's model is without weights, and takes no memory for them."""
    # Encoders that are not pretrained are small, and what they are made of may look into its filters (torchaudio).
    with torch.device("meta" if ENCODERS[args.encoder].pretrained else "cpu"):
        return build_untrained(args)


def _build_ssl_encoder(args: Namespace) -> Wav2Vec2Encoder:
    if getattr(args, "encoder_config", None) is None:
        if getattr(args, "ssl", None) is None:
            raise InputError("--ssl is needed: the folder of a pretrained encoder")
        args.encoder_config = read_encoder_config(Path(args.ssl))
    if getattr(args, "normalize_waveform", None) is None:
        if getattr(args, "ssl", None) is None:
            raise InputError("--normalize_waveform true or false is needed where there is no --ssl to say it")
        args.normalize_waveform = wants_normalized_waveform(Path(args.ssl))
    where = "encoder_config" if getattr(args, "ssl", None) is None else f"{args.ssl}/config.json"
    wav2vec2 = build_encoder({**args.encoder_config, **args.encoder_conf}, where)
    known = encoder_settings(type(wav2vec2.config))
    for name in args.encoder_conf:
        if name not in known:
            raise unknown_name("key of encoder_conf", name, known)
    num_layers = wav2vec2.config.num_hidden_layers
    try:
        return Wav2Vec2Encoder(
            wav2vec2,
            num_trainable_layers=num_layers if args.trainable_layers is None else args.trainable_layers,
            skip_layer=args.skip_layer if skipping(args.tasks) else None,
            normalize_waveform=args.normalize_waveform,
            frozen=args.frozen,
            keep_frames=_num_frames(wav2vec2.config, getattr(args, "recompute_above", None)),
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def load_initial_weights(model: SERModel, args: Namespace) -> None:
    """Loads the intermediate model's weights where there is one, else the pretrained encoder's; new heads keep their own.

    Raises:
        InputError: When the weights are damaged or do not fit the model.
    """
    if getattr(args, "stage1_dir", None) is not None:
        load_intermediate(model, read_trained_weights(Path(args.stage1_dir)), args.stage1_dir)
    elif getattr(args, "ssl", None) is not None:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # a bar over tensors, drawn where errors are shown
        load_pretrained_encoder(model.encoder.wav2vec2, Path(args.ssl))


def load_intermediate(model: SERModel, weights: Mapping[str, torch.Tensor], source: object) -> None:
    """Loads the weights of an intermediate finetuning: the encoder's, and of the heads those that the model keeps.

    Raises:
        InputError: When they do not fit the model.
    """
    known = {name.split(".")[1] for name in weights if name.startswith("heads.")}
    fresh = [f"heads.{task}." for task in model.tasks if task not in known]
    fresh += [] if any(name.startswith("pooling.") for name in weights) else ["pooling."]
    load_weights(model, weights, fresh=fresh, source=source)


def _num_frames(config, seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * SAMPLE_RATE / math.prod(config.conv_stride))
