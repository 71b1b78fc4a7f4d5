"""A program between the source and the readers: H.265 becomes H.264, the sound passes untouched, and the program may die."""
import concurrent.futures
import os
import signal
import time

from harness.clip import cached, ffmpeg, framemd5
from harness.players import GST_ENVIRONMENT, check_run, complain, ffmpeg_audio_units, start_ffmpeg, start_publisher
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import Failure, check, test
from cases.status import pictures_cut, status

WIDTH, HEIGHT, BAR, BITS, FRAMES = 320, 240, 32, 10, 500
TRANSCODE = ("ffmpeg -hide_banner -loglevel warning -protocol_whitelist file,udp,rtp -fpsprobesize 0 -i $INPUT_SDP "
             "-vsync passthrough -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -f rtp ")


class Counted:
    """20 s of H.265 (B frames, a key frame a second) and AAC. Each picture carries its number as ten black or white bars, which survive
    another encoding."""

    def __init__(self, cache_folder):
        self.path = cached(cache_folder, "counted.mp4", self._make)
        units = cached(cache_folder, "counted.audiomd5", self._units)
        with open(units) as file:
            self.audio_units = [row[5] for row in framemd5(file.read())]
        raw = cached(cache_folder, "counted.i420", lambda path: ffmpeg("-i", self.path, "-map", "0:v", "-pix_fmt", "yuv420p", "-f", "rawvideo", path))
        with open(raw, "rb") as file:
            self.luma = lumas(file.read())

    def _make(self, path):
        bars = (f"geq=lum='if(lt(Y\\,{BAR})\\,if(mod(floor(N/pow(2\\,floor(X/{BAR})))\\,2)\\,235\\,16)\\,lum(X\\,Y))'"
                f":cb='if(lt(Y\\,{BAR // 2})\\,128\\,cb(X\\,Y))':cr='if(lt(Y\\,{BAR // 2})\\,128\\,cr(X\\,Y))'")
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r=25:d={FRAMES // 25},{bars}", "-f", "lavfi", "-i",
               f"sine=f=440:r=48000:d={FRAMES // 25}", "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params",
               "keyint=25:min-keyint=25:scenecut=0:bframes=2:log-level=1", "-b:v", "1M", "-c:a", "aac", "-b:a", "64k", path)

    def _units(self, path):
        with open(path, "wb") as file:
            file.write(ffmpeg("-i", self.path, "-map", "0:a", "-c:a", "copy", "-f", "framemd5", "-"))

    def check_pictures(self, raw, least, what, gaps=0, cut=0):
        """`raw` holds I420 pictures: their numbers count on by one (with at most `gaps` jumps), and each looks like the origin's, but for those
        at the first jump where the program died in the middle of so many."""
        pictures = lumas(raw)
        check(len(pictures) >= least, lambda: f"{what}: {len(pictures)} pictures, {least} expected")
        numbers = [number_of(picture) for picture in pictures]
        jumps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != (a + 1) % FRAMES]
        check(len(jumps) <= gaps, lambda: f"{what}: the pictures' numbers jump: {jumps[:5]}")
        jump = next((index for index, (a, b) in enumerate(zip(numbers, numbers[1:])) if b != (a + 1) % FRAMES), 0)
        for index in range(0, len(pictures), 10):
            if cut and abs(index - jump) <= 3:
                continue
            origin = self.luma[numbers[index]]
            error = sum(abs(a - b) for a, b in zip(pictures[index][::7], origin[::7])) / len(origin[::7])
            check(error < 8, lambda: f"{what}: picture {numbers[index]} differs from the origin's by {error:.1f} of 255 on average")
        return numbers


def lumas(raw):
    """The brightness of each I420 picture."""
    size = WIDTH * HEIGHT * 3 // 2
    return [raw[at:at + WIDTH * HEIGHT] for at in range(0, len(raw) - size + 1, size)]


def number_of(picture):
    """The number that a picture's bars show."""
    row = BAR // 2 * WIDTH
    return sum((picture[row + bar * BAR + BAR // 2] > 128) << bar for bar in range(BITS))


def config(transform, source="publish", more=""):
    return f"paths:\n  cam:\n    source: {source}\n    source-wait: 25s\n    linger: 1s\n{more}    transform:\n      video:\n{transform}"


def rule(exec_line, gives="H264/90000 packetization-mode=1", more=""):
    given = f"        gives: {gives}\n" if gives else ""
    return f"        exec: '{exec_line}'\n{given}{more}"


def raw_by_ffmpeg(context, url, transport, frames, name):
    raw = context.path(name + ".i420")
    process = start_ffmpeg(context, url, transport, "-map", "0:v", "-frames:v", str(frames), "-vsync", "passthrough", "-pix_fmt", "yuv420p",
                           "-f", "rawvideo", raw, name=name)
    check(process.wait(40) == 0, lambda: f"{name} failed")
    complain(process)
    with open(raw, "rb") as file:
        return file.read()


def raw_by_gstreamer(context, url, transport, frames, name):
    raw = context.path(name + ".i420")
    process = context.spawn(name, [
        "gst-launch-1.0", "-q", "rtspsrc", f"location={url}", f"protocols={transport}", "latency=500", "!",
        "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!",
        f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT}", "!", "identity", f"eos-after={frames + 1}", "!",
        "filesink", f"location={raw}"], GST_ENVIRONMENT)
    process.wait(40)
    with open(raw, "rb") as file:
        return file.read()


def transform_of(context, weir):
    """What the status says of the first transform."""
    time.sleep(0.3)
    return status(context, str(weir.port))["paths"][0]["transforms"][0]


def start(context, clip, text, **options):
    weir = context.weir("serve", config=text, **options)
    start_publisher(context, clip.path, weir.url("cam"), "tcp")
    return weir


@test(seconds_max=100)
def transform_h265_to_h264(context):
    """ffmpeg makes H.264 of a published H.265: players get every picture, as it was, and the sound byte for byte."""
    clip = Counted(context.cache)
    weir = start(context, clip, config(rule(TRANSCODE + "$OUTPUT_URL")))
    loop = context.closing(ReaderLoop())
    first = Reader(loop, weir.url("cam"), "tcp", keep=True)
    first.describe(seconds=25)
    check("H264/90000" in first.sdp and "H265" not in first.sdp, lambda: f"the description says {first.sdp}")
    first.close()
    holder = Reader(loop, weir.url("cam"), "tcp")
    holder.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pictures = {
            what: pool.submit(function, context, weir.url("cam"), transport, 75, what)
            for what, function, transport in (("ffmpeg-udp", raw_by_ffmpeg, "udp"), ("ffmpeg-tcp", raw_by_ffmpeg, "tcp"),
                                              ("gst-tcp", raw_by_gstreamer, "tcp"))}
        sound = pool.submit(ffmpeg_audio_units, context, weir.url("cam"), "tcp", 150)
        for what, future in pictures.items():
            clip.check_pictures(future.result(), 65, what)
        check_run(sound.result(), clip.audio_units, 150, "sound")
    status = transform_of(context, weir)
    check(status["state"] == "sending" and status["starts"] == 1 and status["failures"] == 0, lambda: f"status: {status}")
    process = status["process"]
    holder.close()
    # Nobody reads any more: after the linger time the program is stopped.
    wait_until(lambda: not os.path.exists(f"/proc/{process}"), 10, "the program's end after the linger time")
    check(transform_of(context, weir)["state"] == "idle", "the transform is not idle")
    again = Reader(loop, weir.url("cam"), "udp", keep=True)
    again.start()
    again.wait_for_packets(0, 50, 20)
    again.wait_for_packets(1, 50, 20)
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=100)
def transform_survives_its_program(context):
    """The program is killed -9 in the middle: readers stay on one line of SSRC and sequence, it is started again, pictures go on."""
    clip = Counted(context.cache)
    weir = start(context, clip, config(rule(TRANSCODE + "$OUTPUT_URL")))
    loop = context.closing(ReaderLoop())
    readers = [Reader(loop, weir.url("cam"), way, keep=True) for way in ("tcp", "udp")]
    for reader in readers:
        reader.start()
        reader.wait_for_packets(0, 50, 25)
    raw = context.path("through.i420")
    watcher = start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-t", "12", "-vsync", "passthrough", "-pix_fmt", "yuv420p", "-f",
                           "rawvideo", raw, name="watcher")
    watcher.wait_for(lambda: os.path.exists(raw) and os.path.getsize(raw) > 75 * WIDTH * HEIGHT, 20, "50 pictures")
    before = transform_of(context, weir)
    os.kill(before["process"], signal.SIGKILL)
    sounds = [reader.flows[1].packets for reader in readers]
    for reader in readers:
        reader.wait_for_packets(0, 100, 20)
    after = transform_of(context, weir)
    check(after["process"] != before["process"] and after["starts"] == 2 and after["failures"] == 1, lambda: f"status: {after}")
    check("signal 9" in after["last_error"], lambda: f"status: {after}")
    cut = pictures_cut(context, 1)
    for reader, sound in zip(readers, sounds):
        check(reader.flows[1].packets > sound, "the sound stopped")
        for track, flow in reader.flows.items():
            check(len(flow.ssrcs) == 1, f"{reader.transport} track {track}: {len(flow.ssrcs)} SSRCs")
            lost = cut if track == 0 else 0
            check(flow.lost == lost and flow.backward == 0, f"{reader.transport} track {track}: {flow.lost} missing, {flow.backward} back in time")
        check(reader.flows[1].silence_max < 1.0, lambda: f"the sound was away for {reader.flows[1].silence_max:.1f} s")
    watcher.wait(30)
    if not cut:
        complain(watcher)
    with open(raw, "rb") as file:
        clip.check_pictures(file.read(), 120, "the watcher", gaps=1 + 2 * cut, cut=cut)


@test(seconds_max=80)
def transform_describes_itself(context):
    """Without `gives` the program's own SDP says what comes out; the source is pulled, and its first key frame is not missed."""
    clip = Counted(context.cache)
    helper = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
    port = free_port()
    launch = f"( filesrc location={clip.path} ! qtdemux ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1 )"
    origin = context.spawn("gst-origin", ["/usr/bin/python3", helper, port, "/clip", launch])
    origin.wait_for(lambda: "ready" in origin.out(), 15, "it was ready")
    text = config(rule(TRANSCODE + "-payload_type 101 -sdp_file $OUTPUT_SDP $OUTPUT_URL", gives=None),
                  source=f"rtsp://127.0.0.1:{port}/clip")
    weir = context.weir("serve", config=text)
    numbers = clip.check_pictures(raw_by_ffmpeg(context, weir.url("cam"), "tcp", 100, "reader"), 90, "reader")
    check(numbers[0] <= 75, lambda: f"the first picture is number {numbers[0]}")
    reader = Reader(context.closing(ReaderLoop()), weir.url("cam"), "tcp", keep=True)
    reader.describe(seconds=25)
    check("RTP/AVP 101" in reader.sdp and "H264/90000" in reader.sdp, lambda: f"the description says {reader.sdp}")
    reader.close()


@test(seconds_max=60, program=["missing", "mute", "deaf", "flood"])
def transform_says_what_is_wrong(context, program):
    """A program that is missing, sends nothing, listens to nothing or floods its standard error: words for reader and operator, bounds."""
    clip = Counted(context.cache)
    line, words = {
        "missing": ("no-such-program $INPUT_SDP $OUTPUT_URL", "cannot start `no-such-program`"),
        "mute": ("python3 -c \"import os,socket,time; s=socket.socket(2,2); s.bind((\\\"127.0.0.1\\\",int(os.environ[\\\"INPUT_RTP_PORT\\\"]))); "
                 "time.sleep(99)\"", "it sent nothing to $OUTPUT_URL within 2 s of media"),
        "deaf": ("sleep 99", "it does not listen at"),
        "flood": ("sh -c \"yes flooding the log >&2\"", "it does not listen at"),
    }[program]
    weir = start(context, clip, config(rule(line, more="        start-wait: 2s\n"), more="").replace("source-wait: 25s", "source-wait: 6s"))
    loop = context.closing(ReaderLoop())
    reader = Reader(loop, weir.url("cam"), "tcp", keep=True)
    reader.describe(seconds=25)
    try:
        reader.start()
        raise Failure("a reader was told to play though nothing comes")
    except Failure as failure:
        check("503" in str(failure), lambda: f"the reader heard: {failure}")
    found = wait_until(lambda: next((one for one in [transform_of(context, weir)] if words in one.get("last_error", "")), None), 15,
                       lambda: f"the words `{words}` in {transform_of(context, weir)}")
    check(found["failures"] >= 1, lambda: f"status: {found}")
    check("transform failed" in weir.log(), "nothing in the log")
    weir.check_alive()
    if program == "flood":
        check(found["log_lines_suppressed"] > 1000, lambda: f"status: {found}")
        check(weir.log().count("flooding the log") < 500, "the log was flooded")


@test(seconds_max=60)
def transform_ends_with_weir(context):
    """Weir is killed -9, or ends: no program of it stays, no folder either when it ends."""
    clip = Counted(context.cache)
    for is_killed in (True, False):
        weir = start(context, clip, config(rule(TRANSCODE + "$OUTPUT_URL")).replace("linger: 1s", "linger: 1s\n    dial: always"))
        process = wait_until(lambda: transform_of(context, weir).get("process"), 25, "a running program")
        if is_killed:
            weir.process.kill()
        else:
            wait_until(lambda: transform_of(context, weir)["state"] == "sending", 25, "a program that sends")
            began = time.monotonic()
            check(weir.process.stop(10.0) == 0, "weir did not end well")
            check(time.monotonic() - began < 5, "weir took long to end")
            left = [name for name in os.listdir(context.path("run")) if name.startswith("weir-transform")]
            check(len(left) <= 1, lambda: f"left: {left}")
        wait_until(lambda: not os.path.exists(f"/proc/{process}"), 5, "the program's end")
