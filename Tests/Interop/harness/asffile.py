"""ASF as a client must read it, from the document alone: the header, and what a data packet holds. Shares no code with Weir."""
import struct

from .registry import check

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")


class Header:
    """A Header Object and the 50 bytes behind it."""

    def __init__(self, raw):
        self.raw = raw
        check(raw[:16] == HEADER, "the header does not begin with a Header Object")
        size, count = struct.unpack("<QI", raw[16:28])
        check(size + 50 == len(raw), f"a header of {len(raw)} bytes whose Header Object says {size}")
        check(raw[size:size + 16] == DATA and raw[size + 48:size + 50] == b"\1\1", "behind the header stands no Data Object")
        self.streams, self.formats = {}, {}
        at = 30
        for _ in range(count):
            guid, length = raw[at:at + 16], struct.unpack("<Q", raw[at + 16:at + 24])[0]
            check(24 <= length <= size - at, f"an object of {length} bytes at {at}")
            body = raw[at:at + length]
            if guid == FILE:
                self.packets, self.duration, _, self.preroll = struct.unpack("<QQQQ", body[56:88])
                self.flags, least, self.packet_bytes = struct.unpack("<III", body[88:100])
                check(least == self.packet_bytes, "packets of two sizes")
            elif guid == STREAM:
                number = struct.unpack("<H", body[72:74])[0] & 127
                self.streams[number] = {AUDIO: "audio", VIDEO: "video"}.get(body[24:40], "other")
                self.formats[number] = body[24:40] + body[78:78 + struct.unpack("<I", body[64:68])[0]]
            at += length
        check(at == size, f"the objects of the header end at {at} of {size}")
        check(self.streams, "no stream in the header")

    @property
    def is_broadcast(self):
        return bool(self.flags & 1)


class Payload:
    def __init__(self, stream, key, number, offset, size, time, data):
        self.stream, self.key, self.number, self.offset, self.size, self.time, self.data = stream, key, number, offset, size, time, data


class Packet:
    """A data packet, maybe without its padding."""

    def __init__(self, raw, header):
        self.raw = raw
        at = 0
        if raw[0] & 0x80:
            check(raw[0] & 0x70 == 0, f"error correction of {raw[0]:02x}")
            at = 1 + (raw[0] & 15)
        lengths, properties = raw[at], raw[at + 1]
        at += 2

        def number(kind):
            nonlocal at
            size = (0, 1, 2, 4)[kind & 3]
            value = int.from_bytes(raw[at:at + size], "little")
            at += size
            return value
        explicit = number(lengths >> 5)
        number(lengths >> 1)
        padding = number(lengths >> 3)
        self.send, self.duration = struct.unpack("<IH", raw[at:at + 6])
        at += 6
        end = (explicit if lengths >> 5 & 3 else min(header.packet_bytes, len(raw) + padding)) - padding
        check(end <= len(raw), f"a packet of {len(raw)} bytes whose payloads end at {end}")
        several = lengths & 1
        count, kind = (raw[at] & 63, raw[at] >> 6) if several else (1, 0)
        at += several
        self.payloads = []
        for _ in range(count):
            stream = raw[at]
            at += 1
            object_, offset = number(properties >> 4), number(properties >> 2)
            size = replicated = number(properties)
            time = None
            if replicated >= 8:
                size, time = struct.unpack("<II", raw[at:at + 8])
            elif replicated == 1:
                time, offset, size = offset, 0, 0
            at += replicated
            length = number(kind) if several else end - at
            check(at + length <= end and (length or replicated == 1), f"a payload of {length} bytes at {at} of {end}")
            check(stream & 127 in header.streams, f"a payload of stream {stream & 127}, which the header does not have")
            self.payloads.append(Payload(stream & 127, bool(stream & 128), object_, offset, size, time, raw[at:at + length]))
            at += length
        check(at == end or several, f"the payloads end at {at}, not {end}")

    @property
    def streams(self):
        return {payload.stream for payload in self.payloads}


class File:
    """A file on the disk."""

    def __init__(self, path):
        with open(path, "rb") as file:
            raw = file.read()
        size = struct.unpack("<Q", raw[16:24])[0] + 50
        self.header = Header(raw[:size])
        step = self.header.packet_bytes
        # The Data Object says where the packets end; an index may follow.
        whole = struct.unpack("<Q", raw[size - 34:size - 26])[0] - 50
        whole = min(whole, len(raw) - size) if whole > 0 else len(raw) - size
        self.packets = [raw[size + n * step:size + (n + 1) * step] for n in range(whole // step)]


class Objects:
    """Puts media objects together again: [(stream, time, key, bytes)] in the order in which they were complete."""

    def __init__(self):
        self.open, self.whole, self.broken = {}, [], 0

    def take(self, packet):
        for payload in packet.payloads:
            if payload.offset == 0:
                if payload.stream in self.open:
                    self.broken += 1
                self.open[payload.stream] = [payload, payload.number, b""]
            one = self.open.get(payload.stream)
            if one is None or one[1] != payload.number or len(one[2]) != payload.offset:
                self.broken += 1
                self.open.pop(payload.stream, None)
                continue
            one[2] += payload.data
            if len(one[2]) == one[0].size:
                self.whole.append((payload.stream, one[0].time, one[0].key, one[2]))
                del self.open[payload.stream]
