"""Stored media of an RTSP server that is kept (`cache: yes`): recorded at the first player, served to each from its own place."""
import os
import re
import time

from harness.clip import cached, ffmpeg, framemd5
from harness.players import check_run, ffmpeg_pictures, gst_pictures, start_ffmpeg
from harness.process import free_port, wait_until
from harness.registry import check, test
from harness.storedplayer import StoredPlayer

WIDTH, HEIGHT, RATE = 320, 180, 25
SYSTEM_PYTHON = "/usr/bin/python3"


class Stored:
    """A short MP4 with B frames and sound, a key frame each second, and what is in it."""

    def __init__(self, cache_folder, source="testsrc2", seconds=5):
        def make(path):
            ffmpeg("-f", "lavfi", "-i", f"{source}=s={WIDTH}x{HEIGHT}:r={RATE}:d={seconds}", "-f", "lavfi", "-i",
                   f"sine=f=440:r=48000:d={seconds}", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "2", "-g",
                   RATE, "-keyint_min", RATE, "-sc_threshold", "0", "-b:v", "400k", "-c:a", "aac", "-b:a", "64k", path)
        pattern = f"{source}-{seconds}s"
        self.path = cached(cache_folder, f"stored-{pattern}.mp4", make)
        self.pictures = self._hashes(cache_folder, pattern, "v", "rawvideo")
        self.units = self._hashes(cache_folder, pattern, "a", "copy")

    def _hashes(self, cache_folder, pattern, kind, codec):
        def make(path):
            with open(path, "wb") as file:
                file.write(ffmpeg("-i", self.path, "-map", f"0:{kind}", f"-c:{kind}", codec, "-f", "framemd5", "-"))
        with open(cached(cache_folder, f"stored-{pattern}.{kind}.framemd5", make)) as file:
            return [row[5] for row in framemd5(file.read())]


class Origin:
    """GStreamer's RTSP server with one such file."""

    def __init__(self, context, clip, port=None):
        self.port = port or free_port()
        script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_file_origin.py")
        self.process = context.spawn("gst-file-origin", [SYSTEM_PYTHON, script, str(self.port), "/film", clip.path])
        self.process.wait_for(lambda: "ready" in self.process.out(), 15, "the origin is ready")

    def asked(self, word):
        return self.process.out().split().count(word)

    def stop(self):
        self.process.stop(3.0)


def relay(context, origin, *lines):
    folder = context.path("cache")
    text = "\n".join([f"cache-dir: {folder}", "paths:", "  film:", f"    source: rtsp://127.0.0.1:{origin.port}/film", "    cache: yes",
                      *(f"    {line}" for line in lines)])
    return context.weir("serve", config=text + "\n")


def wait_until_whole(weir, seconds=12):
    weir.process.wait_for(lambda: "a recording is whole" in weir.log(), seconds, "the recording is whole")


def check_all(seen, clip, what):
    check(seen == clip.pictures, lambda: f"{what}: {len(seen)} pictures, {sum(a == b for a, b in zip(seen, clip.pictures))} of them as "
          f"in the file's {len(clip.pictures)}")


@test(seconds_max=60)
def rtsp_film_is_kept(context):
    """ffmpeg plays it from the origin; then, with the origin gone and another relay, ffmpeg and GStreamer over UDP and TCP, each all of it."""
    clip = Stored(context.cache)
    origin = Origin(context, clip)
    weir = relay(context, origin, "cache-age: 1h")
    check_all(ffmpeg_pictures(context, weir.url("film"), "tcp", len(clip.pictures), name="first"), clip, "the first player")
    wait_until_whole(weir)
    check(origin.asked("PLAY") == 1, "the origin was not asked to play once")
    origin.stop()
    weir.process.stop()
    weir = relay(context, origin, "cache-age: 1h")
    url = weir.url("film")
    sound = start_ffmpeg(context, url, "udp", "-map", "0:a", "-c:a", "copy", "-f", "framemd5", "-", name="sound")
    both = [start_ffmpeg(context, url, transport, "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-",
                         name=f"ffmpeg-{transport}") for transport in ("udp", "tcp")]
    for transport in ("udp", "tcp"):
        check_all(gst_pictures(context, url, transport, len(clip.pictures), WIDTH, HEIGHT, name=f"gst-{transport}"), clip,
                  f"GStreamer over {transport}")
    # They end by themselves, at the end that they are told.
    for process in both:
        check(process.wait(10) == 0, f"{process.name} did not end well")
        check_all([row[5] for row in framemd5(process.out())], clip, process.name)
    check(sound.wait(10) == 0, "the listener did not end well")
    units = [row[5] for row in framemd5(sound.out())]
    check_run(units, clip.units, len(clip.units) - 3, "the sound")
    check("HIT fresh" in weir.log(), "the log does not say HIT")


@test(seconds_max=60)
def rtsp_film_places(context):
    """Seek to the key frame before, two readers at two places, pause and go on: numbers, times and reports are as RTSP and RTP want them."""
    clip = Stored(context.cache)
    origin = Origin(context, clip)
    weir = relay(context, origin, "cache-age: 1h")
    recorder = context.closing(StoredPlayer(weir, "film"))
    sdp = recorder.set_up()
    check(re.search(r"a=range:npt=0(\.0+)?-5(\.\d+)?\r", sdp), "the description does not say how long it is")
    recorder.play(0)
    wait_until_whole(weir)
    recorder.wait(lambda: recorder.goodbyes == {0, 1}, 5, "a goodbye on both tracks")

    first, second = (context.closing(StoredPlayer(weir, "film")) for _ in range(2))
    first.set_up()
    second.set_up()
    began, end, infos = first.play(2.7)
    playing = time.monotonic()
    check(began == 2.0 and 4.9 < end < 5.1, f"a seek to 2.7 begins at {began} and ends at {end}")
    second.play(1)
    time.sleep(1.2)
    moment = time.monotonic()
    for track in (0, 1):
        packets = first.since_play(track)
        sequence, stamp = infos[track]
        check(packets[0][2] == sequence, f"track {track} begins with {packets[0][2]}, RTP-Info says {sequence}")
        ahead = ((packets[0][3] - stamp + 2**31) % 2**32 - 2**31) / first.clocks[track]
        check(0 <= ahead < 0.05, f"track {track} begins {ahead:.3f} s behind the beginning")
        numbers = [packet[2] for packet in packets]
        check(numbers == [(sequence + n) % 65536 for n in range(len(numbers))], f"the numbers of track {track} are not one row")
        # By the reports of both tracks a packet is due when it comes, within what pictures are sent ahead.
        _, _, ntp, of = next(report for report in first.reports if report[1] == track)
        others = [report for report in first.reports if report[1] != track]
        late = [packet[0] - moment - ((packet[3] - of + 2**31) % 2**32 - 2**31) / first.clocks[track] for packet in packets]
        offset = ntp - others[0][2]
        check(abs(offset) < 0.01, f"the tracks' first reports are {offset} s apart")
        # Late it may be, where this or Weir got no processor; never early.
        usual = sorted(late)[len(late) // 2]
        check(usual - min(late) < 0.35 and max(late) - usual < 1, f"track {track} comes {min(late):.3f} to {max(late):.3f} s late, {usual:.3f} as a rule")
    # The key frame of 2 s is what was recorded there, and other packets are as the recorder got them.
    original = [packet[4][12:] for packet in recorder.packets if packet[1] == 0]
    seen = [packet[4][12:] for packet in first.since_play(0)]
    # Parameter sets are the same before each key frame.
    place = next(n for n in range(len(original)) if original[n:n + 5] == seen[:5])
    check(original[place:place + len(seen)] == seen, "the packets behind the seek are not those of the recording")
    check([packet[4][12:] for packet in second.since_play(0)[:5]] != seen[:5], "both readers are at one place")

    first.ask("PAUSE")
    played = time.monotonic() - playing
    time.sleep(0.3)
    count = len(first.packets)
    time.sleep(0.5)
    check(len(first.packets) == count, "media goes on in the pause")
    last = [first.since_play(track)[-1] for track in (0, 1)]
    went, _, infos = first.play()
    check(-0.4 < went - (began + played) < 0.6, f"it was paused {played:.2f} s behind {began} and goes on at {went}")
    first.wait(lambda: first.goodbyes == {0, 1}, 8, "the end")
    for track in (0, 1):
        packets = first.since_play(track)
        check(packets[0][2] == infos[track][0] == (last[track][2] + 1) % 65536, "a packet is missing, or twice, behind the pause")
        # RTP's time runs on while the media stands.
        gap = ((packets[0][3] - last[track][3] + 2**31) % 2**32 - 2**31) / first.clocks[track]
        check(0.7 < gap < 2, f"RTP's time of track {track} went on by {gap:.3f} s over the pause")
    rest = [packet[4][12:] for packet in first.since_play(0)]
    check(seen + rest == original[place:place + len(seen) + len(rest)] and place + len(seen) + len(rest) == len(original),
          "what came is not all that is behind the seek")
    first.ask("PLAY", None, "Range: npt=99-", status=457)
    first.ask("TEARDOWN")


@test(seconds_max=60)
def rtsp_film_while_it_is_recorded(context):
    """A second reader gets what is there and goes with the recording; one far ahead is played one to one; another film is another recording."""
    clip, other = Stored(context.cache), Stored(context.cache, "smptebars", 4)
    origin = Origin(context, clip)
    weir = relay(context, origin)
    first = start_ffmpeg(context, weir.url("film"), "tcp", "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5",
                         "-", name="first")
    weir.process.wait_for(lambda: "recording" in weir.log(), 10, "it records")
    time.sleep(1)
    second = start_ffmpeg(context, weir.url("film"), "udp", "-map", "0:v", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5",
                          "-", name="second")
    for process in (first, second):
        check(process.wait(15) == 0, f"{process.name} did not end well")
        check_all([row[5] for row in framemd5(process.out())], clip, process.name)
    wait_until_whole(weir)
    check(origin.asked("PLAY") == 1, f"the origin played {origin.asked('PLAY')} times for two readers")
    # Nothing says how long it holds, so the origin is asked each time.
    described = origin.asked("DESCRIBE")
    reader = context.closing(StoredPlayer(weir, "film"))
    reader.set_up()
    # It tells of a question after it has answered.
    wait_until(lambda: origin.asked("DESCRIBE") > described, 5, "the origin to be asked")
    check(origin.asked("DESCRIBE") == described + 1 and "REVALIDATED unchanged" in weir.log(), "it was not asked about again, once")
    origin.stop()
    wait_until(lambda: not origin.process.running, 5, "the origin's end")
    port = origin.port
    origin = Origin(context, other, port)
    time.sleep(5.5)
    check_all(ffmpeg_pictures(context, weir.url("film"), "tcp", len(other.pictures), name="third"), other, "with another film there")
    check("MISS changed" in weir.log(), "the log does not say that it changed")


@test(seconds_max=60)
def rtsp_film_far_ahead(context):
    """While it is recorded: who seeks a little beyond it waits, who seeks far gets that part from the origin; purged meanwhile, they play on."""
    clip = Stored(context.cache, "testsrc2", 8)
    origin = Origin(context, clip)
    weir = relay(context, origin, "cache-age: 1h")
    recorder, far, near, late = (context.closing(StoredPlayer(weir, "film")) for _ in range(4))
    recorder.set_up()
    recorder.play(0)
    recorder.wait(lambda: recorder.packets, 10, "media")
    far.set_up()
    near.set_up()
    began, _, infos = far.play(7.5)
    check(began == 7.0, f"a seek to 7.5 begins at {began}")
    check(near.play(3.5)[0] == 3.0, "a seek to 3.5 does not begin at 3")
    wait_until(lambda: origin.asked("PLAY") > 1, 5, "the origin to play again")
    check(origin.asked("PLAY") == 2, f"the origin played {origin.asked('PLAY')} times")
    far.wait(lambda: far.goodbyes == {0, 1}, 10, "the end of the last second")
    check("one reader" in weir.log(), "the log does not say that a part is played one to one")
    # The connection that records is not the one that was purged.
    code, said, trouble = context.run_weir("cache", "purge", f"rtsp://127.0.0.1:{origin.port}/film", "--cache", context.path("cache"))
    check(code == 0 and "purged" in said, f"purge: {code} {said} {trouble}")
    late.set_up()
    late.play(0)
    for player in (recorder, near):
        player.wait(lambda: player.goodbyes == {0, 1}, 12, "the end")
    original = [packet[4][12:] for packet in recorder.packets if packet[1] == 0]
    for player, what in ((far, "the far seek"), (near, "the near seek")):
        seen = [packet[4][12:] for packet in player.since_play(0)]
        # GStreamer puts the parameter sets in front of what it plays from elsewhere, as it does at the film's beginning.
        while seen and seen[0] in original[:2]:
            seen.pop(0)
        check(len(seen) > 20 and original[-len(seen):] == seen, f"the packets of {what} are not those of the film's end")
        check(player.since_play(0)[0][2] == infos[0][0] or player is near, "RTP-Info does not name the first packet")
    late.wait(lambda: late.goodbyes == {0, 1}, 12, "the end for who came after the purge")
    check([packet[4][12:] for packet in late.packets if packet[1] == 0] == original, "who came after the purge got something else")
    check(origin.asked("PLAY") == 3, f"the origin played {origin.asked('PLAY')} times")
    wait_until_whole(weir)
