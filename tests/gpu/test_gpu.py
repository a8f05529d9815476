"""Training and inference on a GPU: the same as on a CPU, as far as its arithmetic goes."""

import os
import signal

import pytest
import torch
from tiny import GROUP_NORM, LAYER_NORM, TINY, examples_of, tiny_wav2vec2
from tiny_recipe import SYSTEM, refused
from transformers import WavLMConfig, WavLMModel

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.loader import CachedFrames
from espnet_ser.inference.predict import predict
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.layout import CHECKPOINT_FILE
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.train.fill_cache import fill_cache
from espnet_ser.train.history import read_history
from espnet_ser.utils.signals import REQUEUE_CODE

STILL = (
    "--dropout 0.0 --encoder_conf '{hidden_dropout: 0.0, attention_dropout: 0.0, activation_dropout: 0.0, "
    "feat_proj_dropout: 0.0, mask_time_prob: 0.0}'"
)
"""Nothing is drawn: dropout on a GPU draws other numbers."""


def curve(recipe, name):
    """The losses of training and validation, epoch by epoch."""
    history = read_history(recipe.root / "exp" / name / "fold1")
    return [record[part]["loss"] for record in history for part in ("train", "valid")]


def trained_curve(recipe, tag, *options, system=SYSTEM, args="", ngpu=1):
    """SER finetuning, after an intermediate one of the same options where the system has one."""
    options = [*options, "--ngpu", ngpu, "--tag", tag, "--stage1_tag", tag, *(["--args", args] if args else [])]
    if "__" in system:
        recipe.train("stage1", *options, system=system)
    recipe.train("ser", *options, system=system)
    return curve(recipe, f"{system}_{tag}")


def wavlm(**changes):
    torch.manual_seed(0)
    return WavLMModel(WavLMConfig(**{**TINY, **GROUP_NORM, **changes})).eval()


@pytest.mark.parametrize("make", [lambda: tiny_wav2vec2(**GROUP_NORM), lambda: tiny_wav2vec2(**LAYER_NORM), wavlm])
@pytest.mark.parametrize("autocast", [False, True])
def test_frames_and_gradients_are_those_of_a_cpu(make, autocast):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    lengths = torch.tensor([4000, 16000, 9000, 30000])
    speech = torch.randn(4, 30000, generator=torch.Generator().manual_seed(1))
    found = {}
    for device in ("cpu", "cuda"):
        encoder = Wav2Vec2Encoder(make(), num_trainable_layers=4, skip_layer=3).to(device).eval()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast and device == "cuda"):
            last, tap, num_frames = encoder(speech.to(device), lengths.to(device))
        (last.float().square().mean() + tap.float().mean()).backward()
        gradients = [parameter.grad.cpu() for parameter in encoder.parameters() if parameter.grad is not None]
        found[device] = [last.float().detach().cpu(), tap.float().detach().cpu(), torch.cat([g.flatten() for g in gradients])]
        assert num_frames.tolist() == encoder.num_frames(lengths).tolist()
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert (here - there).norm() <= (0.1 if autocast else 1e-4) * here.norm()


def test_attention_drops_as_much_as_it_is_told_to():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    config = {**GROUP_NORM, "hidden_dropout": 0.0, "activation_dropout": 0.0}
    lengths, speech = torch.tensor([16000] * 8, device="cuda"), torch.randn(1, 16000, device="cuda").expand(8, -1)
    same, dropped = (
        Wav2Vec2Encoder(tiny_wav2vec2(**config, attention_dropout=p, mask_time_prob=0.0), 4).cuda().train() for p in (0.0, 0.5)
    )
    torch.testing.assert_close(same(speech, lengths)[0][0], same(speech, lengths)[0][1], atol=1e-4, rtol=0)
    outputs = dropped(speech, lengths)[0]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_a_training_follows_that_of_a_cpu(recipe):
    there = trained_curve(recipe, "gpu", args=f"{STILL} --use_tf32 false")
    here = trained_curve(recipe, "cpu", args=STILL, ngpu=0)
    assert there == pytest.approx(here, abs=1e-3)


@pytest.mark.parametrize("system", ["stl", "stl_n0", "asr_gender_skip__ser_gender"])
def test_training_from_caches_is_live_training(recipe, system):
    live = trained_curve(recipe, "live", "--cache", "none", system=system)
    cached = trained_curve(recipe, "cached", "--cache_dtype", "float32", system=system)
    half = trained_curve(recipe, "half", system=system)
    assert cached == pytest.approx(live, abs=2e-3)
    assert half == pytest.approx(live, abs=1e-2)


def test_frames_of_a_cache_stay_on_the_gpu(recipe):
    recipe.train("ser", "--ngpu", 1, "--args", "--max_epoch 1", system="stl")
    model, _ = recipe.model("stl")
    examples = read_datadir(recipe.datadir / "fold1" / "train")
    cache = fill_cache(model.encoder, "cnn", examples, recipe.root / "dump" / "cache", device="cuda")
    assert all(CachedFrames(cache, "cnn", examples, "cuda")(example)["cnn"].is_cuda for example in examples)


@pytest.mark.parametrize(
    "options", ["--use_amp true", "--compile true", "--recompute_above 1", "--use_amp true --compile true"]
)
def test_what_makes_it_faster_or_smaller_trains_as_well(recipe, options):
    plain = trained_curve(recipe, "plain", args=STILL)
    other = trained_curve(recipe, "other", args=f"{STILL} {options}")
    assert other == pytest.approx(plain, abs=5e-2)


@pytest.mark.parametrize("system", ["mtl_asr_pcgrad", "adv_gender", "cnn_lstm", "mtl_asr_gender_style"])
def test_other_kinds_of_systems_train(recipe, system):
    assert len(trained_curve(recipe, "gpu", system=system, args="--gradient_every 2" if "pcgrad" in system else "")) == 4


def test_equal_trainings_are_equal(recipe):
    first, second = (trained_curve(recipe, tag) for tag in ("a", "b"))
    assert first == pytest.approx(second, abs=1e-4)


@pytest.mark.parametrize("options", [[], ["--cache", "none"], ["--args", "--use_amp true"]])
def test_a_stopped_training_goes_on(recipe, monkeypatch, options):
    recipe.train("ser", "--ngpu", 1, *options, system="stl")
    folder = recipe.root / "exp" / "stl" / "fold1"
    whole = curve(recipe, "stl")
    folder.rename(recipe.root / "whole")
    given, logits_of = [], SERModel.logits_of

    def ask_after_some(model, batch):
        given.append(1)
        if len(given) in (2, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        return logits_of(model, batch)

    monkeypatch.setattr(SERModel, "logits_of", ask_after_some)
    codes = []
    while not (folder / "done.json").exists():
        try:
            recipe.train("ser", "--ngpu", 1, *options, system="stl")
        except SystemExit as end:
            codes.append(end.code)
    assert codes == [REQUEUE_CODE] * 2
    assert curve(recipe, "stl") == pytest.approx(whole, abs=1e-4)
    assert not (folder / CHECKPOINT_FILE).exists()


def test_a_model_predicts_the_same_on_either(recipe):
    trained_curve(recipe, "gpu")
    model, args = recipe.model(f"{SYSTEM}_gpu")
    examples = examples_of(recipe.root / "more", sessions=("4",))
    here, there = predict(model, examples, args.labels), predict(model.cuda(), examples, args.labels, device="cuda")
    for one, other in zip(here, there, strict=True):
        assert one["emotion"]["scores"] == pytest.approx(other["emotion"]["scores"], abs=1e-3)


def test_a_recording_is_told_the_same_by_either(recipe):
    trained_curve(recipe, "gpu")
    wav = examples_of(recipe.root / "more", sessions=("4",))[3].wav
    folder = recipe.root / "exp" / f"{SYSTEM}_gpu" / "fold1"
    here, there = (SpeechEmotion.from_pretrained(folder, device=device)(wav) for device in ("cpu", "auto"))
    assert there.scores == pytest.approx(here.scores, abs=1e-3)


def test_more_gpus_than_there_are_is_one_line(recipe, capsys):
    many = torch.cuda.device_count() + 1
    message = refused(capsys, "ser", call=lambda stage: recipe.train(stage, "--ngpu", many, system="stl"))
    assert f"--ngpu {many}: torch finds {many - 1} GPUs on this machine" in message
