"""ASF files as ffmpeg and GStreamer write them, against what ffprobe says of them."""
import json
import os
import struct
import subprocess

from harness.registry import check, test

SOURCES = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=8", "-f", "lavfi", "-i", "sine=440:d=8"]


def make(context, name, *arguments, into_pipe=False):
    """Runs ffmpeg; with into_pipe it cannot go back and fill in what it learnt."""
    path = context.path(name)
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *arguments, *(["-f", "asf", "-"] if into_pipe else [path])]
    with open(path if into_pipe else os.devnull, "wb") as out:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=30)
    return path


def probe(context, path):
    code, out, err = context.run_weir("probe", path, "--json")
    check(code == 0 and len(out.splitlines()) == 1, f"weir probe {path} ended with {code}: {err[-300:]}")
    return json.loads(out)


def ffprobe(path):
    """Streams, and for each the times of its key frames and the count of its packets."""
    out = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-show_entries",
                          "stream=index,codec_type,codec_name,width,height,sample_rate,channels:packet=stream_index,pts_time,flags", path],
                         stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30).stdout
    found = json.loads(out)
    for stream in found["streams"]:
        packets = [packet for packet in found["packets"] if packet["stream_index"] == stream["index"]]
        stream["times"] = [float(packet["pts_time"]) for packet in packets]
        stream["keys"] = [float(packet["pts_time"]) for packet in packets if "K" in packet["flags"]]
    return found["streams"]


def compare(path, weir):
    """Streams, objects, key frames and length are the same."""
    expected = ffprobe(path)
    check(len(weir["streams"]) == len(expected), f"{len(weir['streams'])} streams where ffprobe finds {len(expected)}")
    for mine, other in zip(weir["streams"], expected):
        check(mine["kind"] == other["codec_type"], f"stream {mine['number']} is {mine['kind']}, not {other['codec_type']}")
        check(mine["objects"] == len(other["times"]), f"stream {mine['number']}: {mine['objects']} objects, not {len(other['times'])}")
        check(abs(mine["first_s"] - min(other["times"])) < 0.002, f"it begins at {mine['first_s']}, not {min(other['times'])}")
        check(abs(mine["last_s"] - max(other["times"])) < 0.002, f"it ends at {mine['last_s']}, not {max(other['times'])}")
        if mine["kind"] == "video":
            check((mine["width"], mine["height"]) == (other["width"], other["height"]), "the picture has another size")
            check(mine["key_frames"] == len(other["keys"]) >= 4, f"{mine['key_frames']} key frames, not {len(other['keys'])}")
            check(all(abs(a - b) < 0.002 for a, b in zip(mine["key_frame_times_s"], other["keys"])),
                  f"key frames at {mine['key_frame_times_s']}, not {other['keys']}")
        else:
            check((mine["sample_rate"], mine["channels"]) == (int(other["sample_rate"]), other["channels"]), "another sound")
    check(weir["walk"]["broken"] == 0 and weir["walk"]["unknown_payloads"] == 0 and not weir["flaws"], f"flaws: {weir['walk']} {weir['flaws']}")


@test(seconds_max=60)
def probe_reads_what_others_write(context):
    """weir probe over files of ffmpeg and GStreamer: streams, objects, key frames, length and index are what ffprobe and the header say."""
    both = ["-c:v", "wmv2", "-b:v", "400k", "-g", "25", "-c:a", "wmav2", "-metadata", "title=Probe me"]
    files = {
        "plain.wmv": make(context, "plain.wmv", *SOURCES, *both),
        "small.asf": make(context, "small.asf", *SOURCES, *both, "-packet_size", "800"),
        "many.asf": make(context, "many.asf", *SOURCES, "-map", "0", "-map", "0", "-map", "1", "-c:v:0", "msmpeg4", "-c:v:1", "wmv1",
                         "-b:v:0", "500k", "-b:v:1", "100k", "-g", "20", "-c:a", "wmav1"),
        "sound.wma": make(context, "sound.wma", *SOURCES[4:], "-c:a", "wmav2"),
        "piped.asf": make(context, "piped.asf", *SOURCES, *both, into_pipe=True),
    }
    muxed = context.path("gst.asf")
    subprocess.run(["gst-launch-1.0", "-q", "asfmux", "name=m", "!", "filesink", f"location={muxed}",
                    "videotestsrc", "num-buffers=200", "!", "video/x-raw,width=320,height=240,framerate=25/1", "!", "avenc_wmv2",
                    "gop-size=25", "!", "queue", "!", "m.", "audiotestsrc", "num-buffers=300", "!", "avenc_wmav2", "!", "queue", "!", "m."],
                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30)
    for name, path in files.items():
        weir = probe(context, path)
        try:
            compare(path, weir)
            check(not weir["file"]["cut_off"] and not weir["index"]["flaws"], f"{weir['file']} {weir['index']}")
            if name != "piped.asf":  # whose header knows nothing, not even where the packets end
                check(weir["file"]["packets"] == weir["file"]["packets_declared"], f"{weir['file']}")
                check(abs(weir["duration"] - weir["file"]["duration_declared"]) < 0.2, f"{weir['duration']} s, not {weir['file']}")
                check(weir["file"]["trailing_bytes"] == 0, f"{weir['file']}")
            if name != "many.asf":  # ffmpeg writes one index over the key frames of all streams
                check(weir["index"]["wrong"] == 0, f"{weir['index']}")
        except AssertionError as error:
            raise type(error)(f"{name}: {error}") from None
    # GStreamer's times begin a thousand hours late, and its last packet claims more padding than it has room for (ffprobe loses that picture
    # too): only what is whole is compared.
    weir = probe(context, muxed)
    check(sorted(stream["codec"] for stream in weir["streams"]) == ["WMA2", "WMV2"], f"{weir['streams']}")
    check(weir["file"]["packets"] == weir["file"]["packets_declared"], f"{weir['file']}")
    last = f"packet {weir['file']['packets'] - 1}: "
    check(weir["walk"]["broken"] == 0 or weir["walk"]["broken"] == 1 and weir["walk"]["first_flaw"].startswith(last), f"{weir['walk']}")
    weir = probe(context, files["plain.wmv"])
    check(weir["title"] == "Probe me" and weir["streams"][0]["codec"] == "WMV2" and weir["streams"][1]["codec"] == "WMA2", f"{weir}")
    check(weir["index"]["state"] == "simple" and weir["index"]["entries"] >= 7, f"{weir['index']}")
    code, out, _ = context.run_weir("probe", files["plain.wmv"])
    check(code == 0 and "WMV2, 320x240" in out and "Probe me" in out and "index: simple" in out, out)


@test(seconds_max=40)
def probe_tells_what_is_broken(context):
    """A cut file, one whose index lies, one with packets overwritten, and what is no ASF: weir probe says what is wrong, and where."""
    path = make(context, "clip.wmv", *SOURCES, "-c:v", "wmv2", "-b:v", "400k", "-g", "25", "-c:a", "wmav2")
    whole = open(path, "rb").read()
    good = probe(context, path)

    def broken(name, data):
        with open(context.path(name), "wb") as file:
            file.write(data)
        return context.path(name)

    cut = probe(context, broken("cut.wmv", whole[:200_000]))
    check(cut["file"]["cut_off"] and cut["index"]["state"] == "none" and cut["walk"]["broken"] == 0, f"{cut['file']}")
    check(0 < cut["file"]["packets"] < cut["file"]["packets_declared"] and cut["file"]["trailing_bytes"] > 0, f"{cut['file']}")

    place = whole.rindex(bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"))
    lying = probe(context, broken("lying.wmv", whole[:place + 56] + struct.pack("<IH", 1 << 30, 1) + whole[place + 62:]))
    check(lying["index"]["state"] == "broken" and "packet 1073741824" in lying["index"]["flaws"][0], f"{lying['index']}")
    check(lying["streams"] == good["streams"], "a broken index changed the streams")

    start, size = good["file"]["header_bytes"], good["file"]["packet_bytes"]
    noisy = probe(context, broken("noisy.wmv", whole[:start + 7 * size] + b"\xff" * size + whole[start + 8 * size:]))
    check(noisy["walk"]["broken"] == 1 and noisy["walk"]["first_flaw"].startswith("packet 7: "), f"{noisy['walk']}")

    for name, data, word in (("empty.wmv", b"", "0 of the 24"), ("text.wmv", b"hello " * 20, "not ASF"), ("head.wmv", whole[:300], "bytes it needs"),
                             ("liar.wmv", whole[:16] + b"\xff" * 8 + whole[24:], "longer than")):
        code, out, err = context.run_weir("probe", broken(name, data))
        check(code not in (0, -4, -5, -6, -11) and word in err and not out, f"{name}: code {code}, {err[-200:]!r}")
