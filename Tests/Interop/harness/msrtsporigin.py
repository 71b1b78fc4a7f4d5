"""Servers of Windows Media over RTSP by script, for what real ones do only now and then: entries that change, packets that are lost,
redirections, passwords, and lies."""
import base64
import hashlib
import itertools
import socket
import struct
import threading
import time
import urllib.parse

from . import msrtspfec as fec
from .msrtspconnection import SERVER, Connection
from .msrtspprogramme import Programme, stripped
from .msrtspwire import wanted
from .registry import Failure

__all__ = ["Origin", "Programme", "stripped"]

FRAGMENT_BYTES = 1400
RTX_STREAM = 65536


class Origin:
    """Plays its entries one after the other; the last one over and over if it is a broadcast.

    lose        which media packets over UDP do not go out the first time: a function of their number
    fec         (span, per span) as the description offers it
    wrong       lies: header, no-data-object, maxps, fec, session-long, garbage, ssrc, length, announce-broken, announce-first, silent, type
    hook        called with each request and its session; a string is sent instead of the answer
    """

    def __init__(self, entries, broadcast=False, transports=("udp", "tcp"), rtx=True, fec=None, lose=None, password=None, redirect=None, pace=1.0,
                 predicts=True, wrong=(), cache_control=None, hook=None, inclusive=True, strips=True, server=SERVER, start=0.0, port=0):
        self.entries, self.broadcast, self.transports, self.rtx, self.fec, self.lose = list(entries), broadcast, transports, rtx, fec, lose
        self.password, self.redirect, self.pace, self.predicts, self.wrong, self.hook = password, redirect, pace, predicts, set(wrong), hook
        self.inclusive, self.strips, self.server, self.start = inclusive, strips, server, start
        kind = '"broadcast, playlist"' if broadcast and len(self.entries) > 1 else '"broadcast"' if broadcast else None
        self.cache_control = cache_control or (f"no-cache, max-age=0, x-wms-stream-type={kind}, x-wms-proxy-split" if broadcast else
                                               "x-wms-content-size=1000000, max-age=86399, must-revalidate, proxy-revalidate") + \
            ', x-wms-event-subscription="remote-log"'
        self.validators = ()  # lines that say which version it is
        self.generation = 27006
        self.requests, self.faults, self.sessions, self.connections, self.nacks = [], [], {}, [], []
        self.lost = self.resent = self.repairs = self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.rtp, self.rtcp = self._pair()
        self.is_closed = False
        for target in (self._accept, self._hear):
            threading.Thread(target=target, daemon=True).start()

    @staticmethod
    def _pair():
        for _ in range(100):
            first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
                if first.getsockname()[1] % 2 == 0:
                    return first, second
            except OSError:
                pass
            first.close()
            second.close()
        raise Failure("no free pair of ports")

    def url(self, path="tv", credentials="", scheme="rtsp"):
        return f"{scheme}://{credentials}127.0.0.1:{self.port}/{path}"

    def close(self):
        self.is_closed = True
        for one in (self.listener, self.rtp, self.rtcp, *[connection.socket for connection in self.connections]):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def asked(self, method, kind=None):
        """The requests so far of a method and a content type, of those who came as Windows Media."""
        return [one for one in list(self.requests)
                if one.method == method and kind in (None, one.kind) and (one["user-agent"] or "").startswith(("WM", "Lavf", "NSPlayer"))]

    def cut(self):
        """The connections break; sessions stay."""
        for connection in list(self.connections):
            connection.drop()

    def _accept(self):
        while not self.is_closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            one = Connection(self, connection)
            self.connections.append(one)
            threading.Thread(target=one.run, daemon=True).start()

    def _hear(self):
        """RTCP: only requests for packets matter."""
        while not self.is_closed:
            try:
                packet, sender = self.rtcp.recvfrom(65536)
                name, _, sequences = wanted(packet)
            except OSError:
                return
            except (Failure, struct.error, IndexError) as problem:
                self.faults.append(f"RTCP: {problem}")
                continue
            session = next((one for one in list(self.sessions.values()) if one.rtx_ssrc == name), None)
            if not sequences:
                continue
            self.nacks.append((time.monotonic(), sequences))
            if session is None or session.rtx_target is None:
                self.faults.append(f"a NACK of nobody: {name}")
                continue
            if len(sequences) > 17 * 32:
                self.faults.append(f"a NACK of {len(sequences)} packets")
            for sequence in sequences:
                if sequence in session.sent:
                    self.resent += 1
                    self.rtp.sendto(session.sent[sequence], session.rtx_target)

    # What is sent.

    def description(self, session, url):
        programme, base = session.programme if session else self.entries[0], url.rstrip("/") + "/"
        raw = programme.header.raw
        if "header" in self.wrong:
            raw = raw[:40] + b"\xff" * 8 + raw[48:]
        if "no-data-object" in self.wrong:
            raw = raw[:-50]
        words = "notseekable,broadcast" if self.broadcast else ""
        if len(self.entries) > 1:
            words = ",".join(filter(None, [words, "playlist"]))
        length = "" if self.broadcast else f"{programme.header.duration / 1e7 - programme.header.preroll / 1e3:.3f}"
        text = "8,language,31,0,,5,title,31,5,Title,48,WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL,31,7,entry {}\r\n".format(
            session.entry if session else 0).replace("48,WMS", f"{len('WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL')},WMS")
        lines = ["v=0", "o=- 200209102309360000 200209102309360000 IN IP4 127.0.0.1", "s=Title", "c=IN IP4 0.0.0.0", "b=AS:1000",
                 f"a=maxps:{24 if 'maxps' in self.wrong else programme.header.packet_bytes}", "t=0 0", f"a=control:{base}",
                 f"a=etag:{{{hashlib.md5(raw).hexdigest()[:8].upper()}-1413-E1EE-14DF-E327B7519C52}}", f"a=range:npt=0.000-{length}"]
        lines += [f"a=type:{words}"] if words else []
        lines += ["a=recvonly", "a=pgmpu:data:application/x-wms-contentdesc," + urllib.parse.quote(text, safe=",."),
                  "a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64," + base64.b64encode(raw).decode()]
        for number, kind in sorted(programme.header.streams.items()):
            kind = "application" if kind == "other" else kind
            name = "audio" if kind == "audio" else f"stream={number}"
            if "streams" in self.wrong:
                number += 40
            lines += [f"m={kind} 0 RTP/AVP 96" + (" 98" if self.fec else ""), "b=AS:500", "b=RS:0", "b=RR:0", "a=rtpmap:96 x-asf-pf/1000",
                      f"a=control:{name}", f"a=stream:{number}"]
            if self.fec:
                span, per_span = (25, 99) if "fec" in self.wrong else self.fec
                lines += ["a=rtpmap:98 x-wms-fec/1000", f"a=fmtp:98 {name}/fec {span} {per_span}"]
        if self.rtx:
            lines += ["m=application 0 RTP/AVP 96", "b=RS:0", "b=RR:0", "a=rtpmap:96 x-wms-rtx/1000", "a=control:rtx", f"a=stream:{RTX_STREAM}"]
        return ("\r\n".join(lines) + "\r\n").encode()

    def payloads(self, session, packet, time_, key, number):
        """The RTP payloads of an ASF packet, each with its marker."""
        data = stripped(packet) if self.strips else packet
        location = struct.pack(">I", number) if session.locid else b""
        flags = (0x80 if key else 0) | (8 if location else 0)
        parts = [data[at:at + FRAGMENT_BYTES] for at in range(0, len(data), FRAGMENT_BYTES)] if session.target else [data]
        for index, part in enumerate(parts):
            whole = len(parts) == 1
            count = len(part) + (4 + len(location) if self.inclusive else 0) if whole else index * FRAGMENT_BYTES
            if "length" in self.wrong and session.media_count > 20:
                count = 0xFFFFFF
            yield struct.pack(">I", (flags | (0x40 if whole else 0)) << 24 | count) + location + part, index == len(parts) - 1

    def send_media(self, session, payload, marker, time_):
        ssrc = session.ssrc ^ (1 if "ssrc" in self.wrong and session.media_count % 20 == 19 else 0)
        raw = struct.pack(">BBHII", 0x80, (128 if marker else 0) | 96, session.sequence, time_ & 0xFFFFFFFF, ssrc) + payload
        session.media_count += 1
        self._out(session, raw, is_media=True)
        if session.fec:
            session.span.append(raw)
            span, per_span = session.fec
            if len(session.span) == span:
                for index in range(per_span):
                    self.repairs += 1
                    self._out(session, fec.repair_packet(session.span, index, per_span, session.sequence, 98, session.ssrc))
                session.span = []

    def _out(self, session, raw, is_media=False):
        session.sent[session.sequence] = raw
        if len(session.sent) > 2000:
            del session.sent[next(iter(session.sent))]
        session.sequence = session.sequence + 1 & 0xFFFF
        self.sent += 1
        if not session.target:
            connection = session.connection
            if connection:
                if "garbage" in self.wrong and session.media_count % 20 == 19:
                    connection.send(b"\x00\xff garbage \x7f")
                connection.send(struct.pack(">BBH", 0x24, session.channel, len(raw)) + raw)
        elif is_media and self.lose and self.lose(session.media_count):
            self.lost += 1
        else:
            self.rtp.sendto(raw, session.target)

    def run_play(self, session, first, play, url):
        """Sends from packet `first` of the session's entry on, until something else is to play."""
        try:
            numbers = itertools.count(first)
            while session.play == play:
                programme = session.programme
                count = len(programme.packets)
                began = time.monotonic() - self.start
                base = programme.times[first]
                for number in numbers:
                    if number == count or session.play != play or self.is_closed:
                        break
                    if "silent" in self.wrong and number == 30:
                        time.sleep(3600)
                    wait = began + (programme.times[number] - base) / 1000 / self.pace - time.monotonic()
                    time.sleep(max(0.0, wait))
                    with session.lock:
                        if session.play != play:
                            return
                        for payload, marker in self.payloads(session, programme.packets[number], programme.times[number], programme.keys[number],
                                                             number):
                            self.send_media(session, payload, marker, programme.times[number])
                if session.play != play or self.is_closed:
                    return
                if not self._next_entry(session, url):
                    return
                first, numbers = 0, itertools.count(0)
                if not self.predicts:
                    return
        except (OSError, ConnectionError):
            pass

    def _next_entry(self, session, url):
        """EndOfStream, and Announce if something follows; whether it does."""
        is_last = session.entry + 1 >= len(self.entries)
        if "announce-first" not in self.wrong:
            self.end_of_stream(session, url, not is_last)
        if is_last:
            return False
        session.entry += 1
        session.generation += 1
        self.announce(session, url)
        return True

    def end_of_stream(self, session, url, is_entry):
        info = ", ".join(f"url={track};seq={session.sequence}" for track in session.tracks.values())
        body = f"Session: {session.id}\r\nEOF: true\r\n" + ("End-Of-Playlist-Entry: true\r\n" if is_entry else "")
        session.connection.request(session, "SET_PARAMETER", url, [
            "Content-Type: application/x-wms-extension-cmd", 'X-Notice: 2101 "End-of-Stream Reached"', f"RTP-Info: {info}",
            f"X-Playlist-Gen-Id: {session.generation}"], body.encode())

    def announce(self, session, url):
        lines = ["Content-Type: application/sdp", "Vary: Accept", f"Session: {session.id}", f"X-Playlist-Gen-Id: {session.generation}",
                 "X-Broadcast-Id: 73" if self.broadcast else "X-Broadcast-Id: 0"]
        if self.predicts:
            base, parts = url.rstrip("/") + "/", []
            way = "RTP/AVP/UDP;unicast;server_port={};client_port={}".format(self.rtp.getsockname()[1], session.target[1]) if session.target else \
                f"RTP/AVP/TCP;unicast;interleaved={session.channel}-{session.channel + 1}"
            session.tracks = {}
            for number, kind in sorted(session.programme.header.streams.items()):
                session.tracks[number] = base + ("audio" if kind == "audio" else f"stream={number}")
                parts.append(f"url={session.tracks[number]};transport={way};ssrc={session.ssrc:08x};mode=PLAY;blocksize=5994;thinlevel=0;"
                             f"seq={session.sequence};rtptime=0")
            if session.rtx_target:
                ports = self.rtp.getsockname()[1]
                parts.append(f"url={base}rtx;transport=RTP/AVP/UDP;unicast;server_port={ports}-{ports + 1};client_port={session.rtx_target[1]}-"
                             f"{session.rtx_target[1] + 1};ssrc={session.rtx_ssrc:08x};mode=PLAY;thinlevel=0")
            lines.append("X-RTP-Info: " + ", ".join(parts))
        else:
            session.tracks = {}
        body = b"v=0\r\nnonsense" if "announce-broken" in self.wrong else self.description(session, url)
        session.connection.request(session, "ANNOUNCE", url, lines, body)
