"""The test of Examples/embedded-relay: ffmpeg publishes and reads, and what is decoded is compared with what went in."""
import os
import struct
import subprocess
import tempfile
import time

from example_programs import SECONDS, Failed, Program, expect, usage

RELAY = """listen: 127.0.0.1:0
engine:
  workers: 1
paths:
  studio:
    source: publish
    transform:
      pcmu: { use: linear }
  tone:
    source: tone://440
  brittle:
    source: tone://307
    transform:
      audio: { use: brittle }
  unfit:
    source: tone://440
    source-wait: 3s
    transform:
      audio: { use: linear }
"""


def ffmpeg(*arguments, seconds=40):
    """Runs ffmpeg to its end; its output."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", *arguments], capture_output=True, timeout=seconds)
    expect(result.returncode == 0, f"ffmpeg {' '.join(arguments[-3:])}: {result.stderr.decode()[-300:]}")
    return result.stdout


def pictures(text):
    """The hashes of framemd5."""
    return [line.split(",")[-1].strip() for line in text.splitlines() if line and not line.startswith("#")]


def within(part, whole):
    return any(whole[start:start + len(part)] == part for start in range(len(whole) - len(part) + 1))


def sawtooth(samples, hertz):
    """The longest run of samples that a sawtooth of so many hertz explains."""
    length = longest = 0
    step = hertz * 8
    for before, after in zip(samples, samples[1:]):
        length = length + 1 if (after - before - step) % 64_000 == 0 else 0
        longest = max(longest, length)
    return longest


def linear_samples(data):
    return struct.unpack(f"<{len(data) // 2}h", data[:len(data) // 2 * 2])


def embedded_relay(programs):
    program = os.path.join(programs, "embedded-relay")
    usage(program, ["--help"], 0, "usage: embedded-relay CONFIG")
    usage(program, [], 1, "one argument is needed")
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "weir.yml")

        def write(text):
            with open(file, "w") as new:
                new.write(text)

        write(RELAY.replace("linear }", "liner }", 1))
        usage(program, [file], 1, "weir.yml:8: paths.studio.transform.pcmu.use: `liner` names no transform; did you mean `linear`?")
        write(RELAY.replace("tone://307", "bell://300"))
        usage(program, [file], 1, "weir.yml:12: paths.brittle.source: a source of the kind `bell://` is not built; write a URL with tone")
        write(RELAY)
        clip = os.path.join(folder, "clip.mov")
        ffmpeg(
            "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=10", "-f", "lavfi", "-i",
            "sine=frequency=700:sample_rate=8000:duration=10", "-c:v", "libx264", "-g", "12", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a",
            "pcm_mulaw", "-ac", "1", clip)
        origin = pictures(ffmpeg("-i", clip, "-map", "0:v", "-f", "framemd5", "-").decode())
        sound = ffmpeg("-i", clip, "-map", "0:a", "-f", "s16le", "-")
        with Program([program, file]) as running:
            port = int(running.line(r"listening on 127.0.0.1:(\d+)").group(1))
            base = f"rtsp://127.0.0.1:{port}"
            publisher = subprocess.Popen(
                ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "rtsp",
                 "-rtsp_transport", "tcp", f"{base}/studio"], stdin=subprocess.DEVNULL)
            try:
                deadline = time.monotonic() + SECONDS
                heard, seen = os.path.join(folder, "heard"), os.path.join(folder, "seen")
                while True:
                    try:
                        ffmpeg("-rtsp_transport", "tcp", "-i", f"{base}/studio", "-map", "0:a", "-t", "4", "-c:a", "pcm_s16le", "-f",
                               "s16le", "-y", heard, "-map", "0:v", "-t", "4", "-f", "framemd5", "-y", seen)
                        break
                    except Failed:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.5)
                with open(heard, "rb") as data, open(seen) as text:
                    samples, hashes = data.read(), pictures(text.read())
                # Its last packet may be cut by -t; the clip is played again and again.
                expect(len(samples) >= 2 * 8_000 * 3 and samples in sound * 3, f"{len(samples)} bytes of sound are not the clip's")
                running.line(r"^studio: the relay lost 0.0 %$")
                expect(len(hashes) >= 70 and within(hashes, origin * 2), f"{len(hashes)} pictures are not the clip's")
            finally:
                publisher.kill()
                publisher.wait()
            for transport in ("tcp", "udp"):
                heard = ffmpeg("-rtsp_transport", transport, "-i", f"{base}/tone", "-t", "2", "-c:a", "pcm_s16le", "-f", "s16le", "-")
                run = sawtooth(linear_samples(heard), 440)
                expect(run >= 15_000, f"{transport}: {run} samples of the source's sawtooth in a row")
            heard = linear_samples(ffmpeg(
                "-rtsp_transport", "tcp", "-i", f"{base}/brittle", "-t", "5", "-c:a", "pcm_s16le", "-f", "s16le", "-"))
            # A hundred packets of 160 samples at a time, and the reader stays over what breaks between them.
            run = sawtooth(heard, 307)
            # The tone begins again every second: where a start came just one second after the end, two of them are one row.
            expect(14_000 <= run <= 16_000 or 30_000 <= run <= 32_000, f"{run} samples of the brittle transform in a row")
            expect(len(heard) >= 28_000, f"{len(heard)} samples over three runs")
            running.line(r"^brittle: brittle: [3-9] starts, [2-9] failures, it threw: broken after 100 packets")
            try:
                ffmpeg("-rtsp_transport", "tcp", "-i", f"{base}/unfit", "-t", "1", "-f", "null", "-")
            except Failed as refusal:
                expect("503" in str(refusal), f"{refusal}")
            else:
                raise Failed("what cannot be is served")
            running.line(r"^unfit: linear: \d starts, \d failures, it threw: L16 is not mu-law")
            running.end()
            running.line("^ended, 0 leaks$")
    return "a published clip, two sources and two transforms of its own; pictures and samples as they were made"
