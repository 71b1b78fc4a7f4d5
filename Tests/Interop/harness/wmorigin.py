"""Servers of Windows Media by script, for what real ones do only now and then: redirections, other headers in mid-stream, passwords,
connections that break."""
import base64
import hashlib
import re
import socket
import struct
import threading
import time


class Programme:
    """An ASF file as `$H` and `$D` carry it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        end = struct.unpack_from("<Q", data, 16)[0] + 50
        self.header = data[:end]
        at = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
        self.packet_bytes = struct.unpack_from("<I", data, at + 92)[0]
        count = struct.unpack_from("<Q", data, at + 56)[0] or (len(data) - end) // self.packet_bytes
        self.packets = [data[end + number * self.packet_bytes:end + (number + 1) * self.packet_bytes] for number in range(count)]
        self.times = [send_time(packet) for packet in self.packets]


def send_time(packet):
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0
    lengths = packet[at]
    sizes = (0, 1, 2, 4)
    at += 2 + sizes[lengths >> 5 & 3] + sizes[lengths >> 1 & 3] + sizes[lengths >> 3 & 3]
    return struct.unpack_from("<I", packet, at)[0]


def framed(kind, payload, number=0, flags=0):
    return b"$" + kind + struct.pack("<HIBBH", len(payload) + 8, number, 0, flags, len(payload) + 8) + payload


def reason(kind, code):
    return b"$" + kind + struct.pack("<HI", 4, code)


class Request:
    def __init__(self, text, body):
        lines = text.split("\r\n")
        self.method, self.target = lines[0].split(" ")[:2]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())
        self.body = body.decode(errors="replace")
        self.is_play = self.method == "GET" and "xPlayStrm=1" in self.pragma

    @property
    def pragma(self):
        return ", ".join(self.headers.get("pragma", []))

    def header(self, name):
        return ", ".join(self.headers.get(name, []))


class Origin:
    """Answers Describe and Play. A Play gets the entries one after the other, each at its pace: a list of (programme, how the next one is
    announced: "$C", "$H" or None for its header only once). Then `$E`."""

    def __init__(self, entries=(), server="Cougar/9.01.01.3814", features="broadcast", redirect=None, password=None, cache_control="no-cache",
                 start=0.0):
        self.entries, self.server, self.features, self.redirect, self.password = list(entries), server, features, redirect, password
        self.cache_control, self.start = cache_control, start
        self.requests, self.connections = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="tv", credentials=""):
        return f"mmsh://{credentials}127.0.0.1:{self.port}/{path}"

    def close(self):
        self.is_closed = True
        self.listener.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def asked(self, *marks):
        """The requests so far whose method, pragma or body has all of these."""
        return [one for one in list(self.requests)
                if all(mark in f"{one.method} {one.pragma} {one.headers} {one.body}" for mark in marks)]

    def _accept(self):
        while not self.is_closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    got = connection.recv(65536)
                    if not got:
                        return
                    data += got
                head, _, body = data.partition(b"\r\n\r\n")
                length = int((re.search(rb"(?i)\r\ncontent-length: *(\d+)", head) or [0, 0])[1])
                while len(body) < length:
                    body += connection.recv(65536)
                request = Request(head.decode(), body)
                self.requests.append(request)
                self._answer(connection, request)
        except OSError:
            pass

    def _answer(self, connection, request):
        if self.password and not self._lets_in(connection, request):
            return
        if self.redirect:
            target = self.redirect(request) if callable(self.redirect) else self.redirect
            connection.sendall(self._head("302 Found", f"Location: {target}"))
            return
        if request.method == "POST":
            connection.sendall(self._head("204 No Content" if "LogStats" in request.header("content-type") else "200 OK",
                                          "Content-Length: 0"))
            return
        header = framed(b"H", self.entries[0][0].header, flags=12)
        if not request.is_play:
            connection.sendall(self._head("200 OK", f"Content-Length: {len(header)}") + header)
            return
        connection.sendall(self._head("200 OK") + header)
        number = 0
        for index, (programme, announced) in enumerate(self.entries):
            if index and announced == "$C":
                connection.sendall(reason(b"C", 0))
            if index:
                connection.sendall(framed(b"H", programme.header, flags=12))
            began = time.monotonic() - self.start
            for packet, at in zip(programme.packets, programme.times):
                time.sleep(max(0.0, began + (at - programme.times[0]) / 1000 - time.monotonic()))
                connection.sendall(framed(b"D", packet, number))
                number += 1
        connection.sendall(reason(b"E", 0))

    def _head(self, status, *lines):
        return "\r\n".join([f"HTTP/1.0 {status}", f"Server: {self.server}", f"Cache-Control: {self.cache_control}",
                            f'Pragma: no-cache, client-id=4242, features="{self.features}"', *lines, "", ""]).encode()

    def _lets_in(self, connection, request):
        """`password` is (scheme, status): the name is viewer, the password s3cret."""
        scheme, status = self.password
        asks, gets = ("WWW-Authenticate", "authorization") if status == 401 else ("Proxy-Authenticate", "proxy-authorization")
        given = request.header(gets)
        if scheme == "Basic":
            right = given == "Basic " + base64.b64encode(b"viewer:s3cret").decode()
        else:
            values = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
            first = hashlib.md5(b"viewer:here:s3cret").hexdigest()
            second = hashlib.md5(f"{request.method}:{request.target}".encode()).hexdigest()
            middle = f"{values['nc']}:{values['cnonce']}:auth:" if values.get("qop") == "auth" else ""
            right = values.get("nonce") == "n0nce" and hashlib.md5(f"{first}:n0nce:{middle}{second}".encode()).hexdigest() == values.get("response")
        if not right:
            rest = ', nonce="n0nce", qop="auth"' if scheme == "Digest" else ""
            connection.sendall(self._head(f"{status} Not So", f'{asks}: {scheme} realm="here"{rest}', "Content-Length: 0"))
        return right


class BreakingWay:
    """A way to a server on which the connections break, the first ones, after so many bytes of what the server sends. `plain`: it does not let
    clients ask whether they may pipeline."""

    def __init__(self, port, breaks, plain=False):
        self.target, self.breaks, self.plain = port, list(breaks), plain
        self.broken = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            threading.Thread(target=self._up, args=(here, there), daemon=True).start()
            threading.Thread(target=self._down, args=(here, there), daemon=True).start()

    def _up(self, here, there):
        try:
            while data := here.recv(65536):
                there.sendall(data.replace(b"pipeline-experiment=1", b"pipeline-experiment=0") if self.plain else data)
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _down(self, here, there):
        sent = 0
        try:
            while data := there.recv(4096):
                if self.breaks and sent + len(data) > self.breaks[0]:
                    here.sendall(data[:self.breaks.pop(0) - sent])
                    self.broken += 1
                    break
                here.sendall(data)
                sent += len(data)
        except (OSError, IndexError):
            pass
        for one in (here, there):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


class Modern:
    """A player of version 9, or another, at its simplest: plays all streams and keeps what comes, as (kind, reason or number, payload)."""

    def __init__(self, port, path, streams=(1, 2), agent="NSPlayer/9.0.0.2980"):
        self.packets, self.is_over, self.head = [], False, b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        entries = " ".join(f"ffff:{number:x}:0" for number in streams)
        self.socket.sendall((f"GET /{path} HTTP/1.0\r\nUser-Agent: {agent}\r\nPragma: no-cache,rate=1.000,stream-time=0,"
                             "stream-offset=4294967295:4294967295,packet-num=4294967295,max-duration=0\r\nPragma: xPlayStrm=1\r\n"
                             "Pragma: xClientGUID={3300AD50-2C39-46c0-AE0A-000000000077}\r\n"
                             "Supported: com.microsoft.wm.sswitch, com.microsoft.wm.predstrm\r\n"
                             f"Pragma: stream-switch-count={len(streams)}\r\nPragma: stream-switch-entry={entries}\r\n\r\n").encode())
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        self.socket.close()

    def kinds(self):
        """In runs: D stands for any number of packets."""
        kinds = []
        for kind, _, _ in list(self.packets):
            if not kinds or kind != "D" or kinds[-1] != "D":
                kinds.append(kind)
        return "".join(kinds)

    def _read(self):
        data = b""
        try:
            while got := self.socket.recv(65536):
                data += got
                if not self.head:
                    self.head, found, rest = data.partition(b"\r\n\r\n")
                    data, self.head = (rest, self.head) if found else (data, b"")
                while self.head and len(data) >= 4 and len(data) >= 4 + struct.unpack_from("<H", data, 2)[0]:
                    length = struct.unpack_from("<H", data, 2)[0]
                    kind, packet, data = chr(data[1]), data[4:4 + length], data[4 + length:]
                    number = struct.unpack_from("<I", packet)[0]
                    self.packets.append((kind, number, packet[8:] if kind in "DHM" else b""))
        except OSError:
            pass
        self.is_over = True
