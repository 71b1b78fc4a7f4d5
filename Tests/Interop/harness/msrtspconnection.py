"""A connection to the scripted server of MS-RTSP: requests judged and answered."""
import base64
import hashlib
import os
import queue
import re
import socket
import struct
import threading

from .msrtspwire import FEATURES, Frame, Reader
from .registry import Failure

SERVER = "WMServer/9.1.1.5000"


class Session:
    """What a client has here. Its packets go on over whichever connection it comes by."""

    def __init__(self, origin, connection):
        self.origin, self.connection = origin, connection
        self.id = str(int.from_bytes(os.urandom(8), "big") | 1 << 63)
        self.tracks, self.ssrc, self.rtx_ssrc = {}, int.from_bytes(os.urandom(4), "big"), int.from_bytes(os.urandom(4), "big")
        self.sequence, self.target, self.rtx_target, self.sent, self.fec = int.from_bytes(os.urandom(2), "big"), None, None, {}, None
        self.play, self.lock = 0, threading.Lock()
        self.entry, self.generation, self.announced = 0, origin.generation, threading.Event()
        self.span, self.media_count = [], 0
        self.answers = []          # to what the server asked

    @property
    def programme(self):
        return self.origin.entries[self.entry]


class Connection:
    def __init__(self, origin, connection):
        self.origin, self.socket, self.lock, self.cseq = origin, connection, threading.Lock(), 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.owed, self.last_cseq, self.mine = queue.Queue(), 0, []

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def drop(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def request(self, session, method, url, lines, body):
        self.cseq += 1
        head = [f"{method} {url} RTSP/1.0", *lines, f"Content-Length: {len(body)}", "Date: Sun, 22 Nov 2026 00:00:00 GMT", f"CSeq: {self.cseq}",
                f"User-Agent: {SERVER}", "", ""]
        self.owed.put((session, method))
        self.send("\r\n".join(head).encode() + body)

    def run(self):
        origin, reader = self.origin, Reader()
        try:
            while data := self.socket.recv(65536):
                for item in reader.feed(data):
                    if isinstance(item, Frame):
                        origin.faults.append(f"a frame of channel {item.channel}")
                    elif item.status is not None:
                        session, method = self.owed.get_nowait()
                        session.answers.append((method, item.status))
                    else:
                        origin.requests.append(item)
                        self._answer(item)
        except (OSError, ConnectionError):
            pass
        except (Failure, queue.Empty) as problem:
            origin.faults.append(f"what the client sends: {problem!r}")
        finally:
            for session in self.mine:
                if session.connection is self:
                    session.connection = None
                    if not session.target:
                        session.play += 1

    def _reply(self, request, status="200 OK", lines=(), body=b"", session=None, kind=None):
        text = [f"RTSP/1.0 {status}", f"CSeq: {request['cseq']}", "Date: Sun, 22 Nov 2026 00:00:00 GMT", f"Server: {self.origin.server}", *lines]
        if session:
            text.append(f"Session: {session.id}{'7' * 20 if 'session-long' in self.origin.wrong else ''};timeout=60")
        generation = session.generation if session else self.origin.generation
        text.append(f"X-Playlist-Gen-Id: {generation}")
        text += ([f"Content-Type: {kind}"] if kind else []) + ([f"Content-Length: {len(body)}"] if body or kind else [])
        self.send("\r\n".join([*text, "", ""]).encode() + body)

    SUPPORTED = "Supported: " + ", ".join(FEATURES + word for word in ("srvppair", "sswitch", "eosmsg", "fastcache", "packetpairssrc", "predstrm"))

    def _answer(self, request):
        origin = self.origin
        self._judge(request)
        name = (request["session"] or "").partition(";")[0]
        session = origin.sessions.get(name)
        instead = origin.hook(request, session) if origin.hook else None
        if instead is not None:
            return self.send(instead.replace("{cseq}", request["cseq"]).encode())
        if origin.password and not self._lets_in(request):
            return None
        if origin.redirect and request.method == "DESCRIBE":
            target = origin.redirect(request) if callable(origin.redirect) else origin.redirect
            return self._reply(request, "302 Found", [f"Location: {target}"])
        if name and session is None and request.kind != "application/x-wms-sendevent":
            return self._reply(request, "454 Session Not Found")
        if session and session.connection is not self:
            session.connection = self
            self.mine.append(session)
        generation = request["x-playlist-gen-id"]
        if session and generation and int(generation) != session.generation and request.method not in ("PLAY", "TEARDOWN"):
            return self._reply(request, "412 Precondition Failed", session=session)
        url = request.url.rstrip("/")
        method, kind = request.method, request.kind
        if method == "OPTIONS":
            return self._reply(request, lines=["Public: DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, OPTIONS, ANNOUNCE"])
        if method == "DESCRIBE":
            lines = ["Vary: Accept", f"Content-Base: {url}/", f"Cache-Control: {origin.cache_control}", *origin.validators,
                     f"X-Broadcast-Id: {73 if origin.broadcast else 0}", self.SUPPORTED]
            kind = "application/octet-stream" if "type" in origin.wrong else "application/sdp"
            return self._reply(request, lines=lines, body=origin.description(session, url), kind=kind)
        if kind == "application/x-wms-getcontentinfo":
            return self._reply(request, lines=[f"Cache-Control: {origin.cache_control}", *origin.validators])
        if kind == "application/x-rtsp-packetpair":
            random = os.urandom(2048)
            return self._reply(request, body=struct.pack("<BBHI", 36, 80, 504, 300) + random[:204] + struct.pack("<BBHI", 36, 80, 504, 300) +
                               random[:504] + struct.pack("<BBHI", 36, 80, 1048, 300) + random[:1348], kind=kind)
        if kind == "application/x-wms-sendevent":
            return self._reply(request)
        if method == "SETUP":
            return self._set_up(request, session)
        if session is None:
            return self._reply(request, "454 Session Not Found")
        if kind == "application/x-rtsp-udp-packetpair":
            self._reply(request, session=session)
            for number, size in enumerate((1454, 1455, 1456)):
                head = struct.pack(">BBHIII", 0x80, 0xE0, number, 0, session.rtx_ssrc, (0xC0 if number == 0 else 0x40) << 24 | size)
                origin.rtp.sendto(head + os.urandom(size), session.rtx_target)
            return None
        if method == "PLAY":
            return self._play(request, session, url)
        if method == "PAUSE":
            session.play += 1
        if method == "TEARDOWN" and re.search(r"/(audio|rtx|stream=\d+)$", url):
            session.tracks = {number: track for number, track in session.tracks.items() if track != url}
            if url.endswith("/rtx"):
                session.rtx_target = None
            return self._reply(request, lines=[self.SUPPORTED], session=session)
        self._reply(request, lines=[self.SUPPORTED], session=session)
        if method == "TEARDOWN":
            session.play += 1
            origin.sessions.pop(session.id, None)
            self.drop()
        return None

    def _judge(self, request):
        """What every request must have. Who asks as something else, to see what it is, may."""
        faults = self.origin.faults
        if (request["user-agent"] or "").startswith("Weir"):
            self.last_cseq = request.cseq or 0
            if request.method not in ("OPTIONS", "DESCRIBE"):
                faults.append(f"{request.method} of {request['user-agent']}")
            return
        if not re.match(r"WM(Player|Server|CacheProxy)/\d+\.\d+(\.\d+\.\d+)?( |$)", request["user-agent"] or "") and request.method != "OPTIONS":
            faults.append(f"{request.method}: User-Agent: {request['user-agent']}")
        if request.cseq is None or (self.last_cseq and request.cseq != self.last_cseq + 1):
            faults.append(f"{request.method}: CSeq {request.cseq} behind {self.last_cseq}")
        self.last_cseq = request.cseq or 0
        if request.method in ("DESCRIBE", "SETUP", "PLAY") and FEATURES + "eosmsg" not in request.supported and request.kind != \
                "application/x-wms-streamswitch":
            faults.append(f"{request.method}: Supported: {request['supported']}")

    def _set_up(self, request, session):
        origin = self.origin
        if session is None:
            session = Session(origin, self)
            self.mine.append(session)
        is_fec = origin.fec and request.url.endswith("/fec")
        control = request.url.rstrip("/").split("/")[-2 if is_fec else -1]
        streams = {("audio" if kind == "audio" else f"stream={number}"): number for number, kind in session.programme.header.streams.items()}
        for spec in (request["transport"] or "").split(","):
            match = re.match(r"\s*RTP/AVP(/UDP|/TCP)?;unicast;", spec)
            way = "tcp" if match and match[1] == "/TCP" else "udp"
            if match and way in origin.transports and not (control == "rtx" and way == "tcp"):
                break
        else:
            return self._reply(request, "461 Unsupported Transport")
        is_rtx = control == "rtx" and origin.rtx
        if not is_rtx and control not in streams:
            return self._reply(request, "400 Bad Request")
        ssrc = session.rtx_ssrc if is_rtx else session.ssrc
        if way == "udp":
            port = re.search(r"client_port=(\d+)(-\d+)?", spec)
            target = (self.socket.getpeername()[0], int(port[1]))
            if is_rtx:
                session.rtx_target = target
            elif session.target not in (None, target):
                origin.faults.append(f"two ports for media: {session.target}, {target}")
            else:
                session.target = target
            server = origin.rtp.getsockname()[1]
            text = f"RTP/AVP/UDP;unicast;server_port={server}-{server + 1};client_port={port[1]}{port[2] or ''};ssrc={ssrc:08x};mode=PLAY"
        else:
            channel = re.search(r"interleaved=(\d+)-(\d+)", spec)
            session.channel = int(channel[1])
            text = f"RTP/AVP/TCP;unicast;interleaved={channel[1]}-{channel[2]};ssrc={ssrc:08x};mode=PLAY"
        if is_fec and ssrc != session.ssrc:
            return self._reply(request, "400 Bad Request", session=session)
        wanted_fec = dict(re.findall(r"(FecSpan|FecPerSpan|FecBurstMargin)=([0-9a-fA-F]+)", spec))
        if wanted_fec and is_fec:
            session.fec = (int(wanted_fec["FecSpan"], 16), int(wanted_fec["FecPerSpan"], 16))
            text += ";FecSpan={:x};FecPerSpan={:x};FecBurstMargin=1".format(*session.fec)
        session.locid = FEATURES + "locid" in request.supported
        if not is_rtx and not is_fec:
            session.tracks[streams[control]] = request.url
        origin.sessions[session.id] = session
        return self._reply(request, lines=[f"Transport: {text}", self.SUPPORTED], session=session)

    def _play(self, request, session, url):
        origin = self.origin
        if request["x-rtp-info"] is not None and origin.predicts:
            # What plays already goes on.
            return self._reply(request, lines=[self.SUPPORTED], session=session)
        npt = re.match(r"npt=(\d+(?:\.\d+)?)-", request["range"] or "")
        packet = re.match(r"x-asf-packet=(\d+)-", request["range"] or "")
        first = int(packet[1]) if packet else session.programme.at(float(npt[1]) if npt else 0)
        if origin.broadcast and session.play == 0:
            first = 0
        with session.lock:
            session.play += 1
            session.span = []
        info = ", ".join(f"url={track};seq={session.sequence};rtptime={session.programme.times[first]}" for track in session.tracks.values())
        lines = [f"RTP-Info: {info}", f"Range: npt={session.programme.times[first] / 1000:.3f}-", self.SUPPORTED]
        if request["x-accelerate-streaming"]:
            lines.append("X-Accelerate-Streaming: " + request["x-accelerate-streaming"].replace(" ", ""))
        self._reply(request, lines=lines, session=session)
        threading.Thread(target=origin.run_play, args=(session, first, session.play, url), daemon=True).start()
        return None

    def _lets_in(self, request):
        """`password` is (scheme, status): the name is viewer, the password s3cret."""
        scheme, status = self.origin.password
        asks, gets = ("WWW-Authenticate", "authorization") if status == 401 else ("Proxy-Authenticate", "proxy-authorization")
        given = request[gets] or ""
        if scheme == "Basic":
            right = given == "Basic " + base64.b64encode(b"viewer:s3cret").decode()
        else:
            values = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
            first = hashlib.md5(b"viewer:here:s3cret").hexdigest()
            second = hashlib.md5(f"{request.method}:{values.get('uri')}".encode()).hexdigest()
            middle = f"{values.get('nc')}:{values.get('cnonce')}:auth:" if values.get("qop") == "auth" else ""
            right = values.get("nonce") == "n0nce" and hashlib.md5(f"{first}:n0nce:{middle}{second}".encode()).hexdigest() == values.get("response")
        if not right:
            rest = ', nonce="n0nce", qop="auth"' if scheme == "Digest" else ""
            self._reply(request, f"{status} Not So", [f'{asks}: {scheme} realm="here"{rest}'])
        return right
