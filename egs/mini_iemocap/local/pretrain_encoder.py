#!/usr/bin/env python3
"""Makes the mini recipe's tiny wav2vec 2.0 encoder: what pretraining is to the real one, in an hour on two CPU cores.

It hears espeak-ng speak random sentences in voices that the mini corpus does not use, and learns to spell them (CTC on the
last layer), and from layer 2 to redraw their spectrum (log-mel bands, and the harmonics below 700 Hz) and to tell the voices
apart. It is not told of emotion or gender. The result, ``conf/mini/encoder``, is a folder that transformers loads.

    python3 egs/mini_iemocap/local/pretrain_encoder.py --output egs/mini_iemocap/conf/mini/encoder
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
import torchaudio
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import Wav2Vec2Config, Wav2Vec2Model

from espnet_ser.corpus.transcript import normalise
from espnet_ser.data.batches import compose_batches
from espnet_ser.data.tokens import CharTokenizer, collapse
from espnet_ser.evaluation.metrics import word_error_rate
from espnet_ser.models.losses import ctc_loss
from espnet_ser.models.pooling import MeanPooling, valid_mask
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.synthetic.espeak import Prosody, SpeechRequest, speak_many
from espnet_ser.synthetic.release import SPEAKER_VOICES

CONFIG = {
    "hidden_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "conv_dim": [32, 32, 64, 64, 96, 128, 128],
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    # For those who finetune it; here nothing is dropped or masked.
    "layerdrop": 0.02,
    "hidden_dropout": 0.05,
    "attention_dropout": 0.02,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "mask_time_prob": 0.05,
    "mask_time_length": 3,
    "mask_time_min_masks": 1,
}
NUM_MELS = 40
NUM_HARMONIC_BINS = 44  # of 15.6 Hz: a voice's pitch is seen in them, which mel bands smear
VOICES = """
f2 f4 Alicia Andrea anika aunty belinda grandma steph steph2 shelby m2 m4 m5 m6 m8 Alex Andy Denis Diogo Gene Henrique
Hugo Lee Marco Mario Michael Mike Reed adam antonio benjamin boris david ed edward ian iven john marcelo michel miguel
norbert pablo paul pedro quincy robert sandro travis victor zac
"""
WORDS = """
a about after again all am and are around as ask at away back be because bed before best big black blue book both boy
bring brother but buy by call came can car chair child city close cold come could country cut day deep did dinner do dog
don't door down drink drive early eat end even every eye face family far father feel few find fire first five fly follow
food for four friend from full game garden gave get girl give go gone good great green grow had half hand happy hard has
have he head hear help her here high him his hold home hope hot hour house how I if in into is it it's job just keep
kind knew know land large last late leave left let letter life light like line little live long look lose love made make
man many may me mean meet men might mind money month moon more morning mother move much music must my name near need
never new next nice night no north not nothing now of off often oh okay old on once one only open or other our out over
own page paper people phone place play please put quick quiet rain ran read ready red rest right river road room run
said same saw say school sea see seem set she ship shop short should show side sing sister sit six sleep slow small snow
so some song soon south speak stand star start stay still stop story street strong such sun sure table take talk tell
ten than thank that the their them then there these they thing think this those three time to today together told
tomorrow too took town train travel tree try turn two under until up us use very visit voice wait walk wall want warm
was watch water way we week well went were west what when where which while white who why wide will wind window winter
wish with woman word work world would write year yes yet you young your
"""


def spoken_sentences(count: int, seed: int, nj: int) -> tuple[list[str], list[str], list[np.ndarray]]:
    """Random sentences of one to six words, in random voices and manners: normalised texts, voices, waveforms at 16 kHz."""
    rng, words = random.Random(seed), WORDS.split()
    reserved = {voice.partition("+")[2] for voice in SPEAKER_VOICES.values()}
    voices = sorted(set(VOICES.split()) - reserved)
    requests = [
        SpeechRequest(
            " ".join(rng.choice(words) for _ in range(rng.randint(1, 6))),
            f"en-us+{rng.choice(voices)}",
            Prosody(
                rate_wpm=rng.uniform(110, 230),
                pitch=rng.uniform(15, 85),
                pitch_range=rng.uniform(5, 95),
                word_gap=rng.uniform(0, 6),
                gain_db=rng.uniform(-8, 8),
                tilt_db=rng.uniform(-3, 4),
                snr_db=rng.uniform(8, 28),
            ),
            seed=index,
        )
        for index in range(count)
    ]
    texts, spoken_by = [normalise(request.text) for request in requests], [request.voice for request in requests]
    return texts, spoken_by, list(speak_many(requests, nj))


def spectrum(speech: torch.Tensor) -> torch.Tensor:
    """What layer 2 redraws, about standardised, per frame of 20 ms: [batch, samples] -> [batch, frames, bands and bins]."""
    mel = torchaudio.transforms.MelSpectrogram(n_fft=512, win_length=400, hop_length=320, n_mels=NUM_MELS, center=False)(speech)
    fine = torchaudio.transforms.Spectrogram(n_fft=1024, win_length=1024, hop_length=320, center=True)(speech)
    low = fine[:, 1 : NUM_HARMONIC_BINS + 1, : mel.shape[2]]
    return torch.cat([((mel + 1e-6).log() + 6) / 3, ((low + 1e-5).log() + 3) / 4], dim=1).transpose(1, 2)


def batches_of_like_length(lengths: list[int], size: int, rng: np.random.Generator) -> list[list[int]]:
    """An epoch's batches: utterances sorted by length, about."""
    order = np.argsort(-(np.log(lengths) + rng.normal(0.0, 0.1, len(lengths)))).tolist()
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[index] for index in rng.permutation(len(batches))]


@torch.no_grad()
def average_frame(model: Wav2Vec2Model) -> torch.Tensor:
    """What stands for a masked frame, since pretraining has learnt none: the average frame, as layer norm has it, projected."""
    projection = model.feature_projection
    return projection.projection(projection.layer_norm.bias)


def save_half(model: Wav2Vec2Model, folder: Path) -> None:
    """Saves the model's weights in half precision, under 3 MB; they are loaded and trained in single precision."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**model.config.to_dict(), "dtype": "float32", "architectures": ["Wav2Vec2Model"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    state = {**model.state_dict(), "masked_spec_embed": average_frame(model)}
    state = {name: tensor.detach().half().contiguous() for name, tensor in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    """Speaks, trains, and writes the encoder's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for config.json and model.safetensors")
    parser.add_argument("--num_utts", type=int, default=4000, help="sentences to speak")
    parser.add_argument("--epochs", type=int, default=10, help="passes over them")
    parser.add_argument("--seed", type=int, default=1, help="of everything")
    parser.add_argument("--nj", type=int, default=2, help="processes that speak")
    args = parser.parse_args()

    texts, spoken_by, waveforms = spoken_sentences(args.num_utts + 200, args.seed, args.nj)
    tokenizer = CharTokenizer(CharTokenizer.make_tokens(texts))
    torch.manual_seed(args.seed)
    model = Wav2Vec2Model(Wav2Vec2Config(**CONFIG)).eval()  # few passes over much speech: no dropout
    encoder = Wav2Vec2Encoder(model, CONFIG["num_hidden_layers"], skip_layer=2, normalize_waveform=False)
    model.feature_extractor.requires_grad_(True)
    ctc, redraw = nn.Linear(encoder.dim, len(tokenizer.tokens)), nn.Linear(encoder.dim, NUM_MELS + NUM_HARMONIC_BINS)
    voices = sorted(set(spoken_by))
    tell_voice = nn.Linear(encoder.dim, len(voices))
    parameters = [*encoder.parameters(), *ctc.parameters(), *redraw.parameters(), *tell_voice.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    lengths = [len(waveform) for waveform in waveforms]
    train, held_out = list(range(args.num_utts)), list(range(args.num_utts, len(texts)))
    epochs = [
        batches_of_like_length([lengths[i] for i in train], 24, np.random.default_rng([args.seed, epoch]))
        for epoch in range(1, args.epochs + 1)
    ]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, total_steps=sum(map(len, epochs)), pct_start=0.15)

    def outputs(batch: list[int]) -> tuple[torch.Tensor, ...]:
        speech = pad_sequence([torch.from_numpy(waveforms[i]) for i in batch], batch_first=True)
        features, num_frames = encoder.convolve(speech, torch.tensor([lengths[i] for i in batch]))
        hidden, tap, _ = encoder.forward_from("cnn", features, num_frames)
        return ctc(hidden), redraw(tap), tell_voice(MeanPooling(tap.shape[2])(tap, num_frames)), num_frames, speech

    for epoch, batches in enumerate(epochs, 1):
        start, totals = time.time(), np.zeros(3)
        for batch in batches:
            logits, drawn, voice_logits, num_frames, speech = outputs(batch)
            ids = [torch.tensor(tokenizer.text_to_ids(texts[i])) for i in batch]
            loss_ctc = ctc_loss(logits, num_frames, pad_sequence(ids, batch_first=True), torch.tensor([len(x) for x in ids]))
            target = spectrum(speech)[:, : drawn.shape[1]]
            mask = valid_mask(num_frames, drawn.shape[1])[:, : target.shape[1]]
            loss_spectrum = (drawn[:, : target.shape[1]] - target)[mask].square().mean()
            loss_voice = nn.functional.cross_entropy(voice_logits, torch.tensor([voices.index(spoken_by[i]) for i in batch]))
            optimizer.zero_grad()
            (loss_ctc + 0.5 * loss_spectrum + 0.2 * loss_voice).backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            totals += [loss_ctc.item(), loss_spectrum.item(), loss_voice.item()]
        hyps = {}
        with torch.no_grad():
            for batch in compose_batches([lengths[i] for i in held_out], 24, shuffle=False):
                batch = [held_out[i] for i in batch]
                logits, _, _, num_frames, _ = outputs(batch)
                for i, path, frames in zip(batch, logits.argmax(-1).tolist(), num_frames.tolist(), strict=True):
                    hyps[i] = tokenizer.ids_to_text(collapse(path[:frames]))
        wer = word_error_rate([texts[i] for i in held_out], [hyps[i] for i in held_out])
        means = "ctc {:.3f}, spectrum {:.3f}, voice {:.3f}".format(*totals / len(batches))
        seconds = time.time() - start
        print(
            f"epoch {epoch}/{args.epochs}: {means}, WER of {len(held_out)} new sentences {wer:.1f} %, {seconds:.0f} s",
            flush=True,
        )
        if epoch % 4 == 0 or epoch == args.epochs:
            save_half(model, args.output)
    args.output.joinpath("preprocessor_config.json").write_text(
        json.dumps(
            {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False, "sampling_rate": 16000}, indent=2
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
