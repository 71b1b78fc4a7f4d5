"""What a test is given: a folder, processes that end with it, and Weir."""
import os
import signal

from .process import Process, free_port
from .weir import Weir


CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGFPE)


class Context:
    def __init__(self, weir_path, folder):
        self.weir_path, self.folder = weir_path, folder
        self.cache = os.path.join(os.path.dirname(folder), "cache")
        self.processes, self.closables = [], []
        self.engine_options = ()  # given to every serving command

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    @property
    def runtime(self):
        """Where this test's relays put their control sockets: relays of other tests are not found."""
        folder = self.path("run")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return {"XDG_RUNTIME_DIR": folder}

    def spawn(self, name, argv, environment=None, **options):
        if self.weir_path in argv:
            environment = {**self.runtime, **(environment or {})}
        if any(process.name == name for process in self.processes):
            name = f"{name}-{len(self.processes)}"
        process = Process(name, argv, self.folder, environment, **options)
        self.processes.append(process)
        return process

    def closing(self, thing):
        """Calls thing.close() when the test is over; returns thing."""
        self.closables.append(thing)
        return thing

    def run_weir(self, *arguments, environment=None, seconds=20.0, name="weir"):
        """Runs a command of weir to its end: (exit code, standard output, standard error)."""
        process = self.spawn(name, [self.weir_path, *arguments], environment)
        code = process.wait(seconds)
        return code, process.out(), process.err()

    def weir(self, command, *arguments, host="127.0.0.1", port=None, environment=None, config=None, wrapper=(), ready=True):
        """Starts a serving command of weir on a free port and waits until it listens."""
        port = port or free_port(host)
        if config is not None:
            arguments = ("--config", self.write("weir.yml", config), *arguments)
        shown = f"[{host}]" if ":" in host else host
        argv = [*wrapper, self.weir_path, command, *arguments, "--listen", f"{shown}:{port}", "--json",
                *self.engine_options]
        weir = Weir(self.spawn("weir", argv, environment), shown, port)
        if ready:
            weir.wait_until_listening()
        return weir

    def close(self):
        """Ends everything. Returns what went wrong on the way: a program that crashes at its end has failed too."""
        trouble = []
        for thing in reversed(self.closables):
            try:
                thing.close()
            except Exception:  # noqa: BLE001: the others are to be closed all the same
                pass
        for process in reversed(self.processes):
            ended_before, was_killed = not process.running, process.was_killed
            if self.weir_path not in process.argv:
                process.stop(3.0)
                continue
            code = process.stop(10.0)
            if "Backtrace took" in process.err():
                trouble.append(f"{process.name}, which is Weir, crashed")
            elif code is None:
                trouble.append(f"{process.name}, which is Weir, did not end within 10 s of SIGINT")
            elif was_killed and code == -signal.SIGKILL:
                continue
            elif -code in CRASHES or (process.name.startswith("weir") and code < 0 and code != -signal.SIGINT):
                trouble.append(f"{process.name}, which is Weir, died of signal {-code}")
            elif ended_before and code != 0 and process.is_server:
                trouble.append(f"{process.name} ended by itself with code {code}")
        return trouble

    def logs(self, lines=25):
        """The tails of all logs, for the report of a failure."""
        parts = []
        for process in self.processes:
            for kind, text in (("err", process.err()), ("out", process.out())):
                # Players draw progress with carriage returns.
                tail = [line.split("\r")[-1] for line in text.splitlines() if line.strip()]
                tail = tail[-lines if kind == "err" else -6:]
                if tail:
                    parts.append(f"--- {process.name}.{kind} (pid {process.pid}: {' '.join(process.argv)[:300]})")
                    parts += ["    " + line[:300] for line in tail]
        return "\n".join(parts)
