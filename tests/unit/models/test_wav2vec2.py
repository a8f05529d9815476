import numpy as np
import pytest
import torch
from tiny import GROUP_NORM, LAYER_NORM, tiny_wav2vec2
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor
from waveforms import NO_DROPOUT, gradients_of, padded, waveforms

from espnet_ser.models.pooling import MeanPooling
from espnet_ser.models.wav2vec2 import FROZEN, Wav2Vec2Encoder


def mean(hidden, num_frames):
    return MeanPooling(hidden.shape[-1])(hidden, num_frames)


@pytest.mark.parametrize("kind", [GROUP_NORM, LAYER_NORM], ids=["group", "layer"])
@pytest.mark.parametrize("num_trainable", [6, 4, 0])
def test_padding_does_not_change_an_utterance(kind, num_trainable):
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(**kind), num_trainable, skip_layer=2, normalize_waveform=True).eval()
    with torch.no_grad():
        hidden, tap, num_frames = encoder(*padded(waveforms(), filler=9.0))
        for i, utterance in enumerate(waveforms()):
            alone, alone_tap, frames = encoder(utterance[None], torch.tensor([len(utterance)]))
            assert frames.item() == num_frames[i].item()
            torch.testing.assert_close(hidden[i, : frames.item()], alone[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(tap[i, : frames.item()], alone_tap[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [GROUP_NORM, LAYER_NORM], ids=["group", "layer"])
def test_values_are_those_of_transformers(kind):
    model = tiny_wav2vec2(**kind)
    encoder = Wav2Vec2Encoder(model, 4, skip_layer=2).eval()
    with torch.no_grad():
        hidden, tap, num_frames = encoder(*padded(waveforms()))
        for i, utterance in enumerate(waveforms()):
            theirs = model(utterance[None], output_hidden_states=True)
            assert theirs.last_hidden_state.shape[1] == num_frames[i]
            torch.testing.assert_close(hidden[i, : num_frames[i]], theirs.last_hidden_state[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(tap[i, : num_frames[i]], theirs.hidden_states[2][0], atol=1e-5, rtol=0)


def test_hubert_gives_what_transformers_gives():
    torch.manual_seed(0)
    tiny = tiny_wav2vec2().config.to_dict()
    keys = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "conv_dim",
        "num_conv_pos_embeddings",
    )
    model = HubertModel(HubertConfig(**{key: tiny[key] for key in keys}, num_conv_pos_embedding_groups=4)).eval()
    encoder = Wav2Vec2Encoder(model, 4).eval()
    with torch.no_grad():
        hidden, _, num_frames = encoder(*padded(waveforms()))
        for i, utterance in enumerate(waveforms()):
            theirs = model(utterance[None]).last_hidden_state[0]
            torch.testing.assert_close(hidden[i, : num_frames[i]], theirs, atol=1e-5, rtol=0)


def test_waveforms_are_normalised_as_the_feature_extractor_does():
    model = tiny_wav2vec2()
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    with torch.no_grad():
        hidden, _, num_frames = Wav2Vec2Encoder(model, 6, normalize_waveform=True).eval()(*padded(waveforms()))
        for i, utterance in enumerate(waveforms()):
            values = torch.tensor(extractor(utterance.numpy(), sampling_rate=16000).input_values[0])
            theirs = model(values[None]).last_hidden_state[0]
            torch.testing.assert_close(hidden[i, : num_frames[i]], theirs, atol=1e-5, rtol=0)


def test_a_constant_prefix_stays_in_eval_mode_and_gets_no_gradient():
    model = tiny_wav2vec2(hidden_dropout=0.5, attention_dropout=0.5, feat_proj_dropout=0.5, mask_time_prob=0.5)
    encoder = Wav2Vec2Encoder(model, num_trainable_layers=4, frozen="constant")
    encoder.train()
    frozen = [model.feature_extractor, model.feature_projection, model.encoder.pos_conv_embed, *model.encoder.layers[:2]]
    assert not any(module.training for part in frozen for module in part.modules())
    assert all(module.training for layer in model.encoder.layers[2:] for module in layer.modules())
    speech, lengths = padded(waveforms())
    first, second = (encoder.outputs_at("prefix", speech, lengths)[0] for _ in range(2))
    assert torch.equal(first, second)  # a constant, although training: it can be cached
    encoder(speech, lengths)[0].sum().backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {
        name for name, _ in model.named_parameters() if name.startswith(tuple(f"encoder.layers.{i}." for i in range(2, 6)))
    }


def test_stage_one_trains_everything_but_the_cnn():
    model = tiny_wav2vec2(mask_time_prob=0.5, mask_time_length=2)
    encoder = Wav2Vec2Encoder(model, num_trainable_layers=6)
    encoder.train()
    encoder(*padded(waveforms()))[0].sum().backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith("feature_extractor.")}


def test_no_layer_is_trained_where_none_is_asked_for():
    for kind in (GROUP_NORM, LAYER_NORM):
        encoder = Wav2Vec2Encoder(tiny_wav2vec2(**kind), num_trainable_layers=0)
        assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_frozen_layers_are_alive_and_get_no_gradient():
    model = tiny_wav2vec2(hidden_dropout=0.1, mask_time_prob=0.5, mask_time_length=2)
    encoder = Wav2Vec2Encoder(model, num_trainable_layers=4).train()
    assert encoder.possible_cuts() == ["cnn"]
    assert {module for module in model.modules() if not module.training} == set(model.feature_extractor.modules())
    in_graph = []
    for layer in model.encoder.layers:
        layer.register_forward_hook(lambda layer, inputs, output: in_graph.append(output.requires_grad))
    encoder(*padded(waveforms()))[0].sum().backward()
    assert in_graph == [False] * 2 + [True] * 4  # the backward pass ends where training does
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {
        name for name, _ in model.named_parameters() if name.startswith(tuple(f"encoder.layers.{i}." for i in range(2, 6)))
    }


@pytest.mark.parametrize(
    "random",
    [{"mask_time_prob": 0.5, "mask_time_length": 2}, {"hidden_dropout": 0.3}, {"layerdrop": 0.5}],
    ids=lambda r: min(r),
)
@pytest.mark.parametrize("num_trainable", [4, 0])
def test_what_is_random_in_frozen_layers_is_what_it_is_in_trained_ones(random, num_trainable):
    speech, lengths = padded(waveforms())

    def outputs(num_trainable, frozen):
        encoder = Wav2Vec2Encoder(tiny_wav2vec2(**{**NO_DROPOUT, **random}), num_trainable, frozen=frozen).train()
        torch.manual_seed(5)
        np.random.seed(5)
        with torch.no_grad():
            return encoder(speech, lengths)[0]

    whole, alive, constant = outputs(6, "alive"), outputs(num_trainable, "alive"), outputs(num_trainable, "constant")
    assert torch.equal(alive, whole)  # the same draws, wherever training ends
    assert not torch.allclose(constant, whole)
    still = Wav2Vec2Encoder(tiny_wav2vec2(**{**NO_DROPOUT, **random}), num_trainable).eval()
    assert torch.allclose(constant, still(speech, lengths)[0]) == ("mask_time_prob" in random or num_trainable == 0)


@pytest.mark.parametrize("kind", [GROUP_NORM, LAYER_NORM], ids=["group", "layer"])
def test_training_draws_what_transformers_own_training_draws(kind):
    random = {"hidden_dropout": 0.0, "mask_time_prob": 0.3, "mask_time_length": 3, "layerdrop": 0.4}
    speech, lengths = torch.randn(2, 16000), torch.tensor([16000, 16000])

    def seeded(module):
        torch.manual_seed(2)
        np.random.seed(2)
        return module.train()

    settings = {**NO_DROPOUT, **random, **kind}
    with torch.no_grad():
        theirs = seeded(tiny_wav2vec2(**settings))(speech, attention_mask=torch.ones(2, 16000, dtype=torch.long))[0]
        ours = seeded(Wav2Vec2Encoder(tiny_wav2vec2(**settings), 2))(speech, lengths)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_an_encoder_always_has_an_embedding_of_masked_frames():
    for changes in ({}, {"mask_time_prob": 0.0}, {"apply_spec_augment": False}):
        encoder = Wav2Vec2Encoder(tiny_wav2vec2(**changes), 6)
        assert encoder.wav2vec2.masked_spec_embed.shape == (32,)
        assert encoder.wav2vec2.masked_spec_embed.requires_grad == (not changes)


def test_masked_mean_leaves_padding_out():
    hidden = torch.tensor([[[1.0, 3.0], [3.0, 5.0], [99.0, float("nan")]]])
    assert mean(hidden, torch.tensor([2])).tolist() == [[2.0, 4.0]]


def test_too_short_an_utterance_is_named():
    with pytest.raises(ValueError, match="399 samples is too short"):
        Wav2Vec2Encoder(tiny_wav2vec2(), 6)(torch.zeros(2, 16000), torch.tensor([16000, 399]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"num_trainable_layers": 7}, "0 to 6"), ({"num_trainable_layers": 4, "skip_layer": 7}, "skip_layer")],
)
def test_layers_that_do_not_exist_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Wav2Vec2Encoder(tiny_wav2vec2(), **changes)


def test_padding_is_exact_whatever_attention_the_configuration_names():
    from espnet_ser.model_io.weights import build_encoder

    config = {**tiny_wav2vec2().config.to_dict(), "attn_implementation": "eager", "_attn_implementation": "eager"}
    encoder = Wav2Vec2Encoder(build_encoder(config), 4).eval()
    with torch.no_grad():
        hidden, _, num_frames = encoder(*padded(waveforms()))
        for i, utterance in enumerate(waveforms()):
            alone = encoder(utterance[None], torch.tensor([len(utterance)]))[0][0]
            torch.testing.assert_close(hidden[i, : num_frames[i]], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [GROUP_NORM, LAYER_NORM])
@pytest.mark.parametrize(
    ("num_trainable", "skip_layer", "cuts"),
    [(6, None, ["cnn"]), (6, 2, ["cnn"]), (4, 2, ["cnn", "prefix"]), (4, 1, ["cnn"]), (4, 5, ["cnn", "prefix"])]
    + [(0, None, ["cnn", "prefix", "pooled"]), (0, 2, ["cnn"]), (0, 6, ["cnn", "prefix"])],
)
def test_going_on_from_a_cut_gives_what_the_whole_encoder_gives(kind, num_trainable, skip_layer, cuts):
    alive, encoder = (
        Wav2Vec2Encoder(tiny_wav2vec2(**kind), num_trainable, skip_layer, normalize_waveform=True, frozen=frozen).eval()
        for frozen in FROZEN
    )
    assert (alive.possible_cuts(), encoder.possible_cuts()) == (["cnn"], cuts)
    speech, lengths = padded(waveforms())
    with torch.no_grad():
        hidden, tap, num_frames = encoder(speech, lengths)
        for cut in cuts:
            ours, our_tap, our_frames = encoder.forward_from(cut, *encoder.outputs_at(cut, speech, lengths))
            if cut == "pooled":
                torch.testing.assert_close(ours[:, 0], mean(hidden, num_frames))
                assert our_frames.tolist() == [1] * len(lengths)
                continue
            assert torch.equal(ours, hidden)
            assert (tap is None) == (our_tap is None)
            assert tap is None or torch.equal(our_tap, tap)
            assert torch.equal(our_frames, num_frames)


def test_what_a_cache_is_named_after_is_what_its_content_depends_on():
    def content(cut, num_trainable=4, seed=0, change=None, **settings):
        model = tiny_wav2vec2(seed, **settings)
        if change:
            dict(model.named_parameters())[change].data += 1
        encoder = Wav2Vec2Encoder(model, num_trainable)
        settings, weights = encoder.frozen_content(cut)
        return settings, {name: tensor.sum().item() for name, tensor in weights.items()}

    assert content("cnn") == content("cnn", num_trainable=6)  # shared by every stage and system
    assert content("cnn") == content("cnn", change="encoder.layers.0.attention.q_proj.weight")
    assert content("cnn") != content("cnn", change="feature_extractor.conv_layers.0.conv.weight")
    assert content("prefix") != content("prefix", change="encoder.layers.1.attention.q_proj.weight")
    assert content("prefix") == content("prefix", change="encoder.layers.2.attention.q_proj.weight")
    assert content("prefix") != content("prefix", num_trainable=3)
    assert content("prefix") == content("prefix", hidden_dropout=0.3)
    assert content("prefix") != content("prefix", layer_norm_eps=1e-3)


@pytest.mark.parametrize("lengths", [[8000, 5000, 8000, 3000, 6000], [8000] * 5])
@pytest.mark.parametrize("num_trainable", [6, 4])
def test_what_is_computed_again_gives_the_gradients_of_what_is_kept(lengths, num_trainable):
    speech, lengths = torch.randn(5, 8000), torch.tensor(lengths)
    kept = Wav2Vec2Encoder(tiny_wav2vec2(**NO_DROPOUT), num_trainable).train()
    again = Wav2Vec2Encoder(tiny_wav2vec2(**NO_DROPOUT), num_trainable, keep_frames=50).train()
    calls = []
    again.wav2vec2.encoder.layers[-1].register_forward_pre_hook(lambda layer, inputs: calls.append(inputs[0].shape))
    hidden, gradients = gradients_of(kept, speech, lengths)
    hidden_again, gradients_again = gradients_of(again, speech, lengths)
    frames = kept.num_frames(lengths).tolist()
    parts = [sum(frames[:2]), sum(frames[2:4]), frames[4]]
    assert calls == [(1, part, 32) for part in parts + parts[::-1]]  # forwards, and from the end on backwards
    torch.testing.assert_close(hidden_again, hidden)
    assert gradients.keys() == gradients_again.keys() != set()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, msg=name)


def test_the_second_computation_drops_what_the_first_did():
    speech, lengths = torch.randn(1, 8000), torch.tensor([8000])
    kept, again = (
        Wav2Vec2Encoder(tiny_wav2vec2(**{**NO_DROPOUT, "hidden_dropout": 0.5}), 6, keep_frames=frames).train()
        for frames in (None, 20)
    )
    (_, gradients), (_, gradients_again) = ((torch.manual_seed(3), gradients_of(e, speech, lengths))[1] for e in (kept, again))
    assert all(torch.equal(gradient, gradients_again[name]) for name, gradient in gradients.items())


def test_nothing_is_computed_again_where_nothing_is_trained():
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 6, keep_frames=1).eval()
    with torch.no_grad():
        hidden, _, _ = encoder(torch.randn(2, 8000), torch.tensor([8000, 5000]))
    assert not hidden.requires_grad


def test_padding_costs_nothing():
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 4).train()
    seen = []
    for module in (encoder.wav2vec2.feature_projection.projection, *encoder.wav2vec2.encoder.layers):
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[:-1].numel()))
    _, _, num_frames = encoder(*padded(waveforms()))
    assert seen == [num_frames.sum()] * 7


def test_half_precision_stays_near_single():
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 4).eval()
    speech, lengths = torch.randn(3, 8000), torch.tensor([8000, 5000, 6000])
    hidden, _, num_frames = encoder(speech, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, _, _ = encoder(speech, lengths)
        pooled = mean(half, num_frames)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, mean(hidden, num_frames), atol=0.05, rtol=0)
