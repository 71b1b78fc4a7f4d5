"""Real players, and what they decoded: ffmpeg, GStreamer, MPlayer. Also ffmpeg as an encoder that publishes."""
import hashlib
import os

from .clip import framemd5
from .registry import Failure, check

# Debian's GStreamer may take a hardware element that is not there; the registry is the user's.
GST_ENVIRONMENT = {"GST_DEBUG": "1", "LIBGL_ALWAYS_SOFTWARE": "1"}


def rtsp_input(url, transport):
    """What has ffmpeg read `url`. Over UDP with 4 MiB of receive buffer, where the system allows it: what the system gives unasked holds a fraction
    of a second of a join burst, and an ffmpeg that gets no processor for so long loses the rest, which then looks as if Weir had."""
    return ["-rtsp_transport", transport, *(["-buffer_size", str(4 << 20)] if transport in ("udp", "udp_multicast") else []), "-i", url]


def start_ffmpeg(context, url, transport, *output, name="ffmpeg"):
    """An ffmpeg that reads `url`; `output` as on its command line."""
    return context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y",
                                *rtsp_input(url, transport), *output])


def ffmpeg_pictures(context, url, transport, frames, seconds=40.0, name="ffmpeg"):
    """The MD5 of each picture that ffmpeg decodes (I420), in order."""
    process = start_ffmpeg(context, url, transport, "-map", "0:v", "-frames:v", str(frames), "-vsync", "passthrough",
                           "-c:v", "rawvideo", "-f", "framemd5", "-", name=name)
    code = process.wait(seconds)
    check(code == 0, f"{name} ended with code {code}")
    complain(process)
    return [row[5] for row in framemd5(process.out())]


def ffmpeg_audio_units(context, url, transport, units, seconds=40.0, name="ffmpeg-audio"):
    """The MD5 of each AAC access unit that ffmpeg receives."""
    process = start_ffmpeg(context, url, transport, "-map", "0:a", "-frames:a", str(units), "-c:a", "copy",
                           "-f", "framemd5", "-", name=name)
    code = process.wait(seconds)
    check(code == 0, f"{name} ended with code {code}")
    return [row[5] for row in framemd5(process.out())]


def complain(process):
    """Fails if a decoder met damage: a lost or mangled packet shows here first."""
    marks = ("error while decoding", "corrupt", "concealing", "missed", "max delay reached", "Invalid NAL", "non-existing")
    for line in process.err().splitlines():
        if any(mark in line for mark in marks):
            raise Failure(f"{process.name}: {line.strip()}")


def gst_pictures(context, url, transport, frames, width, height, seconds=40.0, name="gstreamer"):
    """The MD5 of each picture that GStreamer decodes (I420), in order."""
    return linked(name, lambda name: gst_run(context, url, transport, frames, width, height, seconds, name))


class NotLinked(Exception):
    """GStreamer ended before its first picture because a pad was not linked yet."""


def is_not_linked(process):
    return "reason not-linked" in process.text()


def linked(name, run):
    """What `run` answers, called with the name of the process that it is to start."""
    try:
        return run(name)
    except NotLinked:
        # rtspsrc's pads are linked while it runs; on a busy machine data can win that race inside the player, before its first
        # picture. Once more, and only for that.
        print(f"note: {name}: GStreamer lost its own race for a link, started again", flush=True)
        return run(f"{name}-again")


def gst_run(context, url, transport, frames, width, height, seconds, name):
    """One run of GStreamer for `gst_pictures`."""
    raw = context.path(f"{name}.i420")
    process = context.spawn(name, [
        "gst-launch-1.0", "-q", "rtspsrc", f"location={url}", f"protocols={transport}", "latency=200", "!",
        "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!",
        f"video/x-raw,format=I420,width={width},height={height}", "!", "identity", f"eos-after={frames + 1}", "!",
        "filesink", f"location={raw}"], GST_ENVIRONMENT)
    size = width * height * 3 // 2
    process.wait(seconds)
    hashes = []
    with open(raw, "rb") as file:
        while len(hashes) < frames:
            picture = file.read(size)
            if len(picture) < size:
                break
            hashes.append(hashlib.md5(picture).hexdigest())
    os.remove(raw)
    # With all its pictures there, what rtspsrc says while it is taken down (a report it could not send any more) means nothing.
    errors = [line for line in process.text().splitlines() if "ERROR" in line]
    if not hashes and is_not_linked(process):
        raise NotLinked
    check(len(hashes) == frames or not errors, lambda: f"GStreamer: {errors[0]}")
    return hashes


def mplayer_pictures(context, url, transport, frames, seconds=40.0, name="mplayer"):
    """The MD5 of each picture that MPlayer shows (I420), in order."""
    options = ["-rtsp-stream-over-tcp"] if transport == "tcp" else []
    sums = context.path(f"{name}.md5")
    process = context.spawn(name, ["mplayer", "-noconfig", "all", "-nolirc", "-nojoystick", "-noconsolecontrols", "-nocache",
                                   "-vo", f"md5sum:outfile={sums}", "-ao", "null", "-frames", str(frames), *options, url],
                            {"HOME": context.folder, "TERM": "dumb"})
    process.wait(seconds)
    if not os.path.exists(sums):
        return []
    with open(sums) as file:
        return [line.split()[0] for line in file]


def pictures(context, player, url, transport, frames, width, height, **options):
    """What a player, named by a word, decodes."""
    if player == "ffmpeg":
        return ffmpeg_pictures(context, url, transport, frames, **options)
    if player == "gstreamer":
        return gst_pictures(context, url, transport, frames, width, height, **options)
    return mplayer_pictures(context, url, transport, frames, **options)


def start_publisher(context, clip, url, transport, name="publisher"):
    """An ffmpeg that publishes a clip for ever (ANNOUNCE, RECORD) at its real pace."""
    return context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re",
                                "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, url])


def check_run(seen, original, least, what):
    """`seen` is a contiguous run of `original`, which may be repeated round and round, of at least `least` items."""
    check(len(seen) >= least, lambda: f"{what}: {len(seen)} seen, {least} expected")
    if seen[0] not in original:
        raise Failure(f"{what}: the first one seen is none of the origin's")
    starts = [index for index, value in enumerate(original) if value == seen[0]]
    best = 0
    for start in starts:
        same = next((n for n, value in enumerate(seen) if value != original[(start + n) % len(original)]), len(seen))
        best = max(best, same)
    check(best == len(seen), lambda: f"{what}: number {best} of {len(seen)} differs from the origin's "
          f"(it is {'another one of its' if seen[best] in original else 'none of its'})")
