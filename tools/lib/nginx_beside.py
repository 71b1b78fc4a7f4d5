"""nginx with a file of Windows Media as plain HTTP, at the file's own pace: what tools/bench holds Weir's files on demand against.

nginx is the system's, or Debian's, which is fetched into a folder and not installed. Readers are sockets in one epoll set that throw away
what comes, as many as Weir had, at as many places.
"""
import os
import select
import shutil
import signal
import socket
import subprocess
import time

CONFIGURATION = """\
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    sendfile_max_chunk {chunk};
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port} backlog=2048; root {root}; limit_rate {rate}; }}
}}
"""


class Missing(Exception):
    """There is no nginx, and none can be fetched; the text says why."""


def find(folder):
    """The system's nginx, or Debian's, unpacked into a folder."""
    for known in (shutil.which("nginx"), "/usr/sbin/nginx", os.path.join(folder, "nginx/usr/sbin/nginx")):
        if known and os.access(known, os.X_OK):
            return known
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Missing("nginx is missing, and this system has no apt-get to fetch Debian's with")
    os.makedirs(folder, exist_ok=True)
    try:
        fetched = subprocess.run(["apt-get", "download", "nginx"], cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise Missing("nginx is missing, and `apt-get download nginx` takes more than a minute")
    packages = [name for name in os.listdir(folder) if name.startswith("nginx_") and name.endswith(".deb")]
    if not packages:
        raise Missing(f"nginx is missing, and `apt-get download nginx` fails: {fetched.stderr.strip()[-200:]}")
    subprocess.run(["dpkg-deb", "-x", os.path.join(folder, packages[0]), os.path.join(folder, "nginx")], check=True)
    return os.path.join(folder, "nginx/usr/sbin/nginx")


class Nginx:
    """nginx, serving the folder of a file at so many bytes a second to each reader, with sends of at most `chunk`."""

    def __init__(self, program, path, rate, chunk, folder, workers=2):
        self.folder = folder
        self.path = path
        os.makedirs(folder, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        configuration = os.path.join(folder, "nginx.conf")
        with open(configuration, "w") as file:
            file.write(CONFIGURATION.format(folder=folder, port=self.port, root=os.path.dirname(path), rate=rate, chunk=chunk, workers=workers))
        os.chmod(folder, 0o755)
        user = ["-g", "user root;"] if os.getuid() == 0 else []
        self.process = subprocess.Popen([program, "-p", folder, "-e", os.path.join(folder, "error.log"), "-c", configuration, *user],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.end()
                    raise Missing(f"nginx does not start: {self.process.stderr.read().strip()[-200:]}")
                time.sleep(0.05)

    def processor_ns(self):
        """CPU time of its master and workers so far."""
        total = 0
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            processes = [self.process.pid, *map(int, file.read().split())]
        for process in processes:
            with open(f"/proc/{process}/schedstat") as file:
                total += int(file.read().split()[0])
        return total

    def disk_bytes(self):
        """What its workers have had from disks so far."""
        total = 0
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            workers = file.read().split()
        for worker in workers:
            with open(f"/proc/{worker}/io") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("read_bytes:"))
        return total

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def load(nginx, places, rate, settling, duration):
    """Reads the file from each place on at once. CPU time per byte, and how near to their pace the slowest reader came."""
    name = os.path.basename(nginx.path)
    memory = bytearray(1 << 18)
    readers, counts = {}, {}
    poll = select.epoll()
    disk = nginx.disk_bytes()
    try:
        for place in places:
            reader = socket.create_connection(("127.0.0.1", nginx.port), 10)
            reader.sendall(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={place}-\r\n\r\n".encode())
            reader.setblocking(False)
            readers[reader.fileno()] = reader
            counts[reader.fileno()] = 0
            poll.register(reader.fileno(), select.EPOLLIN)
            time.sleep(0.001)

        def read(until):
            while time.monotonic() < until:
                for number, _ in poll.poll(0.02):
                    try:
                        got = readers[number].recv_into(memory)
                    except BlockingIOError:
                        continue
                    if got == 0:
                        poll.unregister(number)
                    counts[number] += got
                time.sleep(0.005)

        read(time.monotonic() + settling)
        began, before, processor = time.monotonic(), dict(counts), nginx.processor_ns()
        read(began + duration)
        seconds, processor = time.monotonic() - began, nginx.processor_ns() - processor
        taken = sorted(counts[number] - before[number] for number in counts)
        total = sum(taken)
        return {
            "readers": len(taken), "bytes": total, "seconds": seconds, "server_cpu_ns_per_byte": processor / max(total, 1),
            "server_cores": processor / 1e9 / seconds, "real_time_ratio": total / (rate * seconds * len(taken)),
            "real_time_ratio_least": taken[0] / (rate * seconds), "disk_bytes": nginx.disk_bytes() - disk,
        }
    finally:
        for reader in readers.values():
            reader.close()
        poll.close()


def forget(path):
    """Has the kernel forget what it keeps of a file, so that it comes from the disk again."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass


def measure(path, rate, readers, hot, scratch, settling=3.0, duration=8.0, cold=False):
    """Readers at as many places (with `cold` once more when the kernel has forgotten the file), then of one place, with sends as nginx likes
    them and of a quarter of a second, as Weir's are."""
    program = find(os.path.join(scratch, "fetched"))
    size = os.path.getsize(path)
    room = max(size - int(rate * (settling + duration + 5)), 1)
    results = {}
    for kind, chunk in (("as_it_likes", "2m"), ("quarter_seconds", max(rate // 4, 4096))):
        nginx = Nginx(program, path, rate, chunk, os.path.join(scratch, kind))
        try:
            places = [room * index // readers for index in range(readers)]
            warm(path)
            results[kind] = {"places": load(nginx, places, rate, settling, duration)}
            if cold:
                forget(path)
                results[kind]["cold"] = load(nginx, places, rate, settling, duration)
            results[kind]["hot"] = load(nginx, [0] * hot, rate, settling, duration)
        finally:
            nginx.end()
    return results
