"""Waveforms and gradients of small encoders."""

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_ser.models.pooling import MeanPooling

LENGTHS = [16000, 401, 9000, 4321]


def waveforms():
    torch.manual_seed(3)
    return [0.3 + 0.1 * torch.randn(length) for length in LENGTHS]


def padded(utterances, filler=0.0):
    return pad_sequence(utterances, batch_first=True, padding_value=filler), torch.tensor([len(u) for u in utterances])


NO_DROPOUT = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "mask_time_prob", "layerdrop"), 0.0
)


def gradients_of(encoder, speech, lengths):
    encoder.zero_grad()
    hidden, _, num_frames = encoder(speech, lengths)
    MeanPooling(hidden.shape[2])(hidden, num_frames).square().sum().backward()
    return hidden.detach(), {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
