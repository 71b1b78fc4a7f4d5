"""Lip sync behind the relay, on decoded pictures and sound: a flash and a beep at every second, of a source that comes and goes."""
import itertools
import random
import re
import struct
import time

from harness.clip import cached, ffmpeg
from harness.origin import NTP_EPOCH, Origin
from harness.players import start_ffmpeg
from harness.process import free_port
from harness.registry import check, test

PICTURES_PER_SECOND, SECONDS, AUDIO_CLOCK, AUDIO_SAMPLES = 25, 8, 8_000, 80
SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=flash and beep\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
       "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
       "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=1\r\n")


class FlashAndBeep:
    """A clip whose picture is white, and whose sound is a tone, for the first 80 ms of each second. Repeats without a seam."""
    clocks, sdp = (90_000, AUDIO_CLOCK), SDP

    def __init__(self, cache_folder):
        def picture(path):
            ffmpeg("-f", "lavfi", "-i", f"color=black:s=160x96:r=25:d={SECONDS},geq=lum='if(lt(mod(N,25),2),235,16)':cb=128:cr=128",
                   "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25", "-keyint_min",
                   "25", "-sc_threshold", "0", "-x264-params", "slices=1:sliced-threads=0", "-f", "h264", path)

        def sound(path):
            ffmpeg("-f", "lavfi", "-i", f"aevalsrc='if(lt(mod(t,1),0.08),0.8*sin(2*PI*1000*t),0)':s={AUDIO_CLOCK}:d={SECONDS}",
                   "-f", "mulaw", path)
        with open(cached(cache_folder, "flash.h264", picture), "rb") as file:
            self.frames = self._frames(file.read())
        with open(cached(cache_folder, "beep.ulaw", sound), "rb") as file:
            data = file.read()
        self.sound = [data[at:at + AUDIO_SAMPLES] for at in range(0, len(data), AUDIO_SAMPLES)]
        check(len(self.frames) == PICTURES_PER_SECOND * SECONDS, f"the clip has {len(self.frames)} pictures")

    @staticmethod
    def _frames(stream):
        frames, units = [], []
        for unit in re.split(b"\0\0\0?\1", stream):
            if unit:
                units.append(unit)
                if unit[0] & 0x1F in (1, 5):
                    frames.append(units)
                    units = []
        return frames

    def media(self):
        """For ever: (seconds, track, payloads of one frame)."""
        def pictures():
            for number in itertools.count():
                yield number / PICTURES_PER_SECOND, 0, self.frames[number % len(self.frames)]

        def sound():
            for number in itertools.count():
                yield number * AUDIO_SAMPLES / AUDIO_CLOCK, 1, [self.sound[number % len(self.sound)]]
        return pictures(), sound()


class RestlessOrigin(Origin):
    """Its clocks are `parts_per_million` fast and begin anywhere; each track waits in a queue of its own, in seconds."""

    def __init__(self, clip, seed, queues, parts_per_million, reports_from, **options):
        source = random.Random(seed)
        self.queues, self.speed, self.reports_from = queues, 1 + parts_per_million / 1e6, reports_from
        self.ssrcs = [source.getrandbits(32), source.getrandbits(32)]
        self.numbers = [source.getrandbits(16), source.getrandbits(16)]
        self.bases = [source.getrandbits(32), source.getrandbits(32)]
        self.ntp = time.time() + NTP_EPOCH + source.uniform(-1e6, 1e6)
        super().__init__(clip=clip, **options)

    def _stamp(self, track, seconds):
        return (self.bases[track] + round(seconds * self.clip.clocks[track])) & 0xFFFFFFFF

    def _pump(self):
        while self.open and not self.playing:
            time.sleep(0.002)
        began = time.monotonic()
        # Each entry: when it is sent, what to do, whatever comes after it.
        media = list(self.clip.media())
        queue = [(self.queues[track], track, *next(media[track])) for track in (0, 1)]
        report_at = self.reports_from
        while self.open:
            now = time.monotonic() - began
            if report_at is not None and now >= report_at:
                with self.lock:
                    for track in (0, 1):
                        self._send(track, self._own_report(track, now * self.speed), True)
                report_at += 2.0
                continue
            queue.sort(key=lambda entry: entry[0])
            due, track, seconds, _, payloads = queue[0]
            if due > now:
                time.sleep(min(due - now, 0.01))
                continue
            with self.lock:
                for place, payload in enumerate(payloads):
                    marker = 0x80 if track == 0 and place == len(payloads) - 1 else 0
                    header = struct.pack("!BBHII", 0x80, marker | (96, 0)[track], self.numbers[track], self._stamp(track, seconds),
                                         self.ssrcs[track])
                    self.numbers[track] = (self.numbers[track] + 1) & 0xFFFF
                    self._send(track, header + payload, False)
            seconds, number, payloads = next(media[track])
            # A clock that is fast makes a second's pictures in less than a second.
            queue[0] = (seconds / self.speed + self.queues[track], track, seconds, number, payloads)

    def _own_report(self, track, seconds):
        moment = self.ntp + seconds
        return struct.pack("!BBHIIIIII", 0x80, 200, 6, self.ssrcs[track], int(moment) & 0xFFFFFFFF, int(moment % 1 * 2**32),
                           self._stamp(track, seconds), 0, 0)

    def _rtp_info(self, session):
        return ",".join(f"url={self.url()}/trackID={track}" for track in session.tracks)


def onsets(text, key, threshold):
    """The times at which a value rises above a threshold, of what ffmpeg's metadata filter printed."""
    times, at, was_on = [], None, True
    for line in text.splitlines():
        if match := re.search(r"pts_time:(-?[\d.]+)", line):
            at = float(match.group(1))
        elif line.startswith(key + "="):
            value = line.split("=")[1]
            is_on = value not in ("-inf", "nan") and float(value) > threshold
            if is_on and not was_on:
                times.append(at)
            was_on = is_on
    return times


@test(seconds_max=60, reports=["early", "late"])
def lip_sync_over_reconnects(context, reports):
    """Three reconnects, a source clock 200 ppm fast, other queues each time: ffmpeg decodes flash and beep at most 20 ms apart (one
    packet of sound is 10 ms). With reports that come late, the queues stay as they are: what was learnt of them must hold."""
    clip = FlashAndBeep(context.cache)
    port = free_port()
    queues = [(0.150, 0.010), (0.020, 0.110), (0.090, 0.005), (0.010, 0.160)] if reports == "early" else [(0.120, 0.010)] * 4
    start = 0.0 if reports == "early" else 1.5

    def origin(life):
        return RestlessOrigin(clip, life, queues[life], 200, start, port=port)
    source = origin(0)
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {source.url()}\n    transport: tcp\n    silence: 2s\n    dial: always\n")
    picture, sound = context.path("picture.txt"), context.path("sound.txt")
    process = start_ffmpeg(
        context, weir.url("cam"), "tcp", "-copyts", "-map", "0:v", "-vf", f"signalstats,metadata=print:key=lavfi.signalstats.YAVG:file={picture}",
        "-vsync", "passthrough", "-f", "null", "-", "-map", "0:a", "-af",
        f"astats=metadata=1:reset=1,ametadata=print:key=lavfi.astats.Overall.RMS_level:file={sound}", "-f", "null", "-")
    time.sleep(8.0)
    for life in (1, 2, 3):
        source.close()
        time.sleep(0.55 * life)
        source = origin(life)
        time.sleep(6.0)
    check(process.running, "the player's session ended")
    process.stop(5.0)
    source.close()
    with open(picture) as file:
        flashes = onsets(file.read(), "lavfi.signalstats.YAVG", 100)
    with open(sound) as file:
        beeps = onsets(file.read(), "lavfi.astats.Overall.RMS_level", -20)
    pairs = [(flash, min(beeps, key=lambda beep: abs(beep - flash))) for flash in flashes]
    pairs = [(flash, beep) for flash, beep in pairs if abs(beep - flash) < 0.4]
    gaps = sum(later - sooner > 1.5 for sooner, later in zip(flashes, flashes[1:]))
    apart = [1000 * (beep - flash) for flash, beep in pairs]
    words = " ".join(f"{flash:.2f}:{gap:+.0f}" for (flash, _), gap in zip(pairs, apart))
    print(f"note: flash and beep apart, ms: {words}", flush=True)
    check(len(pairs) >= 15, f"{len(flashes)} flashes, {len(beeps)} beeps, {len(pairs)} of them together: {words}")
    check(gaps >= 1, f"no outage was seen, so nothing was proved: {words}")
    # A reader's first report pair comes with its first packets; before it ffmpeg goes by RTP-Info.
    worst = max(apart[1:], key=abs)
    # Without a report a line begins where its first packet comes, which may be late by itself: in one life of the three, and not by much.
    over = [gap for gap in apart[1:] if abs(gap) > 20]
    check(len(over) <= (0 if reports == "early" else len(apart) // 3) and abs(worst) <= 40, f"flash and beep are up to {worst:+.0f} ms apart: {words}")
