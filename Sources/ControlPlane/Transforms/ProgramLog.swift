/// What a program says on its standard error, in lines fit for a log: so many in a time, so long, nothing but printable characters.
///
/// Pure; time is nanoseconds.
struct ProgramLog {
    /// Bytes of a line that are kept; the rest is left out.
    static let lineBytesMax = 400
    /// Lines that are passed on in ``windowNanoseconds``; more are counted.
    static let linesMax = 40
    static let windowNanoseconds: UInt64 = 10_000_000_000
    /// Bytes taken from the program at a time (ten times a second): what it writes beyond that makes it wait.
    static let readBytesMax = 64 << 10

    /// Lines that were not passed on, since the start.
    private(set) var suppressed: UInt64 = 0
    /// The last line that was worth a word.
    private(set) var lastLine: String?
    private var partial: [UInt8] = []
    private var isCut = false
    private var windowBegan: UInt64 = 0
    private var inWindow = 0
    private var suppressedInWindow: UInt64 = 0

    /// Takes bytes, answers with the lines to log.
    mutating func take(_ bytes: ArraySlice<UInt8>, now: UInt64) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            // Progress is drawn with carriage returns.
            if byte == 0x0A || byte == 0x0D {
                finish(&lines, now)
            } else if partial.count < Self.lineBytesMax {
                partial.append(byte)
            } else {
                isCut = true
            }
        }
        return lines
    }

    /// What came without an end of line, and how many lines were left out.
    mutating func end(now: UInt64) -> [String] {
        var lines: [String] = []
        finish(&lines, now)
        if suppressedInWindow > 0 { lines.append("(\(suppressedInWindow) more lines)") }
        suppressedInWindow = 0
        return lines
    }

    private mutating func finish(_ lines: inout [String], _ now: UInt64) {
        defer {
            partial.removeAll(keepingCapacity: true)
            isCut = false
        }
        guard partial.contains(where: { $0 > 0x20 }) else { return }
        let line = PeerWords.printable(String(decoding: partial, as: UTF8.self)) + (isCut ? "…" : "")
        lastLine = line
        if now &- windowBegan > Self.windowNanoseconds {
            if suppressedInWindow > 0 { lines.append("(\(suppressedInWindow) more lines)") }
            windowBegan = now
            inWindow = 0
            suppressedInWindow = 0
        }
        guard inWindow < Self.linesMax else {
            suppressed &+= 1
            suppressedInWindow &+= 1
            return
        }
        inWindow += 1
        lines.append(line)
    }
}
