"""The network: encoders, pooling, heads, losses."""
