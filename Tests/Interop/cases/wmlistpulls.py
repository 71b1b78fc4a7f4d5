"""Entries of playlists that are elsewhere: pulled for the reader, or had of the path that pulls them."""
import json

from harness.asffile import Objects, Packet
from harness.process import wait_until
from harness.registry import check, test
from harness.windowsmedia import check_whole, play
from .wmplayer import MODES, kinds, opened, player_of, same_packets
from .wmplaylists import Episode


def objects_of(packets):
    objects = Objects()
    for packet in packets:
        objects.take(packet)
    check(objects.broken == 0, f"{objects.broken} objects are broken")
    return [(stream, key, data) for stream, _, key, data in objects.whole]


def status(context, weir):
    return json.loads(context.run_weir("status", str(weir.port), "--json", name="status")[1])


@test(seconds_max=45, mode=MODES)
def wm_playlist_pulls_an_entry(context, mode):
    """A file that another server plays on demand, whole, between two files; each object of it, and the next entry at its end."""
    episodes = [Episode(context.cache, number, 3) for number in range(3)]
    origin = context.weir("relay", episodes[1].path, "--as", "clip")
    media = (f'<media src="{episodes[0].path}"/><media src="mmsh://{origin.host}:{origin.port}/clip" mediaName="far"/>'
             f'<media src="{episodes[2].path}"/>')
    weir = context.weir("relay", context.write("list.wsx", f"<smil>{media}</smil>"), "--as", "simple.wsx")
    player = player_of(context, weir, mode)
    opened(player)
    player.play()
    events = player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2)
    if player.pipelined:
        player.next_entry(player.whole(player.entries[-1].header))
    else:
        player.select(player.whole(player.entries[-1].header))
    events = player.read(until=lambda event: event.kind == "H" and len(player.entries) == 3)
    if player.pipelined:
        player.next_entry(player.whole(player.entries[-1].header))
    player.read()
    first, far, last = player.entries
    same_packets(first, episodes[0].file)
    check(far.header.is_broadcast and "seekable" not in far.metadata.features, f"{far.metadata.features}")
    check(far.metadata.values.get("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL") == "far", f"{far.metadata.values}")
    check([packet.location for packet in far.packets] == list(range(len(episodes[1].file.packets))), "packets are missing")
    expected = objects_of([Packet(raw, episodes[1].file.header) for raw in episodes[1].file.packets])
    got = objects_of([packet.asf for packet in far.packets])
    check(got == expected, f"{len(got)} objects came, of {len(expected)}; the same: {sum(a == b for a, b in zip(got, expected))}")
    same_packets(last, episodes[2].file)
    weir.check_alive()
    origin.check_alive()


@test(seconds_max=45)
def wm_playlist_pulls_for_old_players(context):
    """ffmpeg plays a file here, one elsewhere, and one here as one programme, every picture in order."""
    episodes = [Episode(context.cache, number, 3) for number in range(3)]
    origin = context.weir("relay", episodes[1].path, "--as", "clip")
    media = "".join(f'<media src="{source}"/>' for source in (
        episodes[0].path, f"mms://{origin.host}:{origin.port}/clip", episodes[2].path))
    weir = context.weir("relay", context.write("list.wsx", f"<smil>{media}</smil>"), "--as", "list")
    seen = play(context, "ffmpeg", f"mmsh://{weir.host}:{weir.port}/list", seconds=30.0)
    check_whole(seen, [picture for episode in episodes for picture in episode.pictures], "ffmpeg")
    weir.check_alive()


@test(seconds_max=45)
def wm_playlist_takes_the_path_that_pulls(context):
    """A URL that a path pulls already is had of that path; one that nobody answers is passed over; a list that pulls itself, too."""
    episode = Episode(context.cache, 0, 2)
    origin = context.weir("serve", config=f"paths:\n  cam:\n    source: {episode.path}\n    broadcast: true\n")
    url = f"mmsh://{origin.host}:{origin.port}/cam"
    port = origin.port
    source = context.path("list.wsx")
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {url}\n  list:\n    source: {source}\n    source-wait: 2s\n")
    context.write("list.wsx", f'<smil><media src="http://127.0.0.1:9/none"/><media src="mmsh://{weir.host}:{weir.port}/list"/>'
                  f'<media src="mms://{origin.host}:{port}/cam" dur="4s"/><media src="{episode.path}"/></smil>')
    player = player_of(context, weir, "plain", path="/list", seconds=25.0)
    opened(player)
    player.play()
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == 5)
    state = {path["name"]: path for path in status(context, weir)["paths"]}
    check(state["list"]["playlist"]["pulls"] == 0, f"{state['list']['playlist']}")
    passed = {one["name"]: one["reason"] for one in state["list"]["playlist"]["passed_over"]}
    check(len(passed) == 2, f"{passed}")
    check(state["cam"]["readers"] == 1, f"{state['cam']}")
    events = player.read()
    check(kinds(events)[-5:] == ["M", "H", "D", "$E(0)", "body-end"], lambda: f"{kinds(events)}")
    same_packets(player.entries[-1], episode.file)
    weir.check_alive()


@test(seconds_max=30, leaves=["while it plays", "before its turn"])
def wm_playlist_lets_go_of_what_it_pulls(context, leaves):
    """A player that goes leaves no connection to the server that its entry was pulled from."""
    here, there = Episode(context.cache, 0, 6), Episode(context.cache, 1, 6)
    origin = context.weir("relay", there.path, "--as", "clip")
    url = f"mmsh://{origin.host}:{origin.port}/clip"
    media = [f'<media src="{url}"/>'] if leaves == "while it plays" else [f'<media src="{here.path}"/>', f'<media src="{url}"/>']
    weir = context.weir("relay", context.write("list.wsx", f"<smil>{''.join(media)}</smil>"), "--as", "list")
    player = player_of(context, weir, "plain", path="/list")
    opened(player)
    player.play()
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) == 5)

    def pulled():
        return status(context, origin)["paths"][0]["readers"], status(context, weir)["paths"][0]["playlist"]["pulls"]
    wait_until(lambda: pulled() == (1, 1), 8, "the entry is pulled")
    player.close()
    wait_until(lambda: pulled()[0] == 0, 8, "nobody reads from the origin")
    check(pulled()[1] == 0, f"{pulled()}")
    weir.check_alive()
