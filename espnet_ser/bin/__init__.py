"""The commands of ``espnet-ser``, one file each."""
