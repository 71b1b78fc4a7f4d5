"""A scripted Windows Media Player over RTSP (harness/msrtspplayer.py), which tolerates nothing: by UDP and TCP."""
import re
import time

from harness import msrtspfec as fec
from harness.asffile import File
from harness.msrtsp import same_objects, same_units
from harness.msrtsporigin import Origin, Programme
from harness.msrtspplayer import Player, runs
from harness.msrtspwire import FEATURES, NONE, nack
from harness.lossy import LossyWay
from harness.registry import check, test
from harness.windowsmedia import ASFClip

TRANSPORTS = ["tcp", "udp"]
FAST = (30000, 50_000_000)
SERVED = "paths:\n  live:\n    source: {path}\n    broadcast: true\n{more}  file:\n    source: {path}\n{more}"
FEC = "    fec: 8/2\n"
EVENT = ("1\r\n1,30,0\r\n12,context-type,3,1,2,14,WMS_USER_AGENT,31,19,WMPlayer/9.0.0.2980,13,WMS_USER_GUID,31,38,"
         "{3300AD50-2C39-46c0-AE0A-C4D98694D7B4}\r\n12,context-type,3,1,5,24,@WMS_COMMAND_CONTEXT_URL,31,16,rtsp://host/file,12,@.REMOTE_LOG,31,"
         "33,<XML><Summary>...</Summary></XML>\r\n")


def served(context, seconds=5, more=""):
    """A clip on demand and as a broadcast; `more` lines for both paths."""
    clip = ASFClip(context.cache, seconds=seconds)
    return clip, File(clip.path), context.weir("serve", config=SERVED.format(path=clip.path, more=more))


def player_of(context, weir, transport, path="/file", **options):
    return context.closing(Player(weir.host, weir.port, path, transport=transport, **options))


@test(seconds_max=30, case=["tcp", "udp", "udp-rtx", "udp-fec"])
def msrtsp_tools_agree(context, case):
    """The scripted player against the scripted server, without Weir: what is lost on the way between them comes back, whole and counted."""
    fec.check_arithmetic()
    programme = Programme(ASFClip(context.cache, seconds=5).path)
    parameters = (8, 3) if case == "udp-fec" else None
    origin = context.closing(Origin([programme], pace=2.0, fec=parameters))
    way = context.closing(LossyWay(origin.port, seed=4, loss=0 if case == "udp" else 0.05))
    lossy = {"udp-rtx": {"patience": 1.0}, "udp-fec": {"patience": 0.5, "nacks": False}}.get(case, {})
    player = context.closing(Player("127.0.0.1", way.port, "/tv", transport=case[:3], **lossy))
    player.describe()
    player.set_up(fec=parameters and (*parameters, 1))
    player.play()
    player.read_to_end()
    player.log_play()
    player.teardown()
    same_units(player.units, programme.file)
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
    counts, stats = way.counts, player.stats()
    if case == "udp-rtx":
        check(counts["lost"] > 15 and stats["rtx"] == counts["lost"], f"{counts}, {stats}")
    if case == "udp-fec":
        check(counts["lost"] > 15 and stats["fec"] + stats["lost"] >= counts["lost"] - 2, f"{counts}, {stats}")


@test(seconds_max=30, transport=TRANSPORTS)
def msrtsp_player_gets_a_file(context, transport):
    """The exchanges of a session in their order: each ASF packet of a file, payload by payload, EndOfStream, the log, Teardown."""
    clip, file, weir = served(context)
    player = player_of(context, weir, transport)
    answer = player.describe()
    check(player.header.raw == file.header.raw, "the description's header is not the file's")
    check(not player.description.is_broadcast and player.description.duration, f"{player.description.text[:400]}")
    check(abs(player.description.duration - (file.header.duration / 1e7 - file.header.preroll / 1e3)) < 0.002, f"{player.description.duration}")
    check(answer["cache-control"], f"Describe: {answer}")
    player.content_info()
    if transport == "tcp":
        player.tcp_packet_pair()
    player.set_up()
    answer = player.play(accelerate=FAST)
    check(answer["x-accelerate-streaming"] and answer["range"], f"Play: {answer}")
    check("x-startupprofile" in answer.headers, f"Play: no X-StartupProfile: {answer}")
    end = player.read_to_end()
    player.check_start()
    check(end.reason is None, f"EndOfStream says {end.fields}")
    same_units(player.units, file)
    check(all(unit.location is not None for unit in player.units), "the player listed locid, packets say no LocationId")
    check(len({line.ssrc for line in player.lines.values() if line.received}) == 1, "packets came in two RTP sessions")
    player.log_play()
    player.keep_alive()
    # Once more, from the middle.
    player.play(2.0, accelerate=FAST)
    player.read_to_end()
    player.check_start()
    first = player.since_play()[0]
    check(any(part.key and part.offset == 0 and part.time <= 2000 + file.header.preroll for part in first.asf.payloads),
          f"a Play at 2 s begins with packet {first.location}")
    same_units(player.since_play(), file, first=first.location, entered=True)
    check(first.location > 10, f"a Play at 2 s begins with packet {first.location}")
    check(player.early == 0, f"{player.early} packets came before the answer to Play")
    player.teardown()
    player.wait(lambda: player.is_over, 8, "the end of the connection")
    middle = ["SelectStream", "UdpPacketPair", "SelectStream"] if transport == "udp" else ["SelectStream"]
    pair = ["TcpPacketPair"] if transport == "tcp" else []
    words = [word for word in player.history if word not in ("rtp",)]
    check(runs(words) == ["Describe", "GetContentInfo", *pair, *middle, "Play", "LogConnect", "eos", "LogPlay", "KeepAlive", "Play", "eos", "Teardown",
                          "end"], lambda: f"{runs(words)}")
    weir.check_alive()


@test(seconds_max=30, transport=TRANSPORTS)
def msrtsp_player_gets_a_broadcast(context, transport):
    """A broadcast from a key frame on: whole objects of all streams, over the end of a round; log and KeepAlive meanwhile; then Pause and Play."""
    clip, file, weir = served(context)
    player = player_of(context, weir, transport, "/live")
    answer = player.describe()
    check(player.description.is_broadcast and player.header.is_broadcast and player.description.duration is None, f"{player.description.text[:300]}")
    check('x-wms-stream-type="broadcast"' in answer["cache-control"] and "x-wms-proxy-split" in answer["cache-control"], f"{answer}")
    player.set_up()
    player.play()
    player.read_units(1)
    player.check_start()
    check(any(part.key and part.offset == 0 for part in player.units[0].asf.payloads), "it does not begin with a key frame")
    began = time.monotonic()
    player.log_play()
    player.keep_alive()
    check(time.monotonic() - began < 2, "the log and KeepAlive waited for the media")
    player.spend(6)
    same_objects(player.units, file, 150)
    player.pause()
    count = len(player.units)
    player.spend(1)
    check(len(player.units) <= count + 3, f"{len(player.units) - count} packets came after Pause")
    player.play()
    player.read_units(20)
    player.check_start()
    check(player.early == 0, f"{player.early} packets came before the answer to Play")
    player.teardown()
    weir.check_alive()


@test(seconds_max=30, transport=TRANSPORTS)
def msrtsp_player_seeks(context, transport):
    """Seeks as Windows Media Player does (Pause and the log, then Play), by another Play right away, and by packet number."""
    clip, file, weir = served(context, seconds=10)
    player = player_of(context, weir, transport)
    player.describe()
    player.set_up()
    player.play()
    player.read_units(20)
    player.seek(6.0)
    player.read_units(10)
    player.check_start()
    packet = player.since_play()[0].location
    check(file_time(player, 0) <= 6.0, f"a seek to 6 s begins at {file_time(player, 0)}")
    same_units(player.since_play()[:10], file, first=packet, last=packet + 10, entered=True)
    # Without a Pause before.
    player.play(2.0)
    player.read_units(10)
    player.check_start()
    check(0.5 <= file_time(player, 0) <= 2.0, f"a Play at 2 s begins at {file_time(player, 0)}")
    number = player.since_play()[0].location
    player.play(place=f"x-asf-packet={number}-")
    player.read_units(10)
    check(player.since_play()[0].location == number, f"Play by packet {number} begins with {player.since_play()[0].location}")
    # A place behind the end is the end, or no place at all.
    answer = player.play(100.0, status=None)
    check(answer.status in (200, 457), f"a Play at 100 s: {answer}")
    for wrong in ("clock=20260101T000000Z-", "time=10000-", "npt=5-2", "x-asf-packet=9999999-"):
        answer = player.play(place=wrong, status=None)
        check(answer.status in (200, 400, 457), f"Range {wrong}: {answer}")
    player.play(0.0)
    player.read_units(10)
    check(player.since_play()[0].location == 0, "Play at 0 does not begin with packet 0")
    player.teardown()
    weir.check_alive()


def file_time(player, number):
    """The place of a packet, in seconds of the file."""
    times = [part.time for part in player.since_play()[number].asf.payloads if part.offset == 0 and part.time is not None and part.key]
    return (min(times) - player.header.preroll) / 1000


@test(seconds_max=40, transport=TRANSPORTS)
def msrtsp_player_switches(context, transport):
    """SSEntry: a stream thinned to key frames, taken away and taken again, from a key frame on; in the same RTP session."""
    clip, file, weir = served(context, seconds=10)
    video = next(number for number, kind in file.header.streams.items() if kind == "video")
    audio = next(number for number, kind in file.header.streams.items() if kind == "audio")
    player = player_of(context, weir, transport, "/live")
    player.describe()
    player.set_up(streams=[audio])
    player.play()
    player.read_units(10)
    check({stream for unit in player.units for stream in unit.asf.streams} == {audio}, "more came than was selected")
    player.set_up(streams=[video], thin={video: 1}, pair=False)
    player.wait(lambda: sum(video in unit.asf.streams for unit in player.units) >= 2, 10, "key frames")
    player.spend(2.5)
    check(all(part.key for unit in player.units for part in unit.asf.payloads if part.stream == video), "other pictures than key frames came")
    count = len(player.units)
    player.switch(video, video, 0)
    player.wait(lambda: any(part.stream == video and not part.key for unit in player.units[count:] for part in unit.asf.payloads), 10, "all pictures")
    first = next(part for unit in player.units[count:] for part in unit.asf.payloads if part.stream == video)
    check(first.key, "the pictures do not begin with a key frame")
    player.remove(video)
    player.wait(lambda: all(unit.asf.streams == {audio} for unit in player.units[-5:]), 10, "the sound alone")
    check(len({line.ssrc for line in player.lines.values() if line.received}) == 1, "the RTP session changed")
    check(all(line.duplicates == 0 for line in player.lines.values()), "packets came twice")
    same_objects(player.units, file, 50, streams=[audio])
    player.teardown()
    weir.check_alive()


@test(seconds_max=30, transport=TRANSPORTS)
def msrtsp_player_thins_a_file(context, transport):
    """On demand: sound alone, pictures alone, key frames alone; each payload of what was selected and no other."""
    clip, file, weir = served(context)
    video = next(number for number, kind in file.header.streams.items() if kind == "video")
    audio = next(number for number, kind in file.header.streams.items() if kind == "audio")
    for streams, thin in (([audio], {}), ([video], {}), ([audio, video], {video: 1})):
        player = player_of(context, weir, transport)
        player.describe()
        player.set_up(streams, thin)
        player.play(accelerate=FAST)
        player.read_to_end()
        if thin:
            pictures = [part for unit in player.units for part in unit.asf.payloads if part.stream == video]
            check(pictures and all(part.key for part in pictures), f"{len(pictures)} payloads of pictures, not all of key frames")
            same_objects(player.units, file, 20, streams=[audio])
        else:
            same_units(player.units, file, streams=streams)
        player.teardown()


@test(seconds_max=30)
def msrtsp_rtx(context):
    """Packets that a player asks for come again, byte for byte, at the port for that; others do not: of nobody, too old, from elsewhere."""
    clip, file, weir = served(context)
    player = player_of(context, weir, "udp", "/live")
    player.describe()
    player.set_up()
    player.play()
    player.read_units(60)
    line = next(line for line in player.lines.values() if line.received)
    sequences = list(line.kept)[-20::2]
    before = line.duplicates
    player.send_rtcp(nack(player.rtx.ssrc, line.ssrc, sequences))
    player.wait(lambda: line.duplicates >= before + len(sequences), 8, f"{len(sequences)} packets again")
    player.spend(0.3)
    check(line.duplicates == before + len(sequences), f"{line.duplicates - before} packets came again, {len(sequences)} were asked for")
    # 0x81 is as good.
    player.send_rtcp(nack(player.rtx.ssrc, line.ssrc, sequences[:3], byte=0x81))
    player.wait(lambda: line.duplicates >= before + len(sequences) + 3, 8, "three packets again")
    before = line.duplicates
    old = (min(line.kept, key=lambda one: (one - line.next) & 0xFFFF) - 20000) & 0xFFFF
    for packet in (nack(player.rtx.ssrc ^ 1, line.ssrc, sequences), nack(player.rtx.ssrc, line.ssrc ^ 1, sequences),
                   nack(player.rtx.ssrc, line.ssrc, [old, line.next + 3000 & 0xFFFF]), nack(player.rtx.ssrc, line.ssrc, sequences)[:-3],
                   b"\x81\xca", b"\x91\xcd\xff\xff" + bytes(8)):
        player.send_rtcp(packet)
    player.spend(1)
    check(line.duplicates == before, f"{line.duplicates - before} packets came that may not")
    player.teardown()
    weir.check_alive()


@test(seconds_max=30, case=["live", "file"])
def msrtsp_rtx_over_loss(context, case):
    """Five of a hundred packets are lost on the way: all of them come again, and every packet of the file is there."""
    clip, file, weir = served(context)
    way = context.closing(LossyWay(weir.port, seed=11))
    player = context.closing(Player("127.0.0.1", way.port, "/" + case, transport="udp", patience=2.0))
    player.describe()
    player.set_up(pair=False)
    player.play()
    if case == "file":
        player.read_to_end()
        player.spend(0.5)
        same_units(player.units, file)
    else:
        player.spend(7)
        same_objects(player.units, file, 150)
    # What is lost from here on may still be under way.
    lost = way.counts.get("lost", 0)
    player.spend(0.5)
    stats = player.stats()
    print(f"note: {way.counts}, {stats}")
    check(lost > 10, f"{way.counts}")
    # What is lost at the very end is not missed before EndOfStream says so.
    check(stats["lost"] == 0 and stats["rtx"] >= lost - 3, f"{way.counts}, {stats}")
    player.teardown()


@test(seconds_max=30, parameters=[(8, 2, 1), (4, 1, 6), (24, 5, 1)])
def msrtsp_fec_over_loss(context, parameters):
    """FEC as the player asks for it: what was lost on the way is computed from it, where enough of the span came."""
    clip, file, weir = served(context, more=FEC)
    way = context.closing(LossyWay(weir.port, seed=5))
    player = context.closing(Player("127.0.0.1", way.port, "/live", transport="udp", patience=1.5, nacks=False))
    player.describe()
    player.set_up(pair=False, fec=parameters)
    granted = tuple(player.fec.get(name, 1) for name in ("fecspan", "fecperspan", "fecburstmargin"))
    player.play()
    player.spend(7)
    stats = player.stats()
    print(f"note: {parameters} granted {granted}: {way.counts}, {stats}")
    check(stats["repairs"] > 0 and abs(stats["repairs"] / stats["received"] - granted[1] / (granted[0] + granted[1])) < 0.06, f"{granted}: {stats}")
    # Of the lost ones, some are repair packets, which nobody needs.
    lost_media = way.counts["lost"] * granted[0] / (granted[0] + granted[1])
    check(stats["fec"] >= lost_media * 0.4, f"{way.counts}, {stats}")
    player.teardown()


@test(seconds_max=30)
def msrtsp_fec_out_of_range(context):
    """FEC that cannot be is refused, or other FEC granted, which can; and the player plays."""
    clip, file, weir = served(context, more=FEC)
    player = player_of(context, weir, "udp", "/live")
    player.describe()
    player.set_up(pair=False)
    for wrong in ((0, 0, 0), (25, 1, 1), (4, 5, 1), (24, 1, 12), (4, 1, 13), (255, 255, 255), (99999, 1, 1)):
        answer = player.set_up_fec(wrong, status=None)
        check(answer.status == 200 or 400 <= answer.status < 500, f"{wrong}: {answer}")
        if answer.status == 200:
            span, repairs, margin = (player.fec.get(name, 1) for name in ("fecspan", "fecperspan", "fecburstmargin"))
            check(1 <= repairs <= span <= 24 and 1 <= margin <= 12 and (span - 1) * margin <= 24, f"{wrong}: {player.fec} is granted")
    player.play()
    player.read_units(40)
    same_objects(player.units, file, 20)
    player.teardown()
    weir.check_alive()


@test(seconds_max=30, transport=TRANSPORTS)
def msrtsp_reconnects(context, transport):
    """The connection breaks, the session stays: over a new one the player plays on with the same Session."""
    clip, file, weir = served(context)
    player = player_of(context, weir, transport)
    player.describe()
    player.set_up()
    player.play()
    player.read_units(10)
    player.connect()
    player.state = "ready"
    for line in player.lines.values():
        line.waiting.clear()
    player.play(1.0)
    player.read_units(10)
    player.check_start()
    player.teardown()
    weir.check_alive()


@test(seconds_max=30)
def msrtsp_requests_are_judged(context):
    """Generation ids, If-Match, sessions, types and URLs that do not fit get the status of the document, and the session goes on."""
    clip, file, weir = served(context)
    player = player_of(context, weir, "tcp", "/live")
    check(player.options()["public"] and "ANNOUNCE" in player.options()["public"], "OPTIONS")
    player.describe()
    media = list(player.description.streams.values())
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6095d7d7;mode=PLAY"

    def ask(wanted, method, url, *headers, body=b"", kind=None, keeps=True):
        session, generation = player.session, player.generation
        if not keeps:
            player.session = None
        player.generation = 0
        answer = player.ask("Odd", method, url, list(headers), body, kind, status=None)
        player.session, player.generation = session, generation
        check(answer.status in wanted, lambda: f"{method} {url} {headers} {body[:60]!r}: {answer}, {wanted} expected")

    ask((412,), "SETUP", media[0].url, transport, 'If-Match: "{00000000-0000-0000-0000-000000000000}"')
    ask((412,), "SETUP", media[0].url, transport, "If-Match: {no quotes")
    ask((412,), "SETUP", media[0].url, transport, f"X-Playlist-Gen-Id: {player.generation + 77}")
    ask((400, 404), "SETUP", media[0].url + "x", transport)
    ask((404,), "SETUP", f"rtsp://{weir.host}:{weir.port}/nowhere/audio", transport)
    ask((461,), "SETUP", media[0].url, "Transport: RTP/AVP;multicast")
    ask((400, 461), "SETUP", media[0].url, "Transport: RTP/AVP/UDP;unicast;client_port=99999")
    ask((454,), "PLAY", player.url, "Session: 12345678901234567890")
    ask((454,), "PLAY", player.url, "Session: 123456789012345678901")
    ask((454, 400), "PLAY", player.url, "Session: x" + "9" * 300)
    ask((404,), "DESCRIBE", f"rtsp://{weir.host}:{weir.port}/nowhere", "Accept: application/sdp")
    ask((404,), "GET_PARAMETER", f"rtsp://{weir.host}:{weir.port}/nowhere", body=b"\0", kind="application/x-wms-getcontentinfo")
    player.set_up()
    check(re.fullmatch(r"\d{1,20}", player.session), f"Session: {player.session}")
    ask((455,), "PAUSE", player.url)
    ask((415, 451), "SET_PARAMETER", player.url, body=b"x: y\r\n", kind="application/x-nobody-knows")
    ask((200, 415), "SET_PARAMETER", player.url, body=b"x", kind="application/x-wms-contentdesc")
    ask((200,), "SET_PARAMETER", player.url)
    ask((200,), "SET_PARAMETER", player.url, body=b"<XML><time:23:31:24</time>", kind="application/x-wms-Logplaystats;charset=UTF-8")
    ask((200,), "SET_PARAMETER", player.url, body=b"\xff\xfe not XML", kind="application/x-wms-Logconnectstats")
    ask((454, 455, 501, 405, 400, 461), "RECORD", player.url)
    player.send_event(EVENT)
    first = media[0]
    for text in (f"{first.stream} {first.stream} 9 {first.url} {first.url}", f"99999999999 {first.stream} 0", "", "SSEntry", "x" * 5000,
                 f"{first.stream} {first.stream + 1} 0 http://elsewhere/ ftp://x", f"{NONE} {NONE} 0", f"-1 {first.stream} 0 {first.url} {first.url}"):
        ask((400, 451), "SET_PARAMETER", first.url, body=f"SSEntry: {text}\r\n".encode(), kind="application/x-wms-streamswitch")
    ask((412,), "GET_PARAMETER", player.url, f"X-Playlist-Gen-Id: {player.generation + 1}")
    # None of it did harm.
    player.play()
    player.read_units(30)
    same_objects(player.units, file, 20)
    # Without the entry's name, and on two lines, it is understood, too.
    player.switch(first.stream, first.stream, body=f"{first.stream} {first.stream} 2 {first.url} {first.url}\r\n")
    player.switch(first.stream, first.stream, body=f"SSEntry: {first.stream} {first.stream} 0\r\n {first.url} {first.url}\r\n")
    player.teardown()
    weir.check_alive()


@test(seconds_max=40, answers=["200", "501", "echo", "none"])
def msrtsp_replies_are_odd(context, answers):
    """EndOfStream is answered with 200, with 501 without a number (ffmpeg), with a request (GStreamer), or never: the session goes on, or ends
    with the file."""
    clip, file, weir = served(context)
    player = player_of(context, weir, "tcp", answers=answers)
    player.describe()
    player.set_up()
    for _ in range(2):
        player.play(2.0, accelerate=FAST)
        player.read_to_end()
        player.spend(0.3)
        check(not player.is_over, "the connection was closed")
    player.keep_alive()
    player.teardown()
    weir.check_alive()


@test(seconds_max=30)
def msrtsp_speed_and_scale(context):
    """Speed sends a whole file sooner; Scale plays key frames alone, forward and backward."""
    clip, file, weir = served(context, seconds=10)
    player = player_of(context, weir, "tcp")
    player.describe()
    check(FEATURES + "fastcache" in player.features, f"{player.features}")
    player.set_up()
    began = time.monotonic()
    answer = player.play(speed=4.0)
    check(answer["speed"], f"Play: {answer}")
    player.read_to_end()
    check(time.monotonic() - began < 6, f"ten seconds at four times the speed took {time.monotonic() - began:.1f} s")
    same_units(player.units, file)
    player.play(0.0, scale=5.0)
    player.read_to_end()
    video = next(number for number, kind in file.header.streams.items() if kind == "video")
    pictures = [part for unit in player.since_play() for part in unit.asf.payloads if part.stream == video]
    check(pictures and all(part.key for part in pictures), f"{len(pictures)} payloads at five times the rate, not all of key frames")
    player.teardown()
    weir.check_alive()
