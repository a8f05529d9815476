"""A trained fold for others: transformers, ONNX, and a folder of everything that may be published."""
