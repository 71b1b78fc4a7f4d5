"""ASF files as a scripted server of MS-RTSP sends them."""
import struct

from .asffile import File, Packet
from .wmorigin import send_time


class Programme:
    """An ASF file as it goes out: its packets, their send times, which of them have a key frame."""

    def __init__(self, path):
        self.file = File(path)
        self.path, self.header, self.packets = path, self.file.header, self.file.packets
        self.times = [send_time(packet) for packet in self.packets]
        self.keys = [any(part.key for part in Packet(packet, self.header).payloads) for packet in self.packets]

    def at(self, seconds):
        """The number of the packet from which on one plays that wants `seconds`."""
        numbers = [n for n, (time_, key) in enumerate(zip(self.times, self.keys)) if key and time_ <= seconds * 1000]
        return numbers[-1] if numbers and seconds > 0 else 0


def stripped(packet):
    """A packet without its padding, with a length of its own."""
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0
    lengths, size = packet[at], (0, 1, 2, 4)
    explicit, sequence, padding = (size[lengths >> shift & 3] for shift in (5, 1, 3))
    place = at + 2 + explicit + sequence
    pad = int.from_bytes(packet[place:place + padding], "little")
    if not pad:
        return packet
    kept = packet[at + 2 + explicit:place] + packet[place + padding:len(packet) - pad]
    head = packet[:at] + bytes([lengths & ~0x78 | 0x40, packet[at + 1]])
    return head + struct.pack("<H", len(head) + 2 + len(kept)) + kept
