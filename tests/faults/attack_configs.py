"""Configurations that would run code, fill the memory, or have other files read."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from ground import Attacks, Ground
from model_maker import change_config, model_config
from safetensors.torch import load_file, save_file
from tiny import save_encoder
from transformers import Wav2Vec2Model

from espnet_ser.data.tokens import BPETokenizer, save_tokenizer
from espnet_ser.model_io.encoder_folder import read_encoder_config
from espnet_ser.model_io.weights import build_encoder, load_pretrained_encoder

CONFIGS = Attacks()


def load_yaml_unsafely(ground: Ground, source) -> bool:
    """As ``yaml.load`` did when it had no loaders to choose from."""
    yaml.unsafe_load((source / "config.yaml").read_text())
    return ground.harm.exists()


def spells_out_to_far_more(ground: Ground, source) -> bool:
    """Whether writing the content down takes hundreds of times the file."""
    text = (source / "config.yaml").read_text()
    return len(json.dumps(yaml.safe_load(text))) > 300 * len(text)


def add_to_config(ground: Ground, text: str):
    with open(ground.model / "config.yaml", "a") as file:
        file.write(text)
    return ground.model


def change_encoder(ground: Ground, **changes):
    change_config(ground.model, encoder_config={**model_config()["encoder_config"], **changes})
    return ground.model


@CONFIGS.add("config.yaml: a tag that makes a file", "tags are not taken", load_yaml_unsafely)
def _(ground):
    return add_to_config(ground, f"seed: !!python/object/apply:os.mknod [{ground.harm}]\n")


@CONFIGS.add("config.yaml: a tag that imports a module", "tags are not taken")
def _(ground):
    return add_to_config(ground, "seed: !!python/module:antigravity\n")


@CONFIGS.add("config.yaml: a few lines that stand for millions", "anchors and aliases", spells_out_to_far_more)
def _(ground):
    (ground.model / "config.yaml").unlink()
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 6)]
    return add_to_config(ground, "\n".join(lines) + "\n")


@CONFIGS.add("config.yaml: a hundred thousand brackets", "nested deeper than")
def _(ground):
    return add_to_config(ground, "seed: " + "[" * 100_000)


@CONFIGS.add("config.yaml: megabytes of it", "larger than 4,194,304 bytes")
def _(ground):
    return add_to_config(ground, f"seed: '{'x' * (5 << 20)}'\n")


@CONFIGS.add("config.yaml: a number of a million digits", "a number of 1000001 characters")
def _(ground):
    return add_to_config(ground, "seed: 1" + ":1" * 500_000 + "\n")


@CONFIGS.add("config.yaml: a setting that is given twice", "stands twice")
def _(ground):
    return add_to_config(ground, "encoder: cnn_lstm\n")


@CONFIGS.add("config.yaml: a dotted path where a class is chosen", "encoder must be one of ssl, cnn_lstm")
def _(ground):
    change_config(ground.model, encoder="os.system")
    return ground.model


@CONFIGS.add("config.yaml: a task that is a path", "tasks must be a list")
def _(ground):
    change_config(ground.model, tasks=["../../harm"])
    return ground.model


@CONFIGS.add("config.yaml: no encoder of its own, but one elsewhere on the disk", "encoder_config must be a mapping")
def _(ground):
    change_config(ground.model, encoder_config=None, ssl=str(save_encoder(ground.root / "encoder")))
    return ground.model


@CONFIGS.add("config.yaml: tokens elsewhere on the disk", "model/tokens/tokens.txt is missing")
def _(ground):
    (ground.model / "tokens").rename(ground.root / "tokens")
    change_config(ground.model, token_dir=str(ground.root / "tokens"))
    return ground.model


@CONFIGS.add("config.yaml: a thousand million layers", "num_hidden_layers must be")
def _(ground):
    return change_encoder(ground, num_hidden_layers=10**9)


@CONFIGS.add("config.yaml: a model of 10^13 parameters", "hidden_size must be")
def _(ground):
    return change_encoder(ground, hidden_size=10**6, num_attention_heads=1)


@CONFIGS.add("config.yaml: a model of 10^11 parameters, each setting permitted", "parameters are missing")
def _(ground):
    return change_encoder(ground, hidden_size=8192, num_hidden_layers=96, intermediate_size=65536, conv_dim=[1024] * 7)


@CONFIGS.add("config.yaml: thousands of classes", "emotion must be a list of 1 to 1000")
def _(ground):
    change_config(ground.model, labels={"emotion": [str(number) for number in range(2000)]})
    return ground.model


@CONFIGS.add("config.yaml: strides of zero", "conv_stride must be")
def _(ground):
    return change_encoder(ground, conv_stride=[0] * 7)


@CONFIGS.add("config.yaml: strides of 1, which make a frame of every sample", "a frame of every 1 samples")
def _(ground):
    return change_encoder(ground, conv_stride=[1] * 7)


@CONFIGS.add("config.yaml: as many frames as ever, after convolutions of every sample", "uses of each weight in a second")
def _(ground):
    return change_encoder(ground, conv_stride=[1] * 6 + [320])


@CONFIGS.add("config.yaml: strides that leave no frame of an hour", "a frame of every 1,000,000,000,000,000,000,000 samples")
def _(ground):
    return change_encoder(ground, conv_stride=[1000] * 7)


@CONFIGS.add("config.yaml: a convolution of 8192 channels, the next of one", "values that a layer makes of a second")
def _(ground):
    return change_encoder(ground, conv_dim=[8192, *[1] * 6])


@CONFIGS.add("config.yaml: as many heads of attention as values", "values of attention over 35 s")
def _(ground):
    return change_encoder(ground, hidden_size=512, num_attention_heads=512)


@CONFIGS.add("config.yaml: code of the encoder's own (auto_map)", "auto_map names code to run")
def _(ground):
    return change_encoder(ground, auto_map={"AutoModel": "evil.Model"})


@CONFIGS.add("config.yaml: an attention kernel from the hub", "names code to fetch")
def _(ground):
    return change_encoder(ground, _attn_implementation="stranger/kernel")


@CONFIGS.add("tokens: a SentencePiece model of random bytes", "not a SentencePiece model")
def _(ground):
    generator = torch.Generator().manual_seed(0)
    content = torch.randint(0, 256, (1000,), generator=generator, dtype=torch.uint8).numpy().tobytes()
    (ground.model / "tokens" / "bpe.model").write_bytes(content)
    return ground.model


def crashes_the_loader(ground: Ground, source) -> bool:
    """As SentencePiece loads a model that a file holds, in a process of its own."""
    code = "import sys, sentencepiece; sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])"
    command = [sys.executable, "-c", code, source / "tokens" / "bpe.model"]
    return subprocess.run(command, capture_output=True, check=False).returncode < 0


def sentencepiece_attack(ground: Ground, change):
    from sentencepiece import sentencepiece_model_pb2

    tokens, content = BPETokenizer.train(["YES NO", "I KNOW", "HELLO WORLD"] * 3, 20)
    model = sentencepiece_model_pb2.ModelProto.FromString(content)
    change(model)
    change_config(ground.model, token_list=tokens)
    save_tokenizer(ground.model / "tokens", tokens, model.SerializeToString())
    return ground.model


@CONFIGS.add("tokens: a SentencePiece model whose table of characters leads out of it", "of the tokens", crashes_the_loader)
def _(ground):
    def change(model):
        model.normalizer_spec.precompiled_charsmap = struct.pack("<I", 1024) + b"\xff" * 1024 + b"a\0"
        sample = model.self_test_data.samples.add()
        sample.input = sample.expected = "YES"

    return sentencepiece_attack(ground, change)


@CONFIGS.add("tokens: a SentencePiece model of another algorithm", "not a SentencePiece model of the tokens")
def _(ground):
    return sentencepiece_attack(ground, lambda model: setattr(model.trainer_spec, "model_type", 1))


@CONFIGS.add("tokens: other tokens than the model was trained with", "is not the token_list")
def _(ground):
    (ground.model / "tokens" / "tokens.txt").write_text("<blank>\n<unk>\n<space>\nB\nA\n")
    return ground.model


def load_encoder(folder):
    """As training loads a pretrained encoder."""
    load_pretrained_encoder(build_encoder(read_encoder_config(folder)), folder)


def encoder_with(ground: Ground, **changes):
    folder = save_encoder(ground.root / "encoder")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def load_pickle(ground: Ground, source) -> bool:
    """As transformers loaded weights for years."""
    torch.load(source / "pytorch_model.bin", weights_only=False)
    return ground.harm.exists()


@CONFIGS.add("encoder: a pickle that makes a file", "it names posix.mknod", load_pickle, load_encoder)
def _(ground):
    from attack_weights import Bomb

    folder = encoder_with(ground)
    (folder / "model.safetensors").unlink()
    torch.save({"a": Bomb(ground.harm)}, folder / "pytorch_model.bin")
    return folder


def load_shard(ground: Ground, source) -> bool:
    """As transformers loaded weights in several files."""
    torch.load(source / "part.bin", weights_only=False)
    return ground.harm.exists()


def reads_files_elsewhere(ground: Ground, source) -> bool:
    """Whether transformers follows the index out of the folder."""
    return Wav2Vec2Model.from_pretrained(source) is not None


def indexed(ground: Ground, **changes) -> Path:
    """An encoder in two files, and what its index says of them; tests change that."""
    folder = encoder_with(ground)
    weights = load_file(folder / "model.safetensors")
    names = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(sorted(weights))}
    for shard in set(names.values()):
        save_file({name: weights[name] for name in names if names[name] == shard}, folder / shard)
    (folder / "model.safetensors").unlink()
    write_index(folder, {**names, **changes})
    return folder


def write_index(folder: Path, names) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))


@CONFIGS.add(
    "encoder: an index that names files elsewhere on the disk",
    "it names '../secret.safetensors', which is no file of weights in this folder",
    reads_files_elsewhere,
    load_encoder,
)
def _(ground):
    folder = encoder_with(ground)
    (folder / "model.safetensors").rename(ground.root / "secret.safetensors")
    write_index(folder, dict.fromkeys(load_file(ground.root / "secret.safetensors"), "../secret.safetensors"))
    return folder


@CONFIGS.add("encoder: an index that lists a parameter twice", "'a' is listed twice", load=load_encoder)
def _(ground):
    folder = indexed(ground)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}')
    return folder


@CONFIGS.add(
    "encoder: a parameter in two of its files", "holds other weights than the index says: masked_spec_embed", load=load_encoder
)
def _(ground):
    folder = indexed(ground)
    for shard in folder.glob("model-*.safetensors"):
        save_file({**load_file(shard), "masked_spec_embed": torch.ones(32)}, shard)
    return folder


@CONFIGS.add(
    "encoder: an index of what is not in its files", "holds other weights than the index says: more", load=load_encoder
)
def _(ground):
    return indexed(ground, more="model-1.safetensors")


@CONFIGS.add("encoder: one of its files missing", "which model.safetensors.index.json lists, is missing", load=load_encoder)
def _(ground):
    folder = indexed(ground)
    (folder / "model-1.safetensors").unlink()
    return folder


@CONFIGS.add("encoder: an index that names a pickle among tensors", "names 'model.bin', which is no file", load=load_encoder)
def _(ground):
    return indexed(ground, more="model.bin")


@CONFIGS.add("encoder: an index of a hundred thousand brackets", "not an index of weights", load=load_encoder)
def _(ground):
    folder = indexed(ground)
    (folder / "model.safetensors.index.json").write_text("[" * 100_000)
    return folder


@CONFIGS.add("encoder: an index larger than any", "larger than 16,777,216 bytes", load=load_encoder)
def _(ground):
    folder = indexed(ground)
    (folder / "model.safetensors.index.json").write_text(" " * (17 << 20))
    return folder


@CONFIGS.add("encoder: one of its files a pickle that makes a file", "it names posix.mknod", load_shard, load_encoder)
def _(ground):
    from attack_weights import Bomb

    folder = encoder_with(ground)
    (folder / "model.safetensors").unlink()
    torch.save({"a": Bomb(ground.harm)}, folder / "part.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "part.bin"}}))
    return folder


@CONFIGS.add("encoder: a header that asks for a terabyte", "a header of 1,099,511,627,776 bytes", load=load_encoder)
def _(ground):
    folder = encoder_with(ground)
    (folder / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    return folder


@CONFIGS.add("encoder: a tensor that lies past the end of the file", "not fully covered", load=load_encoder)
def _(ground):
    folder = encoder_with(ground)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4 << 40]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return folder


@CONFIGS.add("encoder: an adapter that names another model", "they want an adapter", load=load_encoder)
def _(ground):
    folder = encoder_with(ground)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "stranger/model"}')
    return folder


@CONFIGS.add("encoder: code of its own (auto_map)", "auto_map names code to run", load=load_encoder)
def _(ground):
    folder = encoder_with(ground, auto_map={"AutoModel": "modeling_evil.Evil"})
    (folder / "modeling_evil.py").write_text(f"open({str(ground.harm)!r}, 'w')\n")
    return folder


@CONFIGS.add("encoder: quantised weights, which want another library", "quantization_config asks", load=load_encoder)
def _(ground):
    return encoder_with(ground, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


@CONFIGS.add("encoder: another file of weights", "transformers_weights names", load=load_encoder)
def _(ground):
    return encoder_with(ground, transformers_weights="../secret.safetensors")


@CONFIGS.add("encoder: config.json of a hundred thousand brackets", "recursion depth", load=load_encoder)
def _(ground):
    folder = encoder_with(ground)
    (folder / "config.json").write_text("[" * 100_000)
    return folder
