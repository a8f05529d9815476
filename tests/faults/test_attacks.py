"""What strangers might send as a model: shown to do harm to whoever trusts it, and to end here in one clear line."""

import tempfile

import pytest
import torch
from attack_archives import ARCHIVES
from attack_configs import CONFIGS
from attack_weights import WEIGHTS
from ground import Ground
from model_maker import make_model

from espnet_ser.errors import InputError
from espnet_ser.model_io.load import load_model

ATTACKS = [*ARCHIVES, *WEIGHTS, *CONFIGS]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def ground(tmp_path, model, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "ground").mkdir()
    return Ground(tmp_path / "ground", model)


def test_the_model_that_attacks_start_from_is_loaded_in_every_form(ground):
    for source in (ground.model, ground.zip(), ground.tar(), ground.tar(gz=True)):
        assert load_model(source)[0].tasks == ["emotion", "asr"]


@pytest.mark.table("attacks")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack, ground, tmp_path, monkeypatch, record_property):
    source = attack.prepare(ground)
    if attack.naive is not None:
        assert attack.naive(ground, source), "the attack does not work, so that refusing it shows nothing"
        ground.clear()
    # A model's memory is taken in one place, after its weights have been found to fit.
    monkeypatch.setattr(torch.nn.Module, "to_empty", lambda *_, **__: pytest.fail("took memory for the model"))
    before = ground.everything()
    with pytest.raises(InputError) as error:
        attack.load(source)
    line = str(error.value)
    record_property("shown", line.replace(str(ground.root), "..."))
    assert attack.because in line
    assert line.isprintable()
    assert len(line) < 1200
    assert ground.everything() == before
    assert not list((tmp_path / "temporary").iterdir())
