"""What the tests of example programs have in common."""
import os
import re
import signal
import subprocess
import threading
import time

SECONDS = 10


class Failed(Exception):
    """Why a test failed."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


class Program:
    """A program under test; its lines are collected."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def line(self, pattern):
        """Waits for a line."""
        deadline = time.monotonic() + SECONDS
        with self.changed:
            while True:
                for line in self.lines:
                    found = re.search(pattern, line)
                    if found:
                        return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"no line `{pattern}`; there are {self.lines}")
                self.changed.wait(left)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self):
        """Ends it as an operator would; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("it did not end at SIGTERM") from None
        expect(code == 0, f"it ended with {code}: {self.lines}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def usage(program, arguments, code, words):
    result = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    expect(result.returncode == code, f"{arguments}: code {result.returncode}, not {code}")
    text = result.stdout if code == 0 else result.stderr
    expect(words in text, f"{arguments}: `{words}` is not in {text!r}")
