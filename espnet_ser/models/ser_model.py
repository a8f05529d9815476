"""One model for every system: an encoder and up to four heads (Fig. 1)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from espnet_ser.models.losses import combine, ctc_loss

TASKS = ("emotion", "asr", "gender", "style")
UTTERANCE_TASKS = ("emotion", "gender", "style")


class SERModel(AbsESPnetModel):
    """Encoder and heads, trained together.

    The gender head of a model with a skip branch sees the tapped layer's output beside the last one's (Sec. 2.3, Fig. 1c).

    Args:
        encoder: Gives the last layer's frames, the tapped layer's or None, and the numbers of frames
            (see :class:`espnet_ser.models.wav2vec2.Wav2Vec2Encoder`).
        heads: One head per task; its keys are the tasks.
        aux_weight: Weight of the auxiliary tasks (Eq. 1).
        literal_eq: Read Eq. 1 to the letter (see :func:`espnet_ser.models.losses.combine`).

    Raises:
        ValueError: For no task or an unknown one.
    """

    def __init__(self, encoder: nn.Module, heads: Mapping[str, nn.Module], aux_weight: float = 0.1, literal_eq: bool = False):
        super().__init__()
        if not heads or not set(heads) <= set(TASKS):
            raise ValueError(f"tasks must be some of {', '.join(TASKS)}, not {', '.join(heads) or 'none'}")
        self.encoder = encoder
        self.heads = nn.ModuleDict({task: heads[task] for task in TASKS if task in heads})
        self.aux_weight = aux_weight
        self.literal_eq = literal_eq

    @property
    def tasks(self) -> list[str]:
        """The tasks that the model has heads for, in the order of ``TASKS``."""
        return list(self.heads)

    def logits(self, speech: Tensor, speech_lengths: Tensor) -> dict[str, Tensor]:
        """Every head's output.

        Args:
            speech: Waveforms at 16 kHz, [batch, samples].
            speech_lengths: [batch].

        Returns:
            Task -> logits, [batch, classes]; for ``asr`` [batch, frames, tokens], with ``num_frames`` [batch] beside them.
        """
        hidden, tap, num_frames = self.encoder(speech, speech_lengths)
        outputs: dict[str, Tensor] = {"num_frames": num_frames}
        for task, head in self.heads.items():
            if task == "asr":
                outputs[task] = head(hidden)
            elif task == "gender" and tap is not None:
                outputs[task] = head(torch.cat([tap, hidden], dim=-1), num_frames)
            else:
                outputs[task] = head(hidden, num_frames)
        return outputs

    def objective(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 1 for what :meth:`logits` gave.

        Args:
            outputs: From :meth:`logits`.
            targets: ``emotion``, ``gender``, ``style``: class indices [batch]; ``text`` [batch, tokens], ``text_lengths``.

        Returns:
            The loss, and the statistics to report: each task's loss, each utterance task's accuracy in percent.
        """
        losses, stats = {}, {}
        for task in self.heads:
            if task == "asr":
                losses[task] = ctc_loss(outputs[task], outputs["num_frames"], targets["text"], targets["text_lengths"])
            else:
                losses[task] = F.cross_entropy(outputs[task], targets[task])
                stats[f"{task}_wa"] = 100.0 * (outputs[task].argmax(-1) == targets[task]).float().mean()
            stats[f"loss_{task}"] = losses[task].detach()
        loss = combine(losses, self.aux_weight, self.literal_eq)
        return loss, {"loss": loss.detach(), **stats}

    def forward(
        self, speech: Tensor, speech_lengths: Tensor, utt_id: list[str] | None = None, **targets: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One training step's loss, statistics and weight (the number of utterances), as ESPnet's trainer asks for them."""
        loss, stats = self.objective(self.logits(speech, speech_lengths), targets)
        return loss, stats, loss.new_tensor(float(len(speech)))

    def collect_feats(self, **batch: Tensor) -> dict[str, Tensor]:
        """Not used: lengths come from the audio's headers."""
        raise NotImplementedError("espnet-ser reads lengths from utt2num_samples; --collect_stats has nothing to do")
