"""MS-RTSP as bytes: messages and frames, descriptions, ASF within RTP, what a player says in RTCP. Taken apart by the document ([MS-RTSP])
alone: it shares no code with Weir, and what is not expected is a failure."""
import base64
import dataclasses
import re
import struct
import time
import urllib.parse

from .asffile import Header, Packet as ASFPacket
from .registry import check
from .wmwire import descriptions

NONE = 4294967295
RTX_CNAME = "@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de"
FEATURES = "com.microsoft.wm."
LINE_BYTES_MAX = 16383  # of a description; ffmpeg takes no more
REPEATED = ("www-authenticate", "proxy-authenticate", "set-cookie")
TWICE = ("user-agent", "rtp-info", "content-length")  # GStreamer says twice who it is, and what an EndOfStream said


@dataclasses.dataclass
class Frame:
    """An interleaved frame."""
    channel: int
    payload: bytes


class Message:
    """A request or an answer, taken apart; names of headers in lower case."""

    def __init__(self, head, body):
        lines = head.split("\r\n")
        answer = re.fullmatch(r"RTSP/1\.0 (\d{3}) ([ -~]+)", lines[0])
        request = re.fullmatch(r"([A-Z_]+) (\S+) RTSP/1\.0", lines[0])
        check(answer or request, f"the first line of a message is {lines[0]!r}")
        self.status = int(answer[1]) if answer else None
        self.method, self.url = (request[1], request[2]) if request else (None, None)
        self.headers, self.every, self.body, self.at = {}, [], body, time.monotonic()
        for line in lines[1:]:
            match = re.fullmatch(r"([A-Za-z-]+):[ \t]*(.*?)[ \t]*", line)
            check(match, f"the line {line!r} is no header")
            name = match[1].lower()
            check(name not in self.headers or name in REPEATED or request and name in TWICE, f"{match[1]} comes twice in {head!r}")
            self.headers[name] = match[2]
            self.every.append((name, match[2]))

    def __getitem__(self, name):
        return self.headers.get(name.lower())

    def values(self, name):
        return [value for one, value in self.every if one == name.lower()]

    @property
    def kind(self):
        """The media type, without its parameters, in lower case."""
        return (self["content-type"] or "").partition(";")[0].strip().lower()

    @property
    def cseq(self):
        return int(self["cseq"]) if self["cseq"] is not None else None

    @property
    def supported(self):
        return [one.strip() for one in (self["supported"] or "").split(",") if one.strip()]

    def __repr__(self):
        return f"{self.method or self.status} {self.headers}"


class Reader:
    """Bytes of a connection in, Frames and Messages out. Nothing may stand between them."""

    def __init__(self):
        self.pending = bytearray()

    def feed(self, data):
        self.pending += data
        items = []
        while (item := self._next()) is not None:
            items.append(item)
        return items

    def _next(self):
        data = self.pending
        if not data:
            return None
        if data[0] == 0x24:
            if len(data) < 4 or len(data) < 4 + (length := struct.unpack_from(">H", data, 2)[0]):
                return None
            frame = Frame(data[1], bytes(data[4:4 + length]))
            del data[:4 + length]
            return frame
        check(65 <= data[0] <= 90, lambda: f"between messages and frames stands {bytes(data[:24])!r}")
        end = data.find(b"\r\n\r\n")
        if end < 0:
            check(len(data) < 65536, "a head without an end")
            return None
        head = bytes(data[:end]).decode()
        # The last one: GStreamer's.
        length = int((re.findall(r"(?i)\r\ncontent-length: *(\d+)(?=\r\n|$)", head) or [0])[-1])
        if len(data) < end + 4 + length:
            return None
        message = Message(head, bytes(data[end + 4:end + 4 + length]))
        del data[:end + 4 + length]
        return message


class Media:
    """One m= section: a stream, the retransmissions, or what belongs to FEC."""

    def __init__(self, lines, base):
        match = re.fullmatch(r"(audio|video|application) 0 RTP/AVP (\d+)(?: (\d+))?", lines[0][2:])
        check(match, f"the line {lines[0]!r}")
        self.kind, self.payload_type, self.fec_type = match[1], int(match[2]), int(match[3]) if match[3] else None
        one = lambda prefix: next((line[len(prefix):] for line in lines if line.startswith(prefix)), None)  # noqa: E731
        self.control, number = one("a=control:"), one("a=stream:")
        check(self.control and number and re.fullmatch(r"\d+", number), f"a section without control or stream: {lines}")
        self.stream = int(number)
        self.url = self.control if self.control.startswith("rtsp://") else base + self.control
        self.maps = {int(one.split(" ")[0]): one.split(" ")[1] for one in
                     (line[9:] for line in lines if line.startswith("a=rtpmap:"))}
        check(self.payload_type in self.maps, f"no rtpmap of {self.payload_type} in {lines}")
        self.is_rtx = self.maps[self.payload_type] == "x-wms-rtx/1000"
        check(self.is_rtx or self.maps[self.payload_type] == "x-asf-pf/1000", f"the map of {self.maps}")
        check(self.is_rtx == (self.stream >= 65536), f"a stream of the number {self.stream}")
        check(not self.is_rtx or self.control.split("/")[-1] == "rtx", f"the retransmissions are called {self.control}")
        check(one("b=RS:") == "0" and one("b=RR:") == "0", f"no word that there are no reports: {lines}")
        self.fec = None
        if self.fec_type is not None:
            check(self.maps.get(self.fec_type) == "x-wms-fec/1000", f"the second type's map: {self.maps}")
            fmtp = re.fullmatch(r"(\S+) (\d+) (\d+)", one(f"a=fmtp:{self.fec_type} ") or "")
            check(fmtp and 1 <= int(fmtp[2]) <= 24 and 1 <= int(fmtp[3]) <= int(fmtp[2]), f"the parameters of FEC: {lines}")
            self.fec = (fmtp[1] if fmtp[1].startswith("rtsp://") else base + fmtp[1], int(fmtp[2]), int(fmtp[3]))
        self.bandwidth = one("b=AS:")


class Description:
    """An SDP with an ASF header in it. `strict` of a server's; `base` is what relative names are relative to."""

    def __init__(self, body, base):
        text = body.decode()
        check(text.endswith("\r\n") and "\n" not in text.replace("\r\n", ""), "the description's lines do not end in CRLF")
        lines = text.split("\r\n")[:-1]
        for line in lines:
            check(re.fullmatch(r"[a-z]=(\S.*|(?<=s=) )", line), f"the line {line[:80]!r} of the description")
            check(len(line) <= LINE_BYTES_MAX, f"a line of {len(line)} bytes in the description: {line[:60]}")
        first = next((n for n, line in enumerate(lines) if line.startswith("m=")), len(lines))
        session = lines[:first]
        letters = "".join(line[0] for line in session)
        check(re.fullmatch(r"vosi?u?e?p?c?b*a*ta*", letters), f"the order of the session's lines: {letters}")
        check(lines[0] == "v=0" and "t=0 0" in session, f"{session[:4]}")
        attributes = {}
        for line in session:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                if name == "pgmpu":
                    name = "asfv1" if "asfv1" in value.split(",")[0] else "contentdesc"
                check(name not in attributes, f"{name} comes twice in the description")
                attributes[name] = value
        self.text, self.attributes = text, attributes
        self.title = next(line[2:] for line in session if line.startswith("s="))
        control = attributes.get("control", "")
        check(control == "*" or re.fullmatch(r"rtsp://\S+/", control), f"a=control:{control} of the session")
        self.base = base if control == "*" else control
        check("recvonly" in attributes, "no a=recvonly")
        match = re.fullmatch(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", attributes.get("etag", ""))
        check(match, f"a=etag:{attributes.get('etag')}")
        self.etag = attributes["etag"]
        prefix = "data:application/vnd.ms.wms-hdr.asfv1;base64,"
        check(attributes.get("asfv1", "").startswith(prefix), "no asfv1")
        self.raw_header = base64.b64decode(attributes["asfv1"][len(prefix):], validate=True)
        self.header = Header(self.raw_header)
        check(attributes.get("maxps") == str(self.header.packet_bytes), f"a=maxps:{attributes.get('maxps')}; packets have {self.header.packet_bytes}")
        prefix = "data:application/x-wms-contentdesc,"
        check(attributes.get("contentdesc", prefix).startswith(prefix), f"a=pgmpu:{attributes.get('contentdesc')}")
        packed = attributes.get("contentdesc", prefix)[len(prefix):]
        check(re.fullmatch(r"[!-~]*", packed), f"the content description is not escaped: {packed!r}")
        self.descriptions = descriptions(urllib.parse.unquote_to_bytes(packed))
        self.values = {name: value for name, _, value in self.descriptions[0]} if self.descriptions else {}
        self.features = [word for word in attributes.get("type", "").split(",") if word]
        check(all(re.fullmatch("broadcast|lastentry|notseekable|notstridable|playlist|skipbackward|skipforward", word)
                  for word in self.features), f"a=type:{attributes.get('type')}")
        span = re.fullmatch(r"npt=(\d+\.\d{3})-(\d+\.\d{3})?", attributes.get("range", "npt=0.000-"))
        check(span, f"a=range:{attributes.get('range')}")
        self.duration = float(span[2]) if span[2] else None
        starts = [n for n, line in enumerate(lines) if line.startswith("m=")] + [len(lines)]
        sections = [Media(lines[here:there], self.base) for here, there in zip(starts, starts[1:])]
        check(sections, "no m= section")
        self.streams = {one.stream: one for one in sections if not one.is_rtx}
        self.rtx = next((one for one in sections if one.is_rtx), None)
        check(len(self.streams) + (self.rtx is not None) == len(sections), "a stream has two sections")
        check(set(self.streams) == set(self.header.streams), f"sections of {sorted(self.streams)}, a header of {sorted(self.header.streams)}")
        for number, media in self.streams.items():
            kind = self.header.streams[number]
            check(media.kind == (kind if kind != "other" else "application"), f"stream {number} is {kind}, its section {media.kind}")
        check(len({one.url for one in sections}) == len(sections), "two sections of one name")

    @property
    def is_broadcast(self):
        return "broadcast" in self.features


class RTP:
    def __init__(self, raw):
        check(len(raw) >= 12, f"an RTP packet of {len(raw)} bytes")
        first, second, self.sequence, self.timestamp, self.ssrc = struct.unpack_from(">BBHII", raw)
        check(first == 0x80, f"an RTP packet begins with {first:02x}")
        self.raw, self.marker, self.type, self.payload = raw, bool(second & 128), second & 127, raw[12:]
        self.at = time.monotonic()


class Piece:
    """The header before an ASF packet, or before a part of one."""

    def __init__(self, payload):
        check(len(payload) >= 4, f"a payload of {len(payload)} bytes")
        flags, high, low = struct.unpack_from(">BBH", payload)
        self.key, self.is_whole = bool(flags & 0x80), bool(flags & 0x40)
        check(flags & 7 == 0, f"a payload's flags are {flags:02x}")
        self.number = high << 16 | low
        at = 4
        values = []
        for bit, form in ((0x20, ">i"), (0x10, ">I"), (0x08, ">I")):
            if flags & bit:
                check(len(payload) >= at + 4, "a payload ends within its header")
                values.append(struct.unpack_from(form, payload, at)[0])
                at += 4
            else:
                values.append(None)
        self.relative, self.duration, self.location = values
        check(self.relative != 0, "a relative timestamp of 0")
        check(not self.is_whole or self.number == len(payload), f"a packet of {len(payload)} bytes says that it has {self.number}")
        self.data = payload[at:]
        check(self.data, "nothing behind a payload's header")


class Unit:
    """An ASF packet that came."""

    def __init__(self, raw, header, rtp, piece, fragments):
        self.raw, self.timestamp, self.sequence = raw, rtp.timestamp, rtp.sequence
        self.location, self.fragments, self.at = piece.location, fragments, rtp.at
        self.asf = ASFPacket(raw, header)
        check(piece.key == any(part.key for part in self.asf.payloads), f"the key bit {piece.key} of packet {rtp.sequence}")
        check((rtp.timestamp + (piece.relative or 0)) & 0xFFFFFFFF == self.asf.send, f"the time {rtp.timestamp} of a packet that was sent at {self.asf.send}")
        check(piece.duration in (None, self.asf.duration), f"the duration {piece.duration} of a packet of {self.asf.duration}")
        check(whole_bytes(raw, header) == len(raw), f"a packet of {len(raw)} bytes that says it has {whole_bytes(raw, header)}")


def whole_bytes(raw, header):
    """The size of an ASF packet by its own word: the explicit length, else the file's."""
    at = 1 + (raw[0] & 15) if raw[0] & 0x80 else 0
    kind = raw[at] >> 5 & 3
    if not kind:
        return header.packet_bytes
    return int.from_bytes(raw[at + 2:at + 2 + (0, 1, 2, 4)[kind]], "little")


class Assembler:
    """Puts ASF packets together: RTP packets in their order in, Units out. What lies between two losses stays whole."""

    def __init__(self, header):
        self.header, self.open, self.discarded, self.isBroken = header, None, 0, False

    def gap(self):
        """Something is missing here, or the server went elsewhere: what is open may not be gone on with."""
        self.isBroken = True

    def _begin(self):
        if self.open is not None:
            check(self.isBroken, "a packet begins within another one")
            self.discarded += 1
        self.open, self.isBroken = None, False

    def take(self, rtp, recovered=False):
        piece = Piece(rtp.payload)
        if piece.is_whole:
            self._begin()
            check(rtp.marker or recovered, "a whole packet without the marker")
            return Unit(piece.data, self.header, rtp, piece, 1)
        if piece.number == 0:
            self._begin()
            self.open = [rtp, piece, b"", 0]
        if self.open is not None and self.isBroken and (piece.number != len(self.open[2]) or rtp.timestamp != self.open[0].timestamp):
            self.open = None
            self.discarded += 1
        if self.open is None:
            check(self.isBroken or self.discarded, f"a fragment at {piece.number}, and nothing before it")
            self.isBroken = True
            return None
        self.isBroken = False
        first = self.open[1]
        check(piece.number == len(self.open[2]), f"a fragment at {piece.number} where {len(self.open[2])} is due")
        check((piece.key, piece.relative, piece.duration, piece.location, rtp.timestamp) ==
              (first.key, first.relative, first.duration, first.location, self.open[0].timestamp), "fragments of one packet differ")
        self.open[2] += piece.data
        self.open[3] += 1
        bytes_ = whole_bytes(self.open[2], self.header)
        done = len(self.open[2]) >= bytes_
        check(recovered or rtp.marker == done, f"the marker is {rtp.marker} behind {len(self.open[2])} of {bytes_} bytes")
        if not done:
            return None
        start, first, raw, count = self.open
        self.open = None
        return Unit(raw, self.header, start, first, count)


def nack(rtx_ssrc, media_ssrc, sequences, sender_ssrc=0x57454952, byte=0x91):
    """RTCP that asks for packets: SDES with the name of the retransmissions, and a NACK."""
    entries = []
    for sequence in sorted(sequences):
        if entries and 0 < (sequence - entries[-1][0]) & 0xFFFF <= 16:
            entries[-1][1] |= 1 << ((sequence - entries[-1][0]) & 0xFFFF) - 1
        else:
            entries.append([sequence & 0xFFFF, 0])
    return source_description(rtx_ssrc, sender_ssrc) + struct.pack(">BBHII", byte, 205, 2 + len(entries), sender_ssrc, media_ssrc) + b"".join(
        struct.pack(">HH", *entry) for entry in entries)


def source_description(rtx_ssrc, sender_ssrc=0x57454952):
    name = f"{rtx_ssrc}{RTX_CNAME}".encode()
    chunk = struct.pack(">IBB", sender_ssrc, 1, len(name)) + name + b"\0"
    chunk += bytes(-len(chunk) % 4)
    return struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk


def wanted(packet):
    """The reverse: (rtx ssrc or None, media ssrc, sequences) of RTCP."""
    at, name, media, sequences = 0, None, None, []
    while at + 4 <= len(packet):
        first, kind, words = struct.unpack_from(">BBH", packet, at)
        body = packet[at + 4:at + 4 + words * 4]
        check(first >> 6 == 2 and len(body) == words * 4, f"RTCP: {packet.hex(' ')}")
        if kind == 202 and body[4] == 1:
            text = body[6:6 + body[5]].decode()
            if text.endswith(RTX_CNAME):
                name = int(text[:-len(RTX_CNAME)])
        if kind == 205 and first & 15 == 1:
            media = struct.unpack_from(">I", body, 4)[0]
            for offset in range(8, len(body), 4):
                start, more = struct.unpack_from(">HH", body, offset)
                sequences += [start] + [(start + bit + 1) & 0xFFFF for bit in range(16) if more >> bit & 1]
        at += 4 + len(body)
    return name, media, sequences
