"""What a player over RTSP does with what comes: answers, RTP, EndOfStream and Announce, each checked as it comes."""
import collections
import re
import selectors
import socket
import time

from .msrtspline import Line, behind
from .msrtspwire import FEATURES, Assembler, Description, Frame, Reader, RTP, nack
from .registry import Failure, check

AGENT = "WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4"
SUPPORTED = tuple(FEATURES + word for word in ("srvppair", "sswitch", "eosmsg", "predstrm", "startupprofile", "locid"))


class Track:
    """A stream that was selected. Its `slot` is the URL of its SETUP."""

    def __init__(self, slot, ssrc, transport):
        self.slot, self.ssrc, self.transport, self.first = slot, ssrc, transport, None


class Entry:
    def __init__(self, description, generation):
        self.description, self.generation = description, generation
        self.units, self.ended, self.mark = [], None, 0


class End:
    """What an EndOfStream says."""

    def __init__(self, message):
        lines = message.body.decode().rstrip("\0").split("\r\n")
        check(lines[-1] == "", f"an EndOfStream ends with {message.body[-20:]!r}")
        pairs = [line.partition(":")[::2] for line in lines[:-1]]
        self.fields = {name.strip().lower(): value.strip().lower() for name, value in pairs}
        check(len(self.fields) == len(pairs) in (2, 3) and self.fields.get("eof") == "true", f"an EndOfStream says {message.body!r}")
        rest = set(self.fields) - {"session", "eof"}
        check(rest <= {"administrativedisconnection", "end-of-playlist-entry", "recedingeos"}, f"an EndOfStream says {message.body!r}")
        self.session, self.reason = self.fields.get("session"), rest.pop() if rest else None
        check(message["x-notice"] == '2101 "End-of-Stream Reached"', f"X-Notice: {message['x-notice']}")
        self.sequences = rtp_info(message["rtp-info"])
        check(all("rtptime" not in one for one in self.sequences.values()), f"RTP-Info with a time: {message['rtp-info']}")
        self.generation = int(message["x-playlist-gen-id"] or 0)
        self.at = message.at

    @property
    def is_entry(self):
        return self.reason == "end-of-playlist-entry"


def rtp_info(text):
    """{url: {name: value}}, names in lower case."""
    result = {}
    for part in re.split(r",\s*(?=url=)", text or ""):
        match = re.match(r'url="?([^";]+)"?', part)
        check(match, f"RTP-Info or X-RTP-Info: {text}")
        fields = [one.partition("=")[::2] for one in part[match.end():].split(";") if one]
        result[match[1]] = {name.lower(): value for name, value in fields}
    return result


class Ticket:
    """A request under way."""

    def __init__(self, name, cseq):
        self.name, self.cseq, self.answer, self.done = name, cseq, None, None


class Ports:
    """UDP sockets on neighbouring ports, the first even."""

    def __init__(self, count, host="127.0.0.1"):
        for _ in range(200):
            self.sockets = []
            try:
                for offset in range(count):
                    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    self.sockets.append(one)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                    one.bind((host, 0 if offset == 0 else self.sockets[0].getsockname()[1] + offset))
                    one.setblocking(False)
                if self.first % 2 == 0:
                    return
            except OSError:
                pass
            self.close()
        raise Failure("no free pair of ports")

    @property
    def first(self):
        return self.sockets[0].getsockname()[1]

    def close(self):
        for one in self.sockets:
            one.close()


class Link:
    def __init__(self, host, port, path, transport="tcp", agent=AGENT, supported=SUPPORTED, seconds=15.0, patience=0.0, answers="200", source=None,
                 nacks=True, base=None):
        """`patience`: how long lost packets are waited for, 0 if nothing may be lost. `answers` to the server's requests: 200, 501 (without a
        number, as ffmpeg's), echo (a request, as GStreamer's) or none."""
        self.host, self.port, self.path, self.transport = host, port, path, transport
        self.url = base or f"rtsp://{host}:{port}{path}"
        self.agent, self.supported, self.seconds, self.patience, self.answers = agent, supported, seconds, patience, answers
        self.source, self.nacks = source, nacks
        self.selector = selectors.DefaultSelector()
        self.tickets, self.history, self.entries = collections.deque(), [], []
        self.session, self.generation, self.cseq, self.etag = None, 0, 0, None
        self.tracks, self.old_tracks, self.lines, self.rtx, self.fec = {}, {}, {}, None, None
        self.state, self.logs, self.pairs, self.nacked, self.early = "init", 0, [], 0, 0
        self.data = self.rtx_ports = self.link = None
        self.server_requests, self.features, self.stash = [], None, []
        self.connect()

    # The connection.

    def connect(self):
        self.disconnect()
        self.link = socket.create_connection((self.host, self.port), timeout=self.seconds, source_address=(self.source, 0) if self.source else None)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader, self.is_over = Reader(), False
        self.tickets.clear()
        self.selector.register(self.link, selectors.EVENT_READ, self._read_link)

    def disconnect(self):
        """The connection alone goes; the session may stay."""
        if self.link:
            self.selector.unregister(self.link)
            self.link.close()
            self.link = None

    def close(self):
        self.disconnect()
        for ports in (self.data, self.rtx_ports):
            if ports:
                ports.close()
        self.selector.close()

    # Requests.

    def head(self, name, method, url, headers=(), body=b"", kind=None, generation=True):
        self.cseq += 1
        lines = [f"{method} {url} RTSP/1.0"]
        if name in ("Describe", "SelectStream", "Play"):
            lines.append("Supported: " + ", ".join(self.supported))
        if self.session and name not in ("GetContentInfo", "TcpPacketPair"):
            lines.append(f"Session: {self.session}")
        if self.generation and generation and name in ("SelectStream", "Teardown", "UdpPacketPair", "Play"):
            lines.append(f"X-Playlist-Gen-Id: {self.generation}")
        if kind:
            lines.append(f"Content-Type: {kind}")
        if body or kind:
            lines.append(f"Content-Length: {len(body)}")
        lines += [*headers, f"User-Agent: {self.agent}", "Accept-Charset: UTF-8, *;q=0.1", "X-Accept-Authentication: Negotiate, NTLM, Digest",
                  "Accept-Language: en-US, *;q=0.1", f"CSeq: {self.cseq}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def prepare(self, name, method, url, *rest, **more):
        """A request as bytes; its answer is expected from now on."""
        data = self.head(name, method, url, *rest, **more)
        ticket = Ticket(name, self.cseq)
        self.tickets.append(ticket)
        return ticket, data

    def send(self, data):
        self.link.settimeout(self.seconds)
        self.link.sendall(data)

    def ask(self, name, method, url, *rest, status=200, **more):
        """A request, and its answer; `status` None: whatever it is."""
        ticket, data = self.prepare(name, method, url, *rest, **more)
        self.send(data)
        return self.answered(ticket, status)

    def answered(self, ticket, status=200):
        self.wait(lambda: ticket.answer, self.seconds, f"the answer to {ticket.name}")
        check(status is None or ticket.answer.status == status, lambda: f"{ticket.name}: {ticket.answer}")
        return ticket.answer

    # What comes.

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            check(not self.is_over, lambda: f"the connection ended before {what}")
            check(time.monotonic() < deadline, lambda: f"{what} did not come within {seconds:.0f} s; {self.recent()}")
            self.step(0.05)
        return value

    def recent(self):
        return f"so far {runs(self.history)[-12:]}, " + ", ".join(f"{line.ssrc:08x}: {line.received} packets" for line in self.lines.values())

    def step(self, seconds=0.05):
        """Takes what is there, or waits for so long. What came by the ports is looked at when the connection was read: what the server said
        before it sent them is known then."""
        ready = self.selector.select(seconds)
        for key, _ in ready:
            if key.fileobj is not self.link:
                key.data(key.fileobj)
        if self.link and (ready or self.stash):
            self._read_link(self.link)
        stash, self.stash = self.stash, []
        for rtp, resent in stash:
            self._take_rtp(rtp, resent)
        self._deliver()
        self._ask_again()

    def spend(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.is_over:
            self.step(0.02)

    def _read_link(self, link):
        try:
            link.setblocking(False)
            data = link.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.is_over = True
            self.history.append("end")
            self.selector.unregister(link)
            self.link.close()
            self.link = None
            return
        for item in self.reader.feed(data):
            if isinstance(item, Frame):
                self._take_frame(item)
            elif item.status is not None:
                self._take_answer(item)
            else:
                self._take_request(item)
            self._deliver()

    def _take_frame(self, frame):
        check(frame.channel % 2 == 0, f"a frame of channel {frame.channel}")
        self._take_rtp(RTP(frame.payload))

    def _read_data(self, port):
        while True:
            try:
                self.stash.append((RTP(port.recv(65536)), False))
            except BlockingIOError:
                return

    def _read_rtx(self, port):
        while True:
            try:
                rtp = RTP(port.recv(65536))
            except BlockingIOError:
                return
            if rtp.ssrc == self.rtx.ssrc and rtp.timestamp == 0:
                self.pairs.append(rtp)
            else:
                self.stash.append((rtp, True))

    def _take_rtp(self, rtp, resent=False):
        if not self.history or self.history[-1] != "rtp":
            self.history.append("rtp")
        line = self.lines.get(rtp.ssrc)
        check(line, lambda: f"a packet of SSRC {rtp.ssrc:08x}, which no SETUP named")
        line.take(rtp, resent)

    def _deliver(self):
        for line in self.lines.values():
            for rtp in line.due():
                if rtp is None:
                    line.assembler.gap()
                    continue
                if rtp.sequence in line.cuts or any(one.name == "Play" for one in self.tickets):
                    line.assembler.gap()
                unit = line.assembler.take(rtp, recovered=rtp.sequence in line.by_fec)
                if unit:
                    unit.line = line
                    self.entries[line.entry].units.append(unit)

    def _cross(self, line):
        """The end of an entry on a line: goes over to the next, if that is announced."""
        if line.entry + 1 >= len(self.entries):
            return False
        line.barriers.pop(0)
        self._enter(line, line.entry + 1)
        return True

    def _enter(self, line, number):
        line.entry = number
        line.assembler = Assembler(self.entries[number].description.header)
        line.types = [media.payload_type for media in self.entries[number].description.streams.values()]

    def _ask_again(self):
        if not (self.rtx and self.nacks):
            return
        now = time.monotonic()
        for line in self.lines.values():
            missing = [one for one in line.gaps if now - line.asked.get(one, (0, 0))[0] > 0.2 and line.asked.get(one, (0, 0))[1] < 4]
            for chunk in (missing[at:at + 32] for at in range(0, len(missing), 32)):
                self.nacked += len(chunk)
                for one in chunk:
                    line.asked[one] = (now, line.asked.get(one, (0, 0))[1] + 1)
                self.send_rtcp(nack(self.rtx.ssrc, line.ssrc, chunk))

    def send_rtcp(self, packet, source=None):
        (source or self.rtx_ports.sockets[1]).sendto(packet, (self.host, self.rtx.server_ports[1]))

    def _take_answer(self, message):
        check(self.tickets, lambda: f"an answer to nothing: {message}")
        ticket = self.tickets.popleft()
        check(message.cseq == ticket.cseq, lambda: f"{ticket.name} has the number {ticket.cseq}, its answer {message}")
        self.history.append(ticket.name if message.status == 200 else f"{ticket.name}:{message.status}")
        if message.status == 200:
            check(re.match(r"WMServer/9\.\d+\.\d+\.\d+( |$)", message["server"] or ""), lambda: f"{ticket.name}: {message}")
            if message["session"] and ticket.name not in ("Describe", "GetContentInfo", "TcpPacketPair", "SendEvent", "Options"):
                match = re.fullmatch(r"([1-9]\d{0,19})(;timeout=(\d+))?", message["session"])
                check(match and int(match[1]) < 1 << 64, lambda: f"{ticket.name}: {message}")
                check(self.session in (None, match[1]), lambda: f"{ticket.name}: another session, {message}")
                self.session = match[1]
            has_features = message["supported"] is not None
            check(has_features == (ticket.name in ("Describe", "SelectStream", "Play")) or ticket.name not in
                  ("Describe", "SelectStream", "Play", "GetContentInfo", "SendEvent"), lambda: f"{ticket.name}: Supported in {message}")
            if has_features:
                self.features = message.supported
                check({FEATURES + "eosmsg", FEATURES + "sswitch"} <= set(self.features), f"{ticket.name}: {self.features}")
        if ticket.done:
            ticket.done(message)
        ticket.answer = message

    # What the server asks.

    def _take_request(self, message):
        check(message.cseq is not None, lambda: f"the server's request has no number: {message}")
        check((message["user-agent"] or "").startswith("WMServer/9."), lambda: f"the server's request: {message}")
        check(message["server"] is None, lambda: f"a request that says Server: {message}")
        check(message.url.rstrip("/") == self.url, lambda: f"the server asks about {message.url}")
        if message["session"]:
            check(message["session"].partition(";")[0] == self.session, lambda: f"another session: {message}")
        numbers = [one.cseq for one in self.server_requests]
        check(not numbers or message.cseq > numbers[-1], f"the server's numbers: {numbers}, {message.cseq}")
        self.server_requests.append(message)
        if message.method == "SET_PARAMETER":
            check(message.kind == "application/x-wms-extension-cmd", lambda: f"{message}")
            self._take_end(message)
        else:
            check(message.method == "ANNOUNCE" and message.kind == "application/sdp", lambda: f"{message}")
            self._take_announce(message)
        self._reply(message)

    def _reply(self, message):
        if self.answers == "200":
            self.send(f"RTSP/1.0 200 OK\r\nCSeq: {message.cseq}\r\nSession: {self.session}\r\nUser-Agent: {self.agent}\r\n\r\n".encode())
        elif self.answers == "501":
            self.send(b"RTSP/1.0 501 Not Implemented\r\n\r\n")
        elif self.answers == "echo":
            ticket, data = self.prepare("Echo", message.method, message.url, [f"X-Notice: {message['x-notice']}"], message.body + b"\0",
                                        "application/x-wms-extension-cmd")
            self.send(data)

    def _take_end(self, message):
        end = End(message)
        check(end.session in (None, self.session), f"EndOfStream names the session {end.session}")
        check(end.generation == self.generation, f"EndOfStream of generation {end.generation}, not {self.generation}")
        entry = self.entries[-1]
        check(entry.ended is None, "a second EndOfStream")
        names = {self.url_of(url) for url in end.sequences}
        check(names == {track.url for track in self.tracks.values()}, f"EndOfStream speaks of {sorted(names)}")
        entry.ended = end
        for line in self.lines.values():
            sequence = self._sequence_of(line, end.sequences)
            if sequence is not None and line.next is not None:
                check(behind(sequence, line.next) == 0 or self.transport == "udp", f"EndOfStream: next is {sequence}, not {line.next}")
                line.barriers.append(sequence)
        self.history.append("eos")
        self.state = "ready"

    def _sequence_of(self, line, infos):
        for stream, track in self.tracks.items():
            if track.ssrc == line.ssrc:
                info = next((value for url, value in infos.items() if self.url_of(url) == track.url), None)
                if info and "seq" in info:
                    return int(info["seq"])
        return None

    def _take_announce(self, message):
        check(message["session"] is not None and message["vary"] == "Accept", lambda: f"{message}")
        previous = self.entries[-1]
        check(previous.ended is not None, "Announce before EndOfStream")
        generation = int(message["x-playlist-gen-id"] or 0)
        # An entry that one goes back to has the number that it had.
        check(generation and generation != previous.generation, f"Announce: generation {generation}")
        self.generation = generation
        entry = Entry(Description(message.body, message.url.rstrip("/") + "/"), generation)
        entry.receding = message["x-receding-playlistchange"] == "1"
        entry.predicted = rtp_info(message["x-rtp-info"]) if message["x-rtp-info"] else None
        self.history.append("announce")
        self.entries.append(entry)
        if entry.predicted is None:
            # What was selected is gone with the entry.
            self.old_tracks, self.tracks = self.tracks, {}
            return
        self._take_prediction(entry)

    def _take_prediction(self, entry):
        tracks, rtx = {}, None
        for url, info in entry.predicted.items():
            check("unicast" in info and info.get("mode", "").upper() == "PLAY" and "ssrc" in info, f"X-RTP-Info: {info}")
            media = next((one for one in [*entry.description.streams.values(), entry.description.rtx] if one and one.url == self.url_of(url)), None)
            check(media, f"X-RTP-Info speaks of {url}")
            if media.is_rtx:
                rtx = int(info["ssrc"], 16)
                continue
            track = Track(media.url, int(info["ssrc"], 16), info["transport"])
            track.url = media.url
            tracks[media.stream] = track
            line = self.lines.get(track.ssrc)
            if "seq" in info and line and line.next is not None:
                check(self.transport == "udp" or int(info["seq"]) == line.next, f"X-RTP-Info: {info['seq']}, {line.next} is due")
            self._line(track.ssrc, entry.description)
            if "seq" in info and self.lines[track.ssrc].next is None:
                self.lines[track.ssrc].next = int(info["seq"])
        if rtx is not None and self.rtx:
            self.rtx.ssrc = rtx
        self.tracks, self.state = tracks, "playing"

    def url_of(self, url):
        return url if url.startswith("rtsp://") else self.entries[-1].description.base + url

    @property
    def description(self):
        return self.entries[-1].description

    @property
    def header(self):
        return self.description.header

    @property
    def units(self):
        """Everything that came of the last entry."""
        return self.entries[-1].units

    def _line(self, ssrc, description):
        if ssrc not in self.lines:
            media = list(description.streams.values())
            line = Line(ssrc, [one.payload_type for one in media], next((one.fec_type for one in media if one.fec_type), None), self.patience)
            line.cuts, line.cross = set(), lambda: self._cross(line)
            self._enter(line, len(self.entries) - 1)
            self.lines[ssrc] = line


def runs(words):
    """Without repetitions in a row."""
    return [word for number, word in enumerate(words) if number == 0 or words[number - 1] != word]
