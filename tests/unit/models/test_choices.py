"""A pooling and an encoder of one's own: a class and a line of a table each."""

import pytest
import torch
import yaml
from tiny_recipe import Recipe, run

from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.model_io.build import load_intermediate
from espnet_ser.models.encoders import ENCODERS, EncoderSpec
from espnet_ser.models.pooling import POOLINGS, MeanPooling
from espnet_ser.models.wav2vec2 import convolved_length


class LearntPooling(torch.nn.Module):
    """The mean besides a learnt weighted sum of frames: a vector of twice the size, with parameters."""

    def __init__(self, dim):
        super().__init__()
        self.dim = 2 * dim
        self.mean, self.weigh = MeanPooling(dim), torch.nn.Linear(dim, 1)

    def forward(self, hidden, num_frames):
        mean = self.mean(hidden, num_frames)
        return torch.cat([mean, self.mean(hidden * self.weigh(hidden).sigmoid(), num_frames)], dim=-1)


class Energies(torch.nn.Module):
    """A frame of 8 numbers for each tenth of a second."""

    dim, skip_layer = 8, None

    def __init__(self):
        super().__init__()
        self.output = torch.nn.Conv1d(1, self.dim, 1600, 1600)

    def num_frames(self, num_samples):
        return convolved_length(num_samples, 1600, 1600)

    def forward(self, speech, num_samples):
        return self.output(speech[:, None]).relu().transpose(1, 2), None, self.num_frames(num_samples)


@pytest.fixture
def recipe(tmp_path):
    recipe = Recipe(tmp_path)
    (tmp_path / "conf/systems").mkdir(parents=True)
    return recipe


def train(recipe, name, content, finetuning="ser", *more):
    (recipe.root / f"conf/systems/{name}.yaml").write_text(yaml.safe_dump(content))
    where = ("--conf", recipe.root / "conf", "--datadir", recipe.datadir, "--expdir", recipe.root / "exp")
    run("train", "--stage", finetuning, "--system", name, *where, *recipe.with_what(), *more)


def test_an_encoder_of_ones_own_is_trained_and_loaded(recipe, monkeypatch):
    monkeypatch.setitem(ENCODERS, "energies", EncoderSpec(f"{__name__}:Energies", frame_ms=100))
    train(recipe, "own", {"ser": {"tasks": ["emotion", "gender"], "encoder": "energies"}})
    model, args = recipe.model("own")
    assert isinstance(model.encoder, Energies)
    assert (model.heads["emotion"].output.in_features, args.encoder) == (8, "energies")
    fresh = Energies().output.weight
    assert model.encoder.output.weight.shape == fresh.shape
    told = SpeechEmotion.from_pretrained(recipe.root / "exp/own/fold1")(torch.randn(8000).numpy(), 16000)
    assert set(told.scores) == {"angry", "happy", "neutral", "sad"}


def test_a_pooling_of_ones_own_is_trained_from_one_finetuning_to_the_next(recipe, monkeypatch):
    monkeypatch.setitem(POOLINGS, "learnt", LearntPooling)
    content = {
        "stage1": {"tasks": ["asr", "gender"], "skip_layer": 4},
        "ser": {"tasks": ["emotion", "gender"], "skip_layer": 4},
    }
    more = ("--stage1_args", "--pooling learnt", "--stage2_args", "--pooling learnt")
    train(recipe, "own", content, "stage1", *more)
    train(recipe, "own", content, "ser", *more)
    (first, _), (second, args) = recipe.model("stage1/asr_gender_skip"), recipe.model("own")
    assert args.pooling == "learnt"
    assert "pooling.weigh.weight" in second.shared_and_own_parameters()[0]
    assert not torch.equal(first.pooling.weigh.weight, second.pooling.weigh.weight)
    sevens = {name: torch.full_like(value, 7) if "pooling" in name else value for name, value in first.state_dict().items()}
    load_intermediate(second, sevens, "a first stage")
    assert (second.pooling.weigh.weight == 7).all()
    assert second.heads["gender"].output.in_features == 2 * second.heads["emotion"].output.in_features == 4 * 32
    with pytest.raises(SystemExit, match="--pooling mean: .* has learnt; give both finetunings the same"):
        train(recipe, "own", content, "ser", *more[:2])


def test_what_is_not_the_mean_is_not_cached_as_it(recipe, monkeypatch):
    monkeypatch.setitem(POOLINGS, "learnt", LearntPooling)
    content = {"ser": {"tasks": ["emotion"], "trainable_layers": 0}}
    train(recipe, "mean", content, "ser", "--stage2_args", "--frozen constant")
    train(recipe, "learnt", content, "ser", "--stage2_args", "--frozen constant --pooling learnt")
    assert recipe.model("mean")[1].cache_cut == "pooled"
    assert recipe.model("learnt")[1].cache_cut == "prefix"
