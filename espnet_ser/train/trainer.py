"""ESPnet's trainer, with scores that are exact over the epoch and a history that can be plotted."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.reporter import aggregate
from espnet2.utils.build_dataclass import build_dataclass

from espnet_ser.errors import InputError
from espnet_ser.evaluation.decoding import decode, prediction_line
from espnet_ser.evaluation.metrics import score
from espnet_ser.evaluation.predictions import epoch_path, write_predictions
from espnet_ser.evaluation.selection import standing
from espnet_ser.layout import EMBEDDINGS_FILE, FROZEN_FILE, HISTORY_FILE, MODEL_FILE, epoch_model
from espnet_ser.model_io.weights import frozen_weights, without_frozen_weights
from espnet_ser.models.losses import check_finite
from espnet_ser.tasks_table import MAIN_TASK, of_kind
from espnet_ser.train.epoch_files import EpochFiles, TrainingOptions, link, save_whole, saved_by
from espnet_ser.train.espnet_patches import Trainer
from espnet_ser.train.gradient_probe import GRADIENTS_FILE
from espnet_ser.train.history import append_record, read_history
from espnet_ser.train.mid_epoch import PausableEpoch, damage_as_input_error, read_state
from espnet_ser.utils.atomic import atomic_path
from espnet_ser.utils.distributed import num_ranks, of_all_ranks, this_rank
from espnet_ser.utils.signals import STOP

TIMES = ("iter_time", "forward_time", "backward_time", "optim_step_time", "train_time", "loss_scale", "clip")


class SERTrainer(Trainer):
    """Trains as ESPnet does; validates on the whole held-out set at once.

    UA is a mean of recalls and WER a ratio of sums: neither is a mean over batches, which is all that ESPnet's reporter
    takes. Each epoch leaves a line ``{"epoch", "max_epoch", "seconds", "train": {...}, "valid": {...}}`` in ``history.jsonl``,
    with ``"silent": true`` where every transcript of the held-out utterances is empty, and its predictions next to it, so that
    any way of choosing the epoch can be computed afterwards.
    """

    @classmethod
    def build_options(cls, args) -> TrainingOptions:
        """ESPnet's options of a trainer, and ours."""
        return build_dataclass(TrainingOptions, args)

    @classmethod
    def run(cls, model, trainer_options, distributed_option, **kwargs) -> None:
        """Trains to the end; see :meth:`espnet2.train.trainer.Trainer.run`, and :class:`EpochFiles` for what it leaves. Raises
        InputError when the checkpoint to go on from is damaged, or the gradients stopped being finite.
        """
        output_dir = Path(trainer_options.output_dir)
        cls.open(trainer_options)
        # Without this, ranks wait for every gradient. It also keeps DDP from rebuilding its buckets, so that a training
        # that goes on reduces gradients in the same order as an unbroken one.
        if num_ranks() > 2 or getattr(model.encoder, "may_leave_out", False):
            trainer_options.unused_parameters = True
        with saved_by(cls._files), without_frozen_weights(model), STOP.deferred():
            if this_rank() == 0:
                save_whole(frozen_weights(model), output_dir / FROZEN_FILE)
            super().run(model=model, trainer_options=trainer_options, distributed_option=distributed_option, **kwargs)
        if this_rank() > 0:
            return
        reached = max((record["epoch"] for record in read_history(output_dir)), default=0)
        if reached < trainer_options.max_epoch:
            raise InputError(
                f"{output_dir}: training stopped at epoch {reached} of {trainer_options.max_epoch}, its gradients infinite or "
                f"NaN; try a lower learning rate (--optim_conf lr=...)"
            )
        for path in output_dir.glob("valid.*.ave*.pth"):  # averages of one model each
            path.unlink()
        link(output_dir / MODEL_FILE, epoch_model(output_dir, trainer_options.max_epoch).name)

    @classmethod
    def open(cls, options: TrainingOptions) -> None:
        """Takes the folder that :meth:`train_one_epoch` saves in."""
        cls._files = EpochFiles(Path(options.output_dir), options)

    @classmethod
    def resume(cls, checkpoint, model, optimizers, schedulers, reporter, scaler, ngpu=0, strict=True) -> None:
        """Goes on from a checkpoint. ESPnet's own unpickles whatever the file holds. Raises InputError when it cannot be
        read.
        """
        states = read_state(checkpoint)
        with damage_as_input_error(checkpoint):
            model.load_state_dict(states["model"], strict=strict)
            reporter.load_state_dict(states["reporter"])
            parts = [*zip(optimizers, states["optimizers"], strict=True), *zip(schedulers, states["schedulers"], strict=True)]
            for part, state in [*parts, (scaler, states["scaler"])]:
                if part is not None:
                    part.load_state_dict(state)
            cls._files.go_on(states)

    @classmethod
    def train_one_epoch(cls, model, iterator, reporter, options, distributed_option, **kwargs) -> bool:
        """One epoch of training; see :meth:`espnet2.train.trainer.Trainer.train_one_epoch`. The last step is on the batches
        that are left, also where they are fewer than ``accum_grad``: ESPnet would carry their gradient into the next epoch, and
        no checkpoint holds gradients.
        """
        net = getattr(model, "module", model)
        cls._epoch = epoch = PausableEpoch(cls._files, reporter.get_epoch(), net, kwargs, reporter, options.accum_grad)
        if this_rank() > 0:  # dropout of its own; the first rank's is that of a process alone
            set_all_random_seed(_seed(options.seed, reporter.get_epoch(), this_rank()))
        restored = epoch.restore()
        invalid = [
            super(SERTrainer, cls).train_one_epoch(
                model=model,
                iterator=batches,
                reporter=reporter,
                options=replace(options, accum_grad=accum_grad),
                distributed_option=distributed_option,
                **kwargs,
            )
            for batches, accum_grad in epoch.groups(iterator)
        ]
        records = net.probe.take() if net.probe is not None else []
        if this_rank() == 0:
            for record in records:
                append_record(Path(options.output_dir) / GRADIENTS_FILE, {"epoch": reporter.get_epoch(), **record})
        cls._train_stats = {name: float(aggregate(values)) for name, values in reporter.stats.items() if name not in TIMES}
        return all(invalid) and not restored  # of the steps before the pause nobody knows

    @classmethod
    @torch.no_grad()
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option) -> None:
        """Scores the held-out utterances of all ranks together, registers UA, WA and WER, and keeps the predictions. Those of
        the dev part, if there is one, are scored apart, for ``dev_ua`` alone; losses are of all.
        """
        net = getattr(model, "module", model)
        net.eval()
        dataset = iterator.dataset
        is_last_epoch = reporter.get_epoch() == options.max_epoch
        examples = {example.utt: example for example in dataset.examples}
        lines: dict[str, dict] = {}
        embeddings: dict[str, np.ndarray] = {}
        loss_sums: dict[str, float] = {}
        most_batches = max(of_all_ranks(len(iterator)))  # of a rank: some have one more than others
        for utts, batch in iterator:
            cls._epoch.save_if_asked()
            batch = to_device(batch, "cuda" if options.ngpu > 0 else "cpu")
            outputs = net.logits_of(batch)
            _, stats = net.losses(outputs, batch)
            check_finite(stats, utts)
            for name, value in stats.items():
                if name.startswith("loss"):
                    loss_sums[name] = loss_sums.get(name, 0.0) + float(value) * len(utts)
            decoded = decode(outputs, dataset.labels, dataset.tokenizer)
            lines |= {utt: prediction_line(examples[utt], result) for utt, result in zip(utts, decoded, strict=True)}
            if is_last_epoch:
                embeddings |= dict(zip(utts, outputs["embedding"].float().cpu().numpy(), strict=True))
        for _ in range(most_batches - len(iterator)):
            cls._epoch.save_if_asked()
        shares = of_all_ranks((lines, embeddings, loss_sums))
        lines = {utt: line for share in shares for utt, line in share[0].items()}
        embeddings = {utt: embedding for share in shares for utt, embedding in share[1].items()}
        loss_sums = {name: sum(share[2].get(name, 0.0) for share in shares) for name in shares[0][2]}
        in_order, dev = ([lines[utt] for utt in sorted(lines) if (utt in dataset.dev) == is_dev] for is_dev in (False, True))
        scores = {name: total / len(lines) for name, total in sorted(loss_sums.items())}
        scores |= {name: value for name, value in score(in_order).items() if value is not None and name != "n"}
        kept_by = ["ua"] if MAIN_TASK in net.tasks else []
        if dev and kept_by:
            scores["dev_ua"] = score(dev)["ua"]
            kept_by.append("dev_ua")
        reporter.register(scores | {name: standing(scores[name], reporter.get_epoch()) for name in kept_by})
        reporter.next()
        if this_rank() == 0:
            epoch, folder = reporter.get_epoch(), Path(options.output_dir)
            epoch_path(folder, epoch).parent.mkdir(exist_ok=True)
            write_predictions(epoch_path(folder, epoch), in_order)
            if dev:
                write_predictions(epoch_path(folder, epoch, "dev"), dev)
            if is_last_epoch:
                _write_embeddings(folder / EMBEDDINGS_FILE, {line["utt"]: embeddings[line["utt"]] for line in in_order})
            words = of_kind("ctc", net.tasks)
            silent = bool(words) and not any(line[words[0]]["hyp"] for line in in_order)
            cls._report(epoch, scores, options, silent)

    @classmethod
    def _report(cls, epoch: int, valid: dict[str, float], options, silent: bool) -> None:
        record = {
            "epoch": epoch,
            "max_epoch": options.max_epoch,
            "seconds": round(cls._epoch.seconds, 3),
            "train": cls._train_stats,
            "valid": valid,
            **({"silent": True} if silent else {}),
        }
        append_record(Path(options.output_dir) / HISTORY_FILE, record)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in valid.items())
        logging.info(f"epoch {epoch}/{options.max_epoch} held out: {shown}")
        if silent:
            logging.warning(
                f"epoch {epoch}: every held-out hypothesis is empty: CTC gives nothing but blanks (WER 100 %). So it is in the "
                f"first epochs; should it stay so, see 'When CTC stays on blanks' in docs/howto/iemocap.md"
            )


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _write_embeddings(path: Path, embeddings: Mapping[str, np.ndarray]) -> None:
    utts = sorted(embeddings)
    with atomic_path(path) as temporary:
        np.savez(temporary, utts=np.array(utts), embeddings=np.stack([embeddings[utt] for utt in utts]))
