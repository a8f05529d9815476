import numpy as np
import pytest
import torch
from tiny import examples_of

from espnet_ser.data import loader
from espnet_ser.data.loader import BatchFactory, UtteranceDataset, to_numpy
from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.errors import InputError

LABELS = {"emotion": ["angry", "happy", "neutral", "sad"], "gender": ["f", "m"]}


def dataset(tmp_path):
    examples = examples_of(tmp_path)
    return UtteranceDataset(examples, LABELS, CharTokenizer(CharTokenizer.make_tokens(e.text for e in examples)))


def test_batches_hold_padded_speech_and_targets(tmp_path):
    data = dataset(tmp_path)
    for utts, batch in BatchFactory(data, 3, seed=0).build_iter(1):
        lengths = [next(e.num_samples for e in data.examples if e.utt == utt) for utt in utts]
        assert batch["speech_lengths"].tolist() == lengths
        assert batch["speech"].shape == (len(utts), max(lengths))
        assert batch["speech"].dtype == torch.float32
        for i, utt in enumerate(utts):
            example = next(e for e in data.examples if e.utt == utt)
            assert LABELS["emotion"][batch["emotion"][i]] == example.emotion
            assert LABELS["gender"][batch["gender"][i]] == example.gender
            assert data.tokenizer.ids_to_text(batch["text"][i, : batch["text_lengths"][i]].tolist()) == example.text


def test_ranks_share_each_batch_and_miss_nothing(tmp_path):
    data = dataset(tmp_path)
    alone = [set(utts) for utts, _ in BatchFactory(data, 4, seed=3).build_iter(2)]
    ranks = [list(BatchFactory(data, 4, seed=3, rank=rank, world_size=2).build_iter(2)) for rank in (0, 1)]
    assert [set(a[0]) | set(b[0]) for a, b in zip(*ranks, strict=True)] == alone
    assert all(set(a[0]).isdisjoint(b[0]) for a, b in zip(*ranks, strict=True))


def test_ranks_share_batches_by_duration_too(tmp_path):
    data = dataset(tmp_path)
    ranks = [list(BatchFactory(data, batch_bins=9000, seed=3, rank=rank, world_size=3).build_iter(2)) for rank in range(3)]
    assert len({len(batches) for batches in ranks}) == 1
    assert sorted(utt for batches in ranks for utts, _ in batches for utt in utts) == sorted(e.utt for e in data.examples)


def test_a_rank_may_have_no_utterance_of_a_batch(tmp_path):
    data = dataset(tmp_path)
    num_last = len(data) % 3
    for rank in range(3):
        *_, (utts, batch) = BatchFactory(data, 3, seed=3, rank=rank, world_size=3).build_iter(2)
        assert len(utts) == (1 if rank < num_last else 0)
        assert bool(batch) == bool(utts)


def test_ranks_evaluate_whole_batches_in_turn(tmp_path):
    data = dataset(tmp_path)
    alone = [utts for utts, _ in BatchFactory(data, 3, shuffle=False).build_iter(1)]
    for rank in range(2):
        batches = BatchFactory(data, 3, shuffle=False, rank=rank, world_size=2).build_iter(1)
        assert [utts for utts, _ in batches] == alone[rank::2]


def test_a_label_that_is_no_class_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Ses01_F\S+: unknown emotion label 'happy'"):
        UtteranceDataset(examples_of(tmp_path), {"emotion": ["angry", "neutral", "sad"]})


def test_processes_that_read_audio_send_no_tensor_through_shared_memory(tmp_path):
    data = dataset(tmp_path)
    alone = list(BatchFactory(data, 4, seed=0).build_iter(1))
    items = to_numpy([data[0]])
    assert {type(value) for value in items[0][1].values()} == {np.ndarray}
    for (utts, batch), (utts_alone, batch_alone) in zip(
        BatchFactory(data, 4, seed=0, num_workers=2).build_iter(1), alone, strict=True
    ):
        assert utts == utts_alone
        assert all(torch.equal(batch[name], batch_alone[name]) for name in batch_alone)


def test_without_semaphores_audio_is_read_in_this_process(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loader, "can_share_work", lambda _number: False)
    batches = BatchFactory(dataset(tmp_path), 4, seed=0, num_workers=2).build_iter(1)
    assert len(list(batches)) == len(batches)
    assert "/dev/shm" in caplog.text
