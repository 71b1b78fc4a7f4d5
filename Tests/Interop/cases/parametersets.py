"""Origins that name their parameter sets in the description alone, and come back with other ones: readers are sent the new ones."""
import os
import time

from harness.clip import cached, ffmpeg, framemd5
from harness.players import start_ffmpeg
from harness.process import free_port
from harness.registry import check, test

GST_ORIGIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
SECONDS, KEY_EVERY = 20, 25
X265 = f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:bframes=0:log-level=1"
# What encodes it (its parameter sets are in the MP4 file's header alone), and what makes RTP of it and adds none of them.
CODECS = {
    "H.264": (["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", KEY_EVERY, "-keyint_min", KEY_EVERY,
               "-sc_threshold", "0"], ["-profile:v", "high", "-coder", "1"], "rtph264pay config-interval=0"),
    "H.265": (["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", X265, "-tag:v", "hvc1"], [], "rtph265pay config-interval=0"),
}


def clip(context, codec, number):
    """An MP4 file, and the MD5 of each of its pictures: the first or the second one, which have no picture and no set in common."""
    arguments, other, _ = CODECS[codec]
    picture = ("testsrc2=s=640x360", "testsrc=s=480x272")[number]
    name = f"sets-{codec}-{number}"
    file = cached(context.cache, name + ".mp4", lambda path: ffmpeg(
        "-f", "lavfi", "-i", f"{picture}:r=25:d={SECONDS}", "-pix_fmt", "yuv420p", *arguments, *(other if number else []), "-bf", "0", path))
    sums = cached(context.cache, name + ".framemd5", lambda path: open(path, "wb").write(
        ffmpeg("-i", file, "-map", "0:v", "-c:v", "rawvideo", "-f", "framemd5", "-")))
    with open(sums, encoding="utf-8") as text:
        return file, [row[5] for row in framemd5(text.read())]


class Server:
    """GStreamer's RTSP server, whose lives serve one file or the other."""

    def __init__(self, context, codec):
        self.context, self.payloader, self.port, self.process = context, CODECS[codec][2], free_port(), None

    def start(self, file):
        # MP4 samples go to the payloader as they lie in the file: with a parser between, or as a byte stream, sets would be in band.
        self.process = self.context.spawn("gst-origin", [
            "/usr/bin/python3", GST_ORIGIN, str(self.port), "/live", f"( filesrc location={file} ! qtdemux ! {self.payloader} name=pay0 pt=96 )"])
        self.process.wait_for(lambda: "ready" in self.process.text(), 10, "it listens")


@test(seconds_max=90, codec=list(CODECS))
def another_file_brings_its_parameter_sets(context, codec):
    """An origin that names its parameter sets in the SDP alone dies and comes back with another file, and again with the first: ffmpegs that stayed (UDP, TCP) decode every picture of each."""
    clips = [clip(context, codec, number) for number in range(2)]
    server = Server(context, codec)
    server.start(clips[0][0])
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: rtsp://127.0.0.1:{server.port}/live\n    transport: tcp\n"
                                        "    silence: 1500ms\n    source-wait: 20s\n")
    readers = [start_ffmpeg(context, weir.url("live"), way, "-map", "0:v", "-vsync", "passthrough", "-enc_time_base", "1:90000",
                            "-autoscale", "0", "-c:v", "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-", name=f"ffmpeg-{way}")
               for way in ("udp", "tcp")]
    places = {picture: (number, place) for number, (_, pictures) in enumerate(clips) for place, picture in enumerate(pictures)}

    def seen(reader):
        return [places.get(row[5]) for row in framemd5(reader.out())]
    for reader in readers:
        reader.wait_for(lambda: len(seen(reader)) > 40, 25, "it plays the first file")
    for number in (1, 0):
        counts = [len(framemd5(reader.out())) for reader in readers]
        server.process.kill()
        time.sleep(0.3)
        server.start(clips[number][0])
        for reader, count in zip(readers, counts):
            # More than two key frames of it.
            reader.wait_for(lambda: len(framemd5(reader.out())) > count + 80, 25, f"it plays file {number + 1}")
    for reader in readers:
        pictures = seen(reader)
        foreign = [place for place, picture in enumerate(pictures) if picture is None]
        # The picture that the origin's death cut is shown as far as it came.
        check(len(foreign) <= 2, f"{reader.name}: {len(foreign)} of {len(pictures)} pictures are not the origin's: {foreign[:8]}")
        runs = [file for at, file in enumerate(p[0] for p in pictures if p) if at == 0 or file != [p for p in pictures if p][at - 1][0]]
        check(runs == [0, 1, 0], f"{reader.name} saw the files {runs}")
        begins = [b for a, b in zip(pictures, pictures[1:]) if b and (not a or b != (a[0], a[1] + 1))]
        check(all(place % KEY_EVERY == 0 for _, place in begins), f"{reader.name} went on elsewhere than at key frames: {begins}")
        check(reader.running, f"{reader.name} ended")
        reader.stop(5)
    weir.check_alive()
