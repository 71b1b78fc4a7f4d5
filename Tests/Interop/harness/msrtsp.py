"""What tests of MS-RTSP say about what came: payloads and media objects against those of a file; and those who play by rtsp://."""
import hashlib
import os
import sys

from .asffile import Objects, Packet
from .clip import framemd5
from .players import GST_ENVIRONMENT, NotLinked, complain, is_not_linked, linked, mplayer_pictures, rtsp_input
from .process import wait_until
from .registry import Failure, check
from .windowsmedia import SHORT_MAX

PLAYER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gst_player.py")
DECODERS = {"wmv2": "avdec_wmv2", "msmpeg4v3": "avdec_msmpeg4", "wmv1": "avdec_wmv1"}


def parts(packet, streams=None):
    """The payloads of an ASF packet, of some streams, each with everything that is said of it."""
    return [(one.stream, one.key, one.number, one.offset, one.size, one.time, one.data) for one in packet.payloads
            if streams is None or one.stream in streams]


def same_units(units, file, first=0, streams=None, last=None, split=False, entered=False):
    """Each ASF packet that came is the file's, from packet `first` on, payload by payload, with its send time and duration. `streams`: only
    these were selected; what held nothing else did not come. `split`: packets may have been taken apart. `entered` somewhere: of each stream
    comes what can be used, from its first whole object on, of video from a key frame."""
    wanted = [Packet(raw, file.header) for raw in file.packets[first:last]]
    if split:
        check([one for unit in units for one in parts(unit.asf)] == [one for packet in wanted for one in parts(packet, streams)],
              "the payloads are not the file's")
        return
    if entered:
        begun = set()
        for packet in wanted:
            kept = []
            for one in packet.payloads:
                if one.offset == 0 and (one.key or file.header.streams[one.stream] != "video"):
                    begun.add(one.stream)
                if one.stream in begun:
                    kept.append(one)
            packet.payloads = kept
    wanted = [(parts(packet, streams), packet.send, packet.duration, number + first) for number, packet in enumerate(wanted) if parts(packet, streams)]
    check(len(units) == len(wanted), f"{len(units)} packets came, the file has {len(wanted)}")
    for unit, (payloads, send, duration, number) in zip(units, wanted):
        check(parts(unit.asf) == payloads, f"packet {number} is not the file's: {len(unit.asf.payloads)} payloads, {len(payloads)} there")
        check((unit.asf.send, unit.asf.duration) == (send, duration), f"packet {number} is sent at {unit.asf.send}, the file's at {send}")
        check(unit.location in (None, number), f"packet {number} says that it is {unit.location}")


def same_objects(units, file, least, streams=None):
    """What came is, in each stream, whole objects of the file in their order, round and round; at least so many."""
    got, there = Objects(), Objects()
    for unit in units:
        got.take(unit.asf)
    for raw in file.packets:
        there.take(Packet(raw, file.header))
    # The first of each stream may have begun before.
    check(got.broken <= len(file.header.streams), f"{got.broken} objects are broken")
    check(len(got.whole) >= least, f"{len(got.whole)} objects came, {least} expected")
    for stream in streams or file.header.streams:
        came = [one[3] for one in got.whole if one[0] == stream]
        whole = [one[3] for one in there.whole if one[0] == stream]
        check(came and came[0] in whole, f"stream {stream}: {len(came)} objects, the first is not the file's")
        starts = [number for number, one in enumerate(whole) if one == came[0]]
        check(any(all(one == whole[(start + n) % len(whole)] for n, one in enumerate(came)) for start in starts),
              f"stream {stream}: the {len(came)} objects are not the file's, or not in their order")


def ffmpeg_play(context, url, transport, start=0, frames=None, seconds=20.0, name="ffmpeg"):
    seek = ["-ss", str(start)] if start else []
    until = ["-frames:v", str(frames)] if frames else []
    process = context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", *seek,
                                   *rtsp_input(url, transport), "-map", "0:v", *until, "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
    code = process.wait(seconds)
    check(code == 0, lambda: f"{name} ended with code {code}: {process.err()[-400:]}")
    complain(process)
    return [row[5] for row in framemd5(process.out())]


def gst_play(context, url, transport, codec="wmv2", start=None, frames=None, seconds=20.0, size=(320, 240), options="latency=0", name="gstreamer"):
    """Pictures that GStreamer shows, up to the end or to so many. With a `start` some from before the seek come first."""
    return linked(name, lambda name: gst_run(context, url, transport, codec, start, frames, seconds, size, options, name))


def gst_run(context, url, transport, codec, start, frames, seconds, size, options, name):
    """One run of GStreamer for `gst_play`."""
    raw = context.path(f"{name}.i420")
    pipeline = (f"rtspsrc location={url} protocols={transport} {options} ! rtpasfdepay ! asfdemux name=d d.video_0 ! queue ! {DECODERS[codec]} ! "
                f"videoconvert ! video/x-raw,format=I420 ! filesink buffer-mode=unbuffered location={raw} d.audio_0 ! queue ! fakesink sync=false")
    argv = [sys.executable, PLAYER, pipeline, *([] if start is None else [str(start)])]
    process = context.spawn(name, argv, GST_ENVIRONMENT)
    bytes_ = size[0] * size[1] * 3 // 2
    if frames is None:
        process.wait(seconds)
    else:
        # By TCP it ends with the connection.
        wait_until(lambda: not process.running or os.path.exists(raw) and os.path.getsize(raw) >= frames * bytes_, seconds, f"{frames} pictures")
        process.stop(3.0)
    with open(raw, "rb") as file:
        data = file.read()
    os.remove(raw)
    pictures = [hashlib.md5(data[at:at + bytes_]).hexdigest() for at in range(0, len(data) - bytes_ + 1, bytes_)]
    if not pictures and is_not_linked(process):
        raise NotLinked
    return pictures[:frames] if frames else pictures


def play(context, player, url, transport, start=0, frames=None, codec="wmv2", seconds=20.0):
    if player == "ffmpeg":
        return ffmpeg_play(context, url, transport, start, frames, seconds)
    if player == "gstreamer":
        return gst_play(context, url, transport, codec, start or None, frames, seconds)
    if player == "mplayer":
        return mplayer_pictures(context, url, transport, frames or 10_000, seconds=seconds, name="mplayer-rtsp")
    raise Failure(f"no such player: {player}")


def short_of(player):
    """How many pictures a player loses at the end even of a file on the disk."""
    return SHORT_MAX if player == "mplayer" else 0
