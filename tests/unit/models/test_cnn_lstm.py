import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from espnet_ser.models.cnn_lstm import CNNLSTMEncoder
from espnet_ser.models.heads import UtteranceHead
from espnet_ser.models.ser_model import SERModel

SHORTEST = 400 + 7 * 160  # 8 windows, halved three times: one frame
# An odd number of windows at each level of pooling, even ones, and the shortest.
LENGTHS = [SHORTEST, 400 + 98 * 160, 9000, 12345, 16000]


def encoder_with(seed=0, **changes):
    torch.manual_seed(seed)
    return CNNLSTMEncoder(**changes).eval()


def waveforms():
    torch.manual_seed(3)
    return [0.3 + 0.1 * torch.randn(length) for length in LENGTHS]


def padded(utterances, filler=0.0):
    return pad_sequence(utterances, batch_first=True, padding_value=filler), torch.tensor([len(u) for u in utterances])


@pytest.mark.parametrize("filler", [0.0, 9.0, math.nan])
def test_padding_does_not_change_an_utterance(filler):
    encoder = encoder_with()
    hidden, tap, num_frames = encoder(*padded(waveforms(), filler))
    assert tap is None
    assert hidden.shape == (len(LENGTHS), max(num_frames), encoder.dim)
    for i, utterance in enumerate(waveforms()):
        alone, _, frames = encoder(*padded([utterance]))
        assert frames.item() == num_frames[i].item() == alone.shape[1]
        torch.testing.assert_close(hidden[i, : frames.item()], alone[0], atol=1e-5, rtol=0)
        assert not hidden[i, frames.item() :].any()


def test_padding_does_not_change_gradients():
    encoder = encoder_with()
    torch.manual_seed(1)
    weights = torch.randn(12, encoder.dim)  # each frame pulls another way

    def gradient(batches):
        encoder.zero_grad()
        for batch in batches:
            hidden, _, num_frames = encoder(*padded(batch, filler=9.0))
            for frames, n in zip(hidden, num_frames.tolist(), strict=True):
                (frames[:n] * weights[:n]).sum().backward(retain_graph=True)
        return {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}

    together, alone = gradient([waveforms()]), gradient([[utterance] for utterance in waveforms()])
    for name, expected in alone.items():
        assert expected.any(), name
        torch.testing.assert_close(together[name], expected, atol=1e-5 * expected.abs().max().item(), rtol=0)


def test_frames_are_counted_from_valid_samples():
    encoder = encoder_with()
    # 1 + (16000 - 400) // 160 = 98 windows; 49, 24, 12.
    assert encoder.num_frames(torch.tensor([SHORTEST - 1, SHORTEST, 16000])).tolist() == [0, 1, 12]
    assert encoder_with(channels=(4, 4)).num_frames(torch.tensor([16000])).tolist() == [24]
    assert encoder_with(channels=(4,), window_samples=320, hop_samples=320).num_frames(torch.tensor([3200])).tolist() == [5]


def test_spectrogram_is_that_of_transformers_normalised_over_valid_windows():
    utterances = waveforms()[1:3]
    features = encoder_with().log_mel(*padded(utterances, filler=9.0))
    assert features.shape == (2, 99, 64)
    settings = {"frame_length": 400, "hop_length": 160, "power": 2.0, "center": False, "mel_floor": 1e-8, "log_mel": "log"}
    filters = mel_filter_bank(201, 64, 0.0, 8000.0, 16000, mel_scale="htk")
    for i, utterance in enumerate(utterances):
        theirs = spectrogram(utterance.numpy(), window_function(400, "hann"), mel_filters=filters, **settings).T
        theirs = (theirs - theirs.mean()) / theirs.std()
        np.testing.assert_allclose(features[i, : len(theirs)], theirs, atol=1e-3)
        assert not features[i, len(theirs) :].any()


def test_gain_does_not_matter_and_silence_is_finite():
    encoder, (speech, num_samples) = encoder_with(), padded(waveforms())
    torch.testing.assert_close(encoder(0.5 * speech, num_samples)[0], encoder(speech, num_samples)[0], atol=1e-4, rtol=0)
    assert encoder(torch.zeros(1, 16000), torch.tensor([16000]))[0].isfinite().all()


def test_too_short_an_utterance_is_named():
    with pytest.raises(ValueError, match=f"{SHORTEST - 1} samples is too short"):
        encoder_with()(torch.zeros(2, 16000), torch.tensor([16000, SHORTEST - 1]))


def test_pooling_all_bands_away_is_refused():
    with pytest.raises(ValueError, match="3 convolution blocks halve 7 mel bands away"):
        encoder_with(num_mels=7)


def test_weights_load_strictly_into_another_encoder():
    first, second, batch = encoder_with(0), encoder_with(1), padded(waveforms())
    assert not torch.equal(first(*batch)[0], second(*batch)[0])
    second.load_state_dict(first.state_dict(), strict=True)
    assert torch.equal(first(*batch)[0], second(*batch)[0])


def tones(count):
    """Tones of 300 to 400 Hz (class 0) and 1500 to 2000 Hz (class 1), of unequal lengths, in noise."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(count) % 2
    utterances = []
    for label in labels.tolist():
        low, high = [(300.0, 400.0), (1500.0, 2000.0)][label]
        frequency_hz = low + (high - low) * torch.rand([], generator=generator)
        time_s = torch.arange(int(torch.randint(3000, 6000, [], generator=generator))) / 16000
        utterances.append(torch.sin(2 * math.pi * frequency_hz * time_s) + 0.3 * torch.randn(len(time_s), generator=generator))
    return padded(utterances), labels


def trained_on_tones():
    torch.manual_seed(0)
    encoder = CNNLSTMEncoder(channels=(8, 8, 8), lstm_size=16)
    model = SERModel(encoder, {"emotion": UtteranceHead(encoder.dim, 2, dropout=0.1)}).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    (speech, lengths), labels = tones(64)
    for start in 3 * list(range(0, 48, 8)):
        batch = slice(start, start + 8)
        optimizer.zero_grad()
        F.cross_entropy(model.logits(speech[batch], lengths[batch])["emotion"], labels[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        hyps = model.eval().logits(speech[48:], lengths[48:])["emotion"].argmax(-1)
    return model, (hyps == labels[48:]).float().mean().item()


def test_it_learns_to_tell_low_tones_from_high_ones_the_same_way_each_time():
    model, accuracy = trained_on_tones()
    assert accuracy == 1.0
    again, _ = trained_on_tones()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
