"""ESPnet's options of training in several processes, as its launcher sets them."""

LAUNCH_OPTIONS = {
    "multiprocessing_distributed": str,
    "dist_launcher": str,
    "dist_init_method": str,
    "dist_master_addr": str,
    "dist_master_port": int,
    "dist_world_size": int,
    "dist_rank": int,
    "local_rank": str,
}
"""What ``espnet2.bin.launch`` adds to the command that it starts on each machine, besides ``ngpu`` and ``dist_backend``."""
