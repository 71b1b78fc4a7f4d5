"""A way between a player of RTSP and its server on which datagrams are lost: by a seed, counted, and only those of the media. What asks for
them again, and what comes of that, passes.

The way reads SETUP and its answer and puts ports of its own in; everything else on the connection passes as it is.
"""
import random
import re
import selectors
import socket
import threading

from .registry import Failure
from .rtsp import Message, Parser


class Pipe:
    """Datagrams between one pair of ports of a client and the server's."""

    def __init__(self, way, client, isPair, isMedia):
        self.way, self.client, self.isPair, self.is_media = way, client, isPair, isMedia
        self.server = None
        self.front, self.back = pair(), pair()
        for sockets, forward in ((self.front, self._up), (self.back, self._down)):
            for index, one in enumerate(sockets):
                way.selector.register(one, selectors.EVENT_READ, lambda one, f=forward, n=index: f(one, n))

    def _up(self, one, index):
        """RTCP of the client."""
        data, sender = one.recvfrom(65536)
        if self.server and sender[0] == self.client[0]:
            self.way.count("rtcp" if index else "up")
            if not self.way.reports:
                return
            self.back[index].sendto(data, (self.server[0], self.server[1] + index))

    def _down(self, one, index):
        data = one.recv(65536)
        if index == 0:
            kind = "media" if self.is_media else "rtx"
            self.way.count(kind)
            if self.is_media and self.way.loses(data):
                self.way.count("lost")
                return
        self.front[index].sendto(data, (self.client[0], self.client[1] + index))

    def close(self):
        for one in (*self.front, *self.back):
            self.way.selector.unregister(one)
            one.close()


def pair():
    for _ in range(200):
        first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        try:
            for one in (first, second):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port % 2 == 0:
                second.bind(("127.0.0.1", port + 1))
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
    raise Failure("no free pair of ports")


class LossyWay:
    """Stands before the server at `port`; clients use `self.port`. `loss` of 1 is everything; `lose`, if given, decides instead, by number.
    Without `reports` nobody can ask for what was lost."""

    def __init__(self, port, loss=0.05, seed=1, lose=None, is_rtx=None, reports=True):
        self.target, self.loss, self.random, self.lose, self.reports = port, loss, random.Random(seed), lose, reports
        self.is_rtx = is_rtx or (lambda url: url.rstrip("/").endswith("/rtx"))
        self.counts, self.numbers = {}, 0
        self.selector, self.lock = selectors.DefaultSelector(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_closed, self.pipes = False, []
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ, lambda one: one.recv(64))
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._datagrams, daemon=True).start()

    def count(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def loses(self, _data):
        self.numbers += 1
        return self.lose(self.numbers) if self.lose else self.random.random() < self.loss

    def close(self):
        self.is_closed = True
        self.listener.close()
        self.waker.send(b"x")

    def _datagrams(self):
        while not self.is_closed:
            for key, _ in self.selector.select(0.5):
                try:
                    key.data(key.fileobj)
                except OSError:
                    pass

    def _pipe(self, client, is_pair, is_media):
        with self.lock:
            one = next((one for one in self.pipes if one.client == client), None)
            if one is None:
                one = Pipe(self, client, is_pair, is_media)
                self.pipes.append(one)
                self.waker.send(b"x")
            return one

    def _accept(self):
        while not self.is_closed:
            try:
                here, address = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for one in (here, there):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            setups = {}
            threading.Thread(target=self._pass, args=(here, there, lambda item, a=address, s=setups: self._request(item, a, s)), daemon=True).start()
            threading.Thread(target=self._pass, args=(there, here, lambda item, s=setups: self._response(item, s)), daemon=True).start()

    @staticmethod
    def _pass(here, there, change):
        parser = Parser()
        try:
            while data := here.recv(65536):
                for item in parser.feed(data):
                    if isinstance(item, Message):
                        there.sendall(change(item))
                    else:
                        there.sendall(bytes([0x24, item.channel]) + len(item.payload).to_bytes(2, "big") + item.payload)
        except OSError:
            pass
        for one in (here, there):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _text(item, transport=None):
        lines = [item.start] + [f"{name}: {transport if name == 'transport' and transport else value}" for name, value in item.all]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + item.body

    def _request(self, item, address, setups):
        if item.method != "SETUP" or "client_port" not in item.headers.get("transport", ""):
            return self._text(item)
        match = re.search(r"client_port=(\d+)(-\d+)?", item.headers["transport"])
        pipe = self._pipe((address[0], int(match[1])), bool(match[2]), not self.is_rtx(item.url))
        setups[item.headers.get("cseq")] = pipe
        mine = pipe.back[0].getsockname()[1]
        text = re.sub(r"client_port=\d+(-\d+)?", f"client_port={mine}" + (f"-{mine + 1}" if match[2] else ""), item.headers["transport"])
        return self._text(item, text)

    def _response(self, item, setups):
        pipe = setups.pop(item.headers.get("cseq"), None) if item.start.startswith("RTSP/") else None
        match = re.search(r"server_port=(\d+)(-\d+)?", item.headers.get("transport", ""))
        if pipe is None or not match:
            return self._text(item)
        pipe.server = ("127.0.0.1", int(match[1]))
        mine, theirs = pipe.front[0].getsockname()[1], pipe.client[1]
        text = re.sub(r"server_port=\d+(-\d+)?", f"server_port={mine}" + (f"-{mine + 1}" if match[2] else ""), item.headers["transport"])
        text = re.sub(r"client_port=\d+(-\d+)?", lambda m: f"client_port={theirs}" + (f"-{theirs + 1}" if m[1] else ""), text)
        return self._text(item, text)
