"""The encoder's bare forward pass: waveforms in memory, sorted batches, nothing read and nothing decided."""

from collections.abc import Sequence

import torch
from rows import Row
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Wav2Vec2Model

from espnet_ser.data.audio import load_audio
from espnet_ser.data.batches import compose_batches
from espnet_ser.data.datadir import Example
from espnet_ser.inference.predict import BATCH_SAMPLES


class Trainer:
    """Encodes given batches; its epoch is ``batches``, composed as our inference composes them."""

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        self.device, self.bf16 = job["device"], job["dtype"] == "bf16"
        self.examples = examples
        num_samples = [example.num_samples for example in examples]
        self.batches = compose_batches(num_samples, None, BATCH_SAMPLES, shuffle=False)
        self.wav2vec2 = Wav2Vec2Model.from_pretrained(job["encoder"]).to(self.device).eval()
        self.waveforms: dict[int, Tensor] = {}

    def prepare(self, wanted: Sequence[int]) -> None:
        """Reads the audio."""
        self.waveforms = {index: torch.from_numpy(load_audio(self.examples[index].wav)) for index in wanted}

    @torch.inference_mode()
    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """Encodes each batch."""
        for batch in batches:
            waveforms = [self.waveforms[index] for index in batch]
            speech = pad_sequence(waveforms, batch_first=True).to(self.device)
            lengths = torch.tensor([len(waveform) for waveform in waveforms], device=self.device)
            mask = torch.arange(speech.shape[1], device=self.device) < lengths[:, None]
            with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16):
                self.wav2vec2(speech, attention_mask=mask.long())
