"""A port to serve on."""

import errno
import socket

from espnet_ser.errors import InputError

FIRST, LAST = 7860, 7959  # where no port is asked for, the first free one of these is taken


def find_port(host: str, port: int | None) -> int:
    """The port, or the first free one. ``host``: the address to serve on; ``port``: what was asked for; None for any. Raises
    InputError when it is taken or forbidden, or the host is none of this machine's addresses.
    """
    candidates = range(FIRST, LAST + 1) if port is None else [port]
    for candidate in candidates:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            return candidate
        except socket.gaierror as error:
            raise InputError(f"--host {host}: no such address ({error.strerror}); give one of this machine's") from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise InputError(f"--host {host}: not an address of this machine; give one that is") from error
            if error.errno == errno.EACCES:
                raise InputError(f"--port {candidate}: not allowed to you; give one above 1023") from error
            if error.errno != errno.EADDRINUSE:
                raise
    taken = f"--port {port}: taken" if port is not None else f"ports {FIRST} to {LAST}: all taken"
    raise InputError(f"{taken} by another program; give another with --port, or end that program")
