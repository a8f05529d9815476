"""A release in IEMOCAP's layout, spoken by espeak-ng: the corpus of the tests and of the mini recipe."""
