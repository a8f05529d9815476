"""The ESPnet task: the only place where a configuration becomes objects."""

import argparse
import inspect
from argparse import Namespace
from pathlib import Path

import torch
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import float_or_none, int_or_none, str2bool, str_or_none

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.data.frame_cache import FrameCache
from espnet_ser.data.leakage import all_of, check_leak, check_shared_speech, describe_training_data
from espnet_ser.data.loader import BatchFactory, CachedFrames, Read, UtteranceDataset, collate, read_speech
from espnet_ser.data.tokens import Tokenizer, copy_tokenizer, load_tokenizer
from espnet_ser.data.unchanged import verify_audio
from espnet_ser.errors import InputError, one_line, unknown_name
from espnet_ser.evaluation.selection import KEPT_BY, KEPT_BY_DEV
from espnet_ser.layout import TOKENS_FOLDER
from espnet_ser.model_io.build import build_untrained, load_initial_weights
from espnet_ser.model_io.encoder_folder import encoder_source
from espnet_ser.model_io.hub import resolve_encoder
from espnet_ser.model_io.load import load_model
from espnet_ser.model_io.model_config import check_names, read_config
from espnet_ser.model_io.trained_encoder import check_encoder_leak
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.models.losses import CTC_REDUCTIONS
from espnet_ser.models.pooling import POOLINGS
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import FROZEN, Wav2Vec2Encoder
from espnet_ser.tasks.batching import batch_limits, with_length
from espnet_ser.tasks.checks import check_classes, check_selection_options, report_crowded, report_doubts
from espnet_ser.tasks.intermediate import go_on_from
from espnet_ser.tasks_table import MAIN_TASK, TASKS, of_kind, of_utterances, reversible
from espnet_ser.train.espnet_patches import AbsTask, optim_classes, without_arguments
from espnet_ser.train.fill_cache import CACHE_CHOICES, choose_cut, fill_cache
from espnet_ser.train.gradient_probe import GradientProbe
from espnet_ser.train.trainer import SERTrainer
from espnet_ser.utils.distributed import first_rank_first

ONE_PROCESS = {
    "dist_init_method": "env://",
    "dist_launcher": None,
    "dist_master_addr": None,
    "dist_master_port": None,
    "dist_rank": None,
    "local_rank": None,
}
"""ESPnet's defaults of what it calls a process by, among those that train together."""


class SERTask(AbsTask):
    """Speech emotion recognition, and the tasks that prepare or help it: one task class for both finetunings.

    What training fills in (``labels``, ``token_list``, ``encoder_config``, ``trained_on``) is saved in ``config.yaml``, so
    that a trained model is rebuilt from its folder alone.
    """

    num_optimizers = 1
    trainer = SERTrainer
    class_choices_list: list = []

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Adds this task's options to ESPnet's."""
        group = parser.add_argument_group("Data")
        group.add_argument("--train_dir", type=str_or_none, help="data directory to train on")
        group.add_argument("--valid_dir", type=str_or_none, help="data directory of the held-out utterances")
        group.add_argument("--dev_dir", type=str_or_none, help="data directory of the utterances that choose the epoch")
        group.add_argument("--fold_by", default="session", choices=("session", "speaker"), help="what a fold holds out")
        group.add_argument("--token_dir", type=str_or_none, help="folder with the fold's token list (asr)")

        group = parser.add_argument_group("Model")
        group.add_argument("--tasks", nargs="+", default=[MAIN_TASK], help=f"what is trained: some of {', '.join(TASKS)}")
        group.add_argument(
            "--reversed_tasks",
            nargs="+",
            default=[],
            help=f"{', '.join(reversible())}: reverse their gradient in the encoder (Eq. 2)",
        )
        group.add_argument("--reversal_scale", type=float, default=1.0, help="what a reversed gradient is multiplied by")
        group.add_argument("--encoder", default="ssl", choices=tuple(ENCODERS), help="pretrained, or the supervised baseline")
        group.add_argument("--pooling", default="mean", choices=tuple(POOLINGS), help="of frames, for the heads of utterances")
        group.add_argument("--ssl", type=str_or_none, help="folder of the pretrained encoder, in transformers' format")
        group.add_argument(
            "--normalize_waveform", type=str2bool, help="whether waveforms are normalised; as the encoder's preprocessor says"
        )
        group.add_argument("--encoder_conf", action=NestedDictAction, default={}, help="changes to the encoder's own settings")
        group.add_argument(
            "--trainable_layers", type=int_or_none, help="Transformer layers to train, from the top; default all"
        )
        group.add_argument("--skip_layer", type=int_or_none, help="layer that the gender head sees next to the last one")
        group.add_argument(
            "--frozen",
            default="alive",
            choices=FROZEN,
            help="alive: time masks, dropout and LayerDrop act in frozen layers too, as in the usual code; constant: they do "
            "not, so that what is frozen is computed once",
        )
        group.add_argument("--dropout", type=float, default=0.1, help="dropout of the heads")
        group.add_argument(
            "--aux_weight", type=float, default=0.1, help="weight of the auxiliary tasks besides emotion (Eq. 1)"
        )
        group.add_argument("--literal_eq", type=str2bool, default=False, help="give emotion that weight, as Eq. 1 is printed")
        group.add_argument(
            "--ctc_reduction",
            default="mean",
            choices=CTC_REDUCTIONS,
            help="what CTC's loss is a mean over: tokens, then utterances (mean); utterances (batch); nothing (sum)",
        )
        group.add_argument(
            "--gradient_surgery", type=str2bool, default=False, help="project conflicting gradients of the tasks apart"
        )
        group.add_argument(
            "--gradient_every", type=int, default=0, help="steps between two measurements of the tasks' gradients; 0 for none"
        )
        group.add_argument("--stage1_dir", type=str_or_none, help="trained intermediate model of the same fold to start from")

        group.add_argument(
            "--stage1_from",
            type=str_or_none,
            help="public ASR model whose encoder ssl is, in place of an intermediate one",
        )

        group = parser.add_argument_group("Speed")
        group.add_argument(
            "--cache",
            default="auto",
            choices=CACHE_CHOICES,
            help="which outputs of frozen layers to keep; auto: all that is constant",
        )
        group.add_argument("--cache_dir", type=str_or_none, help="where caches lie; without it nothing is cached")
        group.add_argument("--cache_dtype", default="float16", choices=("float16", "float32"), help="precision of caches")
        group.add_argument(
            "--recompute_above",
            type=float_or_none,
            default=120.0,
            help="seconds of audio in a batch above which trained layers are computed again in the backward "
            "pass, a part of the batch at a time, instead of kept: less memory, more time; none: never",
        )
        group.add_argument("--save_every_min", type=float, default=10.0, help="minutes between two checkpoints, at least")
        group.add_argument("--compile", type=str2bool, default=False, help="compile the Transformer layers (torch.compile)")

        group = parser.add_argument_group("Filled in by training, kept in config.yaml")
        group.add_argument("--cache_cut", type=str_or_none, help="what the cache holds")
        group.add_argument("--cache_folder", type=str_or_none, help="the cache")
        group.add_argument("--encoder_config", action=NestedDictAction, help="the encoder's configuration")
        group.add_argument("--labels", action=NestedDictAction, help="class names of each utterance task")
        group.add_argument("--token_list", nargs="+", help="the vocabulary of CTC, blank first")
        group.add_argument("--trained_on", action=NestedDictAction, help="sessions, speakers and number of training utterances")
        group.add_argument("--pretrained_on", action=NestedDictAction, help="likewise, of what the model began with, if known")
        group.add_argument("--ssl_source", type=str_or_none, help="name of ssl, and its commit on the hub")
        parser.set_defaults(use_tf32=True)
        # Models are kept for the selections, where emotion is trained.
        parser.set_defaults(best_model_criterion=[], keep_nbest_models=[1], resume=True)
        parser.set_defaults(use_matplotlib=False, use_tensorboard=False, num_att_plot=0)

    @classmethod
    def get_default_config(cls) -> dict[str, object]:
        """Every option with its default, whatever the command line of this process says; ESPnet's own reads that too."""
        with without_arguments():
            return super().get_default_config()

    @classmethod
    def main_worker(cls, args: Namespace) -> None:
        """Trains one model; see :meth:`espnet2.tasks.abs_task.AbsTask.main_worker`."""
        cls.complete(args)
        if args.token_dir is not None:
            kept = Path(args.output_dir) / TOKENS_FOLDER
            if not args.dist_rank:  # the first, or the only process: the others come to read it when that has joined them
                copy_tokenizer(Path(args.token_dir), kept)
            args.token_dir = str(kept)
        super().main_worker(args)

    @classmethod
    def complete(cls, args: Namespace) -> None:
        """Fills in what follows from the data and the encoder, and refuses what would leak. Writes nothing.

        Raises:
            InputError: For an unknown task, a missing folder, an option that would let the held-out data choose, or an
                intermediate model that was trained on the held-out session or spells with other tokens.
        """
        for task in [*args.tasks, *args.reversed_tasks]:
            if task not in TASKS:
                raise unknown_name("task", task, TASKS)
        if not set(args.reversed_tasks) <= set(args.tasks) & set(reversible()):
            raise InputError(f"--reversed_tasks may name {' and '.join(reversible())}, where they are among --tasks")
        check_selection_options(args)
        for mode in ("train", "valid"):
            batch_limits(args, mode)
        if args.use_amp and args.ngpu == 0:
            raise InputError("--use_amp true: mixed precision needs a GPU; --ngpu is 0")
        args.use_tf32 = args.use_tf32 and args.ngpu > 0 and not args.use_amp  # ESPnet takes one of the two
        args.optim_conf, args.scheduler_conf = _with_numbers(args.optim_conf), _with_numbers(args.scheduler_conf)
        if args.train_dir is None or args.valid_dir is None:
            raise InputError("--train_dir and --valid_dir are both needed")
        train, test, dev = read_datadir(args.train_dir), read_datadir(args.valid_dir), _read_dev(args)
        held_out = [*test, *dev]
        args.trained_on = describe_training_data(train)
        args.scheduler_conf = with_length(args, [example.num_samples for example in train])
        check_leak(args.trained_on, held_out, args.fold_by, args.train_dir)
        check_shared_speech(train, held_out)
        check_shared_speech(dev, test)
        verify_audio([*train, *held_out])
        kept_by = [*KEPT_BY, *([KEPT_BY_DEV] if dev else [])]
        args.best_model_criterion = kept_by if MAIN_TASK in args.tasks else []
        if args.labels is None:
            args.labels = {task: _classes(task, [*train, *held_out]) for task in args.tasks if task in of_utterances()}
        check_classes(args.labels, train)
        if of_kind("ctc", args.tasks):
            if args.token_dir is None:
                raise InputError("--token_dir is needed to train asr: stage 2 makes it")
            args.token_list = load_tokenizer(Path(args.token_dir)).tokens
        check_names(vars(args), "this training")
        if args.stage1_dir is not None:
            intermediate = read_config(Path(args.stage1_dir))
            check_leak(getattr(intermediate, "trained_on", None), held_out, args.fold_by, args.stage1_dir)
            args.pretrained_on = all_of(intermediate.trained_on, getattr(intermediate, "pretrained_on", None))
            go_on_from(args, intermediate, args.stage1_dir)
        elif args.ssl is not None:
            args.pretrained_on = check_encoder_leak(resolve_encoder(args.ssl), held_out)

    @classmethod
    def build_model(cls, args: Namespace) -> SERModel:
        """The model as training begins: from an intermediate model where there is one, else from the pretrained encoder.

        Stands alone, for ESPnet-EZ and ESPnet3: ``Namespace(**get_default_config())`` with an encoder (``ssl``, a folder or a
        name of the hub) and the classes (``labels``) is enough.

        Raises:
            InputError: When the settings do not fit together, or the weights do not fit the model.
        """
        for name, value in ONE_PROCESS.items():  # they have served: a model's configuration does not tell ranks apart
            if hasattr(args, name):
                setattr(args, name, value)
        if getattr(args, "ssl", None) is not None:
            args.ssl = str(resolve_encoder(args.ssl))
            args.ssl_source = one_line(encoder_source(Path(args.ssl)))
        model = build_untrained(args)
        load_initial_weights(model, args)
        report_doubts(args)
        if of_kind("ctc", args.tasks) and args.train_dir is not None:
            report_crowded(read_datadir(args.train_dir), cls.build_tokenizer(args), model.encoder)
        if getattr(args, "cache_dir", None) is not None:
            args.cache_cut = choose_cut(model, args.cache)
            if args.cache_cut is not None:
                examples = [*read_datadir(args.train_dir), *read_datadir(args.valid_dir), *_read_dev(args)]
                device = "cuda" if args.ngpu > 0 else "cpu"
                with first_rank_first():
                    cache = fill_cache(model.encoder, args.cache_cut, examples, Path(args.cache_dir), args.cache_dtype, device)
                args.cache_folder = str(cache.folder)
        if getattr(args, "gradient_every", 0):
            norm_last = bool((args.encoder_config or {}).get("do_stable_layer_norm"))
            model.probe = GradientProbe(model.shared_and_own_parameters()[0], args.gradient_every, norm_last)
        if getattr(args, "compile", False) and isinstance(model.encoder, Wav2Vec2Encoder):
            for layer in model.encoder.wav2vec2.encoder.layers:
                layer.compile(dynamic=True)
        return model

    @classmethod
    def build_optimizers(cls, args: Namespace, model: SERModel) -> list[torch.optim.Optimizer]:
        """The optimiser, in one kernel where it has such a one and the user does not say otherwise."""
        optim_class = optim_classes.get(args.optim)
        has_fused = optim_class is not None and "fused" in inspect.signature(optim_class).parameters
        chosen = {"fused", "foreach", "differentiable"} & args.optim_conf.keys()
        if has_fused and not chosen and {parameter.device.type for parameter in model.parameters()} <= {"cpu", "cuda"}:
            args = Namespace(**{**vars(args), "optim_conf": {**args.optim_conf, "fused": True}})
        return super().build_optimizers(args, model)

    @classmethod
    def build_model_from_file(cls, config_file=None, model_file=None, device="cpu") -> tuple[SERModel, Namespace]:
        """A trained model from its folder, every parameter covered; no pretrained encoder or intermediate model is needed."""
        folder = Path(config_file if config_file is not None else model_file).parent
        return load_model(folder, device, None if model_file is None else Path(model_file))

    @classmethod
    def build_tokenizer(cls, args: Namespace) -> Tokenizer | None:
        """The tokenizer that training used; None without an ``asr`` head."""
        loaded = getattr(args, "tokenizer", None)  # by inference.load_model
        return loaded or (load_tokenizer(Path(args.token_dir)) if of_kind("ctc", args.tasks) else None)

    @classmethod
    def build_iter_factory(cls, args, distributed_option, mode, kwargs=None) -> BatchFactory:
        """The batches of ``train`` or ``valid``."""
        distributed = distributed_option.distributed
        dev = _read_dev(args) if mode == "valid" else []
        examples = [*read_datadir(args.train_dir if mode == "train" else args.valid_dir), *dev]
        read: Read = read_speech
        if args.cache_cut is not None:
            cache = FrameCache(Path(args.cache_folder), args.cache_dtype)
            read = CachedFrames(cache, args.cache_cut, examples, "cuda" if args.ngpu > 0 else "cpu")
        return BatchFactory(
            UtteranceDataset(examples, args.labels, cls.build_tokenizer(args), read, (example.utt for example in dev)),
            **batch_limits(args, mode),
            seed=args.seed,
            shuffle=mode == "train",
            rank=distributed_option.dist_rank if distributed else 0,
            world_size=distributed_option.dist_world_size if distributed else 1,
            # Frames come from memory faster than a worker could send them.
            num_workers=args.num_workers if args.cache_cut is None else 0,
            pin_memory=args.ngpu > 0 and args.cache_cut is None,
        )

    @classmethod
    def build_collate_fn(cls, args, train):
        """Pads a list of utterances (for callers that bring their own data set)."""
        return collate

    @classmethod
    def build_preprocess_fn(cls, args, train):
        """None: waveforms need no preparation that the model does not do."""
        return None

    @classmethod
    def required_data_names(cls, train=True, inference=False):
        """What a batch must hold."""
        return ("speech",)

    @classmethod
    def optional_data_names(cls, train=True, inference=False):
        """What a batch may hold, by the model's tasks."""
        return tuple(spec.field for spec in TASKS.values())


def _classes(task: str, examples: list[Example]) -> list[str]:
    """The classes of an utterance task, none for a regression."""
    if TASKS[task].kind == "regression":
        return []
    return list(TASKS[task].classes) or sorted({example.target(task) for example in examples})


def _read_dev(args: Namespace) -> list[Example]:
    dev_dir = getattr(args, "dev_dir", None)
    return [] if dev_dir is None else read_datadir(dev_dir)


def _with_numbers(conf: dict) -> dict:
    """Settings in which 1e-4 is a number: YAML, which wants 1.0e-4, reads it as text."""
    return {key: _number(value) if isinstance(value, str) else value for key, value in conf.items()}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
