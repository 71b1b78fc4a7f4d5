"""What the tests of the C library share: building programs against it, RTP to send, readers that compare."""
import copy
import itertools
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SANITIZER = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99", "SWIFT_BACKTRACE": "enable=no"}


class Failed(Exception):
    """Why a test failed."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


def run(command, seconds=120, environment=None, folder=None):
    """A command's output; it must end well and in time."""
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, cwd=folder,
                                env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)}: took more than {seconds} s\n{late.stdout or ''}") from None
    expect(result.returncode == 0, f"{' '.join(command)}: code {result.returncode}\n{result.stdout[-6000:]}")
    return result.stdout


class Library:
    """The library under test, and a folder for programs built against it."""

    def __init__(self, folder, work):
        self.folder = os.path.abspath(folder)
        self.work = work
        self.examples = work
        self.making = threading.Lock()
        self.header = os.path.join(self.folder, "include/fastpath.h")
        self.archive = os.path.join(self.folder, "lib/libfastpath.a")
        self.shared = os.path.realpath(os.path.join(self.folder, "lib/libfastpath.so"))
        self.environment = {"LD_LIBRARY_PATH": os.path.join(self.folder, "lib"),
                            "PKG_CONFIG_PATH": os.path.join(self.folder, "lib/pkgconfig")}

    def of_its_own(self, name):
        """The same for one test, with a folder that nobody else writes into: tests run side by side. The examples are built once for all."""
        own = copy.copy(self)
        own.work = os.path.join(self.work, name)
        os.mkdir(own.work)
        return own

    def flags(self, kind):
        """What pkg-config says for linking `shared` or the `archive`."""
        if kind == "shared":
            return run(["pkg-config", "--cflags", "--libs", "fastpath"], environment=self.environment).split()
        words = run(["pkg-config", "--static", "--cflags", "--libs", "fastpath"], environment=self.environment).split()
        archive = run(["pkg-config", "--variable=archive", "fastpath"], environment=self.environment).split()
        return [word for word in words if word != "-lfastpath"][:1] + archive + [word for word in words if word != "-lfastpath"][1:]

    def compile(self, source, name, kind, *more, compiler="gcc"):
        """Builds one of the test's own programs."""
        program = os.path.join(self.work, f"{name}-{kind}")
        command = [compiler, "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-g", *more, "-o", program, source, *self.flags(kind)]
        run(command)
        return program

    def make(self, example, name, kind, cflags="-O1 -g", ldflags=""):
        """Builds an example by its own Makefile, in a folder of its own; once for all tests."""
        folder = os.path.join(self.examples, f"example-{example}-{kind}-{abs(hash((cflags, ldflags)))}")
        program = os.path.join(folder, name)
        with self.making:
            if not os.path.exists(program):
                shutil.copytree(os.path.join(ROOT, "Examples", example), folder, dirs_exist_ok=True)
                run(["make", f"LINK={kind}", f"CFLAGS={cflags}", f"LDFLAGS={ldflags}", name], environment=self.environment, folder=folder)
        return program


class Program:
    """A program that prints a line with `ready` and ends at SIGTERM."""

    def __init__(self, command, environment, seconds=60):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, **environment})
        self.output = ""
        self.lines = []
        self.has_line = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready = dict(re.findall(r"(\w+)=(\S+)", self.wait_for("ready", seconds)))

    def _read(self):
        for line in self.process.stdout:
            with self.has_line:
                self.lines.append(line)
                self.output += line
                self.has_line.notify_all()
        with self.has_line:
            self.lines.append("")
            self.has_line.notify_all()

    def wait_for(self, word, seconds):
        """The first line with a word."""
        until = time.monotonic() + seconds
        with self.has_line:
            while True:
                for line in self.lines:
                    if word in line:
                        return line
                ended = self.lines and not self.lines[-1]
                if ended or time.monotonic() > until:
                    self.process.kill()
                    raise Failed(f"no line with `{word}`{' (it ended)' if ended else ''}:\n{self.output[-6000:]}")
                self.has_line.wait(until - time.monotonic())

    def end(self, seconds=30):
        """Asks it to end; all its output. It must end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"it did not end within {seconds} s of SIGTERM:\n{self.output[-6000:]}") from None
        # What it said last is read by another thread.
        self.reader.join(seconds)
        expect(code == 0, f"it ended with code {code}:\n{self.output[-8000:]}")
        return self.output

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def rtp(number, ssrc=0x11223344, payload_type=96):
    """The packet of a number: sizes from 13 to 1,400 bytes, frames of five packets, bytes that differ."""
    size = 1 + number * 37 % 1388
    body = bytes((number * 7 + place * 13) & 0xFF for place in range(min(size, 64))) * (size // 64 + 1)
    marker = 0x80 if number % 5 == 4 else 0
    header = struct.pack("!BBHII", 0x80, marker | payload_type, (65000 + number) & 0xFFFF, 1000000 + number // 5 * 3600, ssrc)
    return header + body[:size]


def sender_report(ssrc=0x11223344):
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 0xE000000012345678, 1000000, 1, 2)


def rewritten(got, sent):
    """Compares what a reader got of a packet with what was sent: all bytes but sequence, timestamp and SSRC, which the engine makes
    continuous for the life of the stream. Returns how far those three are from the source's."""
    expect(len(got) == len(sent), f"{len(got)} bytes instead of {len(sent)}")
    expect(got[:2] == sent[:2] and got[12:] == sent[12:], "other bytes than were sent")
    sequence, timestamp, ssrc = struct.unpack("!HII", got[2:12])
    sequence_sent, timestamp_sent, _ = struct.unpack("!HII", sent[2:12])
    return (sequence - sequence_sent) & 0xFFFF, (timestamp - timestamp_sent) & 0xFFFFFFFF, ssrc


def compare(name, got, sent):
    """A reader's packets: all that were sent, in order, and as one RTP stream."""
    expect(len(got) == len(sent), f"{name} got {len(got)} packets of {len(sent)}")
    distances = {rewritten(one, other) for one, other in zip(got, sent)}
    expect(len(distances) == 1, f"{name}: sequence, timestamp or SSRC jump: {sorted(distances)[:5]}")


def socket_pair():
    """Sockets for RTP and RTCP, at one port and the next."""
    while True:
        rtp_socket = udp_socket()
        rtcp_socket = udp_socket(rtp_socket.getsockname()[1] + 1)
        if rtcp_socket:
            return rtp_socket, rtcp_socket
        rtp_socket.close()


# Below those that the kernel gives out: the tests beside this one open sockets all the time.
PAIRS = itertools.count(24000, 2)


def port_pair():
    """A port that is free, and so is the next; never the same twice."""
    for port in PAIRS:
        pair = [udp_socket(port), udp_socket(port + 1)]
        for sock in filter(None, pair):
            sock.close()
        if all(pair):
            return port


class UDPReader:
    """Collects datagrams."""

    def __init__(self):
        self.rtp, self.rtcp = socket_pair()
        self.port = self.rtp.getsockname()[1]
        self.packets, self.reports = [], []

    def collect(self):
        for sock, place in ((self.rtp, self.packets), (self.rtcp, self.reports)):
            while True:
                try:
                    place.append(sock.recv(65536))
                except BlockingIOError:
                    break

    def sockets(self):
        return [self.rtp, self.rtcp]


class TCPReader:
    """Takes `$` frames and the lines between them apart."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setblocking(False)
        self.bytes = bytearray()
        self.packets, self.reports, self.words = [], [], []
        self.has_ended = False

    def collect(self):
        while True:
            try:
                more = self.connection.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionResetError:
                more = b""
            if not more:
                self.has_ended = True
                break
            self.bytes += more
        place = 0
        while len(self.bytes) - place >= 4:
            if self.bytes[place] == 0x24:
                channel, length = struct.unpack_from("!BH", self.bytes, place + 1)
                if len(self.bytes) - place < 4 + length:
                    break
                (self.reports if channel else self.packets).append(bytes(self.bytes[place + 4:place + 4 + length]))
                place += 4 + length
            else:
                end = self.bytes.find(b"\n", place, place + 80)
                expect(end >= 0 or len(self.bytes) - place < 80, f"no frame and no line: {bytes(self.bytes[place:place + 20])}")
                if end < 0:
                    break
                self.words.append((len(self.packets), bytes(self.bytes[place:end])))
                place = end + 1
        # A line of fewer than four bytes at the end of what came.
        if self.bytes[place:place + 3] in (b"OK\n", b"NO\n"):
            self.words.append((len(self.packets), bytes(self.bytes[place:place + 2])))
            place += 3
        del self.bytes[:place]

    def sockets(self):
        return [] if self.has_ended else [self.connection]


def udp_socket(port=0):
    """A UDP socket with a large buffer that does not block; None where the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
            break
        except PermissionError:
            continue
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def collect_until(readers, is_done, seconds):
    """Serves readers until they have what they should."""
    until = time.monotonic() + seconds
    while not is_done() and time.monotonic() < until:
        sockets = [sock for reader in readers for sock in reader.sockets()]
        select.select(sockets, [], [], 0.05)
        for reader in readers:
            reader.collect()
