#!/usr/bin/env python3
"""Tests the Swift examples (Examples/udp-splitter, Examples/nio-server, Examples/embedded-relay) as programs.

    Tests/Embed/swift_examples.py [--programs FOLDER] [--list] [NAME…]

Builds them first, unless FOLDER holds the programs. Packets are compared byte for byte; traffic stays on the loopback. The last line is
`N passed, N failed`. Exit codes: 0 all passed, 1 something failed, 2 usage.
"""
import argparse
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from example_programs import SECONDS, Failed, Program, expect, usage
from relay_example import embedded_relay

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def rtp(number, size=700, ssrc=0xAAAA):
    payload = bytes((number * 7 + place) & 0xFF for place in range(size))
    return struct.pack("!BBHII", 0x80, 0x80 | 96, number & 0xFFFF, number * 3000 & 0xFFFFFFFF, ssrc) + payload


def same(got, sent):
    """The packet as it was sent, but for the SSRC, which is the stream's."""
    return got[:8] == sent[:8] and got[12:] == sent[12:]


def sender_report(ssrc=0xAAAA):
    return struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 0x11223344, 0x55667788, 3000, 1, 700)


# udp-splitter


class Reader:
    """A pair of UDP sockets at neighbouring ports."""

    def __init__(self):
        for _ in range(100):
            self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.rtp.bind(("127.0.0.1", 0))
            self.port = self.rtp.getsockname()[1]
            self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.rtcp.bind(("127.0.0.1", self.port + 1))
                break
            except OSError:
                continue
        for end in (self.rtp, self.rtcp):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            end.settimeout(SECONDS)

    def expect(self, packets):
        """Exactly these come next, all with one SSRC that is not the source's."""
        names = set()
        for packet in packets:
            try:
                got, (_, port) = self.rtp.recvfrom(65536)
            except TimeoutError:
                raise Failed(f"reader {self.port} did not get packet {struct.unpack('!H', packet[2:4])[0]}") from None
            expect(same(got, packet), f"reader {self.port}: packet {got[2:4].hex()} differs from {packet[2:4].hex()}")
            names.add((got[8:12], port))
        expect(len(names) == 1, f"several SSRCs or ports: {names}")

    def silent(self):
        self.rtp.settimeout(0.2)
        try:
            self.rtp.recv(65536)
        except TimeoutError:
            return
        raise Failed(f"reader {self.port} was sent a packet after its removal")


def free_port():
    probe = Reader()
    probe.rtp.close()
    probe.rtcp.close()
    return probe.port


def udp_splitter(programs):
    program = os.path.join(programs, "udp-splitter")
    usage(program, ["--help"], 0, "usage: udp-splitter PORT READERS")
    usage(program, [], 1, "two arguments are needed")
    usage(program, ["70000", "x"], 1, "two arguments are needed")
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "readers")

        def write(*lines):
            with open(file + ".new", "w") as new:
                new.write("".join(line + "\n" for line in lines))
            os.replace(file + ".new", file)

        first, second, third = Reader(), Reader(), Reader()
        # Behind them, or one of them might be given the port that was found.
        port = free_port()
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        number = 0

        def send(count):
            nonlocal number
            packets = [rtp(number + place) for place in range(count)]
            number += count
            for packet in packets:
                source.sendto(packet, ("127.0.0.1", port))
                time.sleep(0.0005)
            return packets

        write("# nobody yet")
        with Program([program, str(port), file]) as running:
            running.line(r"is split on (io_uring|epoll|plain)")
            blocked = subprocess.run([program, str(port), file], capture_output=True, text=True, timeout=SECONDS)
            expect(blocked.returncode == 1 and "bind" in blocked.stderr, f"a taken port: {blocked.stderr!r}")
            write("# two readers, and a line that is none", f"127.0.0.1:{first.port}", "nowhere:5", f" 127.0.0.1:{second.port} # the second")
            for reader in (first, second):
                running.line(rf"^\+ 127.0.0.1:{reader.port}$")
            running.line(r"^! `nowhere:5` is no HOST:PORT")
            time.sleep(1)
            packets = send(300)
            first.expect(packets)
            second.expect(packets)
            source.sendto(sender_report(), ("127.0.0.1", port + 1))
            report = second.rtcp.recv(65536)
            # In the readers' SSRC, and by the clock of this host.
            unix = struct.unpack_from("!I", report, 8)[0] - 2_208_988_800
            expect(report[1] == 200 and report[4:8] != b"\0\0\xaa\xaa" and abs(unix - time.time()) < 3, "a sender report")
            write(f"127.0.0.1:{second.port}", f"127.0.0.1:{third.port}")
            running.line(rf"^- 127.0.0.1:{first.port}$")
            running.line(rf"^\+ 127.0.0.1:{third.port}$")
            time.sleep(1)
            packets = send(300)
            second.expect(packets)
            third.expect(packets)
            first.silent()
            write()
            running.line(rf"^- 127.0.0.1:{third.port}$")
            running.end()
    return "600 packets to 2 readers of 3, and a sender report"


# nio-server


class Client:
    """A connection: text lines and `$` frames apart."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.bytes = b""

    def send(self, text):
        self.socket.sendall(text.encode())

    def _more(self):
        try:
            more = self.socket.recv(1 << 16)
        except TimeoutError:
            raise Failed(f"nothing comes; {self.bytes[:60]!r} waits") from None
        self.bytes += more
        return bool(more)

    def next(self):
        """A line as text, a frame as (channel, packet), None at the end."""
        while True:
            if self.bytes[:1] == b"$":
                if len(self.bytes) >= 4:
                    size = struct.unpack("!H", self.bytes[2:4])[0]
                    if len(self.bytes) >= 4 + size:
                        frame = (self.bytes[1], self.bytes[4:4 + size])
                        self.bytes = self.bytes[4 + size:]
                        return frame
            elif b"\n" in self.bytes:
                line, self.bytes = self.bytes.split(b"\n", 1)
                return line.decode()
            if not self._more():
                return None

    def lines(self, *wanted):
        for line in wanted:
            got = self.next()
            expect(got == line, f"{line!r} was to come, but {got!r} came")

    def packets(self, packets):
        """These frames come next; the lines between them are the answer."""
        lines = []
        for packet in packets:
            got = self.next()
            while isinstance(got, str):
                lines.append(got)
                got = self.next()
            expect(got is not None and got[0] == 0 and same(got[1], packet), f"packet {packet[2:4].hex()} differs")
        return lines


def nio_server(programs):
    program = os.path.join(programs, "nio-server")
    usage(program, ["--help"], 0, "usage: nio-server")
    usage(program, ["--listen"], 2, "needs a value")
    usage(program, ["--listen", "nonsense"], 2, "must be HOST:PORT")
    usage(program, ["--media", "99999"], 2, "must be 0...65534")
    usage(program, ["--speed", "9"], 2, "no option")
    media = free_port()
    source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Program([program, "--listen", "127.0.0.1:0", "--media", str(media)]) as running:
        port = int(running.line(r"listening on .*:(\d+), media on port").group(1))
        usage(program, ["--listen", f"127.0.0.1:{port}", "--media", "0"], 1, "nio-server:")
        Client(port).send("QUIT\n")
        time.sleep(1)
        before = running.descriptors()
        clients = [Client(port) for _ in range(20)]
        for client in clients:
            # All in one packet: the answers stay in order, though the first goes through SwiftNIO and the others through the engine.
            client.send("PING\nPLAY\nPING\nNONSENSE\n")
            client.lines("PONG", "OK", "PONG", "ERROR: PLAY, PAUSE, PING or QUIT is expected")
        time.sleep(1)
        number = 0

        def send(count, size=700):
            nonlocal number
            packets = [rtp(number + place, size) for place in range(count)]
            number += count
            for packet in packets:
                source.sendto(packet, ("127.0.0.1", media))
                time.sleep(0.0005)
            return packets

        packets = send(100)
        for client in clients[:10]:
            client.send("PING\n")
        packets += send(100, 1400)
        for place, client in enumerate(clients):
            lines = client.packets(packets)
            expect(place >= 10 or lines + ([] if lines else [client.next()]) == ["PONG"], f"the answer between packets: {lines}")
        paused = clients[0]
        paused.send("PAUSE\n")
        paused.lines("OK")
        time.sleep(0.1)
        missed = send(20)
        for client in clients[1:]:
            client.packets(missed)
        paused.send("PLAY\n")
        paused.lines("OK")
        time.sleep(1)
        packets = send(20)
        for client in clients:
            client.packets(packets)
        for client in clients[:10]:
            client.send("QUIT\n")
            client.lines("BYE")
            expect(client.next() is None, "the connection ends after BYE")
        for client in clients[10:15]:
            client.socket.close()
        packets = send(50)
        for client in clients[15:]:
            client.packets(packets)
        # One that reads nothing does not hold the others up, and can leave.
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"PLAY\n")
        time.sleep(1)
        packets = send(1500, 1400)
        for client in clients[15:]:
            client.packets(packets)
        deaf.close()
        for client in clients[15:]:
            client.socket.close()
        deadline = time.monotonic() + SECONDS
        while running.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        expect(running.descriptors() <= before, f"{running.descriptors()} descriptors are open, not {before}")
        running.end()
        running.line("ended, 0 leaks")
    return "20 connections, every packet and answer in its place"


TESTS = {"udp_splitter": udp_splitter, "nio_server": nio_server, "embedded_relay": embedded_relay}


def build():
    # Beside the tree's own products: what both are made of is compiled once.
    command = ["swift", "build", "--package-path", os.path.join(ROOT, "Examples"), "--scratch-path", os.path.join(ROOT, ".build")]
    # It looks for newer packages first; a server may not answer at once.
    if all(subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0 for _ in range(3)):
        sys.exit("swift_examples.py: the examples do not build")
    path = subprocess.run([*command, "--show-bin-path"], capture_output=True, text=True, check=True)
    return path.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", help="the folder of the built programs")
    parser.add_argument("--list", action="store_true", help="print the tests' names")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = {name: test for name, test in TESTS.items() if not options.names or any(part in name for part in options.names)}
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print(f"swift_examples.py: no test's name contains {' or '.join(options.names)} (see --list)", file=sys.stderr)
        return 2
    programs = options.programs or build()
    failed = 0
    for name, test in chosen.items():
        start = time.monotonic()
        try:
            print(f"✔ {name}: {test(programs)} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as failure:  # noqa: BLE001: whatever it was, it is this test's, and the others go on
            failed += 1
            problem = failure if isinstance(failure, Failed) else traceback.format_exc()
            print(f"✘ {name} ({time.monotonic() - start:.1f} s): {problem}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
