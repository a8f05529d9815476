"""The training objective (Eq. 1) and the loss of each task."""

from collections.abc import Callable, Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from espnet_ser.errors import InputError
from espnet_ser.tasks_table import MAIN_TASK, TaskSpec

BLANK = 0
CTC_REDUCTIONS = ("mean", "batch", "sum")  # what CTC's loss is a mean over: see :func:`ctc_loss`
_SHOWN_UTTS = 32


def ctc_loss(logits: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor, reduction: str = "mean") -> Tensor:
    """CTC over a batch's utterances that have words.

    An utterance without a word (all its transcript was tags) teaches nothing about words and is left out, also of what is
    divided by. One with more tokens than its frames can hold counts as zero (``zero_infinity``).

    With l_u = -log p(tokens of u | logits of u), in nats, the sum over all its tokens, n_u its number of tokens, and U
    utterances with words:

    - ``mean``: the sum of l_u / n_u, divided by U: nats per token, of the size of the other tasks' cross entropies;
    - ``batch``: the sum of l_u, divided by U: nats per utterance, as ESPnet's CTC has it;
    - ``sum``: the sum of l_u, as the hub's wav2vec 2.0 configurations say (``ctc_loss_reduction``).

    Args:
        logits: [batch, frames, vocabulary].
        num_frames: [batch].
        tokens: [batch, max_tokens], padded with anything.
        num_tokens: [batch].
        reduction: One of :data:`CTC_REDUCTIONS`.

    Returns:
        A scalar; zero, with a gradient of zero, when no utterance has words.

    Two utterances of one frame each, of which every token (and the blank) has a probability of 1/4, with one token each:

    >>> import torch
    >>> batch = torch.zeros(2, 1, 4), torch.tensor([1, 1]), torch.tensor([[1], [2]]), torch.tensor([1, 1])
    >>> [round(float(ctc_loss(*batch, reduction).exp()), 4) for reduction in CTC_REDUCTIONS]
    [4.0, 4.0, 16.0]
    """
    assert reduction in CTC_REDUCTIONS, reduction
    worded = num_tokens > 0
    if not bool(worded.any()):
        return logits.sum() * 0.0
    log_probs = F.log_softmax(logits[worded].float(), dim=-1).transpose(0, 1)  # [frames, batch, vocabulary]
    loss = F.ctc_loss(
        log_probs,
        tokens[worded],
        num_frames[worded],
        num_tokens[worded],
        blank=BLANK,
        reduction="mean" if reduction == "mean" else "sum",
        zero_infinity=True,
    )
    return loss / worded.sum() if reduction == "batch" else loss


def class_loss(output: Tensor, batch: Mapping[str, Tensor], spec: TaskSpec, **_) -> Tensor:
    """Cross entropy of logits [batch, classes], in nats."""
    return F.cross_entropy(output.float(), batch[spec.field])


def regression_loss(output: Tensor, batch: Mapping[str, Tensor], spec: TaskSpec, **_) -> Tensor:
    """Mean squared error of numbers [batch, 1].

    Not 1 - CCC, though CCC is what is scored: as a mean over utterances this is the same whether a batch is computed at once
    or by several processes, and it has a gradient for a single utterance, of which CCC is undefined.
    """
    return F.mse_loss(output.float()[:, 0], batch[spec.field])


def words_loss(output: Tensor, batch: Mapping[str, Tensor], spec: TaskSpec, num_frames: Tensor, reduction: str) -> Tensor:
    """:func:`ctc_loss` of logits [batch, frames, tokens]."""
    return ctc_loss(output, num_frames, batch[spec.field], batch[f"{spec.field}_lengths"], reduction)


LOSSES: Mapping[str, Callable[..., Tensor]] = {"classes": class_loss, "regression": regression_loss, "ctc": words_loss}
"""By kind of task: from a head's output, a batch with the targets, and the task; ``num_frames`` and ``reduction`` are CTC's."""


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest frames in which CTC can place tokens: one each, and a blank between two that are the same.

    >>> frames_needed([3, 1, 1, 2])
    5
    """
    return len(tokens) + sum(one == other for one, other in zip(tokens, tokens[1:], strict=False))


def check_finite(stats: Mapping[str, Tensor], utts: Sequence[str]) -> None:
    """Stops where a loss is infinite or NaN: whatever is computed from it says nothing. ``stats``: of a batch; those whose
    names begin with ``loss`` are looked at; ``utts``: the batch's utterance ids. Raises InputError: names the losses and the
    utterances.
    """
    wrong = {name: float(value) for name, value in stats.items() if name.startswith("loss") and not value.isfinite()}
    if wrong:
        shown = ", ".join(f"{name} {value}" for name, value in wrong.items())
        more = f" and {len(utts) - _SHOWN_UTTS} more" if len(utts) > _SHOWN_UTTS else ""
        raise InputError(
            f"{shown} for the batch of {', '.join(utts[:_SHOWN_UTTS])}{more}: "
            "look at these utterances, or take a lower learning rate (--optim_conf lr=...)"
        )


def weighted(losses: dict[str, Tensor], aux_weight: float = 0.1, literal_eq: bool = False) -> dict[str, Tensor]:
    """Each task's share of the objective, whose sum is what is minimised (Eq. 1; Eq. 2 where a head reverses its gradient). The
    emotion task weighs 1 - ``aux_weight`` and the k auxiliary tasks share ``aux_weight`` (Sec. 3.2 calls the weights
    'parameters of auxiliary tasks'). With ``literal_eq`` the two change places, as Eq. 1 and 2 print it. Without an emotion
    task (intermediate finetuning) the tasks weigh the same; a single task weighs one.

    >>> import torch
    >>> one = torch.tensor(1.0)
    >>> shares = weighted({"emotion": 10 * one, "asr": one, "gender": 3 * one}, aux_weight=0.1)
    >>> [round(float(share), 6) for share in shares.values()]
    [9.0, 0.05, 0.15]
    """
    num_auxiliary = sum(task != MAIN_TASK for task in losses)
    share = 1.0 - aux_weight if literal_eq else aux_weight
    if num_auxiliary == len(losses):
        share = 1.0
    elif num_auxiliary == 0:
        share = 0.0
    return {task: (1.0 - share) * loss if task == MAIN_TASK else share / num_auxiliary * loss for task, loss in losses.items()}
