import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_wav2vec2
from torch.nn.utils.rnn import pad_sequence

from espnet_ser.models import ser_model
from espnet_ser.models.heads import CTCHead, UtteranceHead
from espnet_ser.models.losses import CTC_REDUCTIONS, ctc_loss, weighted
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.train.gradient_probe import GradientProbe


def model_of(tasks, skip=False, **options):
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 4, skip_layer=2 if skip else None)
    heads = {task: UtteranceHead(32, 4, 0.1) for task in tasks if task in ("emotion", "style")}
    if "gender" in tasks:
        heads["gender"] = UtteranceHead(64 if skip else 32, 2, 0.1)
    if "asr" in tasks:
        heads["asr"] = CTCHead(32, 7, 0.1)
    return SERModel(encoder, heads, **options).eval()


@pytest.mark.parametrize("skip", [False, True])
def test_logits_of_an_utterance_do_not_depend_on_its_batch(skip):
    model = model_of(["emotion", "asr", "gender"], skip=skip)
    utterances = [torch.randn(length) for length in (12000, 3000, 500)]
    batch, lengths = pad_sequence(utterances, batch_first=True), torch.tensor([12000, 3000, 500])
    with torch.no_grad():
        together = model.logits(batch, lengths)
        for i, utterance in enumerate(utterances):
            alone = model.logits(utterance[None], torch.tensor([len(utterance)]))
            for task in ("emotion", "gender"):
                torch.testing.assert_close(together[task][i], alone[task][0], atol=1e-5, rtol=0)
            torch.testing.assert_close(together["asr"][i, : alone["num_frames"]], alone["asr"][0], atol=1e-5, rtol=0)


def test_skip_branch_feeds_the_gender_head_alone():
    model = model_of(["emotion", "gender"], skip=True)
    with torch.no_grad():  # the last layer's half of the gender head is silenced: only the skip branch is left
        model.heads["gender"].output.weight[:, 32:] = 0
        speech, lengths = torch.randn(1, 8000), torch.tensor([8000])
        before = model.logits(speech, lengths)
        for parameter in model.encoder.wav2vec2.encoder.layers[-1].parameters():
            parameter.add_(0.5)
        after = model.logits(speech, lengths)
    assert torch.equal(before["gender"], after["gender"])
    assert not torch.allclose(before["emotion"], after["emotion"])


def objective(losses, *options, **named):
    return sum(weighted({task: torch.tensor(loss) for task, loss in losses.items()}, *options, **named).values()).item()


def test_loss_is_equation_one_in_both_readings():
    losses = {"emotion": 2.0, "asr": 5.0, "gender": 1.0}
    assert objective(losses, 0.1) == pytest.approx(0.9 * 2 + 0.1 * (5 + 1) / 2)
    assert objective(losses, 0.1, literal_eq=True) == pytest.approx(0.1 * 2 + 0.9 * (5 + 1) / 2)
    assert objective({**losses, "style": 7.0}, 0.3) == pytest.approx(0.7 * 2 + 0.3 * (5 + 1 + 7) / 3)
    assert objective({"asr": 5.0, "gender": 1.0}) == pytest.approx(3.0)
    assert objective({"emotion": 2.0}, 0.1) == 2.0
    assert objective({"emotion": 2.0}, 0.1, literal_eq=True) == 2.0


def gradients(reversal_scale, literal_eq=False):
    """Of the encoder's and the gender head's parameters, for a loss on gender besides emotion."""
    torch.manual_seed(0)
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 6)
    heads = {"emotion": UtteranceHead(32, 4, 0.0), "gender": UtteranceHead(32, 2, 0.0, reversal_scale)}
    model = SERModel(encoder, heads, literal_eq=literal_eq).eval()
    targets = {"emotion": torch.tensor([0, 3]), "gender": torch.tensor([0, 1])}
    shares, _ = model.losses(model.logits(torch.randn(2, 8000), torch.tensor([8000, 6000])), targets)
    shares["gender"].backward()
    layer = encoder.wav2vec2.encoder.layers[3].attention.q_proj.weight.grad
    return layer.clone(), heads["gender"].output.weight.grad.clone(), shares["gender"].item()


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_reversal_turns_the_encoders_gradient_and_not_the_heads(scale):
    encoder, head, loss = gradients(None)
    reversed_encoder, reversed_head, reversed_loss = gradients(scale)
    assert encoder.abs().max() > 0
    torch.testing.assert_close(reversed_encoder, -scale * encoder)
    torch.testing.assert_close(reversed_head, head)
    assert reversed_loss == loss


def test_reversed_tasks_weigh_as_equation_two_says_in_both_readings():
    ours, literal = gradients(1.0)[2], gradients(1.0, literal_eq=True)[2]
    assert literal == pytest.approx(9 * ours)  # 1 - gamma of 0.1 against gamma


def test_surgery_changes_the_encoders_gradient_where_tasks_conflict_and_nothing_else():
    def step(surgery):
        torch.manual_seed(0)
        encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 6)
        # The reversed gradient of the same labels is as contrary to emotion's as can be.
        heads = {"emotion": UtteranceHead(32, 2, 0.0), "gender": UtteranceHead(32, 2, 0.0, 1.0)}
        heads["gender"].load_state_dict(heads["emotion"].state_dict())
        model = SERModel(encoder, heads, aux_weight=0.2, gradient_surgery=surgery).train()
        encoder.eval()
        targets = {"emotion": torch.tensor([0, 1]), "gender": torch.tensor([0, 1])}
        loss, _, _ = model(torch.randn(2, 8000), torch.tensor([8000, 6000]), **targets)
        loss.backward()
        layer = encoder.wav2vec2.encoder.layers[3].attention.q_proj.weight.grad
        return loss.item(), layer, heads["gender"].output.weight.grad

    loss, layer, head = step(False)
    surgery_loss, surgery_layer, surgery_head = step(True)
    assert surgery_loss == pytest.approx(loss)
    torch.testing.assert_close(surgery_head, head)
    assert layer.abs().max() > 1e-6
    # Exactly opposite gradients annul each other: what is left of either, once projected, is nothing.
    assert surgery_layer.abs().max() < 1e-5 * layer.abs().max() + 1e-9


def test_a_probe_sees_weighted_losses_while_training_and_changes_nothing():
    def step(probing, training=True):
        torch.manual_seed(0)
        np.random.seed(0)  # transformers draws the masks
        model = model_of(["emotion", "gender"]).train(training)
        probe = GradientProbe(model.shared_and_own_parameters()[0], every=1)
        seen = {}
        if probing:
            model.probe = lambda losses: (seen.update({task: loss.item() for task, loss in losses.items()}), probe(losses))
        targets = {"emotion": torch.tensor([0, 3]), "gender": torch.tensor([0, 1])}
        loss, _, _ = model(torch.randn(2, 8000), torch.tensor([8000, 6000]), **targets)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        return loss.item(), gradients, seen, probe.take()

    loss, plain, _, _ = step(probing=False)
    with_probe, probed, seen, (record,) = step(probing=True)
    assert loss == with_probe == pytest.approx(sum(seen.values()))
    assert record["cosines"]["emotion, gender"].keys() == {"3", "4", "5", "6", "all"}  # of the trained layers of 6
    assert all(0 < abs(cosine) < 1 for cosine in record["cosines"]["emotion, gender"].values())
    assert plain.keys() == probed.keys()
    assert all(torch.equal(plain[name], probed[name]) for name in plain)
    assert step(probing=True, training=False)[2:] == ({}, [])


def test_ctc_leaves_out_utterances_without_words():
    torch.manual_seed(0)
    logits = torch.randn(3, 20, 7)
    frames, text, lengths = torch.tensor([20, 15, 20]), torch.tensor([[1, 2, 3], [0, 0, 0], [4, 5, 0]]), torch.tensor([3, 0, 2])
    per_utterance = F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), text, frames, lengths, reduction="none")
    expected = (per_utterance[0] / 3 + per_utterance[2] / 2) / 2
    torch.testing.assert_close(ctc_loss(logits, frames, text, lengths), expected)


def test_ctc_is_a_mean_over_what_its_reduction_says():
    """Of even posteriors over 4 tokens each path has 4 to the minus frames: only paths need counting."""
    logits = torch.zeros(4, 3, 4)
    frames, lengths = torch.tensor([3, 2, 3, 1]), torch.tensor([2, 1, 0, 2])
    text = torch.tensor([[1, 2], [3, 0], [0, 0], [1, 2]])
    # Two tokens in three frames: 112, 122, .12, 1.2, 12. are 5 paths. One in two frames: 33, 3., .3 are 3. The third has no
    # word, the last too few frames for its two: it counts as nothing, and as an utterance.
    first, second = math.log(4**3 / 5), math.log(4**2 / 3)
    expected = {"mean": (first / 2 + second) / 3, "batch": (first + second) / 3, "sum": first + second}
    for reduction, loss in expected.items():
        assert ctc_loss(logits, frames, text, lengths, reduction).item() == pytest.approx(loss), reduction


@pytest.mark.parametrize("reduction", CTC_REDUCTIONS)
def test_shares_of_a_batch_weigh_as_the_whole_batch_whatever_the_reduction(reduction, monkeypatch):
    torch.manual_seed(0)
    model = model_of(["emotion", "asr"], ctc_reduction=reduction)
    whole = {
        "speech": torch.randn(5, 6000),
        "speech_lengths": torch.tensor([6000] * 5),
        "emotion": torch.tensor([0, 3, 1, 2, 0]),
        "text": torch.tensor([[1, 2, 3], [4, 0, 0], [0, 0, 0], [0, 0, 0], [5, 6, 0]]),
        "text_lengths": torch.tensor([3, 1, 0, 0, 2]),
    }
    expected = {name: value.item() for name, value in model(**whole)[1].items()}
    monkeypatch.setattr(ser_model, "num_ranks", lambda: 4)
    monkeypatch.setattr(ser_model, "sum_over_ranks", lambda counts: torch.tensor([5.0, 3.0]))
    # Three words in two utterances, none in two, the others in one, and a rank without an utterance.
    shares = [model(**{name: value[part] for name, value in whole.items()}) for part in ([0, 1], [2, 3], [4])] + [model()]
    weights = [weight.item() for _, _, weight in shares]
    assert weights == [2, 2, 1, 0]
    for name, value in expected.items():
        together = sum(weight * stats[name].item() for weight, (_, stats, _) in zip(weights, shares, strict=True)) / 5
        assert together == pytest.approx(value, rel=1e-5), name
    loss = sum(weight * loss.item() for weight, (loss, _, _) in zip(weights, shares, strict=True)) / 5
    assert loss == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize("reduction", CTC_REDUCTIONS)
def test_ctc_of_a_batch_without_any_word_is_zero(reduction):
    logits = torch.randn(2, 20, 7, requires_grad=True)
    loss = ctc_loss(logits, torch.tensor([20, 20]), torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 0]), reduction)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().max() == 0.0


def test_statistics_name_every_task():
    model = model_of(["emotion", "asr", "gender", "style"])
    batch = {
        "emotion": torch.tensor([0, 3]),
        "gender": torch.tensor([0, 1]),
        "style": torch.tensor([1, 0]),
        "text": torch.tensor([[1, 2], [3, 0]]),
        "text_lengths": torch.tensor([2, 1]),
    }
    loss, stats, weight = model(torch.randn(2, 8000), torch.tensor([8000, 6000]), utt_id=["a", "b"], **batch)
    tasks = {"loss_emotion", "loss_asr", "loss_gender", "loss_style", "emotion_wa", "gender_wa", "style_wa", "loss"}
    assert set(stats) == tasks
    assert weight.item() == 2.0
    auxiliary = (stats["loss_asr"] + stats["loss_gender"] + stats["loss_style"]) / 3
    torch.testing.assert_close(loss, 0.9 * stats["loss_emotion"] + 0.1 * auxiliary)


def test_a_model_without_a_known_task_is_refused():
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), 4)
    for heads in ({}, {"age": UtteranceHead(32, 2, 0.1)}):
        with pytest.raises(ValueError, match="tasks must be"):
            SERModel(encoder, heads)
