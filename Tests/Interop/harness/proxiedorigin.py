"""A server of Windows Media over HTTP by script, as a proxy finds one: files and broadcasts under their paths, each with its validators and
its Cache-Control. Every byte of every request is judged by the document ([MS-WMSP]) alone; what is not expected is a fault.

    origin = ProxiedOrigin({"/vod/a": Content(Programme(path))})
    origin.said()       ["GetContentInfo /vod/a", "Describe /vod/a", …] in the order in which they came
    origin.faults       what was not as it must be
    origin.plays        each Play: from which packet, how many were sent, whether its connection still stands
"""
import base64
import re
import socket
import threading
import time

from .wmorigin import framed, reason
from .wmwire import descriptions

SERVER = "Cougar/9.01.01.3814"
CACHED = "x-wms-content-size={size}, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"
FRESH = "x-wms-content-size={size}, max-age=86399, user-public, proxy-public"
SPLIT = 'max-age=0, x-wms-stream-type="broadcast", user-public, must-revalidate, x-wms-proxy-split'
ALL_EVENTS = ', x-wms-event-subscription="remote-open,remote-close,remote-log"'
LOG_EVENTS = ', x-wms-event-subscription="remote-log"'
NONE = 4294967295
SUPPORTED = "com.microsoft.wm.srvppair, com.microsoft.wm.sswitch, com.microsoft.wm.predstrm, com.microsoft.wm.fastcache"
AGENT = r"(WMCacheProxy/9\.\d+\.\d+\.\d+|NSServer/9\.\d+\.\d+\.\d+(; via WMCacheProxy)?)"  # the second one keeps nothing of it

# Lines of a request that may stand there, once; those of REQUIRED must.
LINES = {
    "accept": r"\*/\*", "user-agent": AGENT, "host": r"127\.0\.0\.1:\d+", "connection": r"close|Keep-Alive", "cache-control": r"no-cache",
    "supported": r"com\.microsoft\.wm\.[a-z]+(, com\.microsoft\.wm\.[a-z]+)*", "via": r"HTTP/1\.[01] \S+( \(.+\))?(, HTTP/1\.[01] \S+( \(.+\))?)*",
    "max-forwards": r"\d{1,3}", "x-proxy-client-verb": r"GET|POST|DESCRIBE|PLAY|SETUP|GET_PARAMETER|SET_PARAMETER", "content-length": r"\d+",
    "content-type": r"application/x-wms-(getcontentinfo|sendevent|LogStats;charset=UTF-8)", "authorization": r"Basic \S+",
    "x-accept-authentication": r"[A-Za-z]+(, [A-Za-z]+)*",
}
REQUIRED = ("accept", "user-agent", "host", "connection", "via", "max-forwards")
TOKENS = {
    "no-cache": None, "client-id": r"\d+", "xClientGUID": r"\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}", "rate": r"1\.000",
    "stream-time": r"\d+", "stream-offset": r"\d+:\d+", "packet-num": r"\d+", "max-duration": r"0", "xPlayStrm": r"1", "version11-enabled": r"[01]",
    "pipeline-experiment": r"1", "LinkBW": r"\d+", "AccelBW": r"\d+", "AccelDuration": r"\d+", "BurstBW": r"\d+", "BurstDuration": r"\d+",
    "Speed": r"\d+\.\d{1,3}", "playlist-gen-id": r"[1-9]\d*", "proxy-client-agent": r'"?[^"]+"?', "stream-switch-count": r"\d+",
    "stream-switch-entry": r"ffff:[0-9a-f]+:[02]( ffff:[0-9a-f]+:[02])*", "request-context": r"\d+", "xKeepAliveInPause": "1",
}


class Content:
    """What lies under a path. `rate`: how many times faster than it is played it goes out, None for at once; `halt`: a packet before which
    sending waits for `go`."""

    def __init__(self, programme, control=CACHED, etag='"first"', modified="Sat, 21 Nov 2026 10:00:00 GMT", live=False, rate=None, halt=None,
                 password=None, redirect=None):
        self.programme, self.live, self.etag, self.modified = programme, live, etag, modified
        size = len(programme.header.raw) + sum(map(len, programme.packets)) if programme else 0
        self.control = "no-cache" + (", " + control.format(size=size) if control else "")
        self.rate, self.halt, self.go = rate or (1.0 if live else None), halt, threading.Event()
        self.password, self.redirect = password, redirect
        self.began = time.monotonic()
        self.lie = {}  # "length": bytes more than Describe has; "cut": the body of Play ends in this packet's middle

    @property
    def features(self):
        return "broadcast" if self.live else "seekable,stridable"


class Event:
    """The body of a SendEvent."""

    def __init__(self, text):
        lines = text.split("\r\n", 2)
        self.number = int(re.fullmatch(r"1,(28|29|30),0", lines[1])[1])
        rest = lines[2].encode()
        if lines[0] != "1" or (self.number != 30) != (rest == b""):
            raise ValueError(text[:200])
        # Without a language they are no descriptions to the other reader.
        lists = []
        for line in filter(None, re.split(rb"\r\n(?=\d+,context-type)", rest.rstrip(b"\r\n"))):
            lists.append({name: value for name, _, value in descriptions(b"8,language,31,0,," + line + b"\r\n")[0]})
        self.player, self.play = lists if lists else ({}, {})
        if lists and (self.player["context-type"], self.play["context-type"]) != ("2", "5"):
            raise ValueError(text[:200])
        self.log = self.play.get("@.REMOTE_LOG", "")
        self.url = self.play.get("@WMS_COMMAND_CONTEXT_URL")

    def field(self, name):
        match = re.search(rf"<{name}>(.*?)</{name}>", self.log)
        return match[1] if match else None

    @property
    def summary(self):
        return (self.field("Summary") or "").split(" ")


class Asked:
    def __init__(self, head, body, port):
        self.at, self.head, self.body, self.faults = time.monotonic(), head, body, []
        lines = head.split("\r\n")
        match = re.fullmatch(r"(GET|POST) (/\S*) HTTP/1\.([01])", lines[0])
        self.method, self.target = (match[1], match[2]) if match else ("?", "?")
        self.headers, self.tokens = {}, {}
        for line in lines[1:]:
            name, colon, value = line.partition(": ")
            name = name.lower()
            if name == "pragma":
                self._pragma(value)
                continue
            if not colon or name in self.headers or not re.fullmatch(LINES.get(name, r"(?!)"), value):
                self.faults.append(f"the line {line!r}")
            self.headers[name] = value
        self.name = self._name()
        if not match or match[3] != "1" or self.headers.get("host") != f"127.0.0.1:{port}":
            self.faults.append(f"{lines[0]} of {self.headers.get('host')}")
        self._judge()
        self.faults = [f"{self.name} {self.target}: {fault}" for fault in self.faults]

    def _pragma(self, value):
        for part in re.findall(r'[^,"]+(?:"[^"]*")?', value):
            name, equals, text = part.strip().partition("=")
            rule = TOKENS.get(name, "(?!)")
            if name in self.tokens and name != "no-cache" or (bool(equals) if rule is None else not re.fullmatch(rule, text)):
                self.faults.append(f"the token {part.strip()!r}")
            self.tokens[name] = text

    def _name(self):
        kind = self.headers.get("content-type", "")
        if self.method == "POST":
            for mark, name in (("getcontentinfo", "GetContentInfo"), ("sendevent", "SendEvent"), ("LogStats", "Log")):
                if mark in kind:
                    return name
            return "KeepAlive"
        return "Play" if self.tokens.get("xPlayStrm") == "1" else "Describe"

    def _judge(self):
        for name in REQUIRED:
            if name not in self.headers:
                self.faults.append(f"no {name}")
        if self.name in ("Describe", "Play", "GetContentInfo") and "xClientGUID" not in self.tokens:
            self.faults.append("no xClientGUID")
        if self.method == "POST" and int(self.headers.get("content-length", -1)) != len(self.body):
            self.faults.append("no Content-Length")
        if self.name == "GetContentInfo" and self.body != "0":
            self.faults.append(f"the body {self.body!r}")
        if self.name in ("Describe", "GetContentInfo") and self.headers.get("max-forwards") == "0":
            self.faults.append("it must not have come so far")
        if self.name == "Play":
            place = [self.tokens.get(name) for name in ("stream-time", "packet-num", "stream-offset")]
            used = [value not in (None, "0", str(NONE), f"{NONE}:{NONE}") for value in place]
            if None in place or sum(used) > 1 or "stream-switch-entry" not in self.tokens or "client-id" not in self.tokens:
                self.faults.append(f"the place {self.tokens}")
            entries = self.tokens.get("stream-switch-entry", "")
            if len(entries.split()) != int(self.tokens.get("stream-switch-count", 0)):
                self.faults.append(f"{self.tokens.get('stream-switch-count')} streams, {entries}")
        if self.name == "SendEvent":
            try:
                self.event = Event(self.body)
            except (ValueError, TypeError, KeyError, IndexError, AssertionError) as problem:
                self.faults.append(f"the event {self.body[:300]!r}: {problem!r}")
                self.event = None

    def __repr__(self):
        return f"{self.name} {self.target}"


class Sent:
    """What became of a Play."""

    def __init__(self, target, first):
        self.target, self.first, self.count, self.is_open = target, first, 0, True


class ProxiedOrigin:
    def __init__(self, contents, port=0):
        self.contents = dict(contents)
        self.requests, self.faults, self.plays, self.connections = [], [], [], []
        self.holds = {}      # name of a request: an Event that its answer waits for
        self.silent = False  # takes connections and says nothing
        self.lock, self.clients = threading.Lock(), 2064325697
        self.is_closed = False
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path, scheme="mmsh", credentials=""):
        return f"{scheme}://{credentials}127.0.0.1:{self.port}{path}"

    def close(self):
        """It is gone: nobody listens any more, nothing is sent."""
        self.is_closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.connections):
            shut(connection)

    def said(self, *names):
        """What was asked so far, of these names or all, as `Describe /path`."""
        return [repr(one) for one in list(self.requests) if not names or one.name in names]

    def asked(self, name):
        return [one for one in list(self.requests) if one.name == name]

    def events(self):
        """The numbers of the events that came, in order."""
        return [one.event.number for one in self.asked("SendEvent") if one.event]

    def _accept(self):
        while not self.is_closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        try:
            with connection:
                while True:
                    while b"\r\n\r\n" not in data:
                        got = connection.recv(65536)
                        if not got:
                            return
                        data += got
                    head, _, data = data.partition(b"\r\n\r\n")
                    length = int((re.search(rb"(?i)\r\ncontent-length: *(\d+)", head) or [0, 0])[1])
                    while len(data) < length:
                        got = connection.recv(65536)
                        if not got:
                            return
                        data += got
                    body, data = data[:length], data[length:]
                    request = Asked(head.decode(errors="replace"), body.decode(errors="replace"), self.port)
                    with self.lock:
                        self.requests.append(request)
                        self.faults += request.faults
                    if self.silent:
                        time.sleep(3600)
                    if request.name in self.holds:
                        self.holds[request.name].wait(20)
                    self._answer(connection, request)
                    if request.name != "GetContentInfo" or request.headers.get("connection") != "Keep-Alive":
                        return
        except OSError:
            pass

    def _answer(self, connection, request):
        content = self.contents.get(request.target)
        if content is None:
            return connection.sendall(self._head("404 Not Found", "Content-Length: 0"))
        if content.redirect and request.name != "SendEvent":
            return connection.sendall(self._head("302 Found", f"Location: {content.redirect}", "Content-Length: 0"))
        right = content.password and "Basic " + base64.b64encode(content.password.encode()).decode()
        if right and request.headers.get("authorization") != right and request.name != "SendEvent":
            return connection.sendall(self._head("401 Unauthorized", 'WWW-Authenticate: Basic realm="here"', "Content-Length: 0"))
        facts = [f"Cache-Control: {content.control}"]
        facts += [f"Etag: {content.etag}"] if content.etag else []
        facts += [f"Last-Modified: {content.modified}"] if content.modified else []
        if request.name == "GetContentInfo":
            return connection.sendall(self._head("200 OK", *facts, "Content-Length: 0", pragma="xResetStrm=1, timeout=60000"))
        known = request.tokens.get("client-id")
        if request.name in ("Log", "SendEvent", "KeepAlive"):
            session = f"client-id={known}, timeout=60000" if known else ""
            return connection.sendall(self._head("204 No Content" if request.name == "Log" else "200 OK", "Content-Length: 0", "Connection: close",
                                                 pragma=session))
        opening = self._opening(content)
        with self.lock:
            self.clients += 1
        reset = "" if known else ", xResetStrm=1"
        pragma = f'client-id={known or self.clients}{reset}, features="{content.features}", timeout=60000, playlist-gen-id=7'
        if request.name == "Describe":
            lie = content.lie.get("length", 0)
            connection.sendall(self._head("200 OK", "Content-Type: application/vnd.ms.wms-hdr.asfv1", *facts,
                                          f"Content-Length: {len(opening) + lie}", "Connection: close", pragma=pragma) + opening)
            return shut(connection)
        connection.sendall(self._head("200 OK", "Content-Type: application/x-mms-framed", *facts, "Connection: close", pragma=pragma) + opening)
        return self._play(connection, request, content)

    def _play(self, connection, request, content):
        programme = content.programme
        first = self._first(request, content)
        sent = Sent(request.target, first)
        with self.lock:
            self.plays.append(sent)
        threading.Thread(target=self._watch, args=(connection, sent), daemon=True).start()
        began = content.began if content.live else time.monotonic() - programme.times[first] / 1000 / (content.rate or 1)
        try:
            for number in range(first, len(programme.packets)):
                if content.halt is not None and number >= content.halt and sent.first < content.halt:
                    while not content.go.wait(0.05):
                        if not sent.is_open:
                            return
                if content.rate:
                    time.sleep(max(0.0, began + programme.times[number] / 1000 / content.rate - time.monotonic()))
                if not sent.is_open:
                    return
                packet = framed(b"D", programme.packets[number], number, number - first & 255)
                if content.lie.get("cut") == number:
                    connection.sendall(packet[:len(packet) // 2])
                    return
                connection.sendall(packet)
                sent.count += 1
            connection.sendall(reason(b"E", 0))
        finally:
            sent.is_open = False
            shut(connection)

    @staticmethod
    def _watch(connection, sent):
        """A player of this mode says nothing more over the connection of the media: it stops by closing it."""
        try:
            while connection.recv(4096):
                pass
        except OSError:
            pass
        sent.is_open = False

    @staticmethod
    def _first(request, content):
        """From which packet on: the one that is named, or the last key frame at or before the time; of a broadcast what is on now."""
        programme, tokens = content.programme, request.tokens
        if content.live:
            now = (time.monotonic() - content.began) * 1000
            return next((n for n, at in enumerate(programme.times) if at >= now), len(programme.times) - 1)
        wanted = int(tokens.get("stream-time", 0))
        if wanted not in (0, NONE):
            return programme.at(wanted / 1000)
        number = int(tokens.get("packet-num", NONE))
        return number if number < len(programme.packets) else 0

    @staticmethod
    def _opening(content):
        text = f'playlist-gen-id=7, broadcast-id={73 if content.live else 0}, features="{content.features}"'
        said = b"8,language,31,0,,5,title,31,4,Seed\r\n"
        return framed(b"M", text.encode() + b"\0" + said, flags=12) + framed(b"H", content.programme.header.raw, flags=12)

    @staticmethod
    def _head(status, *lines, pragma=""):
        more = [] if any(line.startswith("Cache-Control") for line in lines) else ["Cache-Control: no-cache"]
        return "\r\n".join([f"HTTP/1.1 {status}", f"Server: {SERVER}", f"Supported: {SUPPORTED}", *more,
                            f"Pragma: no-cache{', ' + pragma if pragma else ''}", *lines, "", ""]).encode()


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
