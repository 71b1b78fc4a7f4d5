"""The demonstration clip as packets and as pictures, and a clip of distinct frames for comparing hashes."""
import base64
import fcntl
import functools
import glob
import hashlib
import os
import re
import struct
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def demo_path(extension):
    found = glob.glob(os.path.join(ROOT, "Sources", "**", "demo." + extension), recursive=True)
    if len(found) != 1:
        raise FileNotFoundError(f"one demo.{extension} expected under Sources, found {found}")
    return found[0]


class RTPDump:
    """An rtpdump with its description. Track n is the n-th m= line."""

    def __init__(self, dump_path, sdp_path, seconds=16):
        self.seconds = seconds
        with open(sdp_path, newline="") as file:
            self.sdp = file.read()
        self.clocks = [int(rate) for rate in re.findall(r"a=rtpmap:\d+ [^/]+/(\d+)", self.sdp)]
        payload_types = [int(number) for number in re.findall(r"m=\w+ \d+ \S+ (\d+)", self.sdp)]
        self.records = []  # (offset seconds, track, packet)
        with open(dump_path, "rb") as file:
            data = file.read()
        at = data.index(b"\n") + 1 + 16
        while at < len(data):
            length, packet_length, offset = struct.unpack_from("!HHI", data, at)
            packet = data[at + 8:at + 8 + packet_length]
            self.records.append((offset / 1000, payload_types.index(packet[1] & 0x7F), packet))
            at += length
        self.counts = [sum(1 for _, track, _ in self.records if track == number) for number in range(len(self.clocks))]

    def packet(self, index, round_number, splice):
        """The packet of a round, with a splice's SSRC, sequence and timestamp offsets: (track, packet)."""
        _, track, packet = self.records[index]
        sequence, timestamp, ssrc = struct.unpack_from("!HII", packet, 2)
        sequence += round_number * self.counts[track] + splice.sequence
        timestamp += round_number * self.seconds * self.clocks[track] + splice.seconds * self.clocks[track]
        header = struct.pack("!HII", sequence & 0xFFFF, int(timestamp) & 0xFFFFFFFF, (ssrc ^ splice.ssrc) & 0xFFFFFFFF)
        return track, packet[:2] + header + packet[12:]

    def annex_b(self):
        """The video as H.264 byte stream."""
        out = bytearray()
        for _, track, packet in self.records:
            payload = packet[12:]
            if track != 0:
                continue
            if payload[0] & 0x1F != 28:  # not FU-A
                out += b"\0\0\0\1" + payload
                continue
            if payload[1] & 0x80:
                out += b"\0\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            out += payload[2:]
        return bytes(out)

    def audio_units(self):
        """The AAC access units' hashes."""
        return [hashlib.md5(packet[16:]).hexdigest() for _, track, packet in self.records if track == 1]


@functools.lru_cache(None)
def demo():
    return RTPDump(demo_path("rtpdump"), demo_path("sdp"))


def framemd5(text):
    """(stream, dts, pts, duration, size, hash) of each line of ffmpeg's framemd5 output."""
    rows = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 6 and parts[0].isdigit():
            rows.append((int(parts[0]), int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4]), parts[5]))
    return rows


def cached(cache_folder, name, make):
    """A file made once for all tests. Several may ask at the same time: one makes it, the others wait, so that it is never replaced beneath
    a relay that already serves it as a file that has changed."""
    path = os.path.join(cache_folder, name)
    if not os.path.exists(path):
        with open(path + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(path):
                temporary = os.path.join(cache_folder, "new-" + name)
                make(temporary)
                os.replace(temporary, path)
    return path


def ffmpeg(*arguments, **options):
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE, **options).stdout


def demo_hashes(cache_folder):
    """MD5 of each of the demonstration clip's 400 pictures (I420)."""
    def make(path):
        text = ffmpeg("-f", "h264", "-i", "-", "-f", "framemd5", "-c:v", "rawvideo", "-", input=demo().annex_b())
        with open(path, "wb") as file:
            file.write(text)
    with open(cached(cache_folder, "demo.framemd5", make)) as file:
        return [row[5] for row in framemd5(file.read())]


class Numbered:
    """20 s of 640x360 H.264 with B frames (or none) + AAC; no two pictures are alike, a key frame comes every `key_every` pictures."""

    def __init__(self, cache_folder, key_every=25, b_frames=2):
        self.key_every, self.b_frames, name = key_every, b_frames, f"numbered-{key_every}-{b_frames}"
        self.path = cached(cache_folder, f"{name}.mp4", self._make)
        pictures = cached(cache_folder, f"{name}.framemd5", lambda path: self._hash(path, "-map", "0:v", "-c:v", "rawvideo"))
        units = cached(cache_folder, f"{name}.audiomd5", lambda path: self._hash(path, "-map", "0:a", "-c:a", "copy"))
        with open(pictures) as file:
            self.pictures = [row[5] for row in framemd5(file.read())]
        with open(units) as file:
            self.audio_units = [row[5] for row in framemd5(file.read())]
        if len(set(self.pictures)) != len(self.pictures) or len(self.pictures) != 500:
            raise AssertionError("the numbered clip has pictures that are alike")

    def _make(self, path):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=20", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=20",
               "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", self.b_frames, "-g", self.key_every, "-keyint_min",
               self.key_every, "-sc_threshold", "0", "-b:v", "1500k", "-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", path)

    def _hash(self, path, *arguments):
        with open(path, "wb") as file:
            file.write(ffmpeg("-i", self.path, *arguments, "-f", "framemd5", "-"))


def slices(stream):
    """The MD5 of each slice (NAL types 1 and 5) of an H.264 byte stream, and whether it belongs to a key frame, in order."""
    out = []
    for unit in stream.split(b"\0\0\1"):
        unit = unit.rstrip(b"\0")
        if unit and unit[0] & 0x1F in (1, 5):
            out.append((hashlib.md5(unit).hexdigest(), unit[0] & 0x1F == 5))
    return out


def dense_clip(cache_folder):
    """10 s of noise at 16 Mbit/s: fills any socket buffer within seconds."""
    return cached(cache_folder, "dense.mp4", lambda path: ffmpeg(
        "-f", "lavfi", "-i", "nullsrc=s=1280x720:r=25:d=10,geq=random(1)*255:128:128", "-c:v", "libx264", "-preset", "ultrafast",
        "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "16M", "-minrate", "16M", "-maxrate", "16M", "-bufsize", "2M", path))


def sprop(sdp):
    """The parameter sets that a description carries."""
    match = re.search(r"sprop-parameter-sets=([^;\s]+)", sdp)
    return [base64.b64decode(part) for part in match.group(1).split(",")] if match else []
