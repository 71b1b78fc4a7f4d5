import Glibc

/// How busy the processors of this machine are, as relays say it of themselves in rendering logs (`s-cpu-util`).
struct HostLoad {
    private var last: (busy: UInt64, all: UInt64)?
    private var at: UInt64 = 0
    private var percent: Int?

    /// Not looked at more often.
    private static let periodMilliseconds: UInt64 = 1_000

    /// Percent of all of them since it was asked for last, 0 to 100; nil where the system does not say.
    mutating func percent(now: UInt64) -> Int? {
        if percent != nil, now < at &+ Self.periodMilliseconds { return percent }
        guard let sample = Self.sample() else { return nil }
        let before = last ?? (0, 0)
        let all = sample.all &- before.all, busy = sample.busy &- before.busy
        if all > 0, sample.all >= before.all, sample.busy >= before.busy { percent = Int(min(busy &* 100 / all, 100)) }
        last = sample
        at = now
        return percent
    }

    /// The first line of /proc/stat: `cpu user nice system idle iowait …`, in ticks since the start.
    static func parse(_ text: String) -> (busy: UInt64, all: UInt64)? {
        guard let line = text.split(separator: "\n", maxSplits: 1).first, line.hasPrefix("cpu ") else { return nil }
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { UInt64($0) }
        guard ticks.count >= 4 else { return nil }
        let all = ticks.reduce(0, &+)
        let idle = ticks[3] &+ (ticks.count > 4 ? ticks[4] : 0)
        return idle <= all ? (all &- idle, all) : nil
    }

    private static func sample() -> (busy: UInt64, all: UInt64)? {
        let descriptor = unsafe open("/proc/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = unsafe read(descriptor, &buffer, buffer.count)
        return count > 0 ? parse(String(decoding: buffer[..<count], as: UTF8.self)) : nil
    }

    /// What this machine is called, as `s-dns` says it; nil where it has no name that could stand in a log.
    static let name: String? = {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
        let name = buffer.lazy.map { UInt8(bitPattern: $0) }.prefix { $0 != 0 }
        let isFit = !name.isEmpty && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"<>&".utf8.contains($0) }
        return isFit ? String(decoding: name, as: UTF8.self) : nil
    }()
}
