"""A server of Windows Media by script that shows a playlist, pipelined and not: what no free server does. It takes every request apart, byte
for byte, by the document ([MS-WMSP]) alone, and keeps the order in which everything was said; whatever it does not expect is a fault.

    origin = ListOrigin([Programme(path), …], pipelining="agreed")
    origin.events       ("Play", …): what was asked and what was sent, in order; runs of $D are one
    origin.faults       what was not as it must be
"""
import re
import socket
import struct
import threading
import time

from .wmorigin import framed, reason

ID = 2380927133
GENERATION = 7
PREDICTION = "com.microsoft.wm.sswitch, com.microsoft.wm.predstrm"
NOWHERE = "4294967295"
FEATURES = "seekable,stridable,playlist,skipbackward,skipforward"

GUID = r"xClientGUID=\{00000000-0000-0000-0000-000000000000\}"
SESSION = [rf"no-cache, client-id={ID}", GUID]
SWITCH = [r"stream-switch-count=(?P<count>\d+)", r"stream-switch-entry=(?P<entries>ffff:[0-9a-f]+:[012]( ffff:[0-9a-f]+:[012])*)"]
PLACE = rf"stream-time=0,stream-offset={NOWHERE}:{NOWHERE},packet-num=(?P<packet>\d+),max-duration=0"
CHOICE = [r"playlist-gen-id=(?P<generation>\d+)", r"client-lag=(?P<lag>\d+)", *SWITCH]
PIPELINED = r"version11-enabled=1"

# Request line, lines of Pragma in their order, and whether the connection stays; in the pipelined mode and in the other.
FORMS = {
    "Describe": ("GET {target}", [PIPELINED, r"pipeline-experiment=1", rf"no-cache,rate=1\.000,{PLACE}", GUID], True),
    "Pipeline": ("GET {target}", [r"pipeline-request=1", *SESSION], True),
    "Play": ("GET {target}", [rf"no-cache,(?P<skip>pl-offset=1,)?rate=1\.000,{PLACE}", r"xPlayStrm=1", GUID, "(VERSION)",
                              r"LinkBW=2147483647", rf"client-id={ID}", r"playlist-gen-id=(?P<generation>\d+)", "(SEEK)", *SWITCH], None),
    "PlayNextEntry": ("GET {target}", [*SESSION, r"xPlayNextEntry=1", PIPELINED, r"rate=1\.000", *CHOICE], True),
    "SelectStream": ("POST {target}", [*SESSION, *CHOICE], False),
    "Log": ("POST {target}", SESSION, None),
    "Stop": ("POST {target}", [*SESSION, r"xStopStrm=1"], True),
    "KeepAlive": ("OPTIONS \\*", [rf"client-id={ID}"], True),
}
# Whose request it is.
ASKER = [r'Pragma: proxy-client-agent="NSPlayer/[0-9.]+"', "X-Proxy-Client-Verb: GET"]
LOG_TYPE = "application/x-wms-LogStats;charset=UTF-8"


class Asked:
    """A request, taken apart; `fault` says what is wrong with it."""

    def __init__(self, head, body, port, target):
        self.head, self.body, self.fault, self.values = head, body, None, {}
        self.name = self._name(head)
        line, pragma, stays = FORMS[self.name]
        self.stays = "Connection: Keep-Alive" in head
        if stays is not None and stays != self.stays:
            self.fault = f"{self.name}: the connection stays: {self.stays}"
        if self.name == "Play":
            optional = {"(VERSION)": PIPELINED if self.stays else None,
                        "(SEEK)": r"playlist-seek-id=(?P<seek>\d+)" if "playlist-seek-id" in head else None}
            pragma = [optional.get(part, part) for part in pragma if optional.get(part, part)]
        lines = [line.format(target=re.escape(target)) + r" HTTP/1\.1", r"Accept: \*/\*", r"User-Agent: NSServer/9\.0\.0\.3171",
                 rf"Host: 127\.0\.0\.1:{port}", *[f"Pragma: {part}" for part in pragma], *ASKER, f"Supported: {PREDICTION}"]
        if self.name == "Log":
            lines.append(f"Content-Type: {LOG_TYPE}")
        lines += [r"Via: HTTP/1\.1 weir-[0-9a-f]{16}( \([^)]*\))?", "Max-Forwards: 9", "Connection: (Keep-Alive|close)"]
        if line.startswith("POST"):
            lines.append(rf"Content-Length: {len(body)}")
        match = re.fullmatch("\r\n".join(lines), head)
        if not match:
            self.fault = f"{self.name} is not as it must be:\n{head}\nbut\n" + "\n".join(lines)
            return
        self.values = match.groupdict()
        if self.values.get("count") and int(self.values["count"]) != len(self.values["entries"].split()):
            self.fault = f"{self.name}: {self.values['count']} streams are announced, {self.values['entries']} are named"
        if self.name == "Log" and not re.fullmatch(r"<XML><Summary>\S+( \S+){46}</Summary>.*</XML>", body):
            self.fault = f"the log is {body[:400]}"
        if self.name not in ("Log",) and body:
            self.fault = f"{self.name} has a body"

    @staticmethod
    def _name(head):
        method = head.split(" ")[0]
        if method == "OPTIONS":
            return "KeepAlive"
        if method == "POST":
            return "Stop" if "xStopStrm=1" in head else "Log" if "LogStats" in head else "SelectStream"
        for mark, name in (("pipeline-request", "Pipeline"), ("xPlayNextEntry", "PlayNextEntry"), ("xPlayStrm", "Play")):
            if mark in head:
                return name
        return "Describe"


class ListOrigin:
    """`pipelining`: "agreed"; "declined" (not offered); "refused" (offered, and the second request of the test is kept waiting, as proxies
    do). `predicts`: whether `$D` of the next entry come unasked. `hold`: seconds before the first `$D`. `breaks`: {(entry, packet)}: the
    connection breaks before that packet, once. `forgets`: sessions whose connection broke are gone. `early`: so many seconds of each entry
    come at once."""

    def __init__(self, programmes, pipelining="agreed", predicts=True, hold=0.0, breaks=(), forgets=False, early=0.0, target="/tv"):
        self.programmes, self.pipelining, self.predicts, self.hold = programmes, pipelining, predicts, hold
        self.breaks, self.forgets, self.early, self.target = set(breaks), forgets, early, target
        self.events, self.faults, self.requests, self.connections = [], [], [], []
        self.lock = threading.RLock()
        self.chosen = threading.Event()
        self.play, self.body, self.chunked, self.pending, self.lag = 0, None, False, [], 0
        self.entry, self.isKnown, self.tests = 0, True, 0
        self.packets = {}  # of each entry, their numbers as they were sent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.isClosed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self):
        return f"mmsh://127.0.0.1:{self.port}{self.target}"

    def close(self):
        self.isClosed = True
        self.listener.close()
        for connection in list(self.connections):
            self._shut(connection)

    @staticmethod
    def _shut(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def said(self):
        return list(self.events)

    def _note(self, what):
        if not self.events or what != "$D" or self.events[-1] != "$D":
            self.events.append(what)

    def _accept(self):
        while not self.isClosed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    # What is asked.

    def _serve(self, connection):
        data = b""
        try:
            with connection:
                while True:
                    while b"\r\n\r\n" not in data:
                        got = connection.recv(65536)
                        if not got:
                            return self._gone(connection)
                        data += got
                    head, _, data = data.partition(b"\r\n\r\n")
                    length = int((re.search(rb"\r\nContent-Length: (\d+)", head) or [0, 0])[1])
                    while len(data) < length:
                        data += connection.recv(65536)
                    body, data = data[:length], data[length:]
                    request = Asked(head.decode(), body.decode(), self.port, self.target)
                    with self.lock:
                        self.requests.append(request)
                        self._note(request.name)
                        if request.fault:
                            self.faults.append(request.fault)
                        self._answer(connection, request)
                    if not request.stays and request.name != "Play":
                        return
                    if request.name == "Describe" and self.pipelining == "declined":
                        return
        except OSError:
            self._gone(connection)

    def _gone(self, connection):
        with self.lock:
            if self.body is connection:
                self.play += 1
                self.body = None

    def _head(self, status, *lines, pragma=()):
        tokens = ", ".join(["no-cache", f"client-id={ID}", *pragma])
        return "\r\n".join([f"HTTP/1.1 {status}", "Server: Cougar/9.01.01.3814", f"Supported: {PREDICTION}", "Cache-Control: no-cache",
                            f"Pragma: {tokens}", *lines, "", ""]).encode()

    def _opening(self, number):
        text = f'playlist-gen-id={GENERATION + number}, broadcast-id=0, features="{FEATURES}"'
        pairs = [("language", 31, ""), ("title", 31, f"Number {number}"),
                 ("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL", 31, f"entry {number}")]
        descriptions = ",".join(f"{len(name)},{name},{kind},{len(value)},{value}" for name, kind, value in pairs)
        return (framed(b"M", f"{text}\0{descriptions}\r\n".encode(), flags=12)
                + framed(b"H", self.programmes[number].header, flags=12))

    def _answer(self, connection, request):
        tokens = [f'features="{FEATURES}"', "timeout=60000", f"playlist-gen-id={GENERATION + self.entry}"]
        name, values = request.name, request.values
        if name == "Describe":
            self.entry, self.isKnown = 0, True
            body = self._opening(0)
            offer = ["pipeline-experiment=1"] if self.pipelining != "declined" else []
            closes = [] if offer else ["Connection: close"]
            connection.sendall(self._head("200 OK", f"Content-Length: {len(body)}", *closes, pragma=[*tokens, *offer]) + body)
        elif name == "Pipeline":
            self._test(connection)
        elif name == "Play":
            self._play(connection, request, tokens)
        elif name in ("PlayNextEntry", "SelectStream"):
            header = self.programmes[self.entry].header
            if values.get("generation") and int(values["generation"]) != GENERATION + self.entry:
                self.faults.append(f"{name} is about {values['generation']}, {GENERATION + self.entry} plays")
            if values.get("entries") and values["entries"] != whole(header):
                self.faults.append(f"{name} names {values['entries']}, the entry has {whole(header)}")
            self.lag = int(values.get("lag") or 0)
            if name == "PlayNextEntry":
                self._continue(connection, tokens)
            else:
                connection.sendall(self._head("200 OK", "Content-Length: 0", "Connection: close"))
                self._note("SelectStream:200")
            self.chosen.set()
        elif name == "Stop":
            self.play += 1
            if self.body is connection:
                self._end_body()
            connection.sendall(self._head("200 OK", "Content-Length: 0"))
            self._note("Stop:200")
        else:
            answer = self._head("204 No Content" if name == "Log" else "200 OK", "Content-Length: 0",
                                *([] if request.stays else ["Connection: close"]))
            # An answer on the connection of the media waits for the end of the body.
            if self.body is connection and self.chunked:
                self.pending.append((name, answer))
            else:
                connection.sendall(answer)
                self._note(f"{name}:{answer.split(b' ')[1].decode()}")

    def _test(self, connection):
        self.tests += 1
        if self.tests % 2:
            connection.sendall(self._head("200 OK", "Transfer-Encoding: chunked") + b"4\r\n$T\0\0\r\n")
            if self.pipelining == "refused":
                # As if the second request had come when the first was answered whole.
                connection.sendall(b"0\r\n\r\n")
        else:
            result = 0 if self.pipelining == "refused" else 1
            end = b"" if self.pipelining == "refused" else b"0\r\n\r\n"
            connection.sendall(end + self._head("204 No Content", "Content-Length: 0", pragma=[f"pipeline-result={result}"]))

    def _play(self, connection, request, tokens):
        values = request.values
        isAgain = values.get("seek") is not None
        if isAgain and (not self.isKnown or self.forgets):
            connection.sendall(self._head("400 Bad Request", "Content-Length: 0"))
            self._note("Play:400")
            return
        packet = int(values.get("packet") or 0)
        if isAgain:
            entry = int(values["seek"]) - GENERATION
            if entry not in range(len(self.programmes)):
                self.faults.append(f"a Play of the entry {values['seek']}")
                entry = 0
            if values.get("skip"):
                entry += 1
                packet = 0
        else:
            entry, packet = 0, 0
        self.entry = entry
        self.chunked = "version11-enabled=1" in request.head
        if self.chunked != (self.pipelining == "agreed"):
            self.faults.append(f"pipelining is {self.pipelining}, and the Play says version11-enabled: {self.chunked}")
        if values.get("entries") and values["entries"] != whole(self.programmes[entry].header) and not values.get("skip"):
            self.faults.append(f"Play names {values['entries']}")
        self.play += 1
        self.body, self.pending = connection, []
        how = ["Transfer-Encoding: chunked"] if self.chunked else ["Connection: close"]
        connection.sendall(self._head("200 OK", "Content-Type: application/x-mms-framed", *how, pragma=tokens))
        self._note("Play:200")
        if values.get("skip"):
            self._write(connection, self._opening(entry - 1) + reason(b"C", 0))
        self._write(connection, self._opening(entry))
        self._note("$M$H")
        threading.Thread(target=self._send, args=(connection, self.play, entry, packet), daemon=True).start()

    # What is sent.

    def _write(self, connection, data):
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def _end_body(self):
        """The zero chunk, and what was owed behind it."""
        connection, self.body = self.body, None
        connection.sendall(b"0\r\n\r\n")
        self._note("body-end")
        for name, answer in self.pending:
            connection.sendall(answer)
            self._note(f"{name}:{answer.split(b' ')[1].decode()}")
        self.pending = []

    def _continue(self, connection, tokens):
        if self.body is not connection or not self.chunked:
            self.faults.append("PlayNextEntry comes over a connection without media in chunks")
            return
        self._end_body()
        self.body = connection
        connection.sendall(self._head("200 OK", "Content-Type: application/x-mms-framed", "Transfer-Encoding: chunked", pragma=tokens))
        self._note("PlayNextEntry:200")

    def _send(self, connection, play, first, packet):
        try:
            if not packet and not first:
                time.sleep(self.hold)
            for number in range(first, len(self.programmes)):
                if not self._send_entry(connection, play, number, packet if number == first else 0):
                    return
                if number + 1 == len(self.programmes):
                    break
                with self.lock:
                    lag, self.lag = self.lag, 0
                time.sleep(min(lag, 15_000) / 1000)
                with self.lock:
                    if self.play != play:
                        return
                    self.chosen.clear()
                    self.entry = number + 1
                    self._write(connection, reason(b"E", 1) + reason(b"C", 0))
                    self._write(connection, self._opening(number + 1))
                    self._note("$E$C$M$H")
                if not self.predicts and not self.chosen.wait(5):
                    self.faults.append(f"nobody says which streams of entry {number + 1} are wanted")
            with self.lock:
                if self.play != play:
                    return
                self._write(connection, reason(b"E", 0))
                self._note("$E(0)")
                if self.chunked:
                    self._end_body()
                else:
                    self.body = None
                    self._shut(connection)
        except OSError:
            self._gone(connection)

    def _send_entry(self, connection, play, number, packet):
        programme = self.programmes[number]
        # A key frame at or before: a few packets come again.
        packet = max(packet - 3, 0)
        began = time.monotonic() - self.early
        for at in range(packet, len(programme.packets)):
            due = began + (programme.times[at] - programme.times[packet]) / 1000
            time.sleep(max(0.0, due - time.monotonic()))
            with self.lock:
                if self.play != play:
                    return False
                if (number, at) in self.breaks:
                    self.breaks.discard((number, at))
                    self._note("break")
                    self.isKnown = not self.forgets
                    self.play += 1
                    self.body = None
                    self._shut(connection)
                    return False
                self._write(connection, framed(b"D", programme.packets[at], at, at & 255))
                self.packets.setdefault(number, []).append(at)
                self._note("$D")
        return True


def whole(header):
    """All streams of a header, as `stream-switch-entry` names them."""
    mark = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
    numbers, at = [], header.find(mark)
    while at >= 0:
        numbers.append(struct.unpack_from("<H", header, at + 72)[0] & 127)
        at = header.find(mark, at + 16)
    return " ".join(f"ffff:{number:x}:0" for number in numbers)
