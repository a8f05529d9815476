"""ESPnet's trainer, with scores that are exact over the epoch and a history that can be plotted."""

import logging
import time
from pathlib import Path

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.reporter import aggregate
from espnet2.train.trainer import Trainer

from espnet_ser.history import append_epoch
from espnet_ser.inference import decode, prediction_line
from espnet_ser.scoring import score

TIMES = ("iter_time", "forward_time", "backward_time", "optim_step_time", "train_time", "loss_scale", "clip")


class SERTrainer(Trainer):
    """Trains as ESPnet does; validates on the whole held-out set at once.

    UA is a mean of recalls and WER a ratio of sums: neither is a mean over batches, which is all that ESPnet's reporter
    takes. Each epoch leaves a line ``{"epoch", "max_epoch", "seconds", "train": {...}, "valid": {...}}`` in ``history.jsonl``.
    """

    @classmethod
    def train_one_epoch(cls, model, iterator, reporter, options, distributed_option, **kwargs) -> bool:
        """One epoch of training; see :meth:`espnet2.train.trainer.Trainer.train_one_epoch`."""
        cls._epoch_start = time.perf_counter()
        invalid = super().train_one_epoch(
            model=model,
            iterator=iterator,
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
            **kwargs,
        )
        cls._train_stats = {name: float(aggregate(values)) for name, values in reporter.stats.items() if name not in TIMES}
        return invalid

    @classmethod
    @torch.no_grad()
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option) -> None:
        """Scores the held-out utterances of all ranks together, and registers UA, WA and WER with the reporter."""
        net = getattr(model, "module", model)
        net.eval()
        dataset = iterator.dataset
        examples = {example.utt: example for example in dataset.examples}
        lines: list[dict] = []
        loss_sums: dict[str, float] = {}
        for utts, batch in iterator:
            batch = to_device(batch, "cuda" if options.ngpu > 0 else "cpu")
            outputs = net.logits(batch["speech"], batch["speech_lengths"])
            _, stats = net.objective(outputs, batch)
            for name, value in stats.items():
                if name.startswith("loss"):
                    loss_sums[name] = loss_sums.get(name, 0.0) + float(value) * len(utts)
            decoded = decode(outputs, dataset.labels, dataset.tokenizer)
            lines += [prediction_line(examples[utt], result) for utt, result in zip(utts, decoded, strict=True)]
        if distributed_option.distributed:
            shares: list = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(shares, (lines, loss_sums))
            lines = [line for share, _ in shares for line in share]
            loss_sums = {name: sum(sums.get(name, 0.0) for _, sums in shares) for name in set().union(*(s for _, s in shares))}
        scores = {name: total / len(lines) for name, total in sorted(loss_sums.items())}
        scores |= {name: value for name, value in score(lines).items() if value is not None and name != "n"}
        reporter.register(scores)
        reporter.next()
        if not distributed_option.distributed or distributed_option.dist_rank == 0:
            cls._report(reporter.get_epoch(), scores, options)

    @classmethod
    def _report(cls, epoch: int, valid: dict[str, float], options) -> None:
        record = {
            "epoch": epoch,
            "max_epoch": options.max_epoch,
            "seconds": round(time.perf_counter() - cls._epoch_start, 3),
            "train": cls._train_stats,
            "valid": valid,
        }
        append_epoch(Path(options.output_dir), record)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in valid.items())
        logging.info(f"epoch {epoch}/{options.max_epoch} held out: {shown}")
