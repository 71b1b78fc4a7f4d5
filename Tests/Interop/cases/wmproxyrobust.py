"""What must not get into the cache of the proxy, or out of it to others: tricks with names, lying origins, an index that is broken or of a newer
version, a disk that is full."""
import base64
import glob
import json
import os
import re
import sqlite3
import struct

from harness.process import wait_until
from harness.proxiedorigin import FRESH, Content, ProxiedOrigin
from harness.proxysides import Programme
from harness.registry import check, test
from harness.rtsp import connect, exchange, fetch
from harness.windowsmedia import ASFClip
from harness.wmorigin import Modern

from .wmproxy import PROXY, clip_of, describe, outcomes, watched



def named(context, origin, targets):
    """The configuration of a path for each target."""
    return f"cache-dir: {context.path('cache')}\npaths:\n" + "".join(f"  {name}:\n    source: {origin.url(target)}\n" for name, target in targets.items())


def header_of(answer):
    """The ASF header in an answer to Describe; None if it holds none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    while body[:1] == b"$" and len(body) >= 12:
        kind, length = body[1:2], struct.unpack_from("<H", body, 2)[0]
        if kind == b"H":
            return body[12:4 + length]
        body = body[4 + length:]
    return None


@test(seconds_max=40)
def wm_proxy_gives_nobody_what_is_another_s(context):
    """Host, absolute URI, the case of letters, escapes, dots, queries, methods, requests in requests, passwords and cookies: whatever somebody
    asks first, everybody gets under each URL what the origin has under it; and what a player adds reaches nobody else's copy."""
    clips = {"/vod/a": clip_of(context, 3), "/vod/A": clip_of(context, 5, codec="msmpeg4v3", packet_bytes=1400, size="352x288"),
             "/vod/a?user=1": clip_of(context, 5), "/vod/b": clip_of(context, 5, codec="wmv1", packet_bytes=16000)}
    check(len({one.header.raw for one in clips.values()}) == 4, "two of the clips have the same header")
    origin = context.closing(ProxiedOrigin({target: Content(one, FRESH) for target, one in clips.items()}))
    other = context.closing(ProxiedOrigin({target: Content(clips["/vod/b"], FRESH) for target in ("/vod/a", "/vod/A")}))
    paths = {"vod/a": "/vod/a", "vod/A": "/vod/A", "vod/q": "/vod/a?user=1", "vod/b": "/vod/b"}
    weir = context.weir("serve", config=named(context, origin, paths))
    address = (weir.host, weir.port)
    evil = f"127.0.0.1:{other.port}"
    agent = "User-Agent: NSPlayer/9.0.0.2833\r\nPragma: no-cache,rate=1.000,stream-time=0\r\n"

    def asked(line, *lines):
        more = "".join(one + "\r\n" for one in lines)
        return header_of(fetch(address, f"{line} HTTP/1.0\r\n{agent}{more}\r\n".encode()))
    # What is asked, with what else, and under which names its answer may be; None: it is refused.
    tricks = [
        ("GET /vod/a", [f"Host: {evil}"], "/vod/a"),
        (f"GET http://{evil}/vod/a", [f"Host: {evil}"], "/vod/a"),
        (f"GET http://{evil}/vod/b", [f"X-Forwarded-Host: {evil}", f"X-Original-URL: http://{evil}/vod/b"], "/vod/b"),
        ("GET /vod/A", [], "/vod/A"),
        ("GET /vod/%61", [], "/vod/a"),
        ("GET /vod/%41", [], "/vod/A"),
        ("GET /vod/a%3Fuser=1", [], None),
        ("GET /vod/q", [], "/vod/a?user=1"),
        ("GET /vod/a?user=1", [], "/vod/a"),
        ("GET /vod/a?WMCache=0", [], "/vod/a"),
        ("GET /vod/q?user=2&WMBitrate=6000000", [], "/vod/a?user=1"),
        ("GET /vod/x/../a", [], "/vod/a"),
        ("GET /vod/b/..%2Fa", [], None),
        ("GET /vod/a%00b", [], None),
        ("GET /vod/a%0d%0aX-Injected:%201", [], None),
        ("HEAD /vod/b", [], None),
        ("PUT /vod/b", [], None),
        ("GET /vod/b", ["Authorization: Basic dmlld2VyOnMzY3JldA==", "Cookie: user=7", "Range: bytes=100-", "Accept-Language: tlh"], "/vod/b"),
    ]
    for line, lines, target in tricks:
        got = asked(line, *lines)
        expected = clips[target].header.raw if target else None
        # A relay may refuse what it does not like; it may not answer it with something else.
        check(got == expected or got is None and ("http://" in line or ".." in line), lambda: f"{line} got what is {name_of(got, clips)}, not {target}'s")
    # A request in the body of another one.
    inner = f"GET /vod/b HTTP/1.0\r\n{agent}\r\n"
    with connect(address, 5) as connection:
        exchange(connection, f"POST /vod/a HTTP/1.1\r\n{agent}Content-Type: application/x-wms-getcontentinfo\r\nContent-Length: {len(inner)}\r\n"
                             f"Transfer-Encoding: identity\r\n\r\n{inner}".encode(), 1)
    for name, target in paths.items():
        watched(context, weir, "/" + name, clips[target])
    check(not other.requests, f"another server was asked {other.said()}")
    plain = [request for request in origin.requests if {"authorization", "cookie", "range", "x-injected"} & set(request.headers)]
    check(not plain, lambda: f"what a player added went upstream: {plain[0].head}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
    origin.close()
    for name, target in paths.items():
        watched(context, weir, "/" + name, clips[target])
    weir.check_alive()


@test(seconds_max=40)
def wm_proxy_gives_nobody_what_is_another_s_by_rtsp(context):
    """The same by RTSP: hosts, letters, escapes, dots, queries and headers of a DESCRIBE, and GetContentInfo, choose nothing but the path."""
    clips = {"/vod/a": clip_of(context, 3), "/vod/A": clip_of(context, 5, codec="msmpeg4v3", packet_bytes=1400, size="352x288"),
             "/vod/b": clip_of(context, 5, codec="wmv1", packet_bytes=16000)}
    origin = context.closing(ProxiedOrigin({target: Content(one, FRESH) for target, one in clips.items()}))
    other = context.closing(ProxiedOrigin({target: Content(clips["/vod/b"], FRESH) for target in clips}))
    weir = context.weir("serve", config=named(context, origin, {"vod/a": "/vod/a", "vod/A": "/vod/A", "vod/b": "/vod/b"}))
    evil, own = f"rtsp://127.0.0.1:{other.port}", weir.url("")[:-1]

    def asked(method, url, *lines, body=""):
        more = "".join(one + "\r\n" for one in lines)
        text = (f"{method} {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: WMPlayer/9.0.0.2980\r\nAccept: application/sdp\r\n"
                f"Supported: com.microsoft.wm.locid\r\n{more}" + (f"Content-Length: {len(body)}\r\n" if body else "") + f"\r\n{body}")
        answer = fetch((weir.host, weir.port), text.encode())
        found = re.search(rb"vnd\.ms\.wms-hdr\.asfv1;base64,([A-Za-z0-9+/=]+)", answer)
        return base64.b64decode(found[1]) if found else None
    tricks = [
        (f"{own}/vod/a", [f"Host: {evil[7:]}", f"Content-Base: {evil}/", "Authorization: Basic dmlld2VyOnMzY3JldA==", "Cookie: user=7"], "/vod/a"),
        (f"{own}/vod/A", [f"X-Forwarded-Host: {evil[7:]}", f"Location: {evil}/vod/b"], "/vod/A"),
        (f"{own}/vod/%61", [], "/vod/a"), (f"{own}/vod/%41", [], "/vod/A"), (f"{own}/vod/b?x=/vod/a", [], "/vod/b"),
        (f"{own}/vod/a?WMCache=0", ["X-Proxy-Client-Verb: PUT", "X-Proxy-Client-Agent: nobody"], "/vod/a"),
        (f"{evil}/vod/a", [], "/vod/a"), ("rtsp://127.0.0.1/vod/b", ["Accept-Language: tlh"], "/vod/b"), (f"{own}/vod/x/../a", [], "/vod/a"),
        (f"{own}/vod/b/..%2Fa", [], "/vod/b"), (f"{own}/vod/a%00b", [], None), (f"{own}/vod/a%0d%0aX-Injected:%201", [], None),
        (f"{own}/VOD/a", [], None),
    ]
    asked("GET_PARAMETER", f"{evil}/vod/b", "Content-Type: application/x-wms-getcontentinfo", body="\0")
    for url, lines, target in tricks:
        got = asked("DESCRIBE", url, *lines)
        expected = clips[target].header.raw if target else None
        check(got == expected or got is None and (evil in url or ".." in url or "//127.0.0.1/" in url),
              lambda: f"{url} got what is {name_of(got, clips)}, not {target}'s")
    check(asked("PUT", f"{own}/vod/b") is None, "PUT is answered with a description")
    for target, clip in clips.items():
        watched(context, weir, target, clip)
    check(not other.requests, f"another server was asked {other.said()}")
    plain = [request for request in origin.requests if {"authorization", "cookie", "x-injected"} & set(request.headers)]
    check(not plain, lambda: f"what a player added went upstream: {plain[0].head}")
    origin.close()
    for target, clip in clips.items():
        watched(context, weir, target, clip)
    weir.check_alive()


def name_of(header, clips):
    return next((name for name, one in clips.items() if one.header.raw == header), "nothing" if header is None else "something else")


def with_count(programme, count):
    """The programme with another number of packets in its header."""
    raw = programme.header.raw
    at = raw.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 56
    lying = Programme(programme.path)
    lying.header.raw = raw[:at] + struct.pack("<Q", count) + raw[at + 8:-10] + struct.pack("<Q", count) + raw[-2:]
    return lying


@test(seconds_max=40)
def wm_proxy_survives_lying_origins(context):
    """Sizes and numbers of packets that are not so, bodies that end early, again and again: players get the packets that there are, each right,
    and an end; nothing of it is held to be whole, and the origin is not asked without bound."""
    programme = clip_of(context, 3)
    count = len(programme.packets)
    contents = {"small": Content(programme, FRESH.replace("{size}", "10")), "huge": Content(programme, FRESH.replace("{size}", str(10 ** 18))),
                "more": Content(with_count(programme, count + 30), FRESH), "less": Content(with_count(programme, count - 30), FRESH),
                "cut": Content(programme, FRESH), "long": Content(programme, FRESH)}
    contents["cut"].lie["cut"] = 40
    contents["long"].lie["length"] = 1000
    origin = context.closing(ProxiedOrigin({f"/vod/{name}": one for name, one in contents.items()}))
    folder = context.path("cache")
    weir = context.weir("serve", config=named(context, origin, {f"vod/{name}": f"/vod/{name}" for name in contents}))
    got = {}
    for _ in range(2):
        players = {name: context.closing(Modern(weir.port, f"vod/{name}")) for name in contents}
        wait_until(lambda: all(one.is_over for name, one in players.items()), 15, lambda: f"an end of {[n for n, p in players.items() if not p.is_over]}")
        for name, player in players.items():
            packets = [(number, payload) for kind, number, payload in player.packets if kind == "D"]
            strange = [number for number, payload in packets if number >= count or payload != programme.packets[number]]
            check(not strange, lambda: f"{name}: {len(strange)} packets are not the origin's, the first is {strange[0]}")
            numbers = [number for number, _ in packets]
            check(numbers == list(range(len(numbers))), lambda: f"{name}: packets {numbers[:50]}")
            got[name] = len(numbers)
    check(got["small"] == got["huge"] == got["more"] == count, f"{got}")
    check(got["less"] in (count - 30, count) and got["cut"] == 40, f"{got}")
    plays = len([one for one in origin.plays if one.target == "/vod/cut"])
    check(plays <= 30, f"the origin that breaks off was asked {plays} times for two players")
    listed = json.loads(command(context, folder, "ls", "--json"))
    # A header that says less than there is does not contradict itself, and of the long one the packets are as many as they should be.
    whole = [row["url"].rpartition("/")[2] for row in listed["rows"] if row["whole"]]
    check(set(whole) <= {"less", "long"}, f"held to be whole are {whole}")
    origin.close()
    answer = fetch((weir.host, weir.port), describe("/vod/more"), seconds=8)
    check(re.match(rb"HTTP/1\.[01] 504 ", answer), lambda: f"what has another size than its header says is not kept: {answer[:100]!r}")
    weir.check_alive()


@test(seconds_max=40)
def wm_cache_with_a_broken_index_loses_nothing(context):
    """An index that is no database, and one of a newer Weir: both are said with the file's name and what to do, nothing is touched; rebuilt, it
    serves what it had without asking the origin. Damaged content is not served, and found by `weir cache verify`."""
    programme = clip_of(context, 3)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(programme, FRESH)}))
    folder = context.path("cache")
    config = context.write("proxy.yml", PROXY.format(folder=folder, url=origin.url("/vod/a")))
    weir = context.weir("serve", "--config", config)
    watched(context, weir, "/a", programme)
    wait_until(lambda: not any(play.is_open for play in origin.plays), 5, "it is filled")
    check("/vod/a" in command(context, folder, "ls"), "it is not kept")
    weir.process.stop()
    index = os.path.join(folder, "index.sqlite")

    def newer():
        database = sqlite3.connect(index)
        database.execute("PRAGMA user_version = 4711")
        database.close()

    def broken():
        with open(index, "r+b") as file:
            file.write(b"no database" * 400)
    for harm, word in ((newer, "newer"), (broken, "index.sqlite")):
        harm()
        before = contents_of(folder)
        refused = context.weir("serve", "--config", config, ready=False)
        refused.process.is_server = False
        check(refused.process.wait(10) != 0, f"with an index that is {harm.__name__} weir serves")
        for said in (refused.process.text(), command(context, folder, "ls", good=False)):
            check(word in said and folder in said and "--rebuild" in said, lambda: f"{harm.__name__}: {said[-400:]}")
        after = contents_of(folder)
        touched = [path for path in before | after if before.get(path) != after.get(path)]
        check(not touched, f"because of an index that is {harm.__name__}, {touched} changed")
        command(context, folder, "verify", "--rebuild")
        check("/vod/a" in command(context, folder, "ls"), "it is not there after the rebuilding")
        again = context.weir("serve", "--config", config)
        asked = len(origin.requests)
        watched(context, again, "/a", programme)
        check(len(origin.requests) == asked, f"after the rebuilding the origin was asked {origin.said()[asked:]}")
        again.process.stop()

    # One byte of the content.
    path, at = next((path, data.index(programme.packets[9])) for path, data in contents_of(folder).items() if programme.packets[9] in data)
    with open(path, "r+b") as file:
        file.seek(at + 100)
        byte = file.read(1)[0]
        file.seek(at + 100)
        file.write(bytes([byte ^ 1]))
    check("/vod/a" in command(context, folder, "verify", good=None), "weir cache verify does not find what is damaged")
    again = context.weir("serve", "--config", config)
    watched(context, again, "/a", programme)
    check(len(origin.plays) == 2, f"what was damaged was not fetched again: {origin.said()}")


def contents_of(folder):
    """Every file of the cache, but what SQLite keeps beside its own, and the lock."""
    paths = [path for path in glob.glob(os.path.join(folder, "**"), recursive=True)
             if os.path.isfile(path) and not path.endswith(("-wal", "-shm", "/lock"))]
    return {path: open(path, "rb").read() for path in paths}


def command(context, folder, *words, good=True):
    """What `weir cache …` prints; `good`: whether it has to end well, None: whichever."""
    code, out, err = context.run_weir("cache", *words, "--cache", folder, name="cache")
    check(good is None or (code == 0) == good, f"weir cache {' '.join(words)} ended with {code}: {out[-200:]}{err[-300:]}")
    return out + err


@test(seconds_max=30)
def wm_cache_on_a_full_disk_stops_nobody(context):
    """A disk that is full in mid-fill: the player gets every byte, so does the next one, the log says that it is full, and what there was stays."""
    small, large = clip_of(context, 3), clip_of(context, 20)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(large, FRESH), "/vod/s": Content(small, FRESH)}))
    folder = context.path("disk")
    os.makedirs(folder)
    need = sum(map(len, small.packets))
    wrapper = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size={need + (1 << 20)} none {folder} && exec \"$@\"", "sh"]
    config = PROXY.format(folder=os.path.join(folder, "cache"), url=origin.url("/vod/a"))
    config = "cache-free-min: 0\n" + config + f"  s:\n    source: {origin.url('/vod/s')}\n"
    weir = context.weir("serve", config=config, wrapper=wrapper)
    watched(context, weir, "/s", small)
    for _ in range(2):
        watched(context, weir, "/a", large)
    check(re.search(r"(?i)no space|full|room", weir.log()), lambda: f"the log does not say that the disk is full: {weir.log()[-600:]}")
    asked = len(origin.requests)
    watched(context, weir, "/s", small)
    counts = outcomes(context, weir)
    check(counts.get("HIT", 0) == 1 and len(origin.requests) == asked, f"{counts}, and the origin was asked {origin.said()[asked:]}")
    origin.close()
    weir.check_alive()
