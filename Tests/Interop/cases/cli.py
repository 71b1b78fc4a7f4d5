"""The command line, as a shell sees it."""
import json
import os
import resource
import signal
import socket
import subprocess
import time

from harness.clip import demo_hashes, demo_path
from harness.origin import Origin
from harness.players import check_run, ffmpeg_pictures
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

COMMANDS = [["demo"], ["serve"], ["relay"], ["status"], ["top"], ["probe"], ["load"], ["bench"], ["bench", "fanout"], ["bench", "ingest"], ["bench", "relay"],
            ["bench", "verbatim"], ["bench", "parsers"], ["playlist"], ["cache"],
            *(["cache", word] for word in ("ls", "stats", "verify", "purge", "pin", "unpin", "prefetch"))]


@test(seconds_max=40)
def help_helps(context):
    """Every command explains itself on standard output, with an example that begins `weir COMMAND`."""
    code, out, err = context.run_weir("--help")
    check(code == 0 and not err, f"weir --help: code {code}, standard error {err[:100]!r}")
    for command in ("demo", "serve", "relay", "status", "top", "probe", "bench", "load", "playlist", "cache"):
        check(command in out, f"weir --help does not name {command}")
    for command in COMMANDS:
        code, out, _ = context.run_weir(*command, "--help")
        words = " ".join(command)
        check(code == 0, f"weir {words} --help ended with code {code}")
        if command != ["bench"]:
            examples = [line for line in out.splitlines() if line.strip().startswith(f"weir {words}")]
            check(examples, f"weir {words} --help has no example")


@test(seconds_max=30)
def wrong_usage_is_refused(context):
    """A wrong command line ends with code 64, a wrong value with 64 or 1; it says what is wrong on standard error and nothing on standard output."""
    for arguments in (["frobnicate"], ["demo", "--nonsense"], ["relay"], ["load"], ["probe"],
                      ["demo", "--backend", "kqueue"], ["demo", "--listen", "nonsense"], ["demo", "--listen", "127.0.0.1:99999"]):
        code, out, err = context.run_weir(*arguments)
        check(code not in (0, -4, -6, -11, -5), f"weir {' '.join(arguments)} ended with code {code}")
        check(code == 64 or code == 1 and "--listen" in arguments, f"weir {' '.join(arguments)} ended with code {code}, not 64")
        check(err.strip() and not out.strip(), f"weir {' '.join(arguments)}: standard output {out[:80]!r}, standard error {err[:80]!r}")


@test(seconds_max=40)
def engine_options_are_checked(context):
    """Engine options with values that cannot be are refused with the option's name, on the command line and in the file."""
    wrong = (("--workers", "0"), ("--workers", "65"), ("--workers", "many"), ("--zero-copy", "perhaps"), ("--max-delay", "2s"),
             ("--max-delay", "soon"))
    for option, value in wrong:
        code, _, err = context.run_weir("demo", option, value, "--listen", f"127.0.0.1:{free_port()}")
        check(code not in (0, -4, -5, -6, -11), f"{option} {value}: code {code}")
        check(option in err, f"{option} {value}: {err[:200]!r}")
        path = context.write("engine.yml", f"engine:\n  {option.strip('-')}: {value}\npaths:\n  a:\n    source: publish\n")
        code, out, err = context.run_weir("serve", "--config", path, "--check")
        check(code not in (0, -4, -5, -6, -11) and "engine.yml:2" in err, f"{option} {value} in a file: code {code}, {(out + err)[:200]!r}")


@test(seconds_max=40)
def configuration_errors_teach(context):
    """serve --check names file, line and key of everything wrong, and changes nothing for a good file."""
    good = context.write("good.yml", "paths:\n  cam:\n    source: rtsp://127.0.0.1:1/x\n    dial: on-demand\n    linger: 5s\n"
                                     "    source-wait: 10s\n  live:\n    source: publish\nengine:\n  backend: epoll\n")
    code, out, err = context.run_weir("serve", "--config", good, "--check")
    check(code == 0, f"a good file: code {code}, {(out + err)[:200]!r}")
    wrong = [
        ("paths:\n  cam:\n    sorce: publish\n", 3, "sorce"),
        ("paths:\n  cam:\n    source: publish\n    linger: soon\n", 4, "linger"),
        ("paths:\n  cam:\n    source: publish\n    dial: sometimes\n", 4, "dial"),
        ("paths:\n  cam:\n    source: ftp://x/y\n", 3, "source"),
        ("pahts:\n  cam:\n    source: publish\n", 1, "pahts"),
        ("listen: 127.0.0.1:8554\npaths:\n  cam: 5\n", 3, "cam"),
        ("paths:\n  cam:\n    source: publish\nengine:\n  backend: magic\n", 5, "backend"),
        ("paths:\n  cam:\n    source: publish\n    source-wait: 99999999999999999999s\n", 4, "source-wait"),
        ("paths:\n  cam:\n    source: publish\n    linger: -5s\n", 4, "linger"),
        ("paths:\n  cam:\n    source: publish\n    pacing: slowly\n", 4, "pacing"),
        ("paths:\n  cam:\n    source: publish\n    join-burst: perhaps\n", 4, "join-burst"),
        ("paths:\n  cam:\n    source: publish\n    join-burst-speed: 1\n", 4, "join-burst-speed"),
        ("paths:\n  cam:\n    source: publish\n    overload: pray\n", 4, "overload"),
        ("paths:\n  cam:\n    source: publish\n    lag-time: 2 moons\n", 4, "lag-time"),
        ("paths: [\n", None, ""),
        ("paths:\n  cam:\n    source: publish\n  cam:\n    source: publish\n", None, "cam"),
    ]
    for number, (text, line, key) in enumerate(wrong):
        path = context.write(f"wrong{number}.yml", text)
        code, out, err = context.run_weir("serve", "--config", path, "--check")
        check(code not in (0, -4, -5, -6, -11), f"{text!r}: code {code}")
        check(f"wrong{number}.yml" in err and key in err, f"{text!r}: file or key `{key}` missing in {err[:200]!r}")
        if line:
            check(f"wrong{number}.yml:{line}" in err, f"{text!r}: line {line} missing in {err[:200]!r}")
    code, out, err = context.run_weir("serve", "--config", context.path("absent.yml"), "--check")
    check(code not in (0, -4, -5, -6, -11) and "absent.yml" in err, f"a file that is not there: code {code}, {err[:200]!r}")


@test(seconds_max=40)
def environment_overrides(context):
    """WEIR_PATHS_CAM_SOURCE takes the place of what the file says; a variable that means nothing is an error."""
    origin = context.closing(Origin())
    weir = context.weir("serve", config="paths:\n  cam:\n    source: rtsp://127.0.0.1:1/nothing\n",
                        environment={"WEIR_PATHS_CAM_SOURCE": origin.url()})
    check_run(ffmpeg_pictures(context, weir.url("cam"), "tcp", 20), demo_hashes(context.cache), 20, "ffmpeg")
    code, _, err = context.run_weir("serve", "--config", context.path("weir.yml"), "--check", environment={"WEIR_PATHS_CAM_SORCE": "x"})
    check(code != 0 and "WEIR_PATHS_CAM_SORCE" in err, f"a misspelt variable: code {code}, {err[:200]!r}")


@test(seconds_max=60)
def probe_tells(context):
    """weir probe names tracks and codecs; with --json exactly one line."""
    origin = context.closing(Origin())
    code, out, _ = context.run_weir("probe", origin.url(), "--json", seconds=30)
    check(code == 0, f"code {code}")
    check(len(out.splitlines()) == 1, f"{len(out.splitlines())} lines on standard output")
    result = json.loads(out)
    text = json.dumps(result)
    check("H264" in text and ("mpeg4-generic" in text.lower() or "aac" in text.lower()), f"the codecs are missing: {text[:300]}")
    check("v=0" in text, "the SDP is missing")
    code, out, _ = context.run_weir("probe", origin.url(), seconds=30)
    check(code == 0 and "H264" in out.upper().replace(".", ""), f"without --json: code {code}, {out[:200]!r}")
    code, out, err = context.run_weir("probe", f"rtsp://127.0.0.1:{free_port()}/x", "--json", seconds=30)
    check(code not in (0, -4, -5, -6, -11), "probing nothing succeeded")
    check(err.strip(), "probing nothing gave no reason")


@test(seconds_max=90, alone=True)
def bench_prints_one_line(context):
    """weir bench fanout and ingest with --json: one line with the promised keys, nothing dropped."""
    shape = ["--packets-per-frame", "12", "--packet-size", "1200", "--duration", "1", "--json"]
    runs = [["fanout", "--transport", "udp", "--subscribers", "50", *shape], ["fanout", "--transport", "tcp", "--subscribers", "50", *shape],
            ["fanout", "--transport", "udp", "--subscribers", "50", *shape, "--receive-gro", "off", "--fps", "25"],
            ["ingest", "--streams", "4", "--duration", "1", "--json"]]
    for arguments in runs:
        code, out, _ = context.run_weir("bench", *arguments, seconds=40, name="weir-bench")
        words = " ".join(arguments)
        check(code == 0, f"weir bench {words} ended with code {code}")
        check(len(out.splitlines()) == 1, f"weir bench {words}: {len(out.splitlines())} lines on standard output")
        result = json.loads(out)
        for key in ("packets", "cpu_us_per_packet", "limit_us_per_packet", "ratio_to_limit", "drops", "backend"):
            check(key in result, f"weir bench {words}: `{key}` is missing")
        check(result["packets"] > 0 and result["ratio_to_limit"] > 0, f"weir bench {words}: {out[:200]}")


@test(seconds_max=40)
def goes_on_without_input(context):
    """The end of standard input, a closed terminal or a missing reader of its output end no command; SIGINT and SIGTERM do, with code 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        weir = context.weir("demo")  # standard input is /dev/null
        time.sleep(1.2)
        check(weir.process.running, "it ended at the end of its input")
        weir.process.child.send_signal(number)
        check(weir.process.wait(8) == 0, f"{number.name} ended it with code {weir.process.child.returncode}")
    pipe = subprocess.Popen([context.weir_path, "demo", "--json", "--listen", f"127.0.0.1:{free_port()}"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        pipe.stdout.readline()
        pipe.stdout.close()
        time.sleep(2.5)
        check(pipe.poll() is None, f"a closed pipe behind its output ended it with code {pipe.returncode}")
    finally:
        pipe.kill()
        pipe.wait()


@test(seconds_max=30)
def no_live_line_without_a_terminal(context):
    """Without a terminal there is no carriage return, no escape sequence and no figure every second."""
    port = free_port()
    process = context.spawn("plain", [context.weir_path, "demo", "--listen", f"127.0.0.1:{port}"])
    process.wait_for(lambda: "listening on" in process.text().lower(), 10, "it said `listening on`")
    time.sleep(3)
    text = process.text()
    check("\r" not in text and "\x1b" not in text, "terminal control characters in a file")
    check(f":{port}/demo" in text, "the URL to play is not shown")
    lines = text.count("\n")
    time.sleep(3)
    check(process.text().count("\n") <= lines + 1, "it goes on printing without a terminal")
    process.stop()


@test(seconds_max=30)
def descriptors_are_raised(context):
    """The soft limit on descriptors is raised to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    weir = context.weir("demo", wrapper=("/bin/sh", "-c", 'ulimit -S -n 256; exec "$0" "$@"'))
    with open(f"/proc/{weir.pid}/limits") as file:
        line = next(line for line in file if line.startswith("Max open files"))
    check(line.split()[3] == line.split()[4] == str(hard), f"limits of the process: {line.strip()} (hard limit here {hard})")


@test(seconds_max=30)
def taken_port_is_said(context):
    """A port that is taken: a sentence that names it, no crash."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, _, err = context.run_weir("demo", "--listen", f"127.0.0.1:{port}")
        check(code not in (0, -4, -5, -6, -11), f"code {code}")
        check(str(port) in err, f"the message does not name the port: {err[:200]!r}")


@test(seconds_max=40)
def default_listen_is_both_families(context):
    """Without a host it listens on all addresses, IPv4 and IPv6."""
    port = free_port("::1")
    process = context.spawn("weir-both", [context.weir_path, "demo", "--listen", f"[::]:{port}", "--json"])
    process.wait_for(lambda: "listening on" in process.text().lower(), 10, "it said `listening on`")
    loop = context.closing(ReaderLoop())
    for host in ("127.0.0.1", "[::1]"):
        for transport in ("udp", "tcp"):
            reader = Reader(loop, f"rtsp://{host}:{port}/demo", transport)
            reader.start()
            reader.wait_for_packets(0, 20, 8)
            reader.close()


@test(seconds_max=30)
def media_ports_are_kept(context):
    """--media-ports bounds the server's UDP ports; they are bound to the --listen address."""
    base = free_port(kind=socket.SOCK_DGRAM) & ~1
    weir = context.weir("demo", "--media-ports", f"{base}-{base + 9}")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"))
    reader.describe()
    for track in range(2):
        transport = reader.setup(track).headers["transport"]
        ports = [int(part) for part in transport.split("server_port=")[1].split(";")[0].split("-")]
        check(all(base <= port <= base + 9 for port in ports), f"server_port {ports} outside {base}-{base + 9}")
    with open("/proc/net/udp") as file:
        bound = {line.split()[1] for line in file.readlines()[1:]}
    check(f"0100007F:{ports[0]:04X}" in bound, "the media port is not bound to 127.0.0.1 alone")


@test(seconds_max=30)
def file_source_errors_teach(context):
    """A source that is no dump, or has no description beside it, is refused with its name."""
    dump = context.write("broken.rtpdump", "this is not a dump")
    context.write("broken.sdp", "v=0\r\n")
    lonely = context.path("lonely.rtpdump")
    os.symlink(demo_path("rtpdump"), lonely)
    for path in (dump, lonely, context.path("absent.rtpdump")):
        process = context.spawn("weir", [context.weir_path, "relay", path, "--listen", f"127.0.0.1:{free_port()}"])
        # It may go on, as with any source that is down, but it must say what is wrong.
        wait_until(lambda: os.path.basename(path).split(".")[0] in process.err(), 4, lambda: "a message about " + os.path.basename(path))
        check(process.running or process.child.returncode > 0, f"{os.path.basename(path)}: code {process.child.returncode}")
