"""Windows Media over HTTP as bytes: heads, chunks, the framing of packets, metadata. Taken apart by the document ([MS-WMSP]) alone, and
without mercy: what is not expected is a failure."""
import re
import socket
import struct
import time

from .registry import Failure, check


class Answer:
    """The head of an answer, taken apart; every line of it is checked."""

    LINES = {
        "server": r"Cougar/9\.01\.01\.3814",
        "pragma": r"no-cache(, .+)?",
        "cache-control": r"no-cache(, [a-z-]+(=(\d+|\"[a-z,-]+\"))?)*",
        "last-modified": r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT",
        "etag": r'"[^"]+"',
        "supported": r"com\.microsoft\.wm\.[a-z]+(, com\.microsoft\.wm\.[a-z]+)*",
        "content-type": r"application/(vnd\.ms\.wms-hdr\.asfv1|x-mms-framed)",
        "content-length": r"\d+",
        "transfer-encoding": r"chunked",
        "connection": r"close|Keep-Alive",
        "public": r"GET, POST, OPTIONS",
        "allow": r"OPTIONS",
        "date": r".+ GMT",
        "x-startupprofile": r"Rate=10,12,15,20,30;MaxBytes=(\d+,){4}\d+;Time=(\d+,){4}\d+;StartTime=\d+;LastTime=\d+;"
                            r"MaxDiffTime=\d+;MaxDiffSndTime=\d+;ByteRate=(\d+,){4}\d+;",
    }
    TOKENS = {
        "no-cache": None, "client-id": r"\d+", "xResetStrm": r"1", "features": r'"[a-z,]*"', "timeout": r"\d+", "playlist-gen-id": r"[1-9]\d*",
        "pipeline-experiment": r"1", "pipeline-result": r"[01]", "packet-pair-experiment": r"1", "expect-new-header": r"1",
        "AccelBW": r"\d+", "AccelDuration": r"\d+", "BurstBW": r"\d+", "BurstDuration": r"\d+", "Speed": r"\d+\.\d{3}",
    }

    def __init__(self, text, what):
        lines = text.split("\r\n")
        match = re.fullmatch(r"HTTP/1\.([01]) (\d{3}) ([A-Za-z ]+)", lines[0])
        check(match, f"{what}: the status line is {lines[0]!r}")
        self.minor, self.status, self.what = int(match[1]), int(match[2]), what
        self.headers = {}
        for line in lines[1:]:
            match = re.fullmatch(r"([A-Za-z-]+): (\S(?:.*\S)?)", line)
            check(match, f"{what}: the line {line!r} is no header")
            name = match[1].lower()
            check(name not in self.headers, f"{what}: {match[1]} comes twice")
            self.headers[name] = match[2]
        if self.status < 400:
            for name, value in self.headers.items():
                check(name in self.LINES and re.fullmatch(self.LINES[name], value), f"{what}: {name}: {value} is not expected")
            for name in ("server", "pragma", "cache-control", "supported"):
                check(name in self.headers, f"{what}: {name} is missing")
        self.tokens = {}
        for part in re.findall(r'[^,"]+(?:"[^"]*")?', self.headers.get("pragma", "")):
            name, equals, value = part.strip().partition("=")
            check(name in self.TOKENS and name not in self.tokens, f"{what}: the token {part.strip()} is not expected")
            rule = self.TOKENS[name]
            check((rule is None and not equals) or (rule and re.fullmatch(rule, value)), f"{what}: {part.strip()}")
            self.tokens[name] = value

    @property
    def generation(self):
        return int(self.tokens.get("playlist-gen-id", 0))

    @property
    def features(self):
        return self.tokens.get("features", '""').strip('"').split(",")

    @property
    def length(self):
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def chunked(self):
        return "transfer-encoding" in self.headers

    def has(self, *names, no=()):
        """Exactly these tokens must, and those must not be there."""
        for name in names:
            check(name in self.tokens, f"{self.what}: the token {name} is missing among {self.tokens}")
        for name in no:
            check(name not in self.tokens, f"{self.what}: the token {name} is there: {self.tokens}")
        return self


class Packet:
    """One packet of the framing, with the moment at which its last byte was read."""

    def __init__(self, kind, follows, reason=0, location=0, incarnation=0, flags=0, payload=b""):
        self.kind, self.follows, self.reason = kind, follows, reason
        self.location, self.incarnation, self.flags, self.payload = location, incarnation, flags, payload
        self.at = time.monotonic()

    def __repr__(self):
        return f"${self.kind}({self.reason if self.kind in 'CE' else len(self.payload)})"


class Wire:
    """Bytes of a connection, in order."""

    def __init__(self, host, port, seconds):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending, self.isOver, self.taken = bytearray(), False, 0

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def more(self):
        try:
            got = self.socket.recv(1 << 16)
        except socket.timeout:
            raise Failure(f"nothing came for {self.socket.gettimeout():.0f} s") from None
        self.isOver = not got
        self.pending += got
        return bool(got)

    def take(self, count, what):
        while len(self.pending) < count:
            check(self.more(), f"the connection ends within {what}: {len(self.pending)} of {count} bytes came")
        bytes_, self.pending = bytes(self.pending[:count]), self.pending[count:]
        self.taken += count
        return bytes_

    def line(self, what, most=16384):
        while b"\r\n" not in self.pending:
            check(len(self.pending) < most, f"{what} has no end: {bytes(self.pending[:80])!r}")
            check(self.more(), f"the connection ends within {what}: {bytes(self.pending[:80])!r}")
        return self.take(self.pending.index(b"\r\n") + 2, what)[:-2].decode()

    def answer(self, what):
        lines = [self.line(what)]
        while lines[-1] or len(lines) == 1:
            lines.append(self.line(what))
        return Answer("\r\n".join(lines[:-1]), what)

    def ended(self):
        """Nothing more, and the end."""
        return not self.pending and (self.isOver or not self.more())

    def silent(self, seconds):
        """Whether nothing comes for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self.pending and not self.socket.recv(1, socket.MSG_PEEK) and False
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(before)

    def close(self):
        self.socket.close()


class Body:
    """The bytes of one answer's body, without the chunks' own."""

    def __init__(self, wire, answer):
        self.wire, self.chunked, self.left = wire, answer.chunked, answer.length
        check(not (self.chunked and self.left is not None), f"{answer.what}: chunked, and with a length")
        self.buffer, self.isOver = bytearray(), False

    def fill(self, count):
        """Whether so many bytes are there; false at the end, which must not lie within them."""
        while len(self.buffer) < count and not self.isOver:
            if self.chunked:
                line = self.wire.line("the head of a chunk", 32)
                check(re.fullmatch(r"0|[1-9a-f][0-9a-f]{0,5}", line), f"the head of a chunk is {line!r}")
                size = int(line, 16)
                self.buffer += self.wire.take(size, "a chunk")
                check(self.wire.take(2, "the end of a chunk") == b"\r\n", "a chunk does not end where it says")
                self.isOver = size == 0
            elif self.left is not None:
                part = self.wire.take(self.left, "a body")
                self.buffer += part
                self.left, self.isOver = 0, True
            elif self.wire.pending or self.wire.more():
                self.buffer += self.wire.take(len(self.wire.pending), "a body")
            else:
                self.isOver = True
        if len(self.buffer) >= count:
            return True
        check(not self.buffer, f"the body ends within a packet: {bytes(self.buffer[:16]).hex(' ')}")
        return False

    def take(self, count):
        check(self.fill(count), "the body ends within a packet")
        part, self.buffer = bytes(self.buffer[:count]), self.buffer[count:]
        return part

    def packet(self):
        """The next packet; None at the end."""
        if not self.fill(4):
            return None
        first, kind, length = struct.unpack("<BBH", self.take(4))
        check(first in (0x24, 0xA4), f"a packet begins with {first:02x}")
        kind, follows = chr(kind), first == 0xA4
        if kind == "T":
            check(length == 0, f"$T of {length} bytes")
            return Packet(kind, follows)
        if kind in "CE":
            check(length == 4, f"${kind} of {length} bytes")
            return Packet(kind, follows, reason=struct.unpack("<I", self.take(4))[0])
        check(kind in "DHM", f"a packet of kind {kind!r}")
        check(length >= 8, f"${kind} of {length} bytes")
        location, incarnation, flags, size = struct.unpack("<IBBH", self.take(8))
        check(size == length, f"${kind}: a packet size of {size} in {length} bytes")
        return Packet(kind, follows, 0, location, incarnation, flags, self.take(length - 8))


def descriptions(raw):
    """The content descriptions behind `$M`'s tokens: a list of [(name, type, value)] for each language."""
    lists, at = [], 0
    while at < len(raw):
        pairs = []
        while True:
            fields = []
            for kind in "nvt":
                if kind == "v":
                    match = re.match(rb"(\d+),", raw[at:])
                    check(match, f"a content description's type: {raw[at:at + 40]!r}")
                    fields.append(int(match[1]))
                    at += match.end()
                    continue
                match = re.match(rb"(\d+),", raw[at:])
                check(match, f"a content description's length: {raw[at:at + 40]!r}")
                at += match.end()
                size = int(match[1])
                text = raw[at:at + size]
                check(len(text) == size, "a content description ends early")
                fields.append(text.decode())
                at += size
                if kind == "n":
                    check(raw[at:at + 1] == b",", f"behind a description's name stands {raw[at:at + 10]!r}")
                    at += 1
            pairs.append(tuple(fields))
            if raw[at:at + 2] == b"\r\n":
                at += 2
                break
            check(raw[at:at + 1] == b",", f"behind a description's value stands {raw[at:at + 10]!r}")
            at += 1
        check(pairs[0][:2] == ("language", 31), f"the first description is {pairs[0]}")
        lists.append(pairs)
    return lists


class Metadata:
    def __init__(self, payload):
        text, zero, rest = payload.partition(b"\0")
        match = re.fullmatch(r'playlist-gen-id=([1-9]\d*), broadcast-id=(\d+), features="([a-z,]*)"', text.decode())
        check(zero and match, f"$M says {text!r}")
        self.generation, self.broadcast, self.features = int(match[1]), int(match[2]), match[3].split(",")
        self.descriptions = descriptions(rest)

    @property
    def values(self):
        """Names and values of the first language."""
        return {name: value for name, _, value in self.descriptions[0]} if self.descriptions else {}
