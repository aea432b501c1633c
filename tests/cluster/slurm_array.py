"""An array of four tasks in Slurm, one of them killed in the middle and started again: the folder is that of one run.

    slurm_array.py BINARY

Slurm and munge run with a configuration, a key, sockets and ports of their own, as root, and end with this.
"""

import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import album

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["PATH"] += ":/usr/sbin"
# The work of a task, in pictures; a model that takes its time, so that the middle is not missed.
PICTURES, MODEL, KILLED = 24, "ctnet-base-x2", 3


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def version():
    said = subprocess.run(["slurmctld", "-V"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


def configuration(work, name):
    return f"""\
ClusterName=bifocal
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={work}/munge.socket,cred_expire=5
SlurmctldPort={port()}
SlurmdPort={port()}
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
KillWait=1
RequeueExit=137
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2048
PartitionName=all Nodes=ALL Default=YES
"""


class Cluster:
    def __init__(self, work):
        self.work, self.daemons = work, []
        self.name = socket.gethostname().split(".")[0]

    def __enter__(self):
        work = self.work
        work.chmod(0o755)  # munge wants no folder that others may write to
        key = work / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        for folder in ("state", "spool"):
            (work / folder).mkdir()
        (work / "slurm.conf").write_text(configuration(work, self.name))
        if version() >= (23, 11):
            (work / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        os.environ["SLURM_CONF"] = str(work / "slurm.conf")
        places = [f"--{what}={work}/munge.{what.split('-')[0]}" for what in ("key-file", "socket", "pid-file", "log-file", "seed-file")]
        self.start("munged", "--foreground", "--force", *places)
        self.until(lambda: (work / "munge.socket").exists(), "munged has a socket")
        self.start("slurmctld", "-D")
        self.until(lambda: subprocess.run(["scontrol", "ping"], capture_output=True).returncode == 0, "slurmctld answers")
        self.start("slurmd", "-D")
        self.until(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "the node is idle")
        return self

    def start(self, *command):
        log = open(self.work / f"{command[0]}.out", "w")
        self.daemons.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def __exit__(self, *error):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        if error[0]:
            for log in self.work.glob("*.log"):
                print(f"-- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)

    @staticmethod
    def ask(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout

    @staticmethod
    def until(done, what, seconds=120):
        """Waits; the limit only ends a test that hangs."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"not so: {what}"
            time.sleep(0.02)

    def tasks(self, job):
        """Fields of each task of an array, by number."""
        found = {}
        for line in self.ask("scontrol", "show", "job", "-o", job).splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if fields.get("ArrayTaskId", "").isdigit():
                found[int(fields["ArrayTaskId"])] = fields
        return found


def process_of(task, binary):
    """The process of the program that runs a task."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "exe").resolve() == binary and f"SLURM_ARRAY_TASK_ID={task}\0".encode() in (folder / "environ").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    return None


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="bifocal-slurm-") as folder:
        work = pathlib.Path(folder)
        (work / "bin").mkdir()
        (work / "bin/bifocal").symlink_to(binary)
        os.environ["PATH"] = f"{work}/bin:{os.environ['PATH']}"
        album.make(work / "in", PICTURES, (320, 240))
        album.upscale(binary, "-r", "-m", MODEL, work / "in", work / "once")
        own = album.names_of(binary, work, work / "in", f"{KILLED}/4")
        assert len(own) > 2, own
        with Cluster(work) as cluster:
            command = ["sbatch", "--parsable", f"--output={work}/task-%a.txt", ROOT / "examples/cluster/slurm.sh"]
            job = cluster.ask(*map(str, command), "-m", MODEL, str(work / "in"), str(work / "out")).strip()
            assert job.isdigit(), job

            def finished():
                return {name for name in own if (work / "out" / name).exists()}

            cluster.until(finished, "the task has finished a picture")
            process = process_of(KILLED, binary)
            assert process, "the task ended before it could be killed"
            os.kill(process, signal.SIGKILL)
            before = finished()
            assert before < own, "the task had nothing left to do"
            kept = {name: (work / "out" / name).stat().st_mtime_ns for name in before}
            cluster.until(lambda: cluster.tasks(job).get(KILLED, {}).get("Restarts") == "1", "Slurm starts the task again")
            ended = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT")
            cluster.until(
                lambda: len(cluster.tasks(job)) == 4 and all(t["JobState"] in ended for t in cluster.tasks(job).values()),
                "all tasks have ended",
            )
            tasks = cluster.tasks(job)
        assert {number: task["JobState"] for number, task in tasks.items()} == dict.fromkeys(range(1, 5), "COMPLETED"), tasks
        assert {number: task["Restarts"] for number, task in tasks.items()} == {n: str(int(n == KILLED)) for n in range(1, 5)}
        album.same(work / "out", work / "once")
        assert all((work / "out" / name).stat().st_mtime_ns == time_of for name, time_of in kept.items()), "made twice"
        print(
            f"Slurm {'.'.join(map(str, version()))}: {PICTURES} pictures by four tasks; one was killed after {len(before)} of "
            f"{len(own)} pictures and started again: all are there, equal to one run"
        )


if __name__ == "__main__":
    if not shutil.which("slurmctld"):
        sys.exit("slurmctld is missing")
    main()
