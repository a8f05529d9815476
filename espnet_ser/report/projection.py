"""Embeddings in two dimensions, to be looked at."""

import numpy as np

MIN_TSNE_POINTS = 10
_PERPLEXITY = 30.0
_PCA_DIM = 50


def project(embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE started from the principal components; these alone where there are few points. The same input gives the same
    picture: seeded, and on one thread, since sums in another order drift apart over the steps. ``embeddings``: float
    [num_utterances, dim]; ``seed``: of t-SNE. Returns float [num_utterances, 2].
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    assert embeddings.ndim == 2, embeddings.shape
    with threadpool_limits(limits=1):
        components = _principal_components(embeddings.astype(np.float64))
        if len(embeddings) < MIN_TSNE_POINTS or not components.any():
            return components[:, :2]
        perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
        init = 1e-4 * components[:, :2] / components[:, 0].std()  # as small as t-SNE wants it
        return TSNE(2, perplexity=perplexity, init=init, random_state=seed, n_jobs=1).fit_transform(components)


def _principal_components(embeddings: np.ndarray) -> np.ndarray:
    """The scores on the first principal components, at least two columns and at most ``_PCA_DIM``."""
    left, scales, right = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)
    # The sign of a component is arbitrary: its largest loading is made positive.
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    components = (left * scales * signs)[:, :_PCA_DIM]
    return np.pad(components, ((0, 0), (0, max(0, 2 - components.shape[1]))))
