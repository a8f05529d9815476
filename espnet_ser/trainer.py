"""ESPnet's trainer, with scores that are exact over the epoch and a history that can be plotted."""

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.reporter import aggregate
from espnet2.train.trainer import Trainer

from espnet_ser.errors import InputError
from espnet_ser.history import append_epoch, read_history
from espnet_ser.inference import decode, prediction_line
from espnet_ser.recipe import MODEL_FILE
from espnet_ser.scoring import score
from espnet_ser.stamp import atomic_path

TIMES = ("iter_time", "forward_time", "backward_time", "optim_step_time", "train_time", "loss_scale", "clip")


class SERTrainer(Trainer):
    """Trains as ESPnet does; validates on the whole held-out set at once.

    UA is a mean of recalls and WER a ratio of sums: neither is a mean over batches, which is all that ESPnet's reporter
    takes. Each epoch leaves a line ``{"epoch", "max_epoch", "seconds", "train": {...}, "valid": {...}}`` in ``history.jsonl``.
    """

    @classmethod
    def run(cls, model, trainer_options, distributed_option, **kwargs) -> None:
        """Trains to the end, each file of weights written whole; see :meth:`espnet2.train.trainer.Trainer.run`.

        Raises:
            InputError: When the checkpoint to go on from is damaged, or the gradients stopped being finite.
        """
        output_dir = Path(trainer_options.output_dir)
        with atomic_torch_save():
            super().run(model=model, trainer_options=trainer_options, distributed_option=distributed_option, **kwargs)
        reached = max((record["epoch"] for record in read_history(output_dir)), default=0)
        if reached < trainer_options.max_epoch:
            raise InputError(
                f"{output_dir}: training stopped at epoch {reached} of {trainer_options.max_epoch}, its gradients infinite or "
                f"NaN; try a lower learning rate (--optim_conf lr=...)"
            )
        if not distributed_option.distributed or distributed_option.dist_rank == 0:
            # A run that was killed after its last checkpoint resumes with nothing to do: its last weights may not be there yet.
            last = output_dir / f"{trainer_options.max_epoch}epoch.pth"
            if not last.exists():
                with atomic_torch_save():
                    torch.save(model.state_dict(), last)
            link = output_dir / f".{MODEL_FILE}.link"
            link.unlink(missing_ok=True)
            link.symlink_to(last.name)
            os.replace(link, output_dir / MODEL_FILE)

    @staticmethod
    def resume(checkpoint, **kwargs) -> None:
        """Goes on from a checkpoint; see :meth:`espnet2.train.trainer.Trainer.resume`.

        Raises:
            InputError: When it cannot be read.
        """
        try:
            Trainer.resume(checkpoint=checkpoint, **kwargs)
        except (RuntimeError, OSError, EOFError, KeyError, ValueError, UnpicklingError) as error:
            reason = str(error).splitlines()[0][:120]
            raise InputError(f"{checkpoint} is damaged ({reason}): remove it to train this fold from its beginning") from error

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


@contextmanager
def atomic_torch_save() -> Iterator[None]:
    """Makes ``torch.save`` write beside and rename, while the body runs: ESPnet's trainer overwrites its checkpoint in place.

    Raises:
        OSError: ``torch.save`` reports a full disk as a RuntimeError; here it is the error it is.
    """
    save = torch.save

    def save_whole(obj, f, *args, **kwargs):
        if not isinstance(f, str | Path):
            return save(obj, f, *args, **kwargs)
        try:
            with atomic_path(f) as beside:
                save(obj, beside, *args, **kwargs)
        except RuntimeError as error:
            if "PytorchStreamWriter" not in str(error) and "unexpected pos" not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save
