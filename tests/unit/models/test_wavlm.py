"""WavLM, whose attention knows how far frames lie apart."""

import pytest
import torch
from tiny import GROUP_NORM, LAYER_NORM, TINY, save_encoder
from transformers import WavLMConfig, WavLMModel
from waveforms import NO_DROPOUT, gradients_of, padded, waveforms

from espnet_ser.errors import InputError
from espnet_ser.model_io.weights import build_encoder, load_pretrained_encoder
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder

# So few buckets and so short a distance that a second of speech meets every branch of the bias.
NEAR_AND_FAR = {"num_buckets": 16, "max_bucket_distance": 24}


def tiny_wavlm(**changes):
    torch.manual_seed(0)
    model = WavLMModel(WavLMConfig(**{**TINY, **NEAR_AND_FAR, **changes})).eval()
    model.encoder.layers[0].attention.rel_attn_embed.weight.data.normal_(0, 1)  # as large as one that has been trained
    return model


@pytest.mark.parametrize("kind", [GROUP_NORM, LAYER_NORM], ids=["group", "layer"])
def test_values_are_those_of_transformers(kind):
    theirs = [
        tiny_wavlm(**kind)(utterance[None], output_hidden_states=True) for utterance in waveforms()
    ]  # by a model that is untouched
    encoder = Wav2Vec2Encoder(tiny_wavlm(**kind), 4, skip_layer=2).eval()
    with torch.no_grad():
        hidden, tap, num_frames = encoder(*padded(waveforms()))
    for i, expected in enumerate(theirs):
        torch.testing.assert_close(hidden[i, : num_frames[i]], expected.last_hidden_state[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(tap[i, : num_frames[i]], expected.hidden_states[2][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_trainable", [6, 4, 0])
def test_padding_does_not_change_an_utterance(num_trainable):
    encoder = Wav2Vec2Encoder(tiny_wavlm(), num_trainable, normalize_waveform=True).eval()
    with torch.no_grad():
        hidden, _, num_frames = encoder(*padded(waveforms(), filler=9.0))
        for i, utterance in enumerate(waveforms()):
            alone, _, frames = encoder(utterance[None], torch.tensor([len(utterance)]))
            torch.testing.assert_close(hidden[i, : num_frames[i]], alone[0, : frames.item()], atol=1e-5, rtol=0)


def test_the_distance_between_frames_counts():
    near, far = tiny_wavlm(), tiny_wavlm()
    far.encoder.layers[0].attention.rel_attn_embed.weight.data.zero_()
    speech = padded(waveforms())
    with torch.no_grad():
        first, second = (Wav2Vec2Encoder(model, 4).eval()(*speech)[0] for model in (near, far))
    assert (first - second).abs().max() > 1e-2


def test_what_is_frozen_of_the_bias_and_what_is_trained():
    intermediate, ser = (Wav2Vec2Encoder(tiny_wavlm(**NO_DROPOUT), n).train() for n in (6, 4))
    gradients = [gradients_of(encoder, *padded(waveforms()))[1] for encoder in (intermediate, ser)]
    distances = "wav2vec2.encoder.layers.0.attention.rel_attn_embed.weight"
    assert gradients[0][distances].abs().sum() > 0
    assert distances not in gradients[1]
    assert gradients[1]["wav2vec2.encoder.layers.2.attention.gru_rel_pos_const"].abs().sum() > 0


def test_going_on_from_a_cut_and_computing_again_give_the_same():
    speech = padded(waveforms())
    encoder = Wav2Vec2Encoder(tiny_wavlm(**NO_DROPOUT), 4).train()
    again = Wav2Vec2Encoder(tiny_wavlm(**NO_DROPOUT), 4, keep_frames=30).train()
    (hidden, gradients), (hidden_again, gradients_again) = (gradients_of(e, *speech) for e in (encoder, again))
    torch.testing.assert_close(hidden_again, hidden)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, msg=name)
    assert torch.equal(encoder.forward_from("prefix", *encoder.outputs_at("prefix", *speech))[0], encoder(*speech)[0])


def test_a_cache_is_named_after_the_bias_too():
    names = [Wav2Vec2Encoder(tiny_wavlm(**changes), 4).frozen_content("prefix")[0] for changes in ({}, {"num_buckets": 8})]
    assert names[0] != names[1]


def test_a_folder_of_wavlm_is_read(tmp_path):
    model = tiny_wavlm()
    model.save_pretrained(tmp_path / "wavlm")
    encoder = build_encoder(model.config.to_dict())
    load_pretrained_encoder(encoder, tmp_path / "wavlm")
    ours = encoder.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(InputError, match="parameters of the encoder are not in these weights"):
        load_pretrained_encoder(build_encoder(model.config.to_dict()), save_encoder(tmp_path / "wav2vec2"))


@pytest.mark.parametrize("changes", [{"num_buckets": 2}, {"num_buckets": 10**9}, {"max_bucket_distance": 0}])
def test_distances_that_make_no_sense_are_refused(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        build_encoder({**tiny_wavlm().config.to_dict(), **changes})


def test_the_farthest_distance_lies_beyond_those_that_count_singly():
    with pytest.raises(ValueError, match="max_bucket_distance above a quarter"):
        Wav2Vec2Encoder(tiny_wavlm(num_buckets=320, max_bucket_distance=80), 4)
