"""H.265 as RTP (RFC 7798) from an origin whose description has no parameter sets: GStreamer and ffmpeg always send theirs."""
import re
import struct

from .clip import RTPDump

PAYLOAD_BYTES_MAX = 20_000


class H265Clip(RTPDump):
    """A byte stream without B frames as RTP records for an Origin; one track, parameter sets in the stream alone, packets of up to 20 kB."""

    def __init__(self, path, frames_per_second):
        self.clocks = [90_000]
        self.sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=H.265\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
                    f"a=rtpmap:96 H265/90000\r\na=framerate:{frames_per_second}\r\na=control:trackID=0\r\n")
        with open(path, "rb") as file:
            units = [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", file.read())]
        self.records, picture, frame = [], [], 0
        for unit in filter(None, units):
            picture.append(unit)
            if unit[0] >> 1 & 0x3F < 32:  # one slice a picture
                self._add(picture, frame, frames_per_second)
                picture, frame = [], frame + 1
        self.seconds = frame // frames_per_second
        self.counts = [len(self.records)]

    def _add(self, units, frame, frames_per_second):
        payloads = []
        for unit in units:
            if len(unit) <= PAYLOAD_BYTES_MAX:
                payloads.append(unit)
                continue
            starts = range(2, len(unit), PAYLOAD_BYTES_MAX)
            for start in starts:
                flags = (start == 2) << 7 | (start == starts[-1]) << 6
                payloads.append(bytes([unit[0] & 0x81 | 49 << 1, unit[1], flags | unit[0] >> 1 & 0x3F]) + unit[start:start + PAYLOAD_BYTES_MAX])
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == len(payloads) - 1 else 0
            packet = struct.pack("!BBHII", 0x80, 96 | marker, len(self.records), frame * 90_000 // frames_per_second, 0x48323635)
            self.records.append((frame / frames_per_second, 0, packet + payload))
