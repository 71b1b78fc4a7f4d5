"""What a stream consists of: `tracks:`, and sources that come back with other tracks."""
import os
import sys
import time

from cases.status import pictures_cut
from harness.clip import Numbered, demo_hashes, framemd5
from harness.origin import Origin
from harness.players import check_run, complain, ffmpeg_pictures, gst_pictures, rtsp_input, start_ffmpeg, start_publisher
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

HELPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
AUDIO = {"aac": "avenc_aac ! rtpmp4gpay", "pcma": "audioresample ! audio/x-raw,rate=8000 ! alawenc ! rtppcmapay",
         "opus": "opusenc ! rtpopuspay"}


def gst_origin(context, clip, port, audio, name):
    """A GStreamer server of the clip's pictures, with a tone in that codec."""
    python = next(path for path in ("/usr/bin/python3", sys.executable) if os.path.exists(path))
    video = f"filesrc location={clip} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
    tone = f"audiotestsrc is-live=true wave=sine ! audioconvert ! {AUDIO[audio]} name=pay1 pt={8 if audio == 'pcma' else 97}"
    origin = context.spawn(name, [python, HELPER, str(port), "/live", f"( {video} {tone} )"])
    origin.wait_for(lambda: "ready" in origin.out(), 10, "it listens")
    return origin


@test(seconds_max=40, player=["ffmpeg", "gstreamer"])
def chosen_tracks_of_a_server(context, player):
    """`tracks: video` of a server with video and audio: only video is asked for, described and decoded."""
    origin = context.closing(Origin())
    weir = context.weir("relay", origin.url(), "--tracks", "video")
    url, original = weir.url("stream"), demo_hashes(context.cache)
    if player == "ffmpeg":
        check_run(ffmpeg_pictures(context, url, "udp", 60), original, 60, player)
    else:
        check_run(gst_pictures(context, url, "tcp", 60, 1280, 720), original, 60, player)
    setups = [event.url.rsplit("/", 1)[-1] for event in origin.asked("SETUP")]
    check(set(setups) == {"trackID=0"}, f"the server was asked to set up {setups}")
    reader = Reader(context.closing(ReaderLoop()), url)
    sdp = reader.describe().body.decode()
    check(sdp.count("m=") == 1 and "m=video" in sdp, f"described:\n{sdp}")


@test(seconds_max=40)
def chosen_tracks_of_a_server_that_has_none(context):
    """A server without what is wanted: readers are told what it has."""
    origin = context.closing(Origin())
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {origin.url()}\n    tracks: [opus, application]\n    source-wait: 2s\n")
    answer = Reader(context.closing(ReaderLoop()), weir.url("cam")).describe(expect=None, seconds=10)
    words = answer.body.decode()
    check(answer.status == 503 and "tracks: opus,application" in words and "0 video H.264, 1 audio AAC" in words, f"{answer.start}: {words}")


@test(seconds_max=40)
def wrong_tracks_are_refused(context):
    """A word that means nothing is an error with file, line and key."""
    file = context.write("wrong.yml", "paths:\n  cam:\n    source: publish\n    tracks: [video, adio]\n")
    code, _, err = context.run_weir("serve", "--config", file)
    check(code != 0 and "wrong.yml:4: paths.cam.tracks: `adio` is no kind" in err, f"{code}: {err}")
    code, _, err = context.run_weir("relay", "rtsp://127.0.0.1:1/x", "--tracks", "video,no-video")
    check(code == 64 and "--tracks: `video` is both wanted and left out" in err, f"{code}: {err}")


@test(seconds_max=40, way=["udp", "tcp"])
def chosen_tracks_of_a_publisher(context, way):
    """An encoder that sends all it has to a path that wants video alone is not refused; video alone is served."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="paths:\n  in:\n    source: publish\n    tracks: no-audio\n")
    publisher = start_publisher(context, clip.path, weir.url("in"), way)
    check_run(ffmpeg_pictures(context, weir.url("in"), "tcp", 60), clip.pictures, 60, "ffmpeg")
    check(publisher.running, "the encoder gave up")
    sdp = Reader(context.closing(ReaderLoop()), weir.url("in")).describe().body.decode()
    check("m=audio" not in sdp, f"described:\n{sdp}")


@test(seconds_max=60, way=["udp", "tcp"])
def other_audio_leaves_video_readers_alone(context, way):
    """A GStreamer server comes back with another audio codec: ffmpeg with video alone decodes on; one with audio ends, asks again, decodes."""
    # Without B frames, whose timestamps go back by themselves.
    clip, port = Numbered(context.cache, b_frames=0), free_port()
    origin = gst_origin(context, clip.path, port, "opus", "origin")
    weir = context.weir(
        "serve", config=f"paths:\n  cam:\n    source: rtsp://127.0.0.1:{port}/live\n    transport: tcp\n    silence: 3s\n")
    url = weir.url("cam")
    video = context.spawn("video-only", [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-y", "-allowed_media_types", "video", *rtsp_input(url, way),
        "-frames:v", "200", "-vsync", "passthrough", "-enc_time_base", "1:90000", "-c:v", "rawvideo", "-flush_packets", "1",
        "-f", "framemd5", "-"])
    both = start_ffmpeg(context, url, way, "-map", "0", "-f", "null", "-", name="both")
    loop = context.closing(ReaderLoop())
    flow = Reader(loop, url, way, keep=True)
    flow.describe()
    flow.setup(0)
    flow.play()
    video.wait_for(lambda: len(framemd5(video.out())) > 40, 20, "it decoded 40 pictures")
    wait_until(lambda: "Stream mapping" in both.text(), 10, "ffmpeg with both tracks plays")
    origin.kill()
    gst_origin(context, clip.path, port, "pcma", "origin-2")
    returned = time.monotonic()
    code = both.wait(20)
    check(code == 0, f"ffmpeg with the old audio ended with code {code}")
    check(time.monotonic() - returned < 15, "it was not told for a long time")
    check(video.wait(30) == 0, "ffmpeg with video alone failed")
    cut = pictures_cut(context, 1)
    if not cut:
        complain(video)
    rows = framemd5(video.out())
    foreign = [row for row in rows if row[5] not in set(clip.pictures)]
    check(len(rows) >= 200 - cut and len(foreign) <= cut, f"{len(rows)} pictures, {len(foreign)} of them not the origin's, {cut} cut")
    line = flow.flows[0]
    check(not flow.closed and len(line.ssrcs) == 1 and line.lost == cut and line.backward == 0,
          f"the reader of video saw SSRCs {line.ssrcs}, {line.lost} lost, {line.backward} times back; {cut} pictures were cut")
    again = start_ffmpeg(context, url, way, "-map", "0", "-t", "2", "-f", "null", "-", name="again")
    check(again.wait(20) == 0 and "pcm_alaw" in again.err(), "ffmpeg that asks again does not get the new audio")
    complain(again)


@test(seconds_max=40)
def a_stream_that_ends_says_goodbye(context):
    """When Weir stops, ffmpeg over UDP ends at once and cleanly instead of waiting for a timeout."""
    weir = context.weir("demo")
    player = start_ffmpeg(context, weir.url("demo"), "udp", "-map", "0", "-c", "copy", "-f", "null", "-")
    wait_until(lambda: "Stream mapping" in player.text(), 15, "ffmpeg plays")
    time.sleep(1)
    began = time.monotonic()
    weir.process.stop(10)
    check(player.wait(10) == 0, "ffmpeg did not end cleanly")
    check(time.monotonic() - began < 5, f"ffmpeg took {time.monotonic() - began:.1f} s to end")
