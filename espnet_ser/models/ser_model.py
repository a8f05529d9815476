"""One model for every system: an encoder, pooling, and a head for each task (Fig. 1)."""

from collections.abc import Callable, Mapping

import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from espnet_ser.models.losses import LOSSES, check_finite, weighted
from espnet_ser.models.pcgrad import surgery_loss
from espnet_ser.models.pooling import MeanPooling
from espnet_ser.models.wav2vec2 import CUTS
from espnet_ser.tasks_table import TASKS, of_kind, of_utterances
from espnet_ser.utils.distributed import num_ranks, sum_over_ranks


class SERModel(AbsESPnetModel):
    """Encoder and heads, trained together.

    The gender head of a model with a skip branch sees the tapped layer's output next to the last one's (Sec. 2.3, Fig. 1c).

    Args:
        encoder: Gives the last layer's frames, the tapped layer's or None, and the numbers of frames
            (see :class:`espnet_ser.models.wav2vec2.Wav2Vec2Encoder`).
        heads: One head per task; its keys are the tasks.
        pooling: Of an utterance's frames (see :mod:`espnet_ser.models.pooling`); None for the mean.
        aux_weight: Weight of the auxiliary tasks (Eq. 1).
        literal_eq: Read Eq. 1 to the letter (see :func:`espnet_ser.models.losses.weighted`).
        gradient_surgery: Project conflicting gradients of the tasks apart in the encoder (the paper's reference 25).
        ctc_reduction: What CTC's loss is a mean over (see :func:`espnet_ser.models.losses.ctc_loss`).

    Attributes:
        probe: Called with each training step's weighted losses by task while their graph is alive, where it is set.

    Raises:
        ValueError: For no task or an unknown one.
    """

    def __init__(
        self,
        encoder: nn.Module,
        heads: Mapping[str, nn.Module],
        aux_weight: float = 0.1,
        literal_eq: bool = False,
        gradient_surgery: bool = False,
        ctc_reduction: str = "mean",
        pooling: nn.Module | None = None,
    ):
        super().__init__()
        if not heads or not set(heads) <= set(TASKS):
            raise ValueError(f"tasks must be some of {', '.join(TASKS)}, not {', '.join(heads) or 'none'}")
        self.encoder = encoder
        self.heads = nn.ModuleDict({task: heads[task] for task in TASKS if task in heads})
        self.pooling = MeanPooling(encoder.dim) if pooling is None else pooling
        if not of_utterances(self.heads):  # no head sees what is pooled
            self.pooling.requires_grad_(False)
        self.aux_weight = aux_weight
        self.literal_eq = literal_eq
        self.gradient_surgery = gradient_surgery
        self.ctc_reduction = ctc_reduction
        self.probe: Callable[[dict[str, Tensor]], None] | None = None

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
            Task -> logits [batch, classes], a number [batch, 1] or, for words, logits [batch, frames, tokens], with
            ``num_frames`` [batch] next to them;
            ``embedding`` [batch, dim], what is pooled of the last layer.
        """
        return self._decide(*self.encoder(speech, speech_lengths))

    def logits_of(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As :meth:`logits`, of whatever a batch holds for the encoder: ``speech``, or what a cache kept of it.

        Args:
            batch: ``speech`` [batch, samples], or frames [batch, frames, size] under the name of one of
                :data:`espnet_ser.models.wav2vec2.CUTS`; and their lengths [batch], as ``speech_lengths`` and so on.
        """
        for cut in CUTS:
            if cut in batch:
                return self._decide(*self.encoder.forward_from(cut, batch[cut], batch[f"{cut}_lengths"]))
        return self.logits(batch["speech"], batch["speech_lengths"])

    def _decide(self, hidden: Tensor, tap: Tensor | None, num_frames: Tensor) -> dict[str, Tensor]:
        pooled = self.pooling(hidden, num_frames)
        outputs: dict[str, Tensor] = {"num_frames": num_frames, "embedding": pooled}
        for task, head in self.heads.items():
            if head.of_frames:
                outputs[task] = head(hidden)
            elif TASKS[task].sees_skip and tap is not None:
                outputs[task] = head(torch.cat([self.pooling(tap, num_frames), pooled], dim=-1))
            else:
                outputs[task] = head(pooled)
        return outputs

    def losses(
        self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], words_weight: Tensor | float = 1.0
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What :meth:`logits` gave, held against the truth.

        Args:
            outputs: From :meth:`logits`.
            targets: By the names of the tasks' fields: class indices or numbers [batch]; of words token ids [batch, tokens],
                and ``text_lengths`` [batch].
            words_weight: What CTC's loss is multiplied by.

        Returns:
            Each task's weighted loss, whose sum is the objective (Eq. 1), and the statistics to report: the objective, each
            task's own loss, the accuracy in percent of class tasks.
        """
        losses, stats = {}, {}
        for task in self.heads:
            spec = TASKS[task]
            of_words = {"num_frames": outputs["num_frames"], "reduction": self.ctc_reduction}
            losses[task] = LOSSES[spec.kind](outputs[task], targets, spec, **of_words)
            if spec.kind == "ctc":
                losses[task] = losses[task] * words_weight
            if spec.kind == "classes":
                stats[f"{task}_wa"] = 100.0 * (outputs[task].argmax(-1) == targets[spec.field]).float().mean()
            stats[f"loss_{task}"] = losses[task].detach()
        shares = weighted(losses, self.aux_weight, self.literal_eq)
        return shares, {"loss": sum(shares.values()).detach(), **stats}

    def forward(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        utt_id: list[str] | None = None,
        **batch: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One training step's loss, statistics and weight (the number of utterances), as ESPnet's trainer asks for them.

        Where several processes train together, each gets its share of the batch, which may be empty; the mean of what they
        return, by weight, is what the whole batch gives one process.

        Returns:
            The loss, the statistics and the weight, each [1].

        Raises:
            InputError: When the loss is not finite; the utterances are named.
        """
        if speech is not None:
            batch |= {"speech": speech, "speech_lengths": speech_lengths}
        num_utts, part, words_weight = self._share_of_batch(batch)
        if num_utts > 0:
            outputs = self.logits_of(batch)
            shares, stats = self.losses(outputs, batch, words_weight)
        else:
            shares, stats = self._no_losses()
        check_finite(stats, utt_id or [])
        parts = {task: share * part for task, share in shares.items()}
        if self.probe is not None and self.training:
            self.probe(parts)
        if self.gradient_surgery and self.training and len(shares) > 1:
            loss = surgery_loss(parts, *self.shared_and_own_parameters())
        else:
            loss = sum(shares.values())
        weight = loss.new_tensor([float(num_utts)])
        return loss.view(1), {name: value.view(1) for name, value in stats.items()}, weight

    def _share_of_batch(self, batch: Mapping[str, Tensor]) -> tuple[int, Tensor | float, Tensor | float]:
        """Utterances in this process's share of a batch, their part of all, and CTC's weight.

        CTC's loss is a mean over the utterances that have words, and these are spread over the shares otherwise than all are;
        or it is a sum, and what is made of the shares is a mean.
        """
        lengths = next((value for name, value in batch.items() if name.endswith("_lengths")), ())
        if num_ranks() == 1:
            return len(lengths), 1.0, 1.0
        words = [batch[key] for task in of_kind("ctc", self.heads) if (key := f"{TASKS[task].field}_lengths") in batch]
        num_words = (words[0] > 0).sum() if words else 0
        counts = next(self.parameters()).new_tensor([len(lengths), num_words], dtype=torch.float32)
        part, words_part = counts / sum_over_ranks(counts).clamp_min(1.0)
        words_part = torch.ones_like(part) if self.ctc_reduction == "sum" else words_part
        return len(lengths), part, words_part / part.clamp_min(torch.finfo(part.dtype).tiny)

    def _no_losses(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """As :meth:`losses`, of no utterance: zeros, which depend on every parameter."""
        zero = torch.stack([parameter.sum() * 0.0 for parameter in self.parameters() if parameter.requires_grad]).sum()
        names = [*(f"{task}_wa" for task in of_kind("classes", self.heads)), *(f"loss_{task}" for task in self.heads)]
        return dict.fromkeys(self.heads, zero), dict.fromkeys(["loss", *names], zero.detach())

    def shared_and_own_parameters(self) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
        """What is trained of encoder and pooling, which tasks share, and of the heads, each of which is one task's own."""
        trained = {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
        shared = {name: parameter for name, parameter in trained.items() if not name.startswith("heads.")}
        return shared, {name: parameter for name, parameter in trained.items() if name not in shared}

    def collect_feats(self, **batch: Tensor) -> dict[str, Tensor]:
        """Not used: lengths come from the audio's headers."""
        raise NotImplementedError("espnet-ser reads lengths from utt2num_samples; --collect_stats has nothing to do")
