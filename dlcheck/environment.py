"""Where a run is made: versions, devices, threads, and settings of the surroundings that cost speed."""

import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from dlcheck.results import Environment


def versions() -> dict[str, str]:
    """Installed versions of what dlcheck depends on, extras included; absent ones are left out."""
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in metadata.requires("dlcheck") or ()]
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def devices() -> list[str]:
    """The devices that torch can use, by name."""
    import torch

    return ["cpu", *(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))]


def threads() -> int:
    """Threads that one process may use for arithmetic."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def command() -> str:
    """The command line of this process, without the folder of its program."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem
    return shlex.join([name, *sys.argv[1:]])


def environment(started: float, *, seed: int, profile: str) -> Environment:
    """The record of a run that began at ``started`` (seconds since the epoch)."""
    return Environment(
        dlcheck=metadata.version("dlcheck"),
        python=platform.python_version(),
        platform=platform.platform(),
        versions=versions(),
        devices=devices(),
        threads=threads(),
        seed=seed,
        profile=profile,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        seconds=time.time() - started,
        command=command(),
    )


def advice(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What to set before Python starts, by variable, and what it is good for; what is set already is left out."""
    wanted = {
        "OMP_WAIT_POLICY": "=PASSIVE: idle threads of one library do not spin while another one works",
        "THP_MEM_ALLOC_ENABLE": "=1: torch asks for huge pages, so that large arrays are touched faster",
        "MALLOC_MMAP_MAX_": "=0: freed arrays are kept instead of handed back to the system and asked for again",
        "MALLOC_TRIM_THRESHOLD_": "=100000000000: the same for the top of the heap",
    }
    return {name: says for name, says in wanted.items() if name not in variables}
