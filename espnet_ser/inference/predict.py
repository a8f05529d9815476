"""A model's predictions for the utterances of a data directory."""

from collections.abc import Iterable

import torch

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.datadir import Example
from espnet_ser.data.loader import BatchFactory, Labels, UtteranceDataset
from espnet_ser.data.tokens import Tokenizer
from espnet_ser.evaluation.decoding import decode, prediction_line
from espnet_ser.models.ser_model import SERModel

BATCH_SAMPLES = 60 * SAMPLE_RATE  # samples in a batch of utterances that are predicted


@torch.no_grad()
def predict(
    model: SERModel,
    examples: Iterable[Example],
    labels: Labels,
    tokenizer: Tokenizer | None = None,
    batch_bins: int = BATCH_SAMPLES,
    device: str = "cpu",
    progress: str | None = None,
) -> list[dict]:
    """Predictions for the utterances of a data directory, in its order.

    Args:
        model: In eval mode, on ``device``.
        examples: The utterances.
        labels: Class names of each utterance task.
        tokenizer: For the transcript.
        batch_bins: Samples in a batch; no effect on the result.
        device: Where the model is.
        progress: Title of a progress bar, or None for none.

    Returns:
        Lines of ``predictions_*.jsonl``.
    """
    from tqdm import tqdm

    examples = list(examples)
    by_utt = {example.utt: example for example in examples}
    batches = BatchFactory(UtteranceDataset(examples, {}), batch_bins=batch_bins, shuffle=False).build_iter(epoch=0)
    lines = {}
    for utts, batch in tqdm(batches, desc=progress, unit="batch", disable=None if progress else True, mininterval=5):
        outputs = model.logits(batch["speech"].to(device), batch["speech_lengths"].to(device))
        for utt, decoded in zip(utts, decode(outputs, labels, tokenizer), strict=True):
            lines[utt] = prediction_line(by_utt[utt], decoded)
    return [lines[example.utt] for example in examples]
