import CSinks

/// CPU time and memory of a process, read from outside.
///
/// `poll()` now and then: a thread that ends between two polls takes what it used since the last one with it.
package struct ProcessMeter {
    private let process: Int32
    private let isCounted: (String, Int32) -> Bool
    private var lastByThread: [Int32: UInt64] = [:]
    private var threads: [csinks_thread]
    /// CPU time since the meter was made, of all threads counted; io_uring's kernel workers are threads of their process.
    package private(set) var cpuNanoseconds: UInt64 = 0

    private static let threadsMax = 4_096

    /// Starts to measure. Throws when there is no such process. `isCounted` chooses threads by name and number.
    package init(process: Int32, counting isCounted: @escaping (String, Int32) -> Bool = { _, _ in true }) throws(WorkbenchError) {
        self.process = process
        self.isCounted = isCounted
        threads = Array(repeating: csinks_thread(), count: Self.threadsMax)
        for thread in try read() { lastByThread[thread.id] = thread.cpu_ns }
    }

    /// Adds what the threads used since the last poll. A process that has ended adds nothing.
    package mutating func poll() {
        guard let now = try? read() else { return }
        var next: [Int32: UInt64] = [:]
        for thread in now {
            let before = lastByThread[thread.id] ?? 0
            if thread.cpu_ns > before, isCounted(Self.name(thread), thread.id) { cpuNanoseconds += thread.cpu_ns - before }
            next[thread.id] = thread.cpu_ns
        }
        lastByThread = next
    }

    /// Resident memory, MiB; nil when the process has ended.
    package var residentMiB: Double? { Self.residentMiB(of: process) }

    /// Resident memory of a process, MiB; nil when there is no such process.
    package static func residentMiB(of process: Int32) -> Double? {
        let bytes = csinks_resident_bytes(process)
        return bytes < 0 ? nil : Double(bytes) / 1_048_576
    }

    /// The numbers of a process's threads.
    package static func threadNumbers(of process: Int32) -> Set<Int32> {
        var meter = try? ProcessMeter(process: process)
        guard let threads = try? meter?.read() else { return [] }
        return Set(threads.map(\.id))
    }

    private mutating func read() throws(WorkbenchError) -> ArraySlice<csinks_thread> {
        let count = unsafe csinks_threads(process, &threads, UInt32(threads.count))
        try kernel("cannot read the threads of process \(process)", count)
        return threads[0..<Int(count)]
    }

    private static func name(_ thread: csinks_thread) -> String {
        unsafe withUnsafeBytes(of: thread.name) { bytes in
            unsafe String(decoding: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
