"""What paths can do, two at a time: fail-over, merge, jitter buffer, slate and transforms beside one another."""
import time

from cases.merge import Lossy
from cases.slate import check_lines, overview, readers, rows
from harness.clip import demo_hashes, framemd5
from harness.origin import Origin, Splice
from harness.players import check_run, complain, start_ffmpeg
from harness.process import free_port, wait_until
from harness.registry import check, test

# A program that hands every picture on as it is.
COPY = ("    transform:\n      video:\n        exec: ffmpeg -hide_banner -loglevel warning -protocol_whitelist file,udp,rtp -fpsprobesize 0 "
        "-fflags +genpts -i $INPUT_SDP -c:v copy -f rtp $OUTPUT_URL\n        gives: H264/90000 packetization-mode=1\n")


def serve(context, source, settings):
    return context.weir("serve", config=f"paths:\n  cam:\n    source: {source}\n    source-wait: 25s\n{settings}")


def slate_is_on(context, weir):
    return overview(context, weir)["slate"]["is_on"]


def decoded(player, more, seconds=20):
    least = len(rows(player)) + more
    player.wait_for(lambda: len(rows(player)) >= least, seconds, f"it decoded {more} pictures more")


def check_pictures(player, originals, foreign_max=0):
    foreign = [number for number, row in enumerate(rows(player)) if row[5] not in originals]
    check(len(foreign) <= foreign_max, lambda: f"{player.name}: pictures {foreign[:5]} of {len(rows(player))} are none of the source's")


@test(seconds_max=75)
def slate_until_a_backup_stands_in(context):
    """Primary and backup are both dead for 3 s: the slate stands there until the backup is back, and again until the primary takes over from it."""
    ports = [free_port(), free_port()]
    origins = [Origin(port=port, splice=Splice.random(number)) for number, port in enumerate(ports)]
    weir = serve(context, origins[0].url(), f"    backups: [{origins[1].url()}]\n    transport: tcp\n    silence: 2s\n    failback-after: never\n"
                                            "    slate: last-key-frame\n    slate-after: 300ms\n")
    players = readers(context, weir)
    for player in players:
        decoded(player, 50)
    for origin in origins:
        origin.close()
    wait_until(lambda: slate_is_on(context, weir), 5, "the slate to begin")
    time.sleep(3)
    check(slate_is_on(context, weir), "the slate ended without a source")
    origins[1] = Origin(port=ports[1], splice=Splice.random(5))
    wait_until(lambda: not slate_is_on(context, weir), 15, "the slate to end at the backup")
    decoded(players[0], 50)
    origins[0] = context.closing(Origin(port=ports[0], splice=Splice.random(6)))
    origins[1].close()
    wait_until(lambda: origins[0].playing, 15, "the primary plays again")
    for player in players:
        decoded(player, 50)
    seen = overview(context, weir)
    check(not seen["slate"]["is_on"] and seen["slate"]["times"] <= 2, f"status told {seen['slate']}")
    check([leg["is_feeding"] for leg in seen["legs"]] == [True, False], f"status told {seen['legs']}")
    check_lines(players)
    for player in players:
        check_pictures(player, set(demo_hashes(context.cache)))


@test(seconds_max=60)
def slate_is_not_shown_for_a_lost_packet(context):
    """A jitter buffer of 1500 ms behind a slate after 600 ms: gaps that are waited for are no outage, the source's death is one."""
    port = free_port()
    origin = Lossy(0, 0.0, 3, port=port)
    weir = serve(context, origin.url(), "    transport: udp\n    silence: 2s\n    jitter-buffer: 1500ms\n    slate: last-key-frame\n"
                                        "    slate-after: 600ms\n")
    player = start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-vsync", "passthrough", "-enc_time_base", "1:90000", "-c:v",
                          "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-")
    decoded(player, 50)
    check_pictures(player, set(demo_hashes(context.cache)))
    origin.loss = 0.03
    decoded(player, 250)
    check(origin.dropped > 5, f"{origin.dropped} packets were lost")
    seen = overview(context, weir)
    check(seen["slate"]["times"] == 0, f"{origin.dropped} packets were lost, and status told {seen['slate']}")
    origin.close()
    wait_until(lambda: slate_is_on(context, weir), 5, "the slate to begin")
    context.closing(Origin(port=port, splice=Splice.random(9)))
    wait_until(lambda: not slate_is_on(context, weir), 15, "the slate to end")
    before = len(rows(player))
    decoded(player, 50)
    originals = set(demo_hashes(context.cache))
    check(all(row[5] in originals for row in rows(player)[before + 2:]), "a picture behind the slate is none of the source's")


@test(seconds_max=60)
def merged_legs_through_a_program(context):
    """Two lossy legs, merged, through a program that copies: every picture comes out while each leg is cut in turn."""
    ports = [free_port(), free_port()]
    moment = time.monotonic()
    legs = [Lossy(number, 0.0, 5 + number, 0.02 * number, port=port, splice=Splice(ssrc=number * 0x1234)) for number, port in enumerate(ports)]
    for leg in legs:
        leg.start_at(moment)
    weir = serve(context, legs[0].url(), f"    backups: [{legs[1].url()}]\n    transport: udp\n    silence: 2s\n    merge: true\n"
                                         f"    merge-delay: 200ms\n{COPY}")
    player = start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-frames:v", "250", "-vsync", "passthrough", "-c:v", "rawvideo",
                          "-flush_packets", "1", "-f", "framemd5", "-")
    decoded(player, 50)
    # What one loses before the other plays is nobody's.
    wait_until(lambda: all(leg["is_feeding"] for leg in overview(context, weir)["legs"]), 10, "both legs play")
    for leg in legs:
        leg.loss = 0.1
    decoded(player, 25)
    for number in (0, 1):
        legs[1 - number].loss = 0.0
        time.sleep(0.3)
        legs[number].cut = True
        decoded(player, 25)
        legs[number].cut = False
        decoded(player, 10)
        legs[1 - number].loss = 0.1
    check(player.wait(40) == 0, "ffmpeg failed")
    complain(player)
    check_run([row[5] for row in framemd5(player.out())], demo_hashes(context.cache), 250, "ffmpeg")
    shown = overview(context, weir)
    check(shown["transforms"][0]["starts"] == 1, f"transforms: {shown['transforms']}")
    for leg in legs:
        context.closing(leg)


@test(seconds_max=75)
def slate_behind_a_program(context):
    """The source of a program is dead for 3 s: its readers see the last key frame that came out of it, then its pictures again."""
    port = free_port()
    origin = Origin(port=port, splice=Splice.random(1))
    weir = serve(context, origin.url(), f"    transport: tcp\n    silence: 2s\n    slate: last-key-frame\n    slate-after: 300ms\n{COPY}")
    players = readers(context, weir)
    for player in players:
        decoded(player, 50, 30)
    origin.close()
    wait_until(lambda: slate_is_on(context, weir), 5, "the slate to begin")
    time.sleep(3)
    check(slate_is_on(context, weir), "the slate ended without a source")
    context.closing(Origin(port=port, splice=Splice.random(2)))
    wait_until(lambda: not slate_is_on(context, weir), 20, "the slate to end")
    for player in players:
        decoded(player, 75)
    originals = set(demo_hashes(context.cache))
    for player in players:
        check_pictures(player, originals)
        # Reports begin a second after the program, and FFmpeg follows the first of them.
        stamps = [row[2] for row in rows(player)][45:]
        check(all(b > a for a, b in zip(stamps, stamps[1:])), f"{player.name}: a time stamp did not grow")
        slow = sum((b[2] - a[2]) / 90 > 400 for a, b in zip(rows(player), rows(player)[1:]))
        check(slow >= 5, f"{player.name}: {slow} repetitions in 3 s")
