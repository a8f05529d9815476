"""The positional convolution by Fourier transform is transformers' own."""

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_wav2vec2

from espnet_ser.models.positional import SHORT, convolve_positions, correlate


@pytest.mark.parametrize("kernel", [1, 2, 16, 19, 128])
@pytest.mark.parametrize("num_frames", [1, 2, 15, 16, 17, 255, 256, 257, 1000])
def test_it_is_a_convolution_at_every_length(kernel, num_frames):
    generator = torch.Generator().manual_seed(kernel * num_frames)
    signal = torch.randn(2, num_frames, 12, generator=generator)
    weight, bias = torch.randn(12, 4, kernel, generator=generator), torch.randn(12, generator=generator)
    expected = F.conv1d(signal.double().mT, weight.double(), bias.double(), padding=kernel // 2, groups=3).mT
    found = correlate(signal, weight, bias, groups=3, padding=kernel // 2)
    assert found.shape == expected.shape
    assert (found - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("kernel", [16, 19])
def test_frames_and_gradients_are_those_of_the_module(kernel):
    embed = tiny_wav2vec2(num_conv_pos_embeddings=kernel).encoder.pos_conv_embed
    hidden = torch.randn(3, SHORT * kernel + 5, 32, requires_grad=True)
    results = []
    for convolve in (embed, lambda hidden: convolve_positions(embed, hidden)):
        inputs = [hidden, *embed.parameters()]
        output = convolve(hidden)
        results.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 1e-6 * theirs.norm()


def test_a_short_signal_and_a_long_one_are_convolved_alike():
    embed = tiny_wav2vec2().encoder.pos_conv_embed
    hidden = torch.randn(1, SHORT * 16, 32)
    with torch.no_grad():
        alone, longer = embed(hidden), convolve_positions(embed, F.pad(hidden, (0, 0, 0, 100)))[:, : SHORT * 16]
    torch.testing.assert_close(longer, alone, atol=1e-6, rtol=0)
