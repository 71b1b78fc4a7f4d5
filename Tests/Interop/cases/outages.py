"""Real servers and encoders that are killed, frozen and started again, with many readers behind Weir: nobody's session ends."""
import json
import os
import signal
import threading
import time

from cases.status import pictures_cut
from harness.clip import Numbered, cached, demo_hashes, ffmpeg, framemd5
from harness.origin import Origin, Splice
from harness.players import check_run, complain, pictures as decode, start_ffmpeg, start_publisher
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

HERE = os.path.dirname(os.path.abspath(__file__))
GST_ORIGIN = os.path.join(os.path.dirname(HERE), "harness", "gst_origin.py")


class GStreamerServer:
    """GStreamer's RTSP server with the numbered clip; each life has its own SSRC, sequence and time."""
    where = "pull"

    def __init__(self, context, clip):
        self.context, self.clip, self.port, self.process = context, clip, free_port(), None

    def source(self):
        return f"rtsp://127.0.0.1:{self.port}/live"

    def start(self, _):
        self.process = self.context.spawn("gst-origin", [
            "/usr/bin/python3", GST_ORIGIN, str(self.port), "/live",
            f"( filesrc location={self.clip.path} ! qtdemux name=d d.video_0 ! queue ! h264parse config-interval=-1 ! rtph264pay "
            "name=pay0 pt=96 d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"])
        self.process.wait_for(lambda: "ready" in self.process.text(), 10, "it listens")


class FFmpegPublisher:
    """An ffmpeg that publishes the numbered clip."""

    def __init__(self, context, clip):
        self.context, self.clip, self.process = context, clip, None

    def source(self):
        return "publish"

    def start(self, weir):
        self.process = start_publisher(self.context, self.clip.path, weir.url("live"), "tcp")


def start_load(context, weir, sessions, transport, seconds):
    """weir load beside the test: its process. Needs a long measurement, since it must not end before the outages do."""
    return context.spawn(f"weir-load-{transport}", [
        context.weir_path, "load", weir.url("live"), "-n", str(sessions), "--transport", transport, "--duration", str(seconds), "--json"])


def stretches(seen, original):
    """Where the pictures seen are not each the next one of the original, round and round: how many, and how many are foreign."""
    places = {value: number for number, value in enumerate(original)}
    numbers = [places.get(value) for value in seen]
    foreign = sum(number is None for number in numbers)
    seams = [(a, b) for a, b in zip(numbers, numbers[1:]) if None not in (a, b) and b != (a + 1) % len(original)]
    return seams, foreign


@test(seconds_max=200, alone=True, origin=["gstreamer", "ffmpeg"])
def a_thousand_readers_outlive_ten_outages(context, origin):
    """The source is killed or frozen ten times in turn and started again: 1,000 sessions and three ffmpegs stay, nothing is lost but what the source never sent, every picture decoded is the source's, no decoder complains."""
    # Without B frames: with them, a picture that refers to others may come before those, and these never.
    clip = Numbered(context.cache, b_frames=0)
    server = {"gstreamer": GStreamerServer, "ffmpeg": FFmpegPublisher}[origin](context, clip)
    if origin == "gstreamer":
        server.start(None)
    weir = context.weir("serve", config=f"paths:\n  live:\n    source: {server.source()}\n    silence: 1500ms\n    publisher-wait: 30s\n"
                                        "    source-wait: 20s\n    transport: tcp\n")
    if origin == "ffmpeg":
        server.start(weir)
    readers = [start_ffmpeg(context, weir.url("live"), way, "-map", "0:v", "-vsync", "passthrough", "-enc_time_base", "1:90000", "-c:v",
                            "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-", name=f"ffmpeg-{number}")
               for number, way in enumerate(("udp", "tcp", "tcp"))]
    outages, seconds = 10, 55
    loads = [start_load(context, weir, 500, way, seconds) for way in ("udp", "tcp")]
    weir.wait_for_status(lambda line: line.get("readers", 0) >= 1003, 40, "all readers play")
    began = time.monotonic()

    def pictures(reader):
        return len(framemd5(reader.out()))
    for number in range(outages):
        before = [pictures(reader) for reader in readers]
        for reader, count in zip(readers, before):
            reader.wait_for(lambda: pictures(reader) > count + 25, 20, f"a second of pictures before outage {number + 1}")
        if number % 2:
            server.process.child.send_signal(signal.SIGSTOP)
            time.sleep(2.0)
        server.process.kill()
        time.sleep(0.3)
        server.start(weir)
    for reader in readers:
        count = pictures(reader)
        reader.wait_for(lambda: pictures(reader) > count + 50, 20, "two seconds of pictures after the last outage")
    took = time.monotonic() - began
    check(weir.status()["readers"] == 1003, f"{weir.status()['readers']} readers are left of 1003")
    cut = pictures_cut(context, outages)
    for reader in readers:
        check(reader.running, f"{reader.name} ended")
        seen = [row[5] for row in framemd5(reader.out())]
        seams, foreign = stretches(seen, clip.pictures)
        check(foreign <= cut, f"{reader.name}: {foreign} of {len(seen)} pictures are not the source's, {cut} were cut")
        check(outages - 1 <= len(seams) + foreign <= outages + 1, f"{reader.name}: {len(seams)} seams, {outages} expected: {seams}")
        check(all(after % clip.key_every == 0 for _, after in seams), f"{reader.name}: it went on elsewhere than at a key frame: {seams}")
        rows = framemd5(reader.out())
        check(all(b[2] > a[2] for a, b in zip(rows, rows[1:])), f"{reader.name}: a timestamp did not grow")
        if not cut:
            complain(reader)
        reader.stop(5)
    for load in loads:
        code = load.wait(seconds + 30)
        result = json.loads(load.out())
        check(code == 0 and result["playing"] == 500, f"{load.name} ended with code {code}, {result['playing']} of 500 play")
        check(result["lost"] <= 500 * cut, f"{load.name}: {result['lost']} packets lost, {cut} pictures were cut")
    check(took < seconds, f"the outages took {took:.0f} s, the load was measured for {seconds} s")
    weir.check_alive()
    print(f"note: {outages} outages in {took:.0f} s behind 1,003 readers", flush=True)


class Mortal(Origin):
    """An origin that dies, when it is asked to, in the middle of its next key frame."""
    left = None

    def die(self):
        self.left = 4

    def _send(self, track, packet, is_report):
        if self.left == 0 or not self.open:
            return
        if self.left is not None and track == 0 and not is_report:
            starts = packet[12] & 0x1F == 28 and packet[13] & 0x9F == 0x85  # the first fragment of an IDR slice
            if self.left < 4 or starts:
                self.left -= 1
                if self.left == 0:
                    # Its connection ends when Weir has read what it sent: a reset would take that away.
                    threading.Timer(0.05, self.close).start()
        super()._send(track, packet, is_report)


def outage(context, first):
    """A thread in which an origin that plays dies, and another one comes in its place."""
    def run():
        wait_until(lambda: first.playing, 20, "the origin plays")
        time.sleep(2.5)
        first.die()
        wait_until(lambda: not first.open, 10, "the origin dies")
        time.sleep(0.2)
        context.closing(Origin(port=first.port, splice=Splice.random(2)))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@test(seconds_max=60, player=["mplayer", "gstreamer"])
def half_a_picture_harms_no_other(context, player):
    """A source dies in the middle of a key frame: players lose that one picture and no other (without a number missing there, those that stand on LIVE555 glue the next key frame to the half)."""
    first = Mortal(splice=Splice.random(1))
    weir = context.weir("serve", config=f"paths:\n  cam: {{source: '{first.url()}', transport: tcp}}\n")
    thread = outage(context, first)
    seen = decode(context, player, weir.url("cam"), "tcp", 200, 1280, 720)
    thread.join()
    original = demo_hashes(context.cache)
    known = set(original)
    foreign = [number for number, picture in enumerate(seen) if picture not in known]
    check(len(foreign) <= 1, f"{player}: {len(foreign)} of {len(seen)} pictures are not the origin's: {foreign[:8]}")
    check(pictures_cut(context, 1) == 1, "weir status tells of no picture that was cut")
    breaks = [number for number, (a, b) in enumerate(zip(seen, seen[1:]), 1)
              if a in known and b in known and original.index(b) != (original.index(a) + 1) % len(original)]
    seam = (foreign or breaks)[0]
    check_run(seen[:seam], original, 25, f"{player} before the seam")
    check_run(seen[seam + len(foreign):], original, 75, f"{player} behind the seam")


@test(seconds_max=60, player=["ffmpeg-udp", "ffmpeg-tcp", "mplayer", "gstreamer"])
def half_a_picture_is_nobodys(context, player):
    """`whole-pictures`: a source dies in the middle of a key frame, and nobody is sent any of it: every picture of every player is the origin's, no decoder complains, no number is missing."""
    first = Mortal(splice=Splice.random(1))
    weir = context.weir("serve", config=f"paths:\n  cam: {{source: '{first.url()}', transport: tcp, whole-pictures: yes}}\n")
    loop = context.closing(ReaderLoop())
    reader = Reader(loop, weir.url("cam"), "tcp")
    reader.start()
    thread = outage(context, first)
    name, _, way = player.partition("-")
    seen = decode(context, name, weir.url("cam"), way or "tcp", 200, 1280, 720)
    thread.join()
    original = demo_hashes(context.cache)
    foreign = [number for number, picture in enumerate(seen) if picture not in set(original)]
    check(not foreign, f"{player}: {len(foreign)} of {len(seen)} pictures are not the origin's: {foreign[:8]}")
    breaks = [number for number, (a, b) in enumerate(zip(seen, seen[1:]), 1) if original.index(b) != (original.index(a) + 1) % len(original)]
    check(len(breaks) == 1, f"{player}: {len(breaks)} seams, one was expected")
    check(pictures_cut(context, 1) == 1, "weir status tells of no picture that was cut")
    flow = reader.flows[0]
    check(flow.packets > 300 and not flow.lost, f"{flow.lost} of {flow.packets} numbers are missing")


def light_clip(cache_folder):
    """10 s at 0.5 Mbit/s, nearly even."""
    return cached(cache_folder, "light.mp4", lambda path: ffmpeg(
        "-f", "lavfi", "-i", "nullsrc=s=320x180:r=25:d=10,geq=random(1)*255:128:128", "-c:v", "libx264", "-preset", "ultrafast",
        "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "500k", "-minrate", "500k", "-maxrate", "500k", "-bufsize", "100k", path))


def load(context, weir, path, sessions, *options, seconds=12, name="weir-load"):
    """What weir load measures."""
    code, out, err = context.run_weir("load", weir.url(path), "-n", str(sessions), "--transport", "tcp", "--duration", str(seconds),
                                      "--server-pid", str(weir.pid), "--json", *options, seconds=seconds + 60, name=name)
    check(out.strip(), lambda: f"{name} ended with code {code}: {err[-300:]}")
    return code, json.loads(out)


@test(seconds_max=120, alone=True)
def five_thousand_tcp_sessions(context):
    """5,000 interleaved sessions of 0.5 Mbit/s: all play in real time, nothing is lost (a loop around select ends at 1,024)."""
    weir = context.weir("serve", config="paths:\n  live: {source: publish, source-wait: 15s}\n")
    start_publisher(context, light_clip(context.cache), weir.url("live"), "tcp")
    code, result = load(context, weir, "live", 5000, "--processes", "2", "--join-rate", "1000")
    check(code == 0 and result["playing"] == 5000, f"weir load ended with code {code}, {result['playing']} of 5000 play")
    check(result["lost"] == 0 and result["lossy_sessions"] == 0, f"{result['lost']} lost in {result['lossy_sessions']} sessions")
    check(0.95 < result["real_time_ratio"] < 1.05, f"real_time_ratio {result['real_time_ratio']}")
    print(f"note: {result['server_cpu_us_per_packet']} µs of the server's CPU per packet, {result['server_rss_mib']} MiB, lateness "
          f"{result['lateness_ms']}", flush=True)


@test(seconds_max=120, alone=True)
def one_frozen_among_a_thousand(context):
    """One TCP reader of 1,000 stops reading: the 999 lose nothing and get what they got before (LIVE555's loop waits up to 500 ms for such a one, at every packet)."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="paths:\n  live: {source: publish, source-wait: 15s}\n")
    start_publisher(context, clip.path, weir.url("live"), "tcp")
    loop = context.closing(ReaderLoop())
    frozen = Reader(loop, weir.url("live"), "tcp", receive_buffer_bytes=4096, seconds=20)
    frozen.start()
    _, before = load(context, weir, "live", 999, seconds=8, name="weir-load-before")
    frozen.stop_reading()
    wait_until(weir.drops, 60, "a drop of the reader that does not read")
    code, result = load(context, weir, "live", 999, seconds=8, name="weir-load-beside")
    check(code == 0 and result["playing"] == 999 and result["lost"] == 0,
          f"weir load ended with code {code}: {result['playing']} play, {result['lost']} lost")
    check(0.95 < result["real_time_ratio"] < 1.05, f"real_time_ratio {result['real_time_ratio']}")
    print(f"note: lateness beside a frozen reader {result['lateness_ms']}, without {before['lateness_ms']}", flush=True)
    weir.check_alive()
