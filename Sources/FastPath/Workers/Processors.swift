import CUring
import Glibc

/// The processors that this process may really use.
public enum Processors {
    /// How many: those of the affinity mask (`taskset`, cpusets), and no more than the control group's quota pays for. At least 1.
    public static var usable: Int {
        let allowed = max(allowed.count, 1)
        guard let quota = quota(ofGroups: text(of: "/proc/self/cgroup")) else { return allowed }
        return max(1, min(allowed, Int(quota.rounded(.up))))
    }

    /// The processors of the affinity mask.
    static var allowed: [Int] {
        var numbers = [Int32](repeating: 0, count: 4_096)
        let count = unsafe curing_allowed_processors(&numbers, Int32(numbers.count))
        return numbers.prefix(Int(max(count, 0))).map(Int.init)
    }

    /// The processor that a worker is kept on: each has one of its own, or none when there are too few.
    static func processor(forWorker worker: Int, of count: Int) -> Int? {
        let allowed = allowed
        return count <= allowed.count ? allowed[worker] : nil
    }

    /// Processors that the control group pays for: `cpu.max` of version 2 of this group and those above it, or the quota of version 1.
    static func quota(ofGroups groups: String, root: String = "/sys/fs/cgroup", read: (String) -> String = text) -> Double? {
        var lowest: Double?
        func consider(_ quota: String, _ period: String) {
            guard let quota = Double(quota), let period = Double(period), quota > 0, period > 0 else { return }
            lowest = min(lowest ?? .infinity, quota / period)
        }
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            var folders = parts[2].split(separator: "/")
            while true {
                let folder = folders.isEmpty ? "" : "/" + folders.joined(separator: "/")
                if parts[0] == "0" {
                    let fields = read("\(root)\(folder)/cpu.max").split(whereSeparator: \.isWhitespace)
                    if fields.count == 2 { consider(String(fields[0]), String(fields[1])) }
                } else if parts[1].split(separator: ",").contains("cpu") {
                    let quota = read("\(root)/cpu\(folder)/cpu.cfs_quota_us").filter { !$0.isWhitespace }
                    let period = read("\(root)/cpu\(folder)/cpu.cfs_period_us").filter { !$0.isWhitespace }
                    consider(quota, period)
                }
                if folders.isEmpty { break }
                folders.removeLast()
            }
        }
        return lowest
    }

    /// The text of a small file, empty when there is none.
    @Sendable static func text(of path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }
}
