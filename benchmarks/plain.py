"""The usual training loop, as in public recipes for IEMOCAP: transformers' model and shuffled batches padded to the longest.

The CNN is frozen by ``freeze_feature_encoder`` and lower layers by ``requires_grad``; everything else follows
``model.train()``; the mean is over all frames. Nothing is slowed down on purpose: the same parameters are trained as in ours,
and no graph is built below them.
"""

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
import torch.nn.functional as F
from corpus import LABELS, random_batches
from rows import Row
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset
from transformers import Wav2Vec2Model

from espnet_ser.data.datadir import Example
from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.utils.yaml_mapping import read_yaml_mapping


class Speech(Dataset):
    """Waveforms of zero mean and unit variance, as transformers' feature extractor makes them, and targets."""

    def __init__(self, examples: Sequence[Example]):
        self.examples = examples
        self.tokenizer = CharTokenizer(CharTokenizer.make_tokens(example.text for example in examples))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Waveform [samples], class indices, token ids [tokens]."""
        example = self.examples[index]
        wave = torch.from_numpy(soundfile.read(example.wav, dtype="float32")[0])
        return {
            "speech": (wave - wave.mean()) / torch.sqrt(wave.var() + 1e-7),
            **{task: torch.tensor(classes.index(getattr(example, task))) for task, classes in LABELS.items()},
            "text": torch.tensor(self.tokenizer.text_to_ids(example.text)),
        }


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pads waveforms and texts, with their lengths next to them."""
    batch = {task: torch.stack([item[task] for item in items]) for task in LABELS}
    for name in ("speech", "text"):
        batch[name] = pad_sequence([item[name] for item in items], batch_first=True)
        batch[f"{name}_lengths"] = torch.tensor([len(item[name]) for item in items])
    return batch


class Trainer:
    """Trains on given batches; its epoch is ``batches``."""

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        self.device, self.bf16 = job["device"], job["dtype"] == "bf16"
        self.settings = read_yaml_mapping(Path(job["training"]), missing="it is part of the repository")
        self.batches = random_batches(len(examples), job["batch_size"], job["seed"])
        self.dataset = Speech(examples)
        self.tasks = job["model"]["tasks"]
        wav2vec2 = Wav2Vec2Model.from_pretrained(job["encoder"])
        num_trainable = job["model"]["trainable_layers"]
        if num_trainable < job["config"]["num_hidden_layers"]:
            wav2vec2.requires_grad_(False)
            if num_trainable > 0:
                wav2vec2.encoder.layers[-num_trainable:].requires_grad_(True)
        wav2vec2.freeze_feature_encoder()
        sizes = {"asr": len(self.dataset.tokenizer.tokens), **{task: len(classes) for task, classes in LABELS.items()}}
        self.model = nn.ModuleDict({task: nn.Linear(wav2vec2.config.hidden_size, sizes[task]) for task in self.tasks})
        self.model["wav2vec2"] = wav2vec2
        self.model.to(self.device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, **self.settings["optim_conf"])

    def prepare(self, wanted: Sequence[int]) -> None:
        """Nothing is prepared: all is computed in each epoch."""

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """One step on each batch."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.settings["num_workers"],
            pin_memory=self.device == "cuda",
        )
        self.model.train()
        for batch in loader:
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
            with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16):
                loss = self.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings["grad_clip"])
            self.optimizer.step()
            self.optimizer.zero_grad()

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The sum of the tasks' losses."""
        wav2vec2 = self.model["wav2vec2"]
        lengths = batch["speech_lengths"]
        mask = torch.arange(batch["speech"].shape[1], device=lengths.device) < lengths[:, None]
        hidden = wav2vec2(batch["speech"], attention_mask=mask.long()).last_hidden_state
        pooled = F.dropout(hidden.mean(1), self.settings["dropout"])
        losses = []
        for task in self.tasks:
            if task == "asr":
                num_frames = wav2vec2._get_feat_extract_output_lengths(lengths)
                log_probs = self.model["asr"](hidden).float().log_softmax(-1).transpose(0, 1)
                losses.append(F.ctc_loss(log_probs, batch["text"], num_frames, batch["text_lengths"], zero_infinity=True))
            else:
                losses.append(F.cross_entropy(self.model[task](pooled), batch[task]))
        return sum(losses)
