"""A trained fold for others: archive, transformers, ONNX, model card, upload."""
