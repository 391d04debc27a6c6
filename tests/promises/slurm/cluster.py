"""A real Slurm of its own on this host: three nodes with two pretended GPUs each.

All of it is in one folder: configuration, key, sockets, spool and logs. The configuration of the
system is neither read nor written.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("n1", "n2", "n3")
"""The third is a partition by itself, beside what happens on the others."""

CPUS = 8
"""CPUs that a node pretends to have."""

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job starts no sooner than a credential expires: after two minutes as a rule.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=20
MinJobAge=600
NodeName=n1 Port={ports[1]} {node}
NodeName=n2 Port={ports[2]} {node}
NodeName=n3 Port={ports[3]} {node}
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1
PartitionName=high Nodes=n1,n2 PriorityTier=2
PartitionName=aside Nodes=n3
"""

NODE = (
    "NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=4000 Gres=gpu:2"
)

GRES = "Name=gpu File=/dev/null,/dev/zero\n"
"""Slurm counts GPUs and hands them out; it never opens their files."""


def environment() -> dict[str, str]:
    """Return this process's environment with the programs of Slurm and simcore in the PATH."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
    places = (str(Path(sys.executable).parent), clean.get("PATH", ""), "/usr/sbin", "/sbin")
    return clean | {"PATH": ":".join(places)}


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(what: str, happened: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} after {seconds:g} s")
        time.sleep(0.1)


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job, or of one task of an array."""

    state: str
    restarts: int
    exit_code: int
    reason: str

    @property
    def over(self) -> bool:
        return self.state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")


@dataclass
class Cluster:
    """The cluster in a folder; `start` and `stop` it."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return environment() | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        self._configure()
        socket_file = self.folder / "munge.socket"
        names = {"key": "munge.key", "pid": "munged.pid", "log": "munged.log", "seed": "munge.seed"}
        files = [f"--{name}-file={self.folder / file}" for name, file in names.items()]
        self._daemon("munged", "--foreground", "--force", f"--socket={socket_file}", *files)
        wait_until("munged", socket_file.exists)
        self._daemon("slurmctld", "-D")
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node)
        self._wait_for_idle_nodes()

    def _wait_for_idle_nodes(self) -> None:
        try:
            wait_until("idle nodes", lambda: self.idle_nodes() == len(NODES))
        except TimeoutError as error:
            for path in sorted(self.folder.glob("*.out")):
                error.add_note(f"{path.name}: {path.read_text()[-2000:]}")
            raise

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        conf = CONF.format(
            host=host,
            user=getpass.getuser(),
            folder=self.folder,
            ports=free_ports(1 + len(NODES)),
            node=NODE.format(host=host, cpus=CPUS),
        )
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text(GRES)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def _daemon(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as out:
            daemon = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=out, stderr=out
            )
        self.daemons.append(daemon)

    def stop(self) -> None:
        """Cancel what is left, wait for it to go, and end the daemons."""
        try:
            if 0 < self.idle_nodes() < len(NODES):
                self.run("scancel", f"--user={getpass.getuser()}")
                self._wait_for_idle_nodes()
        finally:
            for daemon in reversed(self.daemons):
                daemon.terminate()
            for daemon in self.daemons:
                try:
                    daemon.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a program to its end and return what it printed."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def idle_nodes(self) -> int:
        try:
            shown = self.run("sinfo", "--noheader", "--Node", "--format=%N %T")
        except RuntimeError:
            return 0
        return len({line for line in shown.splitlines() if line.endswith(" idle")})

    def jobs(self, number: str) -> list[JobState]:
        """Return the states of a job, or of all tasks of an array in order of submission."""
        lines = self.run("scontrol", "show", "job", "--oneliner", number).splitlines()
        states = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
        return [
            JobState(
                one["JobState"],
                int(one["Restarts"]),
                int(one["ExitCode"].partition(":")[0]),
                one["Reason"],
            )
            for one in states
        ]

    def wait_for(self, number: str, seconds: float = 180.0) -> list[JobState]:
        """Wait for the end of a job, of all tasks if it is an array."""
        wait_until(f"end of {number}", lambda: all(j.over for j in self.jobs(number)), seconds)
        return self.jobs(number)
