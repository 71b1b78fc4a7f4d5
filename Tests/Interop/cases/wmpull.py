"""Windows Media that is pulled (WMSP's client): redirections, logs, other headers, passwords, connections that break."""
import os
import re
import time

from harness.clip import cached, ffmpeg, framemd5
from harness.players import check_run, complain
from harness.process import free_port, wait_until
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip, Removal, as_nobody, check_whole
from harness.wmorigin import BreakingWay, Modern, Origin, Programme

# Whatever the origin has is taken as if it were live, by one pull for all.
EDGE = "paths:\n  b:\n    source: {url}\n    broadcast: true\n    linger: 500ms\n    source-wait: {wait}s\n"
DESCRIBE = b"GET /b HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2980\r\n\r\n"


def edge(context, url, wait=10):
    return context.weir("serve", config=EDGE.format(url=url, wait=wait))


def reader(context, weir, frames=None, name="ffmpeg"):
    """An ffmpeg that decodes the pictures of the edge's path, so many or to the end."""
    until = ["-frames:v", str(frames)] if frames else []
    return context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i",
                                f"mmsh://{weir.host}:{weir.port}/b", "-map", "0:v", *until, "-vsync", "passthrough",
                                "-c:v", "rawvideo", "-f", "framemd5", "-"])


def decoded(process, seconds):
    code = process.wait(seconds)
    check(code == 0, lambda: f"{process.name} ended with code {code}: {process.err()[-300:]}")
    return [row[5] for row in framemd5(process.out())]


def rows(process):
    return sum(1 for line in process.out().splitlines() if not line.startswith("#"))


def broadcast_origin(context, clip, port):
    """A Weir that can be killed: by another name than those that must not."""
    config = context.write(f"origin-{port}.yml", f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
    process = context.spawn("origin", [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{port}"])
    process.wait_for(lambda: "Listening on" in process.text(), 10, "it listens")
    return process


@test(seconds_max=60)
def pull_follows_redirections(context):
    """A redirection is a detour: when the server it led to is gone, the URL that was configured is asked again, and leads elsewhere."""
    clip = ASFClip(context.cache)
    ports = [free_port(), free_port()]
    first = broadcast_origin(context, clip, ports[0])
    broadcast_origin(context, clip, ports[1])
    leads = [f"mmsh://127.0.0.1:{ports[0]}/tv"]
    way = context.closing(Origin(redirect=lambda _: leads[0]))
    weir = edge(context, way.url())
    process = reader(context, weir, 200)
    process.wait_for(lambda: rows(process) > 50, 15, "pictures came")
    check(len(way.requests) == 1, f"the configured server was asked {len(way.requests)} times")
    leads[0] = f"mmsh://127.0.0.1:{ports[1]}/tv"
    first.kill()
    seen = decoded(process, 30)
    strange = [picture for picture in seen if picture not in clip.pictures]
    check(len(seen) == 200 and not strange, f"{len(seen)} pictures came, {len(strange)} are none of the origin's")
    check(len(way.requests) >= 2, "the configured server was not asked again")


@test(seconds_max=40)
def redirections_in_a_circle_end(context):
    """Servers that send a pull from one to the other and back are given up, with words, and not asked without end."""
    one = context.closing(Origin())
    other = context.closing(Origin(redirect=one.url()))
    one.redirect = other.url()
    weir = edge(context, one.url(), wait=3)
    answer = fetch((weir.host, weir.port), DESCRIBE)
    check(b" 503 " in answer.split(b"\r\n")[0], lambda: f"the answer is {answer[:200]!r}")
    check("lead in a circle" in weir.log(), "the log does not say what was wrong")
    check(2 <= len(one.requests) + len(other.requests) <= 12, f"{len(one.requests)} and {len(other.requests)} requests were made")
    weir.check_alive()


@test(seconds_max=40)
def relays_in_a_ring_refuse(context):
    """Two relays that pull from each other find that out by Via: players are refused, and nothing goes round."""
    ports = [free_port(), free_port()]
    relays = [context.weir("serve", "--config", context.write(f"{n}.yml", EDGE.format(url=f"mmsh://127.0.0.1:{ports[1 - n]}/b", wait=3)),
                           port=ports[n]) for n in range(2)]
    answer = fetch((relays[0].host, relays[0].port), DESCRIBE)
    check(b" 503 " in answer.split(b"\r\n")[0], lambda: f"the answer is {answer[:200]!r}")
    wait_until(lambda: any("answers Describe with" in relay.log() for relay in relays), 5, "a refusal is logged")
    for relay in relays:
        relay.check_alive()


@test(seconds_max=40, origin=["weir", "cougar9", "cougar4"])
def origin_hears_how_it_went(context, origin):
    """When the last player has left, the origin gets the relay's log: XML from version 9 on, else a line."""
    clip = ASFClip(context.cache)
    if origin == "weir":
        far = context.weir("serve", config=f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
        url = f"mmsh://{far.host}:{far.port}/tv"
    else:
        server = "Cougar/9.01.01.3814" if origin == "cougar9" else "Cougar 4.1.0.3921"
        far = context.closing(Origin([(Programme(clip.path), None)], server=server))
        url = far.url()
    weir = edge(context, url)
    decoded(reader(context, weir, 50), 20)
    if origin == "weir":
        line = wait_until(lambda: next((line for line in far.log().splitlines() if "player's log" in line), None), 10, "the log came")
        check("NSServer/9" in line, f"it is {line}")
    elif origin == "cougar9":
        request = wait_until(lambda: far.asked("POST", "x-wms-LogStats"), 10, "the log came")[0]
        line = request.body
        check("client-id=4242" in request.pragma, f"its tokens are {request.pragma}")
    else:
        line = wait_until(lambda: far.asked("POST", "log-line="), 10, "the log came")[0].pragma
        fields = line.partition("log-line=")[2].partition(", ")[0].split(" ")
        check(len(fields) == 44 and int(fields[28]) > 50_000 and int(fields[6]) >= 1, f"the line is {fields}")
        return
    received = int(re.search(r"<c-bytes>(\d+)</c-bytes>", line)[1])
    packets = int(re.search(r"<c-pkts-received>(\d+)</c-pkts-received>", line)[1])
    check(received == packets * clip.packet_bytes and packets > 20, f"{received} bytes in {packets} packets")
    check(len(re.search(r"<Summary>(.*?)</Summary>", line)[1].split(" ")) == 47, f"the summary is {line}")


@test(seconds_max=40)
def origin_hears_of_players(context):
    """A player's own log goes on to an origin that asks for such: as a rendering log, with the player's address, and a word that it was proxied."""
    clip = ASFClip(context.cache)
    far = context.weir("serve", config=f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
    weir = edge(context, f"mmsh://{far.host}:{far.port}/tv")
    player = context.closing(Modern(weir.port, "b"))
    wait_until(lambda: "D" in player.kinds(), 10, "packets came")
    number = re.search(rb"client-id=(\d+)", player.head)[1].decode()
    fields = ("0.0.0.0 2026-11-21 21:00:00 - mmsh://edge/b 0 7 1 200 {3300AD50-2C39-46c0-AE0A-000000000077} 9.0.0.2980 en-US WMFSDK/9 - "
              "wmplayer.exe 9.0.0.2980 Windows_XP 5.1 Pentium 0 0 864000 http TCP WMA WMV - - 700000 - 220 0 0 0 0 0 0 1 0 100 - - - -").split()
    check(len(fields) == 44, f"{len(fields)} fields")
    log = f"<XML><Summary>{' '.join(fields)} mmsh://edge/b - -</Summary><cs-url>mmsh://edge/b</cs-url><Shop><cart>5</cart></Shop></XML>"
    answer = fetch((weir.host, weir.port), (f"POST /b HTTP/1.0\r\nUser-Agent: NSPlayer/9.0.0.2980\r\nPragma: client-id={number}\r\n"
                   f"Pragma: xClientGUID={{3300AD50-2C39-46c0-AE0A-000000000077}}\r\nContent-Type: application/x-wms-LogStats\r\n"
                   f"Content-Length: {len(log)}\r\n\r\n{log}").encode())
    check(b" 204 " in answer.split(b"\r\n")[0], lambda: f"the answer is {answer[:200]!r}")
    line = wait_until(lambda: next((line for line in far.log().splitlines() if "a relay's player" in line), None), 10, "the origin hears of it")
    for mark in ("NSPlayer/9.0.0.2980", "<c-ip>127.0.0.1</c-ip>", "<x-duration>7</x-duration>", "<protocol>Cache</protocol>",
                 "<s-proxied>1</s-proxied>", "<Shop><cart>5</cart></Shop>", "{3300AD50-2C39-46c0-AE0A-000000000077}"):
        check(mark in line, f"{mark} is not in {line}")


class Swapped:
    """The same streams, each under the other's number."""

    def __init__(self, cache_folder, clip):
        self.pictures = clip.pictures
        self.path = cached(cache_folder, os.path.basename(clip.path).replace(".asf", "-swapped.asf"), lambda path: ffmpeg(
            "-i", clip.path, "-map", "0:a", "-map", "0:v", "-c", "copy", "-packet_size", clip.packet_bytes, path))


@test(seconds_max=60, case=[("$C", "same"), ("$H", "same"), ("$H", "swapped"), ("$C", "size"), ("$H", "codec"), ("$C", "audio")])
def header_changes_in_midstream(context, case):
    """Another header in mid-stream: players of version 9 are told of it by `$C`, older ones stay if the streams are the same, and are else
    ended; whoever comes later sees what is sent then."""
    announced, change = case
    before = ASFClip(context.cache, seconds=5)
    swapped = Swapped(context.cache, before)
    after = {"same": lambda: before, "swapped": lambda: swapped, "size": lambda: ASFClip(context.cache, seconds=10, size="176x144"),
             "codec": lambda: ASFClip(context.cache, seconds=10, codec="msmpeg4v3"),
             "audio": lambda: ASFClip(context.cache, seconds=10, codec=None)}[change]()
    far = context.closing(Origin([(Programme(before.path), None), (Programme(after.path), announced), (Programme(after.path), None)]))
    weir = edge(context, far.url())
    stays = change in ("same", "swapped")
    old = reader(context, weir, 190 if stays else None)
    # ffmpeg is to be there from the first packet, so it is the one that has the origin asked.
    wait_until(lambda: far.requests, 15, "the origin to be asked")
    modern = context.closing(Modern(weir.port, "b"))
    if stays:
        check_run(decoded(old, 20), before.pictures, 185, "ffmpeg")
        kinds = modern.kinds()
        check(re.fullmatch("MHD(CMHD){0,2}", kinds), f"the player of version 9 got {kinds}")
        return
    seen = decoded(old, 15)
    # All of what was before, to its last picture, and nothing else.
    check_run(seen, before.pictures, 100, "ffmpeg")
    check(seen[-1] == before.pictures[-1], f"the last picture is number {before.pictures.index(seen[-1])}")
    wait_until(lambda: modern.kinds().startswith("MHDCMH"), 8, "the player of version 9 is told of the new header")
    if change != "audio":
        later = reader(context, weir, 60, name="later")
        check_run(decoded(later, 15), after.pictures, 55, "a later ffmpeg")
    check(len(far.asked("xPlayStrm=1")) == 1, "the origin was asked again")
    weir.check_alive()


@test(seconds_max=40, kind=["audio", "video"])
def one_kind_alone_is_pulled(context, kind):
    """Origins that send only sound, or only pictures: ffmpeg's asf_stream."""
    clip = ASFClip(context.cache)
    port = free_port()
    context.spawn("origin", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i",
                             clip.path, "-map", f"0:{kind[0]}", "-c", "copy", "-f", "asf_stream", "-listen", "1",
                             f"http://127.0.0.1:{port}/tv"])
    weir = edge(context, f"mmsh://127.0.0.1:{port}/tv")
    if kind == "video":
        process = reader(context, weir, 100)
        seen = decoded(process, 25)
        complain(process)
        check_run(seen, clip.pictures, 100, "ffmpeg")
        return
    process = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i",
                                       f"mmsh://{weir.host}:{weir.port}/b", "-map", "0:a", "-frames:a", "60", "-c:a", "copy",
                                       "-f", "framemd5", "-"])
    check_run(decoded(process, 25), clip.units, 60, "ffmpeg")


@test(seconds_max=60, case=["size", "codec"])
def origin_restarts_with_another_header(context, case):
    """The origin is killed and comes back with pictures of another size or codec: those who played the old ones are ended, those who come
    see the new ones."""
    before = ASFClip(context.cache)
    after = ASFClip(context.cache, size="176x144") if case == "size" else ASFClip(context.cache, codec="msmpeg4v3")
    port = free_port()
    first = broadcast_origin(context, before, port)
    weir = edge(context, f"mmsh://127.0.0.1:{port}/tv")
    old = reader(context, weir)
    modern = context.closing(Modern(weir.port, "b"))
    old.wait_for(lambda: rows(old) > 50, 15, "pictures came")
    first.kill()
    broadcast_origin(context, after, port)
    check_run(decoded(old, 20), before.pictures, 45, "ffmpeg")
    check("C" in modern.kinds() or modern.is_over, f"the player of version 9 got {modern.kinds()}")
    later = reader(context, weir, 60, name="later")
    check_run(decoded(later, 15), after.pictures, 55, "a later ffmpeg")
    weir.check_alive()


@test(seconds_max=60, breaks=[(300_000,), (150_000, 200_000, 60_000), (400_000, 100, 5_000)])
def broken_connections_go_on(context, breaks):
    """A file that is pulled over connections that break in the middle: the player gets every picture, in order, once."""
    clip = ASFClip(context.cache)
    far = context.weir("relay", clip.path, "--as", "tv")
    way = context.closing(BreakingWay(far.port, breaks))
    weir = edge(context, f"mmsh://127.0.0.1:{way.port}/tv")
    process = reader(context, weir, 200)
    seen = decoded(process, 40)
    complain(process)
    check(way.broken == len(breaks), f"{way.broken} connections broke")
    first = clip.pictures.index(seen[0])
    check_whole(seen, clip.pictures[first:first + 200], "ffmpeg")
    check(weir.log().count("goes on where it broke off") >= 1, "the log does not tell")


@test(seconds_max=30, password=[("Basic", 401), ("Digest", 401), ("Basic", 407), ("Digest", 407)])
def passwords_upstream(context, password):
    """Name and password of the URL answer servers, and proxies before them; they are in no log."""
    clip = ASFClip(context.cache)
    far = context.closing(Origin([(Programme(clip.path), None)], password=password))
    weir = edge(context, far.url(credentials="viewer:s3cret@"))
    check_run(decoded(reader(context, weir, 25), 20), clip.pictures, 25, "ffmpeg")
    wait_until(lambda: far.asked("POST", "x-wms-LogStats"), 10, "the log came")
    check("s3cret" not in weir.log() and not any("s3cret" in request.body for request in far.requests), "the password is in a log")
    wrong = context.closing(Origin([(Programme(clip.path), None)], password=password))
    other = context.weir("serve", "--config", context.write("wrong.yml", EDGE.format(url=wrong.url(credentials="viewer:wr0ng@"), wait=3)))
    answer = fetch((other.host, other.port), DESCRIBE)
    check(b" 503 " in answer.split(b"\r\n")[0] and b"wr0ng" not in answer, lambda: f"the answer is {answer[:300]!r}")
    check("refuses the name or the password" in other.log() and "wr0ng" not in other.log(), "the log does not say what was wrong")


@test(seconds_max=60)
def vlc_goes_round(context):
    """VLC's mmsh server over the end of its file and on: the player stays, every picture is the file's but the one that VLC cuts there,
    and the log that VLC does not understand does it no harm."""
    clip = ASFClip(context.cache)
    port = free_port()
    shared = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-round.asf", clip.path)).path
    vlc = context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--loop", shared, "--sout",
                                          f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}/tv}}", "--sout-keep"]))
    weir = edge(context, f"mmsh://127.0.0.1:{port}/tv")
    # When VLC turns back it throws away the packet that it was filling: the picture that began before it stays without its end. That one
    # may be decoded from what came of it, and the file goes on with its first picture behind it. Every player may meet that.
    for count, name in ((330, "ffmpeg"), (30, "again")):
        if count == 30:
            time.sleep(2)
            check(vlc.running, "VLC has ended")
        seen = decoded(reader(context, weir, count, name=name), 35)
        strange = [at for at, picture in enumerate(seen) if picture not in clip.pictures]
        cut = [at for at in strange if seen[at + 1:at + 2] in (clip.pictures[:1], [])]
        check(len(seen) == count and strange == cut, f"{name}: {len(seen)} pictures came, {strange} are none of the file's, {cut} of them cut at its end")
