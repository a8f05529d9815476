"""Our training: the task's own model, batches and optimiser, and the trainer's own step."""

from collections.abc import Sequence
from pathlib import Path

from corpus import LABELS
from espnet_epoch import EspnetEpoch, command_of
from rows import Row

from espnet_ser.data.datadir import Example
from espnet_ser.data.frame_cache import FrameCache
from espnet_ser.data.loader import BatchFactory, CachedFrames, EpochBatches, UtteranceDataset, read_speech
from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.tasks.ser import SERTask
from espnet_ser.train.fill_cache import fill_cache


class Trainer:
    """Trains on given batches; its epoch is ``batches``, those of :class:`espnet_ser.data.loader.BatchFactory`."""

    pads = False

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        self.job, self.row = job, row
        self.on_gpu = job["device"] == "cuda"
        tokenizer = CharTokenizer(CharTokenizer.make_tokens(example.text for example in examples))
        options = {
            **job["model"],
            "config": job["training"],
            "output_dir": job["folder"],
            "ssl": job["encoder"],
            "seed": job["seed"],
            "batch_size": job["batch_size"],
            "ngpu": int(self.on_gpu),
            "use_amp": job["dtype"] == "bf16",
        }
        self.args = args = SERTask.get_parser().parse_args([*command_of(options), *job["options"]])
        args.labels = {task: LABELS[task] for task in args.tasks if task in LABELS}
        args.token_list = tokenizer.tokens
        self.model = SERTask.build_model(args).to(job["device"])
        self.epoch = EspnetEpoch(SERTask.trainer, self.model, SERTask.build_optimizers(args, self.model), args)
        SERTask.trainer.open(self.epoch.options)
        self.dataset = UtteranceDataset(examples, args.labels, tokenizer if "asr" in args.tasks else None)
        factory = BatchFactory(self.dataset, args.batch_size, seed=args.seed)
        self.batches = list(factory.build_iter(epoch=1).batches)

    def prepare(self, wanted: Sequence[int]) -> None:
        """Fills the cache for these utterances, where it does not hold them."""
        if self.row.cut is not None:
            examples = [self.dataset.examples[index] for index in wanted]
            cache = self.fill(examples, Path(self.job["folder"]) / "cache")
            self.dataset.read = CachedFrames(cache, self.row.cut, examples, self.job["device"])

    def fill(self, examples: Sequence[Example], root: Path) -> FrameCache:
        """The cache below ``root`` that holds these utterances."""
        return fill_cache(self.model.encoder, self.row.cut, examples, root, device=self.job["device"])

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """One step on each batch, as in an epoch."""
        live = self.dataset.read is read_speech
        num_workers = self.args.num_workers if live else 0
        self.epoch.run(EpochBatches(self.dataset, batches, num_workers, self.on_gpu and live))
