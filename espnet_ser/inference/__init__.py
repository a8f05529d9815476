"""Predictions for recordings of any kind, by one model or several."""
