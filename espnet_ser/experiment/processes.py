"""Training in several processes ("ranks"), on one machine or several: who is started where, and how all end together.

On each machine one process runs ``espnet-ser train``. It starts a rank per GPU and watches them: the first that fails ends
all, and its error is the one that is reported. Across machines it is ``espnet2.bin.launch`` that starts these processes, and
tells them by options which of them they are.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.tasks.launch_options import LAUNCH_OPTIONS
from espnet_ser.utils.atomic import disk_errors_as_input_errors
from espnet_ser.utils.signals import ENDING_SIGNALS, REQUEUE_CODE, STOP

GRACE_S = 60.0  # for ranks that save themselves, and for news of a rank that can no longer be reached

POLL_S = 0.2

START_METHOD = "spawn"  # a copy of a process that has met a GPU or started threads does not work


@dataclass(frozen=True)
class Ranks:
    """Which processes train together."""

    per_node: int = 1  # ranks on each machine
    on_gpus: bool = False  # whether each has a GPU, or all share the machine's CPUs
    node: int = 0  # this machine, from 0; the first one keeps the training's folder
    num_nodes: int = 1  # machines
    backend: str = "gloo"  # how ranks talk: ``nccl`` or ``gloo``
    # of :data:`LAUNCH_OPTIONS`, those that say where ranks meet, and ``local_rank``
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, args: Namespace) -> "Ranks":
        """As options say: ``ngpu``, ``dist_backend``, and :data:`LAUNCH_OPTIONS` where a launcher has given them. Raises
        InputError when it does not know where the machines' processes meet, or which of them this one is.
        """
        on_gpus = args.ngpu > 0 and not (args.dist_backend == "gloo" and _num_gpus() == 0)
        options = {name: getattr(args, name, None) for name in LAUNCH_OPTIONS}
        node, num_nodes = _node(options)
        if not 0 <= node < num_nodes:
            raise InputError(f"--dist_rank {node}: there are {num_nodes} processes, counted from 0")
        if num_nodes > 1 and not (options["dist_init_method"] or options["dist_master_port"]):
            raise InputError("several machines: where do they meet? Start them by espnet2.bin.launch")
        backend = args.dist_backend if on_gpus else "gloo"
        return cls(max(args.ngpu, 1), on_gpus, node, num_nodes, backend, options)

    @property
    def total(self) -> int:
        """Ranks on all machines."""
        return self.per_node * self.num_nodes

    @property
    def num_gpus(self) -> int:
        """GPUs on each machine."""
        return self.per_node if self.on_gpus else 0

    def train(self, args: Namespace) -> None:
        """Trains what ESPnet's options say: here where it is one rank, else in as many processes as are this machine's. Raises
        InputError: what the first rank that failed, here or on another machine, had to say; SystemExit with
        :data:`espnet_ser.utils.signals.REQUEUE_CODE`, when the ranks were asked to end and have been saved.
        """
        if self.total == 1:
            from espnet_ser.tasks.ser import SERTask

            SERTask.main(args)
            return
        with tempfile.TemporaryDirectory(prefix="espnet_ser_ranks") as folder, STOP.deferred():
            meeting = f"file://{folder}/meeting" if self.num_nodes == 1 else self.options["dist_init_method"]
            self._watch(args, meeting or "env://", self._ending(Path(folder)))

    @contextmanager
    def failure_told(self) -> Iterator[None]:
        """Tells the other machines, which wait for this one's ranks, of an error in the body."""
        try:
            yield
        except Exception as error:
            self._ending(None).tell(1, f"{os.uname().nodename}: {error}")
            raise

    def _watch(self, args: Namespace, meeting: str, ending: "Ending") -> None:
        context = multiprocessing.get_context(START_METHOD)
        ranks = [self._rank_args(args, index, meeting) for index in range(self.per_node)]
        processes = [context.Process(target=_train_rank, args=(each, ending, self.num_nodes == 1)) for each in ranks]
        with _signals_held():  # a rank hears them as soon as it can answer
            for process in processes:
                process.start()
        asked = False
        try:
            while (alive := [process for process in processes if process.is_alive()]) and not ending.is_told():
                wait([process.sentinel for process in alive], timeout=POLL_S)
                if STOP.asked and not asked:
                    asked = True
                    _ask_to_end(processes)
                for each, process in zip(ranks, processes, strict=True):
                    if process.exitcode:
                        ending.tell(*_status_and_reason(process.exitcode, _name(each)))
            if not ending.is_told():
                return
            status, reason = ending.read()
            if status == REQUEUE_CODE:
                _ask_to_end(processes)
                until_s = time.monotonic() + GRACE_S
                for process in processes:
                    process.join(max(0.0, until_s - time.monotonic()))
        finally:
            for process in processes:
                process.kill()
                process.join()
        if status == REQUEUE_CODE:
            STOP.end("")
        raise InputError(reason)

    def _rank_args(self, args: Namespace, index: int, meeting: str) -> Namespace:
        """ESPnet's options of one of this machine's ranks."""
        own = self.options.get("local_rank") not in (None, "none")
        local_rank = int(self.options["local_rank"]) if own else index
        return Namespace(
            **{
                **vars(args),
                "distributed": True,
                "multiprocessing_distributed": False,
                "ngpu": int(self.on_gpus),
                "dist_backend": self.backend,
                "dist_init_method": meeting,
                "dist_launcher": self.options.get("dist_launcher"),
                "dist_master_addr": self.options.get("dist_master_addr"),
                "dist_master_port": self.options.get("dist_master_port"),
                "dist_world_size": self.total,
                "dist_rank": self.node * self.per_node + index,
                "local_rank": local_rank if self.on_gpus else 0,
            }
        )

    def _ending(self, folder: Path | None) -> "Ending":
        method = str(self.options.get("dist_init_method") or "")
        shared = self.num_nodes > 1 and method.startswith("file://")
        return Ending(Path(f"{method.removeprefix('file://')}.ended") if shared else (folder and folder / "ended"))


ALONE = Ranks()  # one process, without a GPU of its own


@dataclass(frozen=True)
class Ending:
    """A file that says why ranks end, written by the first to know, where all that wait can see it."""

    path: Path | None  # the file; None where nobody waits

    def is_told(self) -> bool:
        """Whether anybody has said so."""
        return self.path is not None and self.path.exists()

    def tell(self, status: int, reason: str) -> None:
        """Says with which exit status and why, unless it has been said."""
        if self.path is None:
            return
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        temporary.write_text(json.dumps([status, reason]), encoding="utf-8")
        with suppress(FileExistsError):
            os.link(temporary, self.path)
        temporary.unlink()

    def read(self) -> tuple[int, str]:
        """What was said."""
        status, reason = json.loads(self.path.read_text(encoding="utf-8"))
        return int(status), str(reason)


def _train_rank(args: Namespace, ending: Ending, on_one_machine: bool) -> None:
    name = _name(args)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if on_one_machine:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody else is to be spoken to
    try:
        with STOP.handled():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
            from torch import distributed

            from espnet_ser.tasks.ser import SERTask

            with disk_errors_as_input_errors(Path(args.output_dir)):
                SERTask.main_worker(args)
            distributed.destroy_process_group()
        return
    except SystemExit as end:
        status, reason = int(end.code or 0), ""
    except InputError as error:
        status, reason = 1, f"{name}: {error}"
    except Exception as error:  # a fault of ours, too little memory, or another rank that is no more
        status, reason = 1, f"{name}: {type(error).__name__}: {error}"
        if _is_of_others(error):
            time.sleep(GRACE_S)  # whoever watches that rank knows better, and ends this one
            reason = f"{name}: the other ranks cannot be reached any more ({error})"
        else:
            traceback.print_exc()
    ending.tell(status, reason)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what waits for the other ranks is not waited for


def _name(args: Namespace) -> str:
    return f"rank {args.dist_rank} of {args.dist_world_size} on {os.uname().nodename}"


def _is_of_others(error: Exception) -> bool:
    from torch import distributed

    kinds = ("DistError", "DistBackendError", "DistNetworkError", "DistStoreError")
    known = tuple(getattr(distributed, kind) for kind in kinds if hasattr(distributed, kind))
    return isinstance(error, known) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _ask_to_end(processes: list) -> None:
    for process in processes:
        process.terminate()


def _status_and_reason(exitcode: int, rank: str) -> tuple[int, str]:
    if exitcode == REQUEUE_CODE:
        return REQUEUE_CODE, ""
    if exitcode < 0:
        memory = ": has the machine run out of memory?" if exitcode == -signal.SIGKILL else ""
        return 1, f"{rank} was killed by {signal.Signals(-exitcode).name}{memory}"
    return 1, f"{rank} ended with status {exitcode}; what it said stands above"


@contextmanager
def _signals_held() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def _node(options: Mapping[str, object]) -> tuple[int, int]:
    """This machine's number, and how many there are; or, where a launcher starts each rank itself, the rank's."""
    if options["dist_world_size"] is not None:
        if options["dist_rank"] is None:
            raise InputError("--dist_world_size needs --dist_rank: which of these processes is this one?")
        return options["dist_rank"], options["dist_world_size"]
    known = {
        "slurm": (("SLURM_PROCID", "SLURM_NTASKS"),),
        "mpi": (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")),
    }
    launcher = options["dist_launcher"]
    if launcher is None:
        return 0, 1
    for rank, size in known.get(launcher, ()):
        if rank in os.environ and size in os.environ:
            if launcher == "slurm" and os.environ[size] != os.environ.get("SLURM_STEP_NUM_NODES", os.environ[size]):
                raise InputError(
                    f"srun started {os.environ[size]} tasks on {os.environ['SLURM_STEP_NUM_NODES']} machines: "
                    "give --ntasks-per-node=1, each starts a process per GPU"
                )
            return int(os.environ[rank]), int(os.environ[size])
    started_by = {"slurm": "srun", "mpi": "mpirun"}.get(launcher)
    if started_by is None:
        raise InputError(f"--dist_launcher {launcher}: known are slurm and mpi")
    raise InputError(f"--dist_launcher {launcher}: this process was not started by {started_by}")


def _num_gpus() -> int:
    import torch

    return torch.cuda.device_count()
