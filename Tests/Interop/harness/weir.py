"""A running Weir: its address, its status lines, its log."""
import json

from .registry import check
from .rtsp import fetch


class Weir:
    def __init__(self, process, host, port):
        self.process, self.host, self.port = process, host, port
        process.is_server = True

    def url(self, path, credentials=""):
        return f"rtsp://{credentials}{self.host}:{self.port}/{path}"

    @property
    def pid(self):
        return self.process.pid

    def wait_until_listening(self, seconds=15.0):
        self.process.wait_for(lambda: "listening on" in self.process.text().lower(), seconds, "it said `listening on`")

    def statuses(self):
        """Every status line so far, oldest first. With --json standard output carries nothing else."""
        lines = self.process.out().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def status(self):
        lines = self.statuses()
        return lines[-1] if lines else {}

    def wait_for_status(self, condition, seconds, what):
        """The first status line from now on for which condition(line) is true."""
        seen = len(self.statuses())

        def find():
            return next((line for line in self.statuses()[seen:] if condition(line)), None)
        return self.process.wait_for(find, seconds, what)

    def drops(self):
        """Dropped packets by cause, as counted so far."""
        return {cause: count for cause, count in self.status().get("drops", {}).items() if count}

    def log(self):
        return self.process.err()

    def check_alive(self):
        """It runs and answers."""
        check(self.process.running, lambda: f"weir ended with code {self.process.child.returncode}")
        address = (self.host.strip("[]"), self.port)
        answer = fetch(address, f"OPTIONS {self.url('')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        check(answer.startswith(b"RTSP/1.0 200"), lambda: f"OPTIONS was answered with {answer[:80]!r}")
