"""Models on disk and on the hub: weights, configurations and archives, checked before they are loaded."""
