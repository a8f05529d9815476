"""Data directories, audio, tokens, batches and caches; and the checks that no held-out speech is trained on."""
