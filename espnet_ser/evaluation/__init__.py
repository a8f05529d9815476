"""Predictions, the selection of an epoch, scores, intervals and tests."""
