"""SpeechBrain in the manner of its IEMOCAP recipe for wav2vec 2.0.

Its own wrapper of the encoder (CNN frozen), data pipeline, padding, mean pooling and ``Brain``, with Adam for the encoder
(1e-5) and for the classifier (1e-4), on shuffled batches; the batch size is that of every row, where the recipe says 4.
"""

from collections.abc import Sequence
from pathlib import Path

import speechbrain as sb
import torch
from corpus import LABELS, random_batches
from rows import Row
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.losses import nll_loss
from speechbrain.nnet.pooling import StatisticsPooling

from espnet_ser.data.datadir import Example
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

CLASSIFIER_LR, ENCODER_LR = 1e-4, 1e-5


class EmotionBrain(sb.Brain):
    """Encoder, mean, one linear layer."""

    def compute_forward(self, batch: PaddedBatch, stage: sb.Stage) -> torch.Tensor:
        """Log posteriors, [batch, 1, classes]."""
        waves, lengths = batch.to(self.device).speech
        pooled = self.hparams.pooling(self.modules.wav2vec2(waves, lengths), lengths)
        return self.modules.output(pooled).log_softmax(-1)

    def compute_objectives(self, predictions: torch.Tensor, batch: PaddedBatch, stage: sb.Stage) -> torch.Tensor:
        """Negative log likelihood."""
        return nll_loss(predictions.squeeze(1), batch.emotion.data.squeeze(1))

    def init_optimizers(self) -> None:
        """One for the encoder and one for the classifier."""
        self.optimizers_dict = {
            "wav2vec2": torch.optim.Adam(self.modules.wav2vec2.parameters(), lr=ENCODER_LR),
            "output": torch.optim.Adam(self.modules.output.parameters(), lr=CLASSIFIER_LR),
        }


class Trainer:
    """Trains on given batches; its epoch is ``batches``."""

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        self.settings = read_yaml_mapping(Path(job["training"]), missing="it is part of the repository")
        self.batches = random_batches(len(examples), job["batch_size"], job["seed"])

        @sb.utils.data_pipeline.takes("wav")
        @sb.utils.data_pipeline.provides("speech")
        def read_speech(wav: str) -> torch.Tensor:
            return sb.dataio.dataio.read_audio(wav)

        items = {
            example.utt: {"wav": str(example.wav), "emotion": torch.tensor([LABELS["emotion"].index(example.emotion)])}
            for example in examples
        }
        self.dataset = DynamicItemDataset(items, dynamic_items=[read_speech], output_keys=["speech", "emotion"])
        save_path = str(Path(job["folder"]) / "speechbrain")
        wav2vec2 = Wav2Vec2(job["encoder"], save_path, output_norm=True, freeze_feature_extractor=True)
        output = Linear(input_size=job["config"]["hidden_size"], n_neurons=len(LABELS["emotion"]), bias=False)
        self.brain = EmotionBrain(
            modules={"wav2vec2": wav2vec2, "output": output},
            hparams={
                "pooling": StatisticsPooling(return_std=False),
                "device": job["device"],
                "precision": "bf16" if job["dtype"] == "bf16" else "fp32",
                "max_grad_norm": self.settings["grad_clip"],
            },
        )
        self.brain.on_fit_start()

    def prepare(self, wanted: Sequence[int]) -> None:
        """Nothing is prepared: all is computed in each epoch."""

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """One step on each batch."""
        loader = SaveableDataLoader(
            self.dataset, batch_sampler=batches, collate_fn=PaddedBatch, num_workers=self.settings["num_workers"]
        )
        self.brain.modules.train()
        for step, batch in enumerate(loader):
            self.brain.step = step
            self.brain.fit_batch(batch)
