"""H.264 out of RTP (RFC 6184), and frames out of H.264."""
from harness import expect, run

START = b"\0\0\0\1"


def saved_packets(path):
    """The packets that sinks.c saved: those of the first reader, those of the last."""
    readers = ([], [])
    with open(path, "rb") as file:
        while head := file.read(3):
            readers[head[0]].append(file.read(head[1] << 8 | head[2]))
    return readers


def byte_stream(packets):
    """The NAL units of RTP packets without gaps."""
    stream, unit = bytearray(), bytearray()
    for packet in packets:
        payload = packet[12 + 4 * (packet[0] & 15):]
        kind = payload[0] & 31
        if kind == 28:  # FU-A
            if payload[1] & 0x80:
                unit = bytearray([payload[0] & 0xE0 | payload[1] & 31])
            unit += payload[2:]
            if payload[1] & 0x40:
                stream += START + unit
        elif kind == 24:  # STAP-A
            place = 1
            while place + 2 < len(payload):
                length = payload[place] << 8 | payload[place + 1]
                stream += START + payload[place + 2:place + 2 + length]
                place += 2 + length
        else:
            expect(1 <= kind <= 23, f"no NAL unit of H.264: type {kind}")
            stream += START + payload
    return bytes(stream)


def frame_sums(path):
    """What ffmpeg decodes: the checksum of every frame."""
    said = run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "h264", "-i", path, "-f", "framemd5", "-"], 60)
    return [line.split(",")[-1].strip() for line in said.splitlines() if line and not line.startswith("#")]
