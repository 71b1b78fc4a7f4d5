/// A regular expression over names, in the syntax of RE2 (Go, MediaMTX) as far as names need it, matched in time that grows with the
/// name's length alone: names come from the network, and no name makes it slow.
///
/// It knows literals, `.`, `[a-z]`, `\d \w \s` and their opposites, groups `(…)`, `(?:…)`, `(?<name>…)`, alternatives `|`, repetitions
/// `* + ? {n} {n,} {n,m}`, each lazy with `?` behind it, `^ $ \A \z`, and `(?i)` at the beginning. It looks for a match anywhere in the
/// name, the leftmost first, as RE2 does: `^` and `$` tie it to the ends. Back references and look-around cannot be matched in such time.
package struct NameExpression: Sendable, Equatable, CustomStringConvertible {
    /// Longer expressions are refused.
    package static let textBytesMax = 512
    /// Longer names match nothing.
    package static let nameBytesMax = 256
    /// Groups, the whole match not counted.
    package static let groupsMax = 15
    /// A repetition's numbers.
    package static let repeatMax = 256
    /// Groups within groups.
    package static let depthMax = 32
    /// Steps of the compiled expression: a match takes no more time than this times the name's length.
    package static let stepsMax = 1_024

    /// As it was written.
    package let description: String
    /// Groups, the whole match not counted.
    package let groupCount: Int
    /// The numbers of groups that have names.
    package let groupNames: [String: Int]
    private let steps: [Step]

    /// One step of the compiled expression.
    enum Step: Sendable, Equatable {
        /// A byte of this set.
        case byte(ByteSet)
        /// Goes on at both, the first preferred.
        case split(Int, Int)
        case jump(Int)
        /// Notes where the name is.
        case save(Int)
        case atStart, atEnd, match
    }

    /// What is wrong with an expression.
    package struct Trouble: Error, Equatable, CustomStringConvertible {
        /// What, and where.
        package let description: String
    }

    /// Compiles an expression.
    package init(_ text: String) throws(Trouble) {
        guard text.utf8.count <= Self.textBytesMax else {
            throw Trouble(description: "an expression of \(text.utf8.count) characters is longer than \(Self.textBytesMax)")
        }
        var parser = ExpressionParser(text)
        let tree = try parser.parse()
        var compiler = ExpressionCompiler()
        try compiler.emit(.group(tree, 0))
        try compiler.add(.match)
        description = text
        groupCount = parser.groupCount
        groupNames = parser.groupNames
        steps = compiler.steps
    }

    /// What the whole and each group matched, nil for a group that took no part; nil when the name does not match.
    package func match(_ name: String) -> [String?]? {
        let bytes = Array(name.utf8)
        guard bytes.count <= Self.nameBytesMax else { return nil }
        var machine = Machine(steps: steps, slots: 2 * (groupCount + 1))
        guard let found = machine.run(bytes) else { return nil }
        return (0...groupCount).map { group in
            let start = found[2 * group], end = found[2 * group + 1]
            return start >= 0 && end >= start ? String(decoding: bytes[start..<end], as: UTF8.self) : nil
        }
    }

    /// Thompson's construction with captures, as Pike wrote it: all ways through the expression go forward together, one byte at a
    /// time, and no step is in the list twice.
    private struct Machine {
        private let steps: [Step]
        private let slots: Int
        private var current: [(step: Int, captures: [Int])] = []
        private var next: [(step: Int, captures: [Int])] = []
        /// For each step the place that it was listed for last.
        private var listed: [Int]

        init(steps: [Step], slots: Int) {
            self.steps = steps
            self.slots = slots
            listed = Array(repeating: -1, count: steps.count)
        }

        mutating func run(_ bytes: [UInt8]) -> [Int]? {
            var found: [Int]?
            for place in 0...bytes.count {
                // A new attempt begins at each place until one has succeeded, behind those that began earlier.
                if found == nil { add(0, Array(repeating: -1, count: slots), place, bytes.count, to: \.current) }
                if current.isEmpty { break }
                let byte = place < bytes.count ? bytes[place] : nil
                next.removeAll(keepingCapacity: true)
                threads: for thread in current {
                    switch steps[thread.step] {
                    case .byte(let set):
                        if let byte, set.contains(byte) { add(thread.step + 1, thread.captures, place + 1, bytes.count, to: \.next) }
                    case .match:
                        found = thread.captures
                        break threads  // Those behind it are less wanted.
                    case .split, .jump, .save, .atStart, .atEnd: break
                    }
                }
                swap(&current, &next)
            }
            return found
        }

        /// Lists the steps that wait for a byte, or match, from `step` on. No deeper than the expression has steps.
        private mutating func add(
            _ step: Int, _ captures: [Int], _ place: Int, _ end: Int, to list: WritableKeyPath<Machine, [(step: Int, captures: [Int])]>
        ) {
            guard listed[step] != place else { return }
            listed[step] = place
            switch steps[step] {
            case .jump(let target): add(target, captures, place, end, to: list)
            case .split(let first, let second):
                add(first, captures, place, end, to: list)
                add(second, captures, place, end, to: list)
            case .save(let slot):
                var captures = captures
                captures[slot] = place
                add(step + 1, captures, place, end, to: list)
            case .atStart: if place == 0 { add(step + 1, captures, place, end, to: list) }
            case .atEnd: if place == end { add(step + 1, captures, place, end, to: list) }
            case .byte, .match: self[keyPath: list].append((step, captures))
            }
        }
    }
}

/// A set of bytes.
struct ByteSet: Sendable, Equatable {
    private var low: (UInt64, UInt64) = (0, 0)
    private var high: (UInt64, UInt64) = (0, 0)

    static func == (left: Self, right: Self) -> Bool { left.low == right.low && left.high == right.high }

    static let digits = ByteSet(UInt8(ascii: "0")...UInt8(ascii: "9"))
    static let word: ByteSet = {
        var set = digits
        set.insert(UInt8(ascii: "a")...UInt8(ascii: "z"))
        set.insert(UInt8(ascii: "A")...UInt8(ascii: "Z"))
        set.insert(UInt8(ascii: "_")...UInt8(ascii: "_"))
        return set
    }()
    static let blanks: ByteSet = {
        var set = ByteSet(UInt8(ascii: " ")...UInt8(ascii: " "))
        set.insert(9...10)
        set.insert(12...13)
        return set
    }()
    static let any = ByteSet(0...255)

    init() {}
    init(_ range: ClosedRange<UInt8>) { insert(range) }

    mutating func insert(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

    private mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: low.0 |= bit
        case 1: low.1 |= bit
        case 2: high.0 |= bit
        default: high.1 |= bit
        }
    }

    mutating func formUnion(_ other: ByteSet) {
        low = (low.0 | other.low.0, low.1 | other.low.1)
        high = (high.0 | other.high.0, high.1 | other.high.1)
    }

    var inverted: ByteSet {
        var set = self
        set.low = (~low.0, ~low.1)
        set.high = (~high.0, ~high.1)
        return set
    }

    /// With both cases of each letter.
    var folded: ByteSet {
        var set = self
        for byte in UInt8(ascii: "a")...UInt8(ascii: "z") where contains(byte) || contains(byte - 32) {
            set.insert(byte)
            set.insert(byte - 32)
        }
        return set
    }

    func contains(_ byte: UInt8) -> Bool {
        let word =
            switch byte >> 6 {
            case 0: low.0
            case 1: low.1
            case 2: high.0
            default: high.1
            }
        return word >> UInt64(byte & 63) & 1 == 1
    }
}
