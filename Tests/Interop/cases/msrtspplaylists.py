"""Playlists over RTSP: EndOfStream and Announce, predicted and not, skips, lags; and spliced for those who know none."""
import time

from harness.msrtsp import ffmpeg_play, gst_play, play, same_units, short_of
from harness.msrtspplayer import SUPPORTED, Player, runs
from harness.msrtspwire import FEATURES
from harness.registry import check, test
from .msrtspplayer import FAST, TRANSPORTS
from .wmplaylists import Episode, three, wsx

DECLINES = tuple(word for word in SUPPORTED if not word.endswith("predstrm"))


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
        player.wait(lambda: len(player.entries) == number + 2, 8, "Announce")
        entry = player.entries[-1]
        check(entry.predicted is not None and not entry.receding, "Announce predicts nothing")
        told(player, number + 1)
        check(entry.description.header.raw == episodes[number + 1].file.header.raw, "the header is not the next file's")
        # Without a word from the player.
        player.wait(lambda: entry.units, 8, "packets of the next entry")
        player.log_play()
        player.play(kept=sorted(player.tracks))
    player.log_play()
    player.teardown()
    check(len({entry.generation for entry in player.entries}) == 3, "two entries have one X-Playlist-Gen-Id")
    check(len({line.ssrc for line in player.lines.values() if line.received}) <= 2, "too many RTP sessions")
    weir.check_alive()


@test(seconds_max=50, transport=TRANSPORTS)
def msrtsp_playlist_not_predicted(context, transport):
    """A player that does not list predstrm gets nothing of the next entry before its SETUP and Play; then what it selected."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, transport, supported=DECLINES)
    player.describe()
    player.set_up()
    player.play(accelerate=FAST)
    player.read_to_end(entry=0)
    player.log_play()
    player.wait(lambda: len(player.entries) == 2, 8, "Announce")
    check(player.entries[1].predicted is None, "Announce predicts what the player declined")
    player.spend(1)
    check(not player.units, "packets of the next entry came unasked")
    player.drop_old()
    audio = next(number for number, kind in player.header.streams.items() if kind == "audio")
    player.set_up([audio], pair=False)
    player.play(accelerate=FAST)
    player.read_to_end(entry=1)
    player.check_start(entry=1)
    same_units(player.entries[1].units, episodes[1].file, streams=[audio])
    player.teardown()
    words = [word for word in runs(player.history) if word not in ("rtp", "UdpPacketPair", "end")]
    check(words[:10] == ["Describe", "SelectStream", "Play", "LogConnect", "eos", "announce", "LogPlay", "SelectStream", "Play", "eos"] or
          transport == "udp" and words[-6:-2] == ["LogPlay", "SelectStream", "Play", "eos"], f"{words}")
    weir.check_alive()


@test(seconds_max=50, transport=TRANSPORTS)
def msrtsp_playlist_skips(context, transport):
    """The exchange of a skip: Play with pl-offset, 200 with X-Playlist-Change-Notice, EndOfStream, Announce, packets, Play with the kept streams;
    back again; and a refusal where there is nothing before or behind."""
    episodes = three(context)
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, transport)
    player.describe()
    player.set_up()
    player.play()
    player.read_units(10)
    answer = player.play(skip=-1, status=None)
    check(answer.status in (400, 455), f"a skip to before the first entry: {answer}")
    for skip, number in ((1, 1), (1, 2), (-1, 1)):
        count = len(player.entries)
        begin = len(player.history)
        player.play(skip=skip)
        player.wait(lambda: len(player.entries) == count + 1, 5, "Announce")
        told(player, number)
        # Going back is told as rewinding is; the document leaves that open.
        reasons = ("end-of-playlist-entry", "recedingeos")[:1 if skip > 0 else 2]
        check(player.entries[-2].ended.reason in reasons, f"EndOfStream says {player.entries[-2].ended.fields}")
        player.wait(lambda: player.units, 5, "packets of the other entry")
        player.play(kept=sorted(player.tracks))
        player.wait(lambda: len(player.units) >= 10, 5, "more packets")
        same_units(player.units[:10], episodes[number].file, last=10)
        words = [word for word in runs(player.history[begin:]) if word != "rtp"]
        check(words == ["Play", "eos", "announce", "Play"], f"the order of a skip: {words}")
    player.teardown()
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


@test(seconds_max=50)
def msrtsp_playlist_lag(context):
    """X-Player-Lag-Time holds the next Announce back, and no more than the next."""
    episodes = [Episode(context.cache, number, 4) for number in range(3)]
    weir = context.weir("relay", wsx(context, episodes), "--as", "simple.wsx")
    player = player_of(context, weir, "tcp", supported=DECLINES)
    player.describe()
    player.set_up()
    player.play(headers=["X-Player-Lag-Time: 2000"])
    end = player.read_to_end(entry=0)
    player.wait(lambda: len(player.entries) == 2, 6, "Announce")
    late = player.server_requests[-1].at - end.at
    check(1.6 <= late <= 3.0, f"with a lag of 2 s Announce came {late:.2f} s behind EndOfStream")
    player.drop_old()
    player.set_up(pair=False)
    player.play()
    end = player.read_to_end(entry=1)
    player.wait(lambda: len(player.entries) == 3, 6, "Announce")
    late = player.server_requests[-1].at - end.at
    check(late < 1, f"without a lag Announce came {late:.2f} s behind EndOfStream")
    player.teardown()


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
    player.wait(lambda: len(player.entries) == 2, 8, "Announce")
    player.read_to_end(entry=1, seconds=8)
    began = time.monotonic()
    player.spend(2)
    check(len(player.entries) == 2, "a second Announce came before any Play")
    player.play(kept=sorted(player.tracks))
    player.wait(lambda: len(player.entries) == 3, 8, "the Announce that was held back")
    check(time.monotonic() - began >= 2, "")
    player.teardown()
    weir.check_alive()
