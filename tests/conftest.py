"""Settings that all tests share."""

from hypothesis import settings

# A shared machine can be slow; how long an example takes is not what these tests are about.
settings.register_profile("espnet_ser", deadline=None, max_examples=60)
settings.load_profile("espnet_ser")
