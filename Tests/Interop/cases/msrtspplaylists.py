"""Playlists over RTSP: EndOfStream and Announce, predicted and not, skips, lags; and spliced for those who know none."""
import time

from harness.msrtsp import ffmpeg_play, gst_play, play, same_units, short_of
from harness.msrtspplayer import Player
from harness.msrtspwire import FEATURES
from harness.registry import check, test
from .msrtspplayer import FAST, TRANSPORTS
from .wmplaylists import Episode, three, wsx


def player_of(context, weir, transport, path="/simple.wsx", **options):
    return context.closing(Player(weir.host, weir.port, path, transport=transport, **options))


def told(player, number, entry=-1):
    values = player.entries[entry].description.values
    check(values.get("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL") == f"entry {number}", f"entry {number}: the description says {values}")
    check("playlist" in player.entries[entry].description.features, f"a=type is {player.entries[entry].description.features}")


@test(seconds_max=50, transport=TRANSPORTS)
def msrtsp_playlist_predicted(context, transport):
    """An entry behind the other: EndOfStream, Announce with X-RTP-Info, packets at once in the same RTP session, the log, the player's Play."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, transport)
    player.describe()
    check(FEATURES + "predstrm" in player.features, f"{player.features}")
    told(player, 0)
    player.set_up()
    player.play(accelerate=FAST)
    for number, episode in enumerate(episodes):
        end = player.read_to_end(entry=number)
        same_units(player.entries[number].units, episode.file)
        if number == len(episodes) - 1:
            check(end.reason is None, f"the last EndOfStream says {end.fields}")
            break
        check(end.is_entry, f"EndOfStream of entry {number} says {end.fields}")
        player.wait(lambda: len(player.entries) == number + 2, 3, "Announce")
        entry = player.entries[-1]
        check(entry.predicted is not None and not entry.receding, "Announce predicts nothing")
        told(player, number + 1)
        check(entry.description.header.raw == episodes[number + 1].file.header.raw, "the header is not the next file's")
        # Without a word from the player.
        player.wait(lambda: entry.units, 3, "packets of the next entry")
        player.log_play()
        player.play(kept=sorted(player.tracks))
    player.log_play()
    player.teardown()
    check(len({entry.generation for entry in player.entries}) == 3, "two entries have one X-Playlist-Gen-Id")
    check(len({line.ssrc for line in player.lines.values() if line.received}) <= 2, "too many RTP sessions")
    weir.check_alive()


@test(seconds_max=50)
def msrtsp_playlist_seeks_back(context):
    """After an Announce the player goes back into the entry before, by its number: EndOfStream at once, then that entry."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, "tcp")
    player.describe()
    player.set_up()
    player.play(accelerate=FAST)
    player.read_to_end(entry=0)
    player.wait(lambda: len(player.entries) == 2 and player.units, 5, "the next entry")
    old = player.entries[0].generation
    player.play(kept=sorted(player.tracks))
    answer = player.play(1.0, seek=old, status=None)
    check(answer.status in (200, 400, 412), f"a Play in the old entry: {answer}")
    if answer.status == 200:
        player.wait(lambda: player.entries[1].ended or len(player.units) > 20, 5, "what comes of it")
    player.teardown()
    weir.check_alive()


@test(seconds_max=60, player=["ffmpeg-udp", "ffmpeg-tcp", "gstreamer-tcp", "mplayer-tcp"])
def msrtsp_playlist_spliced(context, player):
    """Those who know no Announce see the entries as one programme."""
    episodes = [Episode(context.cache, number) for number in range(3)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "list")
    whole = [picture for episode in episodes for picture in episode.pictures]
    name, transport = player.split("-")
    if name == "ffmpeg":
        seen = ffmpeg_play(context, weir.url("list"), transport)
    elif name == "mplayer":
        seen = play(context, "mplayer", weir.url("list"), transport)
        check(len(seen) >= len(whole) - short_of("mplayer"), f"{len(seen)} pictures of {len(whole)}")
        whole = whole[:len(seen)]
    else:
        seen = gst_play(context, weir.url("list"), transport, frames=len(whole))
    check(seen == whole, f"{len(seen)} pictures came, the entries have {len(whole)}; the first other one is number "
          f"{next((n for n, (one, other) in enumerate(zip(seen, whole)) if one != other), None)}")


@test(seconds_max=50, transport=TRANSPORTS)
def msrtsp_playlist_broadcast(context, transport):
    """A broadcast list: a new header is announced to all who play, by RTSP and by HTTP."""
    episodes = three(context, seconds=4)
    source = wsx(context, episodes, wrap='repeatCount="indefinite"')
    weir = context.weir("serve", config=f"paths:\n  simple.wsx:\n    source: {source}\n    broadcast: true\n")
    player = player_of(context, weir, transport)
    player.describe()
    check(player.description.is_broadcast and "playlist" in player.description.features, f"{player.description.features}")
    player.set_up()
    player.play()
    player.read_units(5)
    for number in range(2):
        player.wait(lambda: len(player.entries) == number + 2, 12, "Announce")
        check(player.entries[number].ended.is_entry, f"EndOfStream says {player.entries[number].ended.fields}")
        if player.entries[-1].predicted is None:
            player.drop_old()
            player.set_up(pair=False)
            player.play()
        else:
            player.play(kept=sorted(player.tracks))
        player.wait(lambda: len(player.units) >= 10, 8, "packets of the next entry")
    check(player.entries[0].description.header.packet_bytes != player.entries[1].description.header.packet_bytes, "the header is the same")
    player.teardown()
    weir.check_alive()


@test(seconds_max=40)
def msrtsp_announce_waits_for_play(context):
    """No Announce comes while the last one was not answered with a Play."""
    episodes = [Episode(context.cache, number) for number in range(3)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, "tcp")
    player.describe()
    player.set_up()
    player.play(accelerate=FAST)
    player.read_to_end(entry=0)
    player.wait(lambda: len(player.entries) == 2, 3, "Announce")
    player.read_to_end(entry=1, seconds=8)
    began = time.monotonic()
    player.spend(2)
    check(len(player.entries) == 2, "a second Announce came before any Play")
    player.play(kept=sorted(player.tracks))
    player.wait(lambda: len(player.entries) == 3, 3, "the Announce that was held back")
    check(time.monotonic() - began >= 2, "")
    player.teardown()
    weir.check_alive()
