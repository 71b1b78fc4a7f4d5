"""Child processes with log files, deadlines, and an end for each."""
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

from .registry import Failure

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    def __init__(self, name, argv, folder, environment=None, stdin=subprocess.DEVNULL):
        self.name, self.argv = name, [str(part) for part in argv]
        self.was_killed = self.is_server = False
        self.out_path = os.path.join(folder, name + ".out")
        self.err_path = os.path.join(folder, name + ".err")
        variables = dict(os.environ)
        variables.update(environment or {})
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.child = subprocess.Popen(self.argv, stdin=stdin, stdout=out, stderr=err, env=variables,
                                          preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child.poll() is None

    def out(self):
        with open(self.out_path, errors="replace") as file:
            return file.read()

    def err(self):
        with open(self.err_path, errors="replace") as file:
            return file.read()

    def text(self):
        return self.out() + self.err()

    def wait(self, seconds):
        """The exit code; a failure if it takes longer."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds} s") from None

    def wait_for(self, condition, seconds, what):
        """Polls until condition() is true; a failure if the process ends or time runs out before."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if not self.running:
                raise Failure(f"{self.name} ended with code {self.child.returncode} before {what}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: {what} did not happen within {seconds} s")
            time.sleep(0.02)

    def stop(self, seconds=5.0, with_signal=signal.SIGINT):
        """Asks it to end; kills it if it does not. Returns the exit code, or None if it had to be killed."""
        if self.running:
            self.child.send_signal(with_signal)
            try:
                return self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                return None
        return self.child.returncode

    def kill(self):
        """As the test wants it: nothing that is held against who is killed."""
        if self.running:
            self.was_killed = True
            self.child.kill()
            self.child.wait()


# Below the ports that the kernel gives to whoever does not ask for one: a server that is started anew finds its port as it left it. In
# steps, for those who need a row of ports.
PORTS = range(20_000, 32_000, 16)
_leases = []


def free_port(host="127.0.0.1", kind=socket.SOCK_STREAM):
    """A port that nobody has, and that no other test is given as long as this process runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(PORTS, len(PORTS)):
        # A name that is free again when this process is gone, however it went.
        lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lease.bind(f"\0weir-interop-port-{port}")
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError:
            lease.close()
            continue
        _leases.append(lease)
        return port
    raise Failure(f"no port of {PORTS} is free at {host}")


def wait_until(condition, seconds, what):
    """Polls until condition() is true and returns its value; a failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what() if callable(what) else what} did not happen within {seconds} s")
        time.sleep(0.02)
