"""Training from what was cached is training."""

import pytest
import torch
from tiny_recipe import SYSTEM, refused, run

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.frame_cache import list_caches
from espnet_ser.data.loader import CachedFrames, UtteranceDataset, collate, read_speech
from espnet_ser.experiment.trained_fold import describe_run
from espnet_ser.train.fill_cache import fill_cache
from espnet_ser.train.history import read_history


def losses(recipe, name):
    history = read_history(recipe.root / "exp" / name / "fold1")
    return [record[part]["loss"] for record in history for part in ("train", "valid")]


def train_with(recipe, system, *options, tag):
    tags = ("--tag", tag, "--stage1_tag", tag)
    if "__" in system:
        recipe.train("stage1", *options, *tags, system=system)
    recipe.train("ser", *options, *tags, system=system)
    return losses(recipe, f"{system}_{tag}")


@pytest.mark.parametrize(
    ("system", "frozen", "caches"),
    [
        ("stl", "alive", ["cnn"]),
        ("stl_n0", "alive", ["cnn"]),
        ("stl_n0", "constant", ["pooled"]),
        ("asr_gender_skip__ser_gender", "alive", ["cnn"]),
        ("asr_gender_skip__ser_gender", "constant", ["cnn", "layer2"]),
        ("mtl_asr", "constant", ["cnn"]),
    ],
)
def test_the_learning_curve_is_that_of_live_training(recipe, system, frozen, caches):
    recipe.freeze(frozen)
    live = train_with(recipe, system, "--cache", "none", tag="live")
    assert list_caches(recipe.root / "dump" / "cache") == []
    single = train_with(recipe, system, "--cache_dtype", "float32", tag="single")
    half = train_with(recipe, system, tag="half")
    names = sorted({cache.folder.name.partition("-")[0] for cache in list_caches(recipe.root / "dump" / "cache")})
    assert names == caches
    assert single == pytest.approx(live, abs=1e-5)
    assert half == pytest.approx(live, abs=5e-3)
    live_model, _ = recipe.model(f"{system}_live")
    single_model, _ = recipe.model(f"{system}_single")
    speech, lengths = torch.randn(2, 8000), torch.tensor([8000, 5000])
    torch.testing.assert_close(
        live_model.logits(speech, lengths)["emotion"], single_model.logits(speech, lengths)["emotion"], atol=1e-4, rtol=0
    )


def test_the_cnns_cache_is_shared_and_a_prefix_belongs_to_its_stage_one(recipe, capsys):
    recipe.freeze("constant")
    train_with(recipe, SYSTEM, tag="a")
    train_with(recipe, "stl", tag="a")
    assert len([c for c in list_caches(recipe.root / "dump" / "cache") if c.folder.name.startswith("cnn")]) == 1
    recipe.train("stage1", "--seed", "5", "--stage1_tag", "b")
    recipe.train("ser", "--seed", "5", "--tag", "b", "--stage1_tag", "b")
    assert len([c for c in list_caches(recipe.root / "dump" / "cache") if c.folder.name.startswith("layer2")]) == 2
    capsys.readouterr()
    run("cache", "ls", "--cache_dir", recipe.root / "dump" / "cache")
    assert "3 caches in" in capsys.readouterr().out
    assert "unknown cache 'layer'" in refused(
        capsys, "cache", "rm", "layer", "--cache_dir", recipe.root / "dump/cache", call=run
    )
    run("cache", "rm", "all", "--cache_dir", recipe.root / "dump" / "cache")
    assert list_caches(recipe.root / "dump" / "cache") == []


def test_a_cache_kept_of_the_cnn_alone_serves_ser_finetuning_as_well(recipe):
    recipe.freeze("constant")
    live = train_with(recipe, SYSTEM, "--cache", "none", tag="live")
    cnn = train_with(recipe, SYSTEM, "--cache", "cnn", "--cache_dtype", "float32", tag="cnn")
    assert cnn == pytest.approx(live, abs=1e-5)
    assert [c.folder.name.partition("-")[0] for c in list_caches(recipe.root / "dump" / "cache")] == ["cnn"]


def test_layer_m_is_not_cached_where_it_is_not_constant(recipe, capsys):
    message = refused(capsys, "ser", "--cache", "prefix", call=lambda *args: recipe.train(*args, system="stl_n8"))
    assert "add --frozen constant to the training's further options, or take --cache cnn" in message
    assert not (recipe.root / "exp").exists()
    assert "stage 4, which goes on from this: --cache prefix" in refused(
        capsys, "stage1", "--cache", "prefix", call=recipe.train
    )


def test_results_say_what_frozen_layers_did(recipe):
    for system, frozen in (("stl", None), ("stl_n8", "alive"), ("stl_n0", "constant"), ("cnn_lstm", None)):
        recipe.train("ser", "--args", f"--max_epoch 1 --frozen {frozen or 'constant'}", system=system)
        assert describe_run(recipe.root / "exp" / system / "fold1").get("frozen") == frozen


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("float32", 1e-6)])
@pytest.mark.parametrize("cut", ["cnn", "prefix"])
def test_logits_from_a_cache_are_those_of_speech(recipe, dtype, tolerance, cut):
    recipe.freeze("constant")
    recipe.train("stage1", "--args", "--max_epoch 1")
    recipe.train("ser", "--args", "--max_epoch 1", system="asr_gender_skip__ser_gender")
    model, args = recipe.model("asr_gender_skip__ser_gender")
    examples = read_datadir(recipe.datadir / "fold1" / "train")
    cache = fill_cache(model.encoder, cut, examples, recipe.root / "cache", dtype)
    with torch.no_grad():
        for batch in range(0, len(examples), 4):
            some = examples[batch : batch + 4]
            live, cached = (
                model.logits_of(collate([UtteranceDataset(some, args.labels, read=read)[i] for i in range(len(some))])[1])
                for read in (read_speech, CachedFrames(cache, cut, some))
            )
            for task in ("emotion", "gender"):
                torch.testing.assert_close(cached[task], live[task], atol=tolerance, rtol=0)
