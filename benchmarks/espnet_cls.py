"""ESPnet's own classification task: S3PRL's wav2vec 2.0 as the front end, the mean and one linear layer behind it.

The task's encoder is a Transformer without blocks (a linear layer), so that the architecture is that of every row. Batches are
of sorted lengths, ESPnet's default. ``HuggingFaceFrontend`` is not among the task's front ends, and takes lengths in samples
for lengths in frames.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import soundfile
import torch
import torchaudio
from corpus import LABELS
from espnet_epoch import EspnetEpoch, command_of
from rows import Row
from torch.utils.data import DataLoader, Dataset

from espnet_ser.data.batches import compose_batches
from espnet_ser.data.datadir import Example
from espnet_ser.utils.yaml_mapping import read_yaml_mapping


def restore_torchaudio() -> None:
    """Puts back, empty, what S3PRL imports for other upstreams than wav2vec 2.0 and torchaudio has no longer."""
    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend: None
        sox = ModuleType("torchaudio.sox_effects")
        sox.apply_effects_tensor = sox.apply_effects_file = None
        sys.modules["torchaudio.sox_effects"] = torchaudio.sox_effects = sox


class Speech(Dataset):
    """Waveforms and emotions."""

    def __init__(self, examples: Sequence[Example]):
        self.examples = examples

    def __getitem__(self, index: int) -> tuple[str, dict]:
        """The utterance's id, ``speech`` [samples] and ``label`` [1], as ESPnet's collate function wants them."""
        example = self.examples[index]
        wave, _ = soundfile.read(example.wav, dtype="float32")
        return example.utt, {"speech": wave, "label": torch.tensor([LABELS["emotion"].index(example.emotion)]).numpy()}


class Trainer:
    """Trains on given batches; its epoch is ``batches``."""

    def __init__(self, job: dict, row: Row, examples: Sequence[Example]):
        restore_torchaudio()
        from espnet2.tasks.cls import CLSTask

        settings = read_yaml_mapping(Path(job["training"]), missing="it is part of the repository")
        dim = job["config"]["hidden_size"]
        upstream = {"upstream": "hf_wav2vec2_custom", "path_or_url": job["encoder"]}
        options = {
            "frontend": "s3prl",
            "normalize": "none",
            "encoder": "transformer",
            "ngpu": int(job["device"] == "cuda"),
            "use_amp": job["dtype"] == "bf16",
            "optim": settings["optim"],
            "grad_clip": settings["grad_clip"],
            "freeze_param": ["frontend.upstream.upstream.model.feature_extractor"],
        }
        args = CLSTask.get_parser().parse_args(command_of(options))
        args.token_list = [*LABELS["emotion"], "<unk>"]
        args.frontend_conf = {"frontend_conf": upstream}
        args.encoder_conf = {"output_size": dim, "num_blocks": 0, "input_layer": "linear", "attention_heads": 4}
        args.optim_conf = settings["optim_conf"]
        model = CLSTask.build_model(args).to(job["device"])
        model.frontend.upstream.upstream.model.config.layerdrop = 0.0  # S3PRL stops where a layer is left out
        for name, parameter in model.named_parameters():
            if name.startswith(tuple(args.freeze_param)):
                parameter.requires_grad = False
        self.epoch = EspnetEpoch(CLSTask.trainer, model, CLSTask.build_optimizers(args, model), args)
        self.collate, self.num_workers = CLSTask.build_collate_fn(args, train=True), settings["num_workers"]
        self.dataset = Speech(examples)
        self.batches = compose_batches([example.num_samples for example in examples], job["batch_size"], shuffle=False)

    def prepare(self, wanted: Sequence[int]) -> None:
        """Nothing is prepared: all is computed in each epoch."""

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """One step on each batch."""
        self.epoch.run(DataLoader(self.dataset, batch_sampler=batches, collate_fn=self.collate, num_workers=self.num_workers))
