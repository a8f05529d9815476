"""A ``python3`` for scripts under test that starts in milliseconds: commands run in forks of a process that has imported torch.

Most of the time of a recipe on a few seconds of speech is importing torch, transformers and ESPnet again in every process. With
:func:`warm_python`'s folder first on ``PATH``, ``python3 -m espnet_ser ...`` asks a server for a fork with its own arguments,
environment, folder and standard streams; signals and the exit status are passed on, and a client that is killed takes its fork
with it. Whatever else ``python3`` is asked to do, the real one does.
"""

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

IMPORTED = (
    "espnet_ser.tasks.options",
    "espnet_ser.inference.speech_emotion",
    "espnet_ser.publish.pack",
    "espnet_ser.report.write",
)
PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:3] != ["-m", "espnet_ser"] or os.environ.get("OMP_NUM_THREADS") != {threads!r}:
    os.execv({python!r}, ["python3", *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv[3:], os.getcwd(), dict(os.environ), os.umask(0)]).encode()
held = signal.pthread_sigmask(signal.SIG_BLOCK, {signals!r})
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
for number in {signals!r}:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
signal.pthread_sigmask(signal.SIG_SETMASK, held)
status = int.from_bytes(server.recv(4), "big", signed=True)
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextlib.contextmanager
def warm_python() -> Iterator[Path]:
    """Serves forks while the body runs; gives the folder with the ``python3`` that asks for them."""
    with tempfile.TemporaryDirectory() as folder:  # short: the name of a socket has a limit
        address, client = f"{folder}/forks", Path(folder, "bin", "python3")
        threads = os.environ.setdefault("OMP_NUM_THREADS", "1")
        signals = [int(number) for number in PASSED_ON]
        client.parent.mkdir()
        client.write_text(CLIENT.format(python=sys.executable, threads=threads, address=address, signals=signals))
        client.chmod(0o755)
        environment = {**os.environ, "PYTHONUTF8": "1", "LC_ALL": "C", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "agg"}
        server = subprocess.Popen([sys.executable, __file__, address], env=environment, cwd="/", stdout=subprocess.PIPE)
        try:
            assert server.stdout.readline() == b"ready\n"
            yield client.parent
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


def serve(address: str) -> None:
    """Forks for every client, until it is ended."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    for name in IMPORTED:
        __import__(name)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch over a fork
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            watch(client)
            os._exit(0)
        client.close()


def watch(client: socket.socket) -> None:
    """Runs what a client asks for in a fork, and stands between the two."""
    head, streams, *_ = socket.recv_fds(client, 8, 3)
    num_bytes, text = int.from_bytes(head, "big"), b""
    while len(text) < num_bytes:
        text += client.recv(num_bytes - len(text))
    arguments, folder, environment, umask = json.loads(text)
    child = os.fork()
    if child == 0:
        client.close()
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.umask(umask)
        os.environ.clear()
        os.environ.update(environment)
        os._exit(run(arguments))
    ended = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([client, ended], [], [])
        if ended in ready:
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):
                client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
            return
        asked = client.recv(1)
        os.kill(child, asked[0] if asked else signal.SIGKILL)


def run(arguments: list[str]) -> int:
    """``python3 -m espnet_ser``, as the interpreter runs it; returns the exit status."""
    sys.argv, status = ["espnet_ser", *arguments], 0
    try:
        runpy.run_module("espnet_ser", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if status == 1 and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
