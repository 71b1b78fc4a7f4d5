"""Users, passwords and rights: real players and encoders log in, or are refused and told so."""
import concurrent.futures
import hashlib
import time

from harness.clip import Numbered, demo_hashes
from harness.players import check_run, ffmpeg_pictures, gst_pictures, mplayer_pictures, pictures, start_publisher
from harness.process import wait_until
from harness.registry import check, test
from harness.rtsp import digest_response, fetch, parse_parameters

USERS = """
users:
  viewer: {password: "p w:d"}
  encoder: {password: "sha256:%s md5:%s"}
access: {read: viewer, publish: encoder, methods: [%s]}
paths:
  live: {source: publish}
  demo: {source: %s, dial: always}
  open: {source: %s, read: any}
"""


def serve(context, methods="digest-sha256, digest-md5"):
    """Weir with two users; `viewer` has a password that a URL must encode, `encoder` is known by hashes alone."""
    secret = "encoder:Weir:enc"
    source = origin(context).url("demo")
    hashes = (hashlib.sha256(secret.encode()).hexdigest(), hashlib.md5(secret.encode()).hexdigest())
    return context.weir("serve", config=USERS % (*hashes, methods, source, source))


def origin(context):
    """A Weir without users that shows the demonstration clip."""
    return context.weir("demo")


def refused(weir):
    return [line for line in weir.log().splitlines() if "login refused" in line]


def read(context, player, url, size=(1280, 720)):
    if player == "ffmpeg":
        return ffmpeg_pictures(context, url, "tcp", 30)
    if player == "gstreamer":
        return gst_pictures(context, url, "tcp", 30, *size)
    return mplayer_pictures(context, url, "tcp", 30)


@test(seconds_max=60, player=["ffmpeg", "gstreamer", "mplayer"])
def the_right_password_plays(context, player):
    """Digest: each player's pictures are the origin's, and nothing is refused but the first request of each connection."""
    weir = serve(context)
    seen = read(context, player, weir.url("demo", "viewer:p%20w%3Ad@"))
    check_run(seen, demo_hashes(context.cache), 30, player)
    status = weir.wait_for_status(lambda line: line["refusals"]["login_missing"] > 0, 5, "the challenge was counted")
    check(status["refusals"]["login_wrong"] == 0 and status["refusals"]["login_stale"] == 0, lambda: f"{status['refusals']}")
    check(not refused(weir), lambda: f"the log says {refused(weir)[0]}")
    check("p w:d" not in weir.log() and "p%20w" not in weir.log(), "the log shows the password")


@test(seconds_max=60, player=["ffmpeg", "gstreamer", "mplayer"])
def basic_plays(context, player):
    """Where Basic alone is offered."""
    weir = serve(context, methods="basic")
    check_run(read(context, player, weir.url("demo", "viewer:p%20w%3Ad@")), demo_hashes(context.cache), 30, player)


@test(seconds_max=60, player=["ffmpeg", "gstreamer"])
def all_methods_together_play(context, player):
    """Where all three are offered, each player finds one that it can do."""
    weir = serve(context, methods="basic, digest-sha256, digest-md5")
    check_run(read(context, player, weir.url("demo", "viewer:p%20w%3Ad@")), demo_hashes(context.cache), 30, player)


@test(seconds_max=60)
def udp_readers_log_in_too(context):
    """ffmpeg and GStreamer over UDP, with the password."""
    weir = serve(context)
    url = weir.url("demo", "viewer:p%20w%3Ad@")
    check_run(pictures(context, "ffmpeg", url, "udp", 30, 1280, 720), demo_hashes(context.cache), 30, "ffmpeg")
    check_run(pictures(context, "gstreamer", url, "udp", 30, 1280, 720), demo_hashes(context.cache), 30, "GStreamer")


@test(seconds_max=60, credentials=["", "viewer:wrong@", "nobody:wrong@"])
def without_it_nothing_plays(context, credentials):
    """None, a wrong password, an unknown name: 401, one line in the log that says why, and no reader."""
    weir = serve(context)
    players = {}
    for name, argv in {
        "ffmpeg": ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "info", "-rtsp_transport", "tcp", "-i",
                   weir.url("demo", credentials), "-frames:v", "1", "-f", "null", "-"],
        "gstreamer": ["gst-launch-1.0", "rtspsrc", f"location={weir.url('demo', credentials)}", "protocols=tcp", "!", "fakesink"],
    }.items():
        process = context.spawn(name, argv)
        check(process.wait(20) not in (0, None), f"{name} did not fail")
        players[name] = process.text()
    check("401 Unauthorized" in players["ffmpeg"], "ffmpeg was not told 401")
    check("nauthorized" in players["gstreamer"], "GStreamer was not told 401")
    lines = wait_until(lambda: refused(weir), 5, "the log says that a login was refused")
    why = {"": "none came", "viewer:wrong@": "the password is wrong", "nobody:wrong@": "there is no such user"}[credentials]
    check(why in lines[0] and "from=127.0.0.1" in lines[0], lambda: f"the log says: {lines[0]}")
    check(len(lines) == 1, f"{len(lines)} lines within a minute")
    check("wrong@" not in weir.log() and ":wrong" not in weir.log(), "the log shows the password")
    check("role=reader" not in weir.log(), "a session was opened")
    key = "login_wrong" if credentials else "login_missing"
    weir.wait_for_status(lambda line: line["refusals"][key] >= 2, 5, f"{key} was counted")


@test(seconds_max=60, transport=["tcp", "udp"])
def an_encoder_logs_in(context, transport):
    """ffmpeg publishes with a password that the server knows as hashes only; a viewer reads it. Others may not publish."""
    clip = Numbered(context.cache)
    weir = serve(context)
    for credentials, code in (("", "401"), ("encoder:wrong@", "401"), ("viewer:p%20w%3Ad@", "403")):
        process = start_publisher(context, clip.path, weir.url("live", credentials), transport, name="refused")
        check(process.wait(20) not in (0, None), f"ffmpeg published as `{credentials}`")
        check(code in process.text(), lambda: f"as `{credentials}` it was told: {process.text()[-200:]}")
    start_publisher(context, clip.path, weir.url("live", "encoder:enc@"), transport)
    weir.process.wait_for(lambda: "role=publisher" in weir.log(), 15, "the encoder's session began")
    check_run(ffmpeg_pictures(context, weir.url("live", "viewer:p%20w%3Ad@"), "tcp", 30), clip.pictures, 30, "ffmpeg")


@test(seconds_max=60)
def gstreamer_publishes(context):
    """GStreamer's rtspclientsink."""
    clip = Numbered(context.cache)
    weir = serve(context)
    context.spawn("publisher", ["gst-launch-1.0", "filesrc", f"location={clip.path}", "!", "qtdemux", "!", "h264parse",
                                "config-interval=-1", "!", "identity", "sync=true", "!", "rtspclientsink",
                                f"location={weir.url('live', 'encoder:enc@')}", "protocols=tcp"])
    weir.process.wait_for(lambda: "role=publisher" in weir.log(), 15, "the encoder's session began")
    check_run(ffmpeg_pictures(context, weir.url("live", "viewer:p%20w%3Ad@"), "tcp", 30), clip.pictures, 30, "ffmpeg")


@test(seconds_max=60, methods=["digest-sha256", "digest-md5", "basic"])
def weir_pulls_from_weir(context, methods):
    """A Weir pulls from one that wants a password by one method alone, SHA-256 among them."""
    inner = serve(context, methods=methods)
    outer = context.weir("serve", config=f"paths:\n  cam: {{source: '{inner.url('demo', 'viewer:p%20w%3Ad@')}'}}\n")
    check_run(ffmpeg_pictures(context, outer.url("cam"), "tcp", 30), demo_hashes(context.cache), 30, "ffmpeg")
    check("p w:d" not in outer.log() and "p%20w" not in outer.log(), "the log shows the password")


@test(seconds_max=40)
def weir_measures_with_a_password(context):
    """`weir probe` and `weir load` take user and password from the URL, and say what is wrong without them."""
    weir = serve(context)
    url = weir.url("demo", "viewer:p%20w%3Ad@")
    code, out, err = context.run_weir("probe", url, "--duration", "2", name="probe")
    check(code == 0, f"weir probe ended with {code}: {err[-300:]}")
    code, out, err = context.run_weir("load", url, "-n", "20", "--duration", "2", "--settling", "1", name="load")
    check(code == 0, f"weir load ended with {code}: {err[-300:]}")
    code, out, err = context.run_weir("probe", weir.url("demo", "viewer:wrong@"), name="probe-wrong")
    check(code != 0 and "password" in err and "wrong" not in err, lambda: f"with a wrong password: {code}, {err[-300:]}")


@test(seconds_max=40)
def a_stranger_cannot_tell_paths_apart(context):
    """Without a password a path that there is and one that there is not are answered alike; an open one plays."""
    weir = serve(context)
    address = (weir.host, weir.port)

    def ask(path):
        lines = fetch(address, f"DESCRIBE {weir.url(path)} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()).decode().splitlines()
        return [line for line in lines if not line.startswith(("Date:", "WWW-Authenticate:"))]
    check(ask("demo") == ask("nothing") == ask("demo/trackID=0"), lambda: f"{ask('demo')} {ask('nothing')}")
    check(ask("demo")[0].startswith("RTSP/1.0 401"), lambda: ask("demo")[0])
    check_run(ffmpeg_pictures(context, weir.url("open"), "tcp", 10), demo_hashes(context.cache), 10, "ffmpeg")


@test(seconds_max=40)
def guessing_is_slowed(context):
    """After ten wrong passwords an address must wait, is told so, and the log stays quiet."""
    weir = serve(context)
    address, url = (weir.host, weir.port), weir.url("demo")

    def guess(password):
        first = fetch(address, f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()).decode()
        challenge = [line for line in first.splitlines() if line.startswith("WWW-Authenticate: Digest")][-1]
        nonce = parse_parameters(challenge)["nonce"]
        response = digest_response("MD5", "viewer", "Weir", password, "DESCRIBE", url, nonce, {})
        answer = fetch(address, (f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Digest username=\"viewer\", realm=\"Weir\", "
                                 f"nonce=\"{nonce}\", uri=\"{url}\", response=\"{response}\"\r\n\r\n").encode()).decode()
        return answer.split()[1]
    check(guess("p w:d") == "200", "the right password is not taken")
    answers = [guess(f"guess{number}") for number in range(20)]
    check(answers[:10] == ["401"] * 10, lambda: f"{answers}")
    check(answers.count("503") >= 8, lambda: f"{answers}")
    lines = [line for line in refused(weir) if "wrong" in line]
    check(len(lines) == 1, lambda: f"{len(lines)} lines")
    status = weir.wait_for_status(lambda line: line["refusals"]["login_rate"] >= 8, 5, "the refusals are counted")
    check(status["refusals"]["login_wrong"] >= 10, lambda: f"{status['refusals']}")


@test(seconds_max=60, player=["ffmpeg", "gstreamer"])
def an_old_nonce_is_renewed(context, player):
    """Nonces of one second, and a DESCRIBE that is held for longer: the player is told `stale`, and goes on with the next one."""
    clip = Numbered(context.cache)
    weir = context.weir("serve", config="access: {nonce-life: 1s, publish: any}\nusers: {viewer: {password: x}}\npaths:\n"
                        "  live: {source: publish}\n")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, context, player, weir.url("live", "viewer:x@"), (640, 360))
        weir.wait_for_status(lambda line: line["refusals"]["login_missing"] > 0, 5, "the player was challenged")
        time.sleep(1.5)
        start_publisher(context, clip.path, weir.url("live"), "tcp")
        check_run(future.result(), clip.pictures, 30, player)
    status = weir.wait_for_status(lambda line: line["refusals"]["login_stale"] > 0, 5, "a nonce was found stale")
    check(status["refusals"]["login_wrong"] == 0, lambda: f"{status['refusals']}")
