"""From a corpus to data directories: readers of IEMOCAP and of Kaldi directories, published counts, folds."""
