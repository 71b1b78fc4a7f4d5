"""AV1 as RTP (the Alliance for Open Media's payload format 1.0.0): neither GStreamer 1.22 nor ffmpeg 5 packetises it."""
import struct

from .clip import RTPDump

DELIMITER, SEQUENCE_HEADER = 2, 1
PAYLOAD_BYTES_MAX = 1_200


def leb128(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
        shift += 7


def to_leb128(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def units(data):
    """The OBUs of a temporal unit, each without its size field."""
    at, out = 0, []
    while at < len(data):
        header, extended = data[at], data[at] & 4
        start = at + (2 if extended else 1)
        size, body = leb128(data, start)
        out.append(bytes([header & ~2]) + data[at + 1:start] + data[body:body + size])
        at = body + size
    return out


class AV1Clip(RTPDump):
    """An IVF file as RTP records for an Origin; one track."""

    def __init__(self, path, frames_per_second):
        self.clocks = [90_000]
        self.sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=AV1\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
                    f"a=rtpmap:96 AV1/90000\r\na=framerate:{frames_per_second}\r\na=control:trackID=0\r\n")
        with open(path, "rb") as file:
            data = file.read()
        at, frame, self.records = struct.unpack_from("<H", data, 6)[0], 0, []
        while at < len(data):
            size, = struct.unpack_from("<I", data, at)
            self._add(data[at + 12:at + 12 + size], frame, frames_per_second)
            at += 12 + size
            frame += 1
        self.seconds = frame // frames_per_second
        self.counts = [len(self.records)]

    def _add(self, data, frame, frames_per_second):
        found = [unit for unit in units(data) if unit[0] >> 3 & 15 != DELIMITER]
        pieces = []  # (aggregation header, bytes)
        for unit in found:
            starts = range(0, len(unit), PAYLOAD_BYTES_MAX)
            pieces += [((start > 0) << 7 | (start != starts[-1]) << 6 | 1 << 4, unit[start:start + PAYLOAD_BYTES_MAX]) for start in starts]
        for number, (header, piece) in enumerate(pieces):
            if number == 0 and found[0][0] >> 3 & 15 == SEQUENCE_HEADER:
                header |= 8  # a new coded video sequence begins
            marker = 0x80 if number == len(pieces) - 1 else 0
            packet = struct.pack("!BBHII", 0x80, 96 | marker, len(self.records), frame * 90_000 // frames_per_second, 0x41563131)
            self.records.append((frame / frames_per_second, 0, packet + bytes([header]) + piece))


def depacketise(packets):
    """An OBU byte stream from packets as AV1Clip makes them; what is cut off at the end is left out."""
    out, frame, unit = bytearray(), [], b""
    for packet in packets:
        header = packet[12]
        unit = unit + packet[13:] if header & 0x80 else packet[13:]
        if not header & 0x40:
            frame.append(unit)
        if packet[1] & 0x80:
            out += bytes([DELIMITER << 3 | 2, 0])
            for one in frame:
                extended = one[0] & 4
                size = len(one) - (2 if extended else 1)
                out += bytes([one[0] | 2]) + one[1:len(one) - size] + to_leb128(size) + one[len(one) - size:]
            frame = []
    return bytes(out)
