"""What archives of models must keep doing; what they must not is in tests/faults."""

import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile

import pytest
import torch
from espnet2.main_funcs.pack_funcs import pack
from model_maker import make_model
from tiny_recipe import SYSTEM

from espnet_ser.errors import InputError
from espnet_ser.inference.find_models import find_models
from espnet_ser.model_io import archive
from espnet_ser.model_io.archive import unpack_archive
from espnet_ser.model_io.load import load_model
from espnet_ser.tasks.ser import SERTask

SPEECH = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([8000])


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def pack_with_espnet(folder, path):
    files = {"ser_model_file": folder / "latest.pth", "frozen_file": folder / "frozen.pth"}
    tokens = [folder / "tokens"] if (folder / "tokens").exists() else []
    pack(files, {"ser_train_config": folder / "config.yaml"}, path, option=tokens)


def pack_with_tar(folder, path):
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w", dereference=True) as file:
        file.add(folder, ".")


def pack_with_hard_links(folder, path):
    """As GNU tar -h packs a file that it meets under two names."""
    with tarfile.open(path, "w") as file:
        known = {}
        for source in sorted(folder.rglob("*")):
            info = file.gettarinfo(source.resolve(), f"fold1/{source.relative_to(folder)}")
            if source.resolve() in known:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, known[source.resolve()], 0
                file.addfile(info)
            elif source.is_file():
                known[source.resolve()] = info.name
                with open(source, "rb") as content:
                    file.addfile(info, content)


def pack_with_zip(folder, path):
    shutil.make_archive(str(path.with_suffix("")), "zip", folder.parent, folder.name)


def logits(model):
    with torch.no_grad():
        return model.logits(SPEECH, LENGTHS)


@pytest.mark.parametrize(
    ("pack_model", "name"),
    [
        (pack_with_espnet, "espnet.zip"),
        (pack_with_espnet, "espnet.tgz"),
        (pack_with_tar, "model.tar"),
        (pack_with_tar, "model.tgz"),
        (pack_with_hard_links, "links.tar"),
        (pack_with_zip, "model.zip"),
    ],
)
@pytest.mark.parametrize("stage", [SYSTEM, "stage1/asr_gender_skip"])
def test_a_trained_model_is_the_same_from_its_folder_and_from_an_archive(trained, tmp_path, temporary, pack_model, name, stage):
    folder = trained.root / "exp" / stage / "fold1"
    pack_model(folder, tmp_path / name)
    expected, args = load_model(folder)
    model, packed = load_model(tmp_path / name)
    assert not list(temporary.iterdir())
    assert packed.labels == args.labels
    for task, values in logits(expected).items():
        assert torch.equal(logits(model)[task], values), task
    if "asr" in args.tasks:
        assert SERTask.build_tokenizer(packed).ids_to_text([3, 2, 4]) == SERTask.build_tokenizer(args).ids_to_text([3, 2, 4])


@pytest.mark.parametrize("inside", [True, False])
def test_espnets_archive_may_be_packed_from_within_the_experiment_or_from_elsewhere(tmp_path, monkeypatch, inside):
    folder = make_model(tmp_path / "exp" / "fold1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(folder if inside else tmp_path / "elsewhere")
    pack_with_espnet(folder, tmp_path / "model.zip")
    assert load_model(tmp_path / "model.zip")[0].tasks == ["emotion", "asr"]


def test_what_is_unpacked_has_the_same_content_and_can_not_be_run(tmp_path):
    source = tmp_path / "model.zip"
    with zipfile.ZipFile(source, "w") as file:
        info = zipfile.ZipInfo("./a/b.sh")
        info.external_attr = (stat.S_IFREG | stat.S_ISUID | 0o777) << 16
        file.writestr(info, b"#!/bin/sh\n")
        file.writestr("a/", b"")
        file.writestr("c \u4f60's", bytes(300_000))
    folder = unpack_archive(source, tmp_path / "out")
    assert (folder / "a" / "b.sh").read_bytes() == b"#!/bin/sh\n"
    assert (folder / "c \u4f60's").read_bytes() == bytes(300_000)
    assert not os.access(folder / "a" / "b.sh", os.X_OK) or os.name != "posix"
    assert (folder / "a" / "b.sh").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR) == 0
    with pytest.raises(InputError, match="exists already"):
        unpack_archive(source, folder)


def test_a_damaged_archive_leaves_nothing(tmp_path):
    make_model(tmp_path / "model")
    for name in ("model.tar", "model.tgz"):
        pack_with_tar(tmp_path / "model", tmp_path / name)
    pack_with_zip(tmp_path / "model", tmp_path / "model.zip")
    before = sorted(os.listdir(tmp_path))
    for name in ("model.tar", "model.tgz", "model.zip"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=f"{name}: damaged"):
            unpack_archive(tmp_path / name, tmp_path / "out")
    pack_with_espnet(tmp_path / "model", tmp_path / "model.zip")  # nothing in it is compressed
    content = bytearray((tmp_path / "model.zip").read_bytes())
    content[content.index(b"hidden_size")] ^= 1
    (tmp_path / "model.zip").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        unpack_archive(tmp_path / "model.zip", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == before


def test_an_archive_that_the_disk_can_not_hold_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    pack_with_tar(make_model(tmp_path / "model"), tmp_path / "model.tar")
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(InputError, match=r"needs [\d,]+ bytes, and .* has 10; free space"):
        unpack_archive(tmp_path / "model.tar", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["model", "model.tar"]


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"BZh91AY&SY" + bytes(600)])
def test_what_is_no_archive_is_one_clear_line(tmp_path, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(InputError, match=r"model: not a zip, tar or tar\.gz archive"):
        load_model(tmp_path / "model")
    with pytest.raises(InputError, match="no such model; name a trained model's folder, or an archive of it"):
        load_model(tmp_path / "nowhere.zip")


def test_links_in_a_tar_are_refused_with_the_way_to_pack_without_them(tmp_path):
    folder = make_model(tmp_path / "model")
    with tarfile.open(tmp_path / "model.tar", "w") as file:
        file.add(folder, ".")
    with pytest.raises(InputError, match=r"entry '.*latest\.pth' is a link; .*tar -czhf"):
        load_model(tmp_path / "model.tar")


def test_a_hard_link_to_what_is_not_a_file_before_it_is_refused(tmp_path):
    with tarfile.open(tmp_path / "model.tar", "w") as file:
        info = tarfile.TarInfo("config.yaml")
        info.type, info.linkname = tarfile.LNKTYPE, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(InputError, match="entry 'config.yaml' is a link"):
        load_model(tmp_path / "model.tar")


def test_hard_links_count_as_often_as_they_are_unpacked(tmp_path):
    with tarfile.open(tmp_path / "model.tar", "w") as file:
        first = tarfile.TarInfo("0")
        first.size = 40 << 20
        file.addfile(first, io.BytesIO(bytes(first.size)))
        for number in range(1, 1000):
            info = tarfile.TarInfo(str(number))
            info.type, info.linkname = tarfile.LNKTYPE, "0"
            file.addfile(info)
    with pytest.raises(InputError, match="brings what is unpacked to"):
        unpack_archive(tmp_path / "model.tar", tmp_path / "out")


@pytest.mark.parametrize("name", ["fold1/latest.pth", "model.safetensors"])
def test_a_file_of_weights_is_no_model(tmp_path, name):
    make_model(tmp_path / "fold1")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match="a file of weights; name the folder that it lies in"):
        find_models(tmp_path / name)
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(InputError, match=r"page.html: not a zip, tar or tar\.gz archive"):
        find_models(tmp_path / "page.html")


def test_a_packed_fold_may_be_zipped_with_its_folder(packed, tmp_path):
    shutil.copytree(packed.folder, tmp_path / "in" / "fold1")
    (tmp_path / "in/__MACOSX/fold1").mkdir(parents=True)
    (tmp_path / "in/__MACOSX/fold1/._config.json").write_text("x")
    shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path / "in")
    assert load_model(tmp_path / "model.zip")[0].tasks == load_model(packed.archive)[0].tasks


def test_an_archive_of_several_models_names_them(tmp_path):
    for name in ("fold1", "fold2"):
        make_model(tmp_path / "exp" / name)
    with tarfile.open(tmp_path / "all.tar", "w", dereference=True) as file:
        file.add(tmp_path / "exp", ".")
    with pytest.raises(InputError, match=r"holds several models \('fold1', 'fold2'\); pack one of them"):
        load_model(tmp_path / "all.tar")
