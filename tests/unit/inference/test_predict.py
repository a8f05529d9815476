import torch

from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.evaluation.decoding import decode


def test_decoding_reads_valid_frames_alone_and_names_the_likeliest_class():
    tokenizer = CharTokenizer(["<blank>", "<unk>", "<space>", "A", "B"])
    path = torch.tensor([[3, 3, 0, 4, 4], [3, 2, 3, 4, 4]])  # the last two frames of the second are padding
    outputs = {
        "num_frames": torch.tensor([5, 3]),
        "asr": torch.nn.functional.one_hot(path, 5).float(),
        "gender": torch.log(torch.tensor([[0.75, 0.25], [0.1, 0.9]])),
    }
    first, second = decode(outputs, {"gender": ["f", "m"]}, tokenizer)
    assert (first["asr"]["hyp"], second["asr"]["hyp"]) == ("AB", "A A")
    assert (first["gender"]["hyp"], second["gender"]["hyp"]) == ("f", "m")
    assert abs(first["gender"]["scores"]["f"] - 0.75) < 1e-6
    assert "emotion" not in first
