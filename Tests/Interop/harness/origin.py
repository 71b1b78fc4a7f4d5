"""An RTSP origin that plays the demonstration clip as a live source, and remembers what it was asked.

As a program: python3 -m harness.origin --port 8555 [--auth basic|md5|sha256] [--udp serve|silent|refuse]
"""
import argparse
import base64
import dataclasses
import random
import re
import socket
import struct
import threading
import time

from . import rtsp
from .clip import demo

NTP_EPOCH = 2_208_988_800


@dataclasses.dataclass(frozen=True)
class Splice:
    """What distinguishes one life of an encoder from the next."""
    ssrc: int = 0
    sequence: int = 0
    seconds: int = 0

    @staticmethod
    def random(seed):
        source = random.Random(seed)
        return Splice(source.getrandbits(32), source.getrandbits(16), source.randrange(1, 40_000))


@dataclasses.dataclass
class Event:
    at: float
    connection: int
    method: str
    url: str
    headers: dict


class Session:
    def __init__(self, connection):
        self.connection, self.id = connection, rtsp.new_nonce()
        self.tracks = {}  # track -> ("udp", rtp socket, rtcp socket, host, rtp port, rtcp port) | ("tcp", channel)
        self.playing = False


class Origin:
    def __init__(self, port=0, host="127.0.0.1", path="/live", auth=None, udp="serve", splice=Splice(), clip=None,
                 sender_reports=True, realm="origin"):
        self.clip = clip or demo()
        self.host, self.path, self.auth, self.udp, self.splice = host, path, auth, udp, splice
        self.sender_reports, self.realm = sender_reports, realm
        self.events, self.connections, self.receiver_reports = [], 0, 0
        self.nonces = set()
        self.sessions, self.sockets, self.lock, self.open = {}, set(), threading.RLock(), True
        self.position = 0          # records sent so far
        self.octets = [0] * len(self.clip.clocks)
        self.sent = [0] * len(self.clip.clocks)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.started = time.monotonic()
        for body in (self._accept, self._pump):
            threading.Thread(target=body, daemon=True).start()

    def url(self, credentials=""):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{credentials}{host}:{self.port}{self.path}"

    def asked(self, method):
        return [event for event in list(self.events) if event.method == method]

    @property
    def playing(self):
        with self.lock:
            return sum(session.playing for session in self.sessions.values())

    def close(self):
        """Ends as if killed: no BYE, no TEARDOWN, connections reset."""
        with self.lock:
            self.open = False
        # Whoever reads shall have what was sent: a reset takes it away.
        time.sleep(0.05)
        with self.lock:
            for sock in [self.listener, *self.sockets]:
                try:
                    if sock.type == socket.SOCK_STREAM and sock is not self.listener:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()
            for session in self.sessions.values():
                self._release(session)
            self.sessions = {}

    # Media -------------------------------------------------------------------------------------------------------

    def _pump(self):
        records = self.clip.records
        next_report = [0.0] * len(self.clip.clocks)
        while self.open:
            round_number, index = divmod(self.position, len(records))
            due = self.started + round_number * self.clip.seconds + records[index][0]
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(min(wait, 0.05))
                continue
            # What is due at one moment goes out at once: nobody is killed in the middle of a picture unless a test wants it.
            with self.lock:
                while self.open:
                    track, packet = self.clip.packet(index, round_number, self.splice)
                    self.position += 1
                    self.sent[track] += 1
                    self.octets[track] += len(packet) - 12
                    self._send(track, packet, False)
                    if self.sender_reports and due >= next_report[track]:
                        next_report[track] = due + 2.0
                        self._send(track, self._report(track, packet), True)
                    index += 1
                    if index == len(records) or records[index][0] != records[index - 1][0]:
                        break

    def _report(self, track, packet):
        """An RFC 3550 sender report and CNAME for the moment of this packet."""
        timestamp, ssrc = struct.unpack_from("!II", packet, 4)
        now = time.time() + NTP_EPOCH
        report = struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, int(now) & 0xFFFFFFFF, int(now % 1 * 2**32), timestamp,
                             self.sent[track] & 0xFFFFFFFF, self.octets[track] & 0xFFFFFFFF)
        return report + struct.pack("!BBHIBB6sxx", 0x81, 202, 4, ssrc, 1, 6, b"origin") + b"\0\0"

    def _send(self, track, packet, is_report):
        for session in list(self.sessions.values()):
            way = session.tracks.get(track)
            if not session.playing or way is None:
                continue
            try:
                if way[0] == "tcp":
                    frame = struct.pack("!BBH", 0x24, way[1] + is_report, len(packet)) + packet
                    session.connection.sendall(frame)
                elif self.udp == "serve":
                    way[1 + is_report].sendto(packet, (way[3], way[4 + is_report]))
            except OSError:
                session.playing = False

    # Signalling --------------------------------------------------------------------------------------------------

    def _accept(self):
        while self.open:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if not self.open:
                    connection.close()
                    return
                self.connections += 1
                number = self.connections
                self.sockets.add(connection)
            connection.settimeout(2.0)
            threading.Thread(target=self._serve, args=(connection, peer, number), daemon=True).start()

    def _serve(self, connection, peer, number):
        parser = rtsp.Parser()
        try:
            while self.open:
                try:
                    data = connection.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                for item in parser.feed(data):
                    if isinstance(item, rtsp.Frame):
                        self.receiver_reports += 1
                    elif not item.start.startswith("RTSP/"):
                        self._answer(connection, peer, number, item)
        except OSError:
            pass
        with self.lock:
            self.sockets.discard(connection)
            for session in [s for s in self.sessions.values() if s.connection is connection]:
                # A session over TCP ends with its connection; over UDP nobody would end it here either.
                self._release(session)
                del self.sessions[session.id]
            connection.close()

    def _release(self, session):
        session.playing = False
        for way in session.tracks.values():
            if way[0] == "udp":
                way[1].close()
                way[2].close()

    def _answer(self, connection, peer, number, request):
        self.events.append(Event(time.monotonic(), number, request.method, request.url, request.headers))
        headers, body, status = [], b"", "200 OK"
        if request.method != "OPTIONS" and not self._allowed(request):
            status, headers = "401 Unauthorized", [("WWW-Authenticate", self._challenge())]
        else:
            with self.lock:
                status, headers, body = self._perform(connection, peer, request)
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '')}", "Server: interop-origin"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self.lock:
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _perform(self, connection, peer, request):
        method = request.method
        session = self.sessions.get(request.headers.get("session", "").split(";")[0])
        if method == "OPTIONS":
            return "200 OK", [("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER")], b""
        path = re.sub(r"^rtsp://[^/]*", "", request.url)
        if not path.startswith(self.path):
            return "404 Not Found", [], b""
        if method == "DESCRIBE":
            return "200 OK", [("Content-Type", "application/sdp"), ("Content-Base", self.url() + "/")], self.clip.sdp.encode()
        if method == "SETUP":
            return self._set_up(connection, peer, request, session)
        if session is None:
            return "454 Session Not Found", [], b""
        headers = [("Session", session.id)]
        if method == "PLAY":
            session.playing = True
            return "200 OK", headers + [("Range", "npt=now-"), ("RTP-Info", self._rtp_info(session))], b""
        if method == "PAUSE":
            session.playing = False
        elif method == "TEARDOWN":
            self._release(session)
            del self.sessions[session.id]
        elif method != "GET_PARAMETER":
            return "405 Method Not Allowed", headers, b""
        return "200 OK", headers, b""

    def _set_up(self, connection, peer, request, session):
        track = int(request.url.rstrip("/").rsplit("=", 1)[1])
        offer = request.headers.get("transport", "").split(",")[0]
        if "/TCP" in offer:
            channel = int(re.search(r"interleaved=(\d+)", offer).group(1))
            way = ("tcp", channel)
            reply = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        elif self.udp == "refuse":
            return "461 Unsupported Transport", [], b""
        else:
            ports = re.search(r"client_port=(\d+)(?:-(\d+))?", offer)
            rtp_port = int(ports.group(1))
            rtcp_port = int(ports.group(2) or rtp_port + 1)
            rtp, rtcp = self._open_pair()
            way = ("udp", rtp, rtcp, peer[0], rtp_port, rtcp_port)
            reply = (f"RTP/AVP;unicast;client_port={rtp_port}-{rtcp_port};"
                     f"server_port={rtp.getsockname()[1]}-{rtcp.getsockname()[1]}")
            threading.Thread(target=self._count_reports, args=(rtcp,), daemon=True).start()
        if session is None:
            session = Session(connection)
            self.sessions[session.id] = session
        session.tracks[track] = way
        return "200 OK", [("Session", f"{session.id};timeout=60"), ("Transport", reply)], b""

    def _open_pair(self):
        while True:
            rtp, rtcp = (socket.socket(self.listener.family, socket.SOCK_DGRAM) for _ in range(2))
            try:
                rtp.bind((self.host, 0))
                if rtp.getsockname()[1] % 2 == 0:
                    rtcp.bind((self.host, rtp.getsockname()[1] + 1))
                    return rtp, rtcp
            except OSError:
                pass
            rtp.close()
            rtcp.close()

    def _count_reports(self, rtcp):
        try:
            while True:
                if rtcp.recv(2048):
                    self.receiver_reports += 1
        except OSError:
            pass

    def _rtp_info(self, session):
        parts = []
        round_number, start = divmod(self.position, len(self.clip.records))
        for track in session.tracks:
            for ahead in range(len(self.clip.records)):
                over, index = divmod(start + ahead, len(self.clip.records))
                if self.clip.records[index][1] == track:
                    _, packet = self.clip.packet(index, round_number + over, self.splice)
                    sequence, timestamp = struct.unpack_from("!HI", packet, 2)
                    parts.append(f"url={self.url()}/trackID={track};seq={sequence};rtptime={timestamp}")
                    break
        return ",".join(parts)

    # Authentication ----------------------------------------------------------------------------------------------

    def _challenge(self):
        kind = self.auth[0]
        if kind == "basic":
            return f'Basic realm="{self.realm}"'
        nonce = rtsp.new_nonce()
        self.nonces.add(nonce)
        if kind == "md5-plain":  # RFC 2069 style, as many cameras do
            return f'Digest realm="{self.realm}", nonce="{nonce}"'
        algorithm = {"md5": "MD5", "sha256": "SHA-256"}[kind]
        return f'Digest realm="{self.realm}", qop="auth", nonce="{nonce}", algorithm={algorithm}, opaque="5ccc"'

    def _allowed(self, request):
        if self.auth is None:
            return True
        kind, user, password = self.auth
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if kind == "basic":
            return scheme.lower() == "basic" and rest.strip() == base64.b64encode(f"{user}:{password}".encode()).decode()
        if scheme.lower() != "digest":
            return False
        given = rtsp.parse_parameters(rest)
        algorithm = "SHA-256" if kind == "sha256" else "MD5"
        if given.get("algorithm", "MD5").upper() != algorithm or given.get("nonce") not in self.nonces:
            return False
        if given.get("username") != user or given.get("realm") != self.realm or given.get("uri") != request.url:
            return False
        if kind != "md5-plain" and given.get("qop") != "auth":
            return False
        return given.get("response") == rtsp.digest_response(
            algorithm, user, self.realm, password, request.method, given["uri"], given["nonce"], given)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8555)
    parser.add_argument("--auth", choices=["basic", "md5", "md5-plain", "sha256"], help="user `user`, password `pw`")
    parser.add_argument("--udp", choices=["serve", "silent", "refuse"], default="serve")
    arguments = parser.parse_args()
    auth = (arguments.auth, "user", "pw") if arguments.auth else None
    origin = Origin(port=arguments.port, auth=auth, udp=arguments.udp, splice=Splice.random(time.time()))
    print(origin.url(), flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
