"""Windows Media over HTTP (WMSP, mmsh://): ASF on demand and live, to real players."""
import json
import os
import socket
import time

from harness.clip import framemd5
from harness.players import check_run, complain, mplayer_pictures
from harness.process import free_port
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip, Removal, as_nobody, check_whole, play

PLAYERS = ["ffmpeg", "mplayer", "libmms", "vlc"]


def mms(weir, path):
    return f"mmsh://{weir.host}:{weir.port}/{path}"


@test(seconds_max=60, player=PLAYERS)
def asf_on_demand(context, player):
    """Each player gets a file from its beginning to its end: every picture, in order."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    check_whole(play(context, player, mms(weir, "a")), clip.pictures, player)
    weir.check_alive()


@test(seconds_max=60, case=[("wmv2", 1400), ("msmpeg4v3", 8192), ("wmv1", 16000)])
def asf_of_all_sizes(context, case):
    """Small and large packets, other codecs."""
    codec, packet_bytes = case
    clip = ASFClip(context.cache, codec=codec, packet_bytes=packet_bytes)
    weir = context.weir("relay", clip.path, "--as", "a")
    check_whole(play(context, "ffmpeg", mms(weir, "a")), clip.pictures, "ffmpeg")


@test(seconds_max=60, case=[("ffmpeg", 6), ("libmms", 6), ("vlc", 6)])
def asf_seeks(context, case):
    """A player that begins in the middle gets the rest of the file, from a key frame."""
    player, start = case
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    seen = play(context, player, mms(weir, "a"), start=start)
    if player == "vlc":
        # On a busy machine it reads on from the beginning before it obeys --start-time, and sends what it read so to its muxer.
        before = next((number for number, (one, other) in enumerate(zip(seen, clip.pictures)) if one != other), len(seen))
        seen = seen[before:]
    first = clip.pictures.index(seen[0]) if seen and seen[0] in clip.pictures else None
    check(first is not None, f"{player}: {len(seen)} pictures, and the first is none of the file's")
    check(first % clip.key_every == 0 or player == "ffmpeg", f"{player} began with picture {first}, not with a key frame")
    # libmms adds the preroll (3.1 s) to the time that it wants.
    latest = start + (3.1 if player == "libmms" else 0)
    check((start - 2) * 25 <= first <= latest * 25, f"{player} began with picture {first}; {start * 25} was asked for")
    check_whole(seen, clip.pictures[first:], player)


@test(seconds_max=30)
def asf_is_paced(context):
    """A reader gets the file at its own pace, with a head start, and others beside it begin at the beginning."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    since = time.monotonic()
    check_whole(play(context, "libmms", mms(weir, "a")), clip.pictures, "libmms")
    took = time.monotonic() - since
    check(4 <= took <= 11, f"10 s of media took {took:.1f} s")


BROADCAST = "paths:\n  tv:\n    source: {path}\n    broadcast: true\n"


@test(seconds_max=80, player=["ffmpeg", "mplayer"])
def asf_broadcast(context, player):
    """Players of a broadcast see the file's pictures in order, over the end of a round, from a key frame on."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    frames = 160
    if player == "ffmpeg":
        process = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i", mms(weir, "tv"),
                                           "-map", "0:v", "-frames:v", str(frames), "-vsync", "passthrough", "-c:v", "rawvideo",
                                           "-f", "framemd5", "-"])
        code = process.wait(30)
        check(code == 0, lambda: f"ffmpeg ended with code {code}")
        complain(process)
        rows = framemd5(process.out())
        stamps = [row[2] for row in rows]
        check(all(before < after for before, after in zip(stamps, stamps[1:])), "a time stamp goes back")
        seen = [row[5] for row in rows]
    else:
        seen = mplayer_pictures(context, mms(weir, "tv"), "tcp", frames, seconds=50, name="mplayer-mms")
    check_run(seen, clip.pictures, frames - 5, player)
    check(clip.pictures.index(seen[0]) % clip.key_every == 0, f"{player} began with picture {clip.pictures.index(seen[0])}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


def ffmpeg_reader(context, url, frames, name="ffmpeg"):
    return context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i", url, "-map", "0:v",
                                "-frames:v", str(frames), "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])


def decoded_rows(process, seconds):
    code = process.wait(seconds)
    check(code == 0, lambda: f"{process.name} ended with code {code}: {process.err()[-300:]}")
    rows = framemd5(process.out())
    check(all(before[2] < after[2] for before, after in zip(rows, rows[1:])), f"{process.name}: a time stamp goes back")
    return rows


@test(seconds_max=60, origin=["weir", "ffmpeg", "vlc"])
def asf_is_pulled(context, origin):
    """Weir pulls from another Weir, from ffmpeg's asf_stream behind HTTP and from VLC, and its player sees the origin's pictures."""
    # Longer than this takes: where VLC turns back it cuts a picture.
    clip = ASFClip(context.cache, seconds=40 if origin == "vlc" else 10)
    port = free_port()
    url = f"mmsh://127.0.0.1:{port}/tv"
    if origin == "weir":
        context.weir("serve", config=BROADCAST.format(path=clip.path), port=port)
    elif origin == "ffmpeg":
        context.spawn("origin", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i",
                                 clip.path, "-c", "copy", "-f", "asf_stream", "-listen", "1", f"http://127.0.0.1:{port}/tv"])
    else:
        shared = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-origin.asf", clip.path)).path
        context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--loop", shared, "--sout",
                                        f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}/tv}}", "--sout-keep"]))
    # VLC's port is open before it has a header; Weir holds the player meanwhile. ffmpeg takes one connection: it is asked nothing before.
    weir = context.weir("relay", url, "--as", "b")
    process = ffmpeg_reader(context, mms(weir, "b"), 130)
    rows = decoded_rows(process, 35)
    complain(process)
    check_run([row[5] for row in rows], clip.pictures, 125, f"ffmpeg behind Weir behind {origin}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60)
def asf_players_outlive_the_origin(context):
    """The origin is killed and comes back twice: the player's session goes on, its time never back, and every picture is the origin's."""
    clip = ASFClip(context.cache)
    port = free_port()

    def origin():
        # By another name than Weir's: it is to be killed.
        config = context.write("origin.yml", BROADCAST.format(path=clip.path))
        process = context.spawn("origin", [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{port}"])
        process.wait_for(lambda: "Listening on" in process.text(), 10, "it listens")
        return process
    first = origin()
    weir = context.weir("relay", f"mmsh://127.0.0.1:{port}/tv", "--as", "b")
    process = ffmpeg_reader(context, mms(weir, "b"), 400)
    for _ in range(2):
        process.wait_for(lambda: process.out().count("\n") > 60, 15, "pictures came")
        time.sleep(2)
        first.kill()
        time.sleep(1)
        first = origin()
        time.sleep(2)
    rows = decoded_rows(process, 40)
    strange = [row[5] for row in rows if row[5] not in clip.pictures]
    check(not strange, lambda: f"{len(strange)} of {len(rows)} pictures are none of the origin's")
    check(len(rows) == 400, lambda: f"{len(rows)} pictures came")


@test(seconds_max=30)
def asf_readers_are_seen(context):
    """`weir status` tells who plays Windows Media, on demand and live."""
    clip = ASFClip(context.cache)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path) + f"  clip:\n    source: {clip.path}\n")
    for path in ("tv", "clip"):
        context.spawn(f"ffmpeg-{path}", ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-i", mms(weir, path), "-f", "null", "-"])

    def both():
        code, out, _ = context.run_weir("status", str(weir.port), "--json")
        readers = json.loads(out)["readers"]["shown"] if code == 0 else []
        return readers if {reader["path"] for reader in readers} == {"tv", "clip"} else None
    readers = weir.process.wait_for(both, 10, "both players are seen")
    check(all(reader["transport"] == "http" and reader["user_agent"].startswith("NSPlayer/4.1") for reader in readers), lambda: f"{readers}")


@test(seconds_max=30)
def browser_gets_a_playlist(context):
    """Whoever is no player of Windows Media gets a small playlist that starts one; a path that is not there is not found."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    address = (weir.host, weir.port)
    answer = fetch(address, b"GET /a HTTP/1.1\r\nHost: relay.example\r\nUser-Agent: Mozilla/5.0\r\nConnection: close\r\n\r\n")
    check(answer.startswith(b"HTTP/1.1 200") and b"<asx" in answer.lower() and b"mms://relay.example/a" in answer,
          lambda: f"the answer is {answer[:300]!r}")
    answer = fetch(address, b"GET /b HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2980\r\n\r\n")
    check(answer.split(b"\r\n")[0].split(b" ")[1] == b"404", lambda: f"the answer is {answer[:100]!r}")
    weir.check_alive()


@test(seconds_max=30)
def silent_players_hurt_nobody(context):
    """A player that stops reading is let go of, and another one beside it gets everything."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    stuck = socket.create_connection((weir.host, weir.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(b"GET /a HTTP/1.0\r\nUser-Agent: NSPlayer/4.1.0.3856\r\nPragma: xPlayStrm=1\r\n"
                  b"Pragma: stream-switch-count=2\r\nPragma: stream-switch-entry=ffff:1:0 ffff:2:0\r\n\r\n")
    check_whole(play(context, "ffmpeg", mms(weir, "a")), clip.pictures, "ffmpeg")
    stuck.close()
    weir.check_alive()
