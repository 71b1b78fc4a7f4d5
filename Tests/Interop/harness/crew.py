"""How many tests run at a time. Most of them wait for media in real time, a few keep the processors busy with encoders: a fixed number is
too small for the first and too large for the others."""
import concurrent.futures
import time

IDLE_MIN = 0.4         # of the processors' time, for one test more
LOOK_SECONDS = 0.4     # what was started must have had the time to show what it costs


class Crew:
    """`least` tests at a time always, up to `most` while the processors have been idle for IDLE_MIN of the time."""

    def __init__(self, least, most):
        self.least, self.most = max(1, least), max(1, most)

    def run(self, jobs, work):
        """(job, what work(job) returned) as they end."""
        waiting, running = list(jobs), {}
        with concurrent.futures.ThreadPoolExecutor(self.most) as pool:
            before = processor_times()
            while waiting or running:
                while waiting and len(running) < self.least:
                    job = waiting.pop(0)
                    running[pool.submit(work, job)] = job
                ended, _ = concurrent.futures.wait(running, LOOK_SECONDS, concurrent.futures.FIRST_COMPLETED)
                for future in ended:
                    yield running.pop(future), future.result()
                now = processor_times()
                if now.at - before.at < LOOK_SECONDS:
                    continue
                if waiting and self.least <= len(running) < self.most and now.idle_since(before) >= IDLE_MIN:
                    job = waiting.pop(0)
                    running[pool.submit(work, job)] = job
                before = now


class Times:
    def __init__(self, at, whole, idle):
        self.at, self.whole, self.idle = at, whole, idle

    def idle_since(self, before):
        """Which part of the time since then was nobody's."""
        return (self.idle - before.idle) / max(1, self.whole - before.whole)


def processor_times():
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return Times(time.monotonic(), sum(fields), fields[3] + fields[4])
