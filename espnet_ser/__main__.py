"""``python3 -m espnet_ser COMMAND``: the same as the ``espnet-ser`` command."""

from espnet_ser.bin.main import main

if __name__ == "__main__":
    main()
