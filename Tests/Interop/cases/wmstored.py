"""Files on demand that the engine sends (decision 21): what a scripted player gets of them when he is slow, when he changes his mind, and when
the file ends under him."""
import json
import os
import shutil
import time

from cases.wmplayer import FAST, MODES, opened, player_of, same_packets
from harness.asffile import File
from harness.registry import check, test
from harness.windowsmedia import ASFClip


def packets_of(player):
    return [packet for entry in player.entries for packet in entry.packets]


@test(seconds_max=30, mode=MODES)
def wm_stored_file_for_the_slow(context, mode):
    """A player that takes nothing for two seconds, behind a small socket, is sent every packet all the same, whole and in order; so is one beside
    him, in time."""
    clip = ASFClip(context.cache, seconds=5)
    file = File(clip.path)
    weir = context.weir("relay", clip.path, "--as", "simple.wsx", "--json")
    slow, quick = player_of(context, weir, mode), player_of(context, weir, mode)
    for player in (slow, quick):
        opened(player)
        player.play(more=FAST if player is slow else ())
    slow.read(until=lambda event: event.kind == "D" and event.location == 3)
    began = time.monotonic()
    time.sleep(2)
    quick.read()
    took = time.monotonic() - began
    check(2 <= took <= 6, f"5 s at their own pace took {took:.1f} s")
    slow.read()
    for player in (slow, quick):
        same_packets(player.entries[0], file)
    # Where its reads would hold live media up, the engine reads none.
    weir.wait_for_status(
        lambda line: (line["engine"]["stored_reads"] > 0) == (line["backend"] == "io_uring"), 5, "the engine to have read the file")


@test(seconds_max=30, mode=MODES)
def wm_stored_file_ends_early(context, mode):
    """A file that is cut while it plays: whole packets as far as it goes, then `$E` with a failure; the connection and the server go on."""
    clip = ASFClip(context.cache, seconds=10)
    file = File(clip.path)
    path = os.path.join(context.folder, "cut.asf")
    shutil.copy(clip.path, path)
    weir = context.weir("relay", path, "--as", "simple.wsx", "--json")
    player = player_of(context, weir, mode)
    opened(player)
    player.play()
    player.read(until=lambda event: event.kind == "D" and event.location == 40)
    left = len(file.packets) // 2
    start = os.path.getsize(path) - len(file.packets) * file.header.packet_bytes
    check(left > 60, f"{len(file.packets)} packets are too few for this")
    os.truncate(path, max(start, 0) + left * file.header.packet_bytes + 100)
    try:
        player.read()
        reason = "none"
    except AssertionError as error:  # What the player says to an `$E` that is a failure.
        reason = str(error)
    check("0xc00d2ee6" in reason, f"the end: {reason}")
    numbers = [packet.location for packet in packets_of(player)]
    check(numbers == list(range(len(numbers))) and 41 <= len(numbers) <= left, f"packets up to {numbers[-1]} of {left}")
    strange = [packet.location for packet in packets_of(player) if packet.payload != file.packets[packet.location]]
    check(not strange, f"packets {strange[:3]} are not the file's")
    weir.process.wait_for(lambda: f"ends at packet {len(numbers)}; it had {len(file.packets)}" in weir.process.text(), 5, "the log says why")
    # What is left of it is served to who comes now.
    other = player_of(context, weir, mode)
    opened(other)
    other.play(more=FAST)
    other.read(until=lambda event: event.kind == "D" and event.location == 20)


@test(seconds_max=30, mode=MODES)
def wm_stored_files_beyond_the_engines_room(context, mode):
    """More files at a time than the engine has room for: who plays one too many has every packet by another way, and it is counted."""
    clip = ASFClip(context.cache)
    file = File(clip.path)
    config = "limits:\n  streams: 8\npaths:\n"
    for number in range(3):
        shutil.copy(clip.path, context.path(f"{number}.asf"))
        config += f"  simple{number}.wsx:\n    source: {context.path(f'{number}.asf')}\n"
    weir = context.weir("serve", "--json", config=config)
    players = [player_of(context, weir, mode, f"/simple{number}.wsx") for number in range(3)]
    for player in players:
        opened(player)
        player.play()
        player.read(until=lambda event: event.kind == "D" and event.location == 10)
    for player in players:
        player.read()
        same_packets(player.entries[0], file)
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, f"weir status ended with {code}: {err[-300:]}")
    overview = json.loads(out)
    refused = overview["causes"]["windows_media"]["stored_plays_refused"]
    check(refused == (overview["engine"]["backend"] == "io_uring"), f"{refused} plays are said to be too many")
    weir.check_alive()
