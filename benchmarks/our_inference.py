"""Our inference, from audio files to prediction lines."""

from collections.abc import Sequence

import ours
import torch
from rows import Row

from espnet_ser.data.batches import compose_batches
from espnet_ser.data.datadir import Example
from espnet_ser.inference.predict import BATCH_SAMPLES, predict


class Trainer(ours.Trainer):
    """Predicts the utterances of given batches; its epoch is ``batches``."""

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        super().__init__(job, row, examples)
        self.bf16 = job["dtype"] == "bf16"
        self.batches = compose_batches([example.num_samples for example in examples], None, BATCH_SAMPLES, shuffle=False)
        self.model.eval()

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """Predictions for all these utterances, which :func:`espnet_ser.inference.predict.predict` puts into batches itself."""
        examples = [self.dataset.examples[index] for batch in batches for index in batch]
        device = self.job["device"]
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16):
            predict(self.model, examples, self.args.labels, device=device)
