"""A player of Windows Media over HTTP, by script: what no free player speaks. Everything that comes is taken apart here, byte for byte, by
the document ([MS-WMSP]) alone: it shares no code with Weir, and whatever it does not expect is a failure.

    player = Player("127.0.0.1", port, "/simple.wsx?WMCache=0", pipelined=True)
    player.describe()                       the header; opens the session
    player.pipeline()                       pipelined only: the test that goes before
    player.play()                           all streams from the beginning
    for event in player.events(): …         packets, and answers of pipelined requests, in the order in which they came
    player.log(); player.next_entry(); player.select(…); player.keep_alive(); player.stop(); player.close()

Pipelined, requests are written at once to the one connection and their answers are events behind the body that is open; otherwise each
has a connection of its own and its answer is returned.
"""
import time

from .asffile import Header, Packet as ASFPacket
from .registry import check
from .wmwire import Body, Metadata, Wire

AGENT = "NSPlayer/9.0.0.2833"
PREDICTION = "com.microsoft.wm.predstrm"
SUPPORTED = ("com.microsoft.wm.srvppair", "com.microsoft.wm.sswitch", PREDICTION)
NOWHERE = "4294967295"
REWOUND, RECEDING = 0x000D2F09, 0x400D14BE
DATA, HEADER, METADATA, CHANGE, END = "D", "H", "M", "C", "E"
LOG_BYTES = 3012  # as in the document's example


class Entry:
    """What plays: metadata, header, and which streams of it are wanted; and the packets that came of it."""

    def __init__(self, metadata, header):
        self.metadata, self.header, self.packets = metadata, header, []
        self.ended = None

    @property
    def generation(self):
        return self.metadata.generation


class Opened:
    """An answer to a Describe: head, metadata, header."""

    def __init__(self, answer, metadata, header):
        self.answer, self.metadata, self.header = answer, metadata, header


class Reply:
    """The answer to a pipelined request, where it came among the packets."""

    def __init__(self, request, answer):
        self.request, self.answer, self.at = request, answer, time.monotonic()
        self.kind = "answer"

    def __repr__(self):
        return f"{self.request}:{self.answer.status}"


class BodyEnd:
    """The zero chunk, or the end of the connection."""
    kind = "body-end"

    def __init__(self):
        self.at = time.monotonic()

    def __repr__(self):
        return "body-end"


class Player:
    def __init__(self, host, port, path, pipelined=False, agent=AGENT, supported=SUPPORTED, seconds=20.0):
        self.host, self.port, self.path, self.pipelined = host, port, path, pipelined
        self.agent, self.supported, self.seconds = agent, supported, seconds
        self.version = "HTTP/1.1" if pipelined else "HTTP/1.0"
        self.wire = None
        self.id = 0
        self.owed = []            # pipelined requests whose answers are to come, in their order
        self.entries = []         # everything that played
        self.generations = set()
        self.body = None
        self.expects = ""         # packets that may come next
        self.sequence = None      # of $D
        self.incarnation = None
        self.opening = None       # metadata behind which the header is to come
        self.pieces = {METADATA: b"", HEADER: b""}
        self.newHeader = False
        self.rate = 1.0
        self.profile = None       # what the last answer with media said of it

    # Requests, as the document's examples write them.

    def head(self, method, pragma, supported=None, more=(), path=None):
        lines = [f"{method} {path or self.path} {self.version}", "Accept: */*", f"User-Agent: {self.agent}", "Host: SampleServer",
                 "X-Accept-Authentication: Negotiate, NTLM, Digest"]
        lines += [f"Pragma: {line}" for line in pragma]
        if supported is not None:
            # Folded as in the document.
            lines += ["Supported: " + ", \r\n           ".join(supported)] if supported else ["Supported: com.microsoft.wm.sswitch"]
        lines += list(more)
        return "\r\n".join(lines) + "\r\n\r\n"

    @staticmethod
    def place(rate=1.0, time_=0, packet=None, more="", length=0):
        packet = NOWHERE if packet is None else packet
        return (f"no-cache,{more}rate={rate:.3f},stream-time={time_},stream-offset={NOWHERE}:{NOWHERE},packet-num={packet},"
                f"max-duration={length}")

    @staticmethod
    def streams(selection):
        """`selection`: {stream: 0 whole, 1 key frames, 2 off}, or a list of lines as they are."""
        entries = selection if isinstance(selection, str) else " ".join(f"ffff:{number:x}:{thin}" for number, thin in selection.items())
        return [f"stream-switch-count={len(entries.split())}", f"stream-switch-entry={entries}"]

    def whole(self, header):
        return {number: 0 for number in header.streams}

    # The session.

    def open(self):
        self.wire = Wire(self.host, self.port, self.seconds)

    def describe(self):
        self.open()
        more = ["version11-enabled=1", "pipeline-experiment=1"] if self.pipelined else []
        named = [f"client-id={self.id}"] if self.id else []
        self.wire.send(self.head("GET", more + [self.place()] + named, self.supported))
        answer = self.wire.answer("Describe")
        check(answer.status == 200, f"Describe: {answer.status}")
        check(answer.headers["content-type"] == "application/vnd.ms.wms-hdr.asfv1", f"Describe: {answer.headers['content-type']}")
        check(answer.length is not None and not answer.chunked, "Describe: its body must have a length")
        answer.has("no-cache", "client-id", "features", "timeout", "playlist-gen-id", no=("pipeline-result", "expect-new-header"))
        if not self.id:
            answer.has("xResetStrm")
        if self.pipelined:
            answer.has("pipeline-experiment")
            check(answer.headers.get("connection") is None, "Describe: the connection must stay")
        self.id = int(answer.tokens["client-id"])
        body = Body(self.wire, answer)
        self.start(body, "M")
        while self.body:
            packet = self.step()
            if packet is None:
                break
            check(packet.kind in "MH", f"Describe: {packet}")
        check(self.entries, "Describe: no header came")
        entry = self.entries.pop()
        check(entry.generation == answer.generation, f"$M says {entry.generation}, the head {answer.generation}")
        check(entry.metadata.features == answer.features, f"$M says {entry.metadata.features}, the head {answer.features}")
        self.generations = set()
        self.described = Opened(answer, entry.metadata, entry.header)
        if not self.pipelined:
            check(answer.headers.get("connection") == "close" and self.wire.ended(), "Describe: the connection must be closed")
            self.wire.close()
            self.wire = None
        return self.described

    def pipeline(self):
        """The two requests that find out whether pipelining works; they must say that it does."""
        request = self.head("GET", ["no-cache", "pipeline-request=1", f"client-id={self.id}"], more=["Connection: keep-alive"])
        self.wire.send(request + request)
        answer = self.wire.answer("Pipeline")
        check(answer.status == 200 and answer.minor == 1 and answer.chunked, f"Pipeline: {answer.status}, {answer.headers}")
        check(int(answer.tokens["client-id"]) == self.id, "Pipeline: another client-id")
        check(self.wire.take(14, "the bodies of Pipeline") == b"4\r\n$T\0\0\r\n0\r\n\r\n", "Pipeline: another body than $T")
        answer = self.wire.answer("Pipeline 2")
        check(answer.status == 204 and answer.length == 0, f"Pipeline 2: {answer.status}")
        check(answer.has("client-id", "pipeline-result").tokens["pipeline-result"] == "1", "Pipeline 2: it failed")

    def play(self, selection=None, time_=0, packet=None, seek=None, offset=None, lag=None, more=(), supported=None, rate=1.0, length=0):
        """Sends a Play and reads the answer up to the body. `seek`: the entry (its generation) that the place refers to; `offset`: 1 or -1,
        the entry behind or before it."""
        if self.wire is None or not self.pipelined:
            self.close()
            self.open()
        self.rate = rate
        header = self.entries[-1].header if self.entries else self.described.header
        selection = self.whole(header) if selection is None else selection
        pragma = ["version11-enabled=1"] if self.pipelined else []
        skip = "" if offset is None else f" pl-offset={offset},"
        pragma += [self.place(rate, time_, packet, skip, length), "xPlayStrm=1", f"client-id={self.id}"]
        if lag is not None:
            pragma.append(f"client-lag={lag}")
        if seek is not None:
            pragma.append(f"playlist-seek-id={seek}")
        self.wire.send(self.head("GET", pragma + list(more) + self.streams(selection), self.supported if supported is None else supported))
        answer = self.wire.answer("Play")
        return self.began(answer)

    def began(self, answer):
        """The head of an answer with media, checked; its body is open."""
        what = answer.what
        check(answer.status == 200, f"{what}: {answer.status} {answer.headers}")
        check(answer.headers.get("content-type") == "application/x-mms-framed", f"{what}: {answer.headers}")
        check(int(answer.has("client-id", "features", "timeout", "playlist-gen-id").tokens["client-id"]) == self.id,
              f"{what}: another client-id")
        check(answer.chunked == self.pipelined, f"{what}: chunked {answer.chunked}, pipelined {self.pipelined}")
        check(answer.length is None, f"{what}: a body of media has no length")
        check(self.pipelined or answer.headers.get("connection") == "close", f"{what}: the body ends with the connection")
        check(not self.pipelined or answer.minor == 1, f"{what}: HTTP/1.{answer.minor}")
        self.newHeader = "expect-new-header" in answer.tokens
        self.profile = answer.headers.get("x-startupprofile")
        if what == "Play":
            self.sequence = None if "broadcast" in answer.features else 0
            self.generations, self.incarnation = set(), None
        self.start(Body(self.wire, answer), "M" if what == "Play" else self.expects or "DCE")
        self.answer = answer
        return answer

    def start(self, body, expects):
        self.body, self.expects = body, expects

    # What comes.

    def step(self):
        """The next packet of the body that is open, checked; None when the body ends."""
        packet = self.body.packet()
        if packet is None:
            check(self.opening is None, "the body ends between $M and $H")
            self.body = None
            return None
        kind = packet.kind
        check(kind in self.expects, f"{packet} where one of {', '.join('$' + kind for kind in self.expects)} is expected")
        getattr(self, "take_" + kind)(packet)
        return packet

    def piece(self, packet):
        """Pieces of $M and $H; the whole of it at the last one."""
        kind = packet.kind
        isFirst = not self.pieces[kind]
        check(bool(packet.flags & 4) == isFirst, f"${kind}: flags of {packet.flags} in piece {packet.location}")
        check(packet.flags & ~12 == 0, f"${kind}: flags of {packet.flags}")
        self.count = 0 if isFirst else self.count + 1
        check(packet.location == self.count, f"${kind}: piece {packet.location} where {self.count} is due")
        if self.incarnation is None:
            self.incarnation = packet.incarnation
        check(packet.incarnation == self.incarnation, f"${kind}: incarnation {packet.incarnation}, not {self.incarnation}")
        self.pieces[kind] += packet.payload
        if not packet.flags & 8:
            self.expects = kind
            return None
        whole, self.pieces[kind] = self.pieces[kind], b""
        return whole

    def take_M(self, packet):
        whole = self.piece(packet)
        if whole is None:
            return
        self.opening = Metadata(whole)
        check(self.opening.generation not in self.generations, f"$M: the generation {self.opening.generation} was there before")
        self.generations.add(self.opening.generation)
        self.expects = "H"

    def take_H(self, packet):
        whole = self.piece(packet)
        if whole is None:
            return
        self.entries.append(Entry(self.opening, Header(whole)))
        self.opening = None
        self.expects = "C" if self.newHeader else "DCE"
        self.newHeader = False

    def take_D(self, packet):
        entry = self.entries[-1]
        if self.sequence is None:
            # Live packets are numbered for all who see them.
            self.sequence = packet.flags
        check(packet.flags == self.sequence & 255, f"$D: sequence {packet.flags} where {self.sequence & 255} is due")
        self.sequence += 1
        check(packet.incarnation == self.incarnation, f"$D: incarnation {packet.incarnation}, not {self.incarnation}")
        # Backwards, key frames come one before the other, each in packets of its own that follow one another.
        if entry.packets and self.rate > 0:
            check(packet.location > entry.packets[-1].location, f"$D: packet {packet.location} behind {entry.packets[-1].location}")
        check(len(packet.payload) <= entry.header.packet_bytes, f"$D of {len(packet.payload)} bytes; {entry.header.packet_bytes} is the most")
        packet.asf = ASFPacket(packet.payload, entry.header)
        entry.packets.append(packet)

    def take_E(self, packet):
        self.entries[-1].ended = packet.reason
        check(packet.reason in ((0, 1) if self.rate > 0 else (0, 1, REWOUND)), f"$E: {packet.reason:#x}")
        self.expects = "C" if packet.reason in (1, REWOUND) else ""

    def take_C(self, packet):
        """The next entry; or, backwards, the one before, behind which nothing may come until the next Play."""
        isBack = self.entries and self.entries[-1].ended == REWOUND
        check(packet.reason == (RECEDING if isBack else 0), f"$C: {packet.reason:#x}")
        self.expects = "" if isBack else "M"

    def event(self):
        """The next packet, BodyEnd or Reply; None when nothing more is owed."""
        if self.body:
            packet = self.step()
            return BodyEnd() if packet is None else packet
        if not self.owed:
            return None
        request = self.owed.pop(0)
        answer = self.wire.answer(request)
        if request in ("PlayNextEntry", "SelectStream"):
            if answer.status == 200 and answer.chunked:
                self.began(answer)
            return Reply(request, answer)
        self.small(answer, {"Log": (204,), "Stop": (200,), "KeepAlive": (200,)}[request])
        return Reply(request, answer)

    def events(self, until=None):
        """Events up to the end, or up to the one for which `until` holds, that one included."""
        while (event := self.event()) is not None:
            yield event
            if until and until(event):
                return

    def read(self, until=None):
        return list(self.events(until))

    def small(self, answer, statuses):
        check(answer.status in statuses, f"{answer.what}: {answer.status}")
        check(answer.length == 0 and not answer.chunked and "content-type" not in answer.headers, f"{answer.what}: {answer.headers}")
        check(int(answer.has("client-id", "timeout").tokens["client-id"]) == self.id, f"{answer.what}: another client-id")
        return answer

    # What a player has to say meanwhile.

    def say(self, name, text, statuses):
        if self.pipelined:
            self.wire.send(text)
            self.owed.append(name)
            return None
        wire = Wire(self.host, self.port, self.seconds)
        try:
            wire.send(text)
            answer = self.small(wire.answer(name), statuses)
            check(answer.headers.get("connection") == "close" and wire.ended(), f"{name}: the connection must be closed")
            return answer
        finally:
            wire.close()

    def log(self, entry=None, body=None):
        """How an entry went: 3,012 bytes of XML, as in the document's example, or `body`."""
        entry = entry or (self.entries[-1] if self.entries else None)
        name = entry.metadata.values.get("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL", "-") if entry else "-"
        start = f"<XML><Summary>127.0.0.1 {name} 200</Summary><Filler>"
        body = body or start + "x" * (LOG_BYTES - len(start) - len("</Filler></XML>")) + "</Filler></XML>"
        text = self.head("POST", [f"client-id={self.id}"], more=[
            f"Content-Length: {len(body)}", "Content-Type: application/x-wms-LogStats;charset=UTF-8"]) + body
        return self.say("Log", text, (204,))

    def next_entry(self, selection=None, lag=0, supported=None, more=()):
        """PlayNextEntry, word for word as in the document. `selection` None: what was predicted may stay."""
        check(self.pipelined, "PlayNextEntry is a request of the pipelined mode")
        pragma = [f"client-id={self.id}", "xPlayNextEntry=1", "no-cache,rate=1.000", f"client-lag={lag}"] + list(more)
        text = self.head("GET", pragma, self.supported if supported is None else supported, ["Accept-Language: en-us, *;q=0.1"] + [
            f"Pragma: {line}" for line in (self.streams(selection) if selection else [])])
        self.wire.send(text)
        self.owed.append("PlayNextEntry")

    def select(self, selection, lag=None, supported=None):
        pragma = ["no-cache", f"client-id={self.id}"] + ([f"client-lag={lag}"] if lag is not None else []) + self.streams(selection)
        supported = self.supported if supported is None else supported
        if self.pipelined:
            self.wire.send(self.head("GET", ["version11-enabled=1"] + pragma, supported))
            self.owed.append("SelectStream")
            return None
        return self.say("SelectStream", self.head("POST", pragma, supported, ["Content-Length: 0"]), (200,))

    def keep_alive(self):
        if self.pipelined:
            return self.say("KeepAlive", self.head("OPTIONS", [f"client-id={self.id}"], path="*"), (200,))
        return self.say("KeepAlive", self.head("POST", ["no-cache", "xKeepAliveInPause=1", f"client-id={self.id}"],
                                               more=["Content-Length: 0"]), (200,))

    def stop(self):
        """Pipelined: the request; its answer is an event. Otherwise the connection is closed, which is how those stop."""
        if self.pipelined:
            self.say("Stop", self.head("POST", [f"client-id={self.id}", "xStopStrm=1"], more=["Content-Length: 0"]), (200,))
        else:
            self.close()
            self.body = None

    def close(self):
        if self.wire:
            self.wire.close()
            self.wire = None
