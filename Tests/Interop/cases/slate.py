"""What readers see while a source is away: its last key frame again, or a clip, without a complaint of their decoders."""
import json
import re
import time

from harness.clip import Numbered, cached, demo_hashes, demo_path, ffmpeg, framemd5
from harness.origin import Origin, Splice
from harness.players import rtsp_input, start_publisher
from harness.process import free_port, wait_until
from harness.registry import check, test

from .status import pictures_cut

KEY_EVERY = 25
COMPLAINTS_OF_A_CUT_MAX = 8
# What ffmpeg says at its level `warning` that concerns neither decoder nor media: it is told to make up time stamps, found no rate, or tries
# the next port.
HARMLESS = ("deprecated", "Guessed Channel Layout", "not enough frames to estimate rate", "Could not find codec parameters",
            "Consider increasing the value", "framemd5 @", "bind failed: Address already in use")


def readers(context, weir, transports=("udp", "tcp", "tcp")):
    """Three ffmpeg that decode until they are stopped."""
    return [context.spawn(f"ffmpeg-{number}-{transport}", [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-y",
        *rtsp_input(weir.url("cam"), transport), "-map", "0:v", "-autoscale", "0", "-vsync", "passthrough", "-enc_time_base", "1:90000", "-c:v", "rawvideo",
        "-flush_packets", "1", "-f", "framemd5", "-"]) for number, transport in enumerate(transports)]


def rows(process):
    return framemd5(process.out())


def complaints(process):
    """What ffmpeg warned of, but for what is no matter of decoding. (The writer of sums dislikes the first time stamps of reordered
    pictures, which are below 0; the others are looked at in check_lines.)"""
    return [line for line in process.err().splitlines() if line.strip() and not any(word in line for word in HARMLESS)]


def overview(context, weir):
    code, out, _ = context.run_weir("status", weir.port, "--json", name="status")
    check(code == 0, f"weir status ended with {code}")
    return next(path for path in json.loads(out)["paths"] if path["name"] == "cam")


def gap(context, weir, players, kill, restore, seconds):
    """Kills the source for so long; what status told of the slate just before it came back."""
    for player in players:
        player.wait_for(lambda player=player: len(rows(player)) > 60, 25, "it decoded 60 pictures")
    kill()
    wait_until(lambda: overview(context, weir).get("slate", {}).get("is_on"), 5, "the slate to begin")
    time.sleep(seconds)
    seen = overview(context, weir)
    restore()
    wait_until(lambda: not overview(context, weir)["slate"]["is_on"], 15, "the slate to end")
    for player in players:
        count = len(rows(player))
        player.wait_for(lambda player=player, count=count: len(rows(player)) > count + 100, 25, "it decoded 100 pictures more")
    return seen


def check_lines(players, cut=0):
    """All still decode, time goes forward, and none has complained, but for a few lines about each picture that the source died in."""
    for player in players:
        check(player.running, f"{player.name} ended")
        told = complaints(player)
        check(len(told) <= COMPLAINTS_OF_A_CUT_MAX * cut, lambda: f"{player.name} complained {len(told)} times: {told[0]}")
        stamps = [row[2] for row in rows(player)][5:]
        check(all(b > a for a, b in zip(stamps, stamps[1:])), f"{player.name}: a time stamp did not grow")


def check_repeated(players, originals, seconds, every_milliseconds=500, cut=0):
    """Nothing but the source's pictures (and so many that it died in); in the gap one of them, again and again at the slate's rate. Answers with
    its hashes."""
    repeated = set()
    for player in players:
        all_rows = rows(player)
        foreign = [number for number, row in enumerate(all_rows) if row[5] not in originals]
        check(len(foreign) <= cut, lambda: f"{player.name}: picture {foreign[0]} of {len(all_rows)} is none of the source's")
        # The slate's timer may go off late; the source's pictures are 40 ms apart.
        slow = [number for number, (a, b) in enumerate(zip(all_rows, all_rows[1:]), 1)
                if (b[2] - a[2]) / 90 > every_milliseconds / 2]
        check(len(slow) >= seconds * 1000 / every_milliseconds - 2, f"{player.name}: {len(slow)} pictures in {seconds} s of the gap")
        check(slow == list(range(slow[0], slow[-1] + 1)), f"{player.name}: other pictures came between those of the slate")
        # The last of them may be the source's first again, if it comes when the slate's next was nearly due.
        shown = {all_rows[number][5] for number in slow[:-1]}
        check(all(slow[0] - 4 <= number < slow[0] for number in foreign),
              f"{player.name}: pictures {foreign} are none of the source's; the gap is at {slow[0]}")
        check(len(shown) == 1, f"{player.name}: {len(shown)} different pictures in the gap")
        check(len(all_rows) > slow[-1] + 30, f"{player.name}: {len(all_rows) - slow[-1]} pictures after the gap")
        longest = max((b[2] - a[2]) / 90 for a, b in zip(all_rows, all_rows[1:]))
        check(longest < 1500, f"{player.name}: nothing to see for {longest:.0f} ms")
        repeated |= shown
    return repeated


@test(seconds_max=75, codec=["h264", "h265"])
def last_key_frame_fills_the_gap(context, codec):
    """A publisher is killed for 4 s: three ffmpeg go on decoding its last key frame, then its pictures again, without a complaint."""
    if codec == "h264":
        clip = Numbered(context.cache)
        file, pictures = clip.path, clip.pictures
    else:
        file = cached(context.cache, "slate-h265.mp4", lambda path: ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=20", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
            f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:bframes=2:log-level=1", "-pix_fmt", "yuv420p", "-tag:v", "hvc1", path))
        pictures = [row[5] for row in framemd5(ffmpeg("-i", file, "-map", "0:v", "-c:v", "rawvideo", "-f", "framemd5", "-").decode())]
    weir = context.weir("serve", config="paths:\n  cam:\n    source: publish\n    slate: last-key-frame\n    publisher-wait: 30s\n")
    publisher = [start_publisher(context, file, weir.url("cam"), "tcp")]
    weir.process.wait_for(lambda: "publisher" in weir.log(), 10, "the publisher came")
    players = readers(context, weir)

    def restore():
        publisher[0] = start_publisher(context, file, weir.url("cam"), "tcp", name="publisher-again")
    seen = gap(context, weir, players, publisher[0].kill, restore, 4)
    check(seen["slate"]["kind"] == "last-key-frame" and seen["slate"]["since_seconds"] >= 4, f"status told {seen['slate']}")
    check(seen["slate"]["frames"] >= 8, f"status told {seen['slate']}")
    cut = pictures_cut(context, 1)
    check_lines(players, cut)
    repeated = check_repeated(players, set(pictures), 4, cut=cut)
    check(len(repeated) == 1, f"{len(repeated)} different pictures stood in the gap")
    where = pictures.index(repeated.pop())
    check(where % KEY_EVERY == 0, f"picture {where} stood in the gap, which is no key frame")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=75, way=["udp", "tcp"])
def origin_away_with_slate(context, way):
    """An origin is killed for 4 s and returns with other SSRC, sequence and time: players see its last key frame meanwhile."""
    port = free_port()
    origin = [Origin(port=port, splice=Splice.random(1))]
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {origin[0].url()}\n    transport: {way}\n"
                                        "    slate: last-key-frame\n    slate-after: 800ms\n    silence: 3s\n")
    players = readers(context, weir)

    def restore():
        origin[0] = context.closing(Origin(port=port, splice=Splice.random(2)))
    seen = gap(context, weir, players, lambda: origin[0].close(), restore, 4)
    check_lines(players)
    check_repeated(players, set(demo_hashes(context.cache)), 4)
    check(seen["slate"]["is_on"], f"status told {seen['slate']}")


@test(seconds_max=75)
def clip_fills_the_gap(context):
    """A clip of another size and other parameter sets plays while the publisher is away; its own pictures follow."""
    clip = Numbered(context.cache)
    pictures = set(clip.pictures)
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: publish\n    slate: {demo_path('rtpdump')}\n    publisher-wait: 30s\n")
    publisher = [start_publisher(context, clip.path, weir.url("cam"), "tcp")]
    weir.process.wait_for(lambda: "publisher" in weir.log(), 10, "the publisher came")
    players = readers(context, weir)

    def restore():
        publisher[0] = start_publisher(context, clip.path, weir.url("cam"), "tcp", name="publisher-again")
    gap(context, weir, players, publisher[0].kill, restore, 4)
    away = set(demo_hashes(context.cache))
    cut = pictures_cut(context, 1)
    check_lines(players, cut)
    for player in players:
        kinds = "".join("p" if row[5] in pictures else "a" if row[5] in away else "?" for row in rows(player))
        # The two may share no picture; each part stands once, whole. Behind one that was cut, those may be shown that came before it.
        check(re.fullmatch(rf"p{{60,}}(?:\?p{{0,2}}){{0,{cut}}}a{{80,}}p{{30,}}", kinds), lambda: f"{player.name} showed {kinds}")


@test(seconds_max=40)
def clip_that_does_not_fit_is_refused(context):
    """A slate that cannot be opened ends the start with words; one of another codec is said in status and in the log."""
    code, _, err = context.run_weir("serve", "--check", "--config", context.write(
        "bad.yml", "paths:\n  cam:\n    source: publish\n    slate: nowhere.rtpdump\n"), name="weir-check")
    check(code != 0 and "nowhere.rtpdump" in err, f"code {code}: {err}")
