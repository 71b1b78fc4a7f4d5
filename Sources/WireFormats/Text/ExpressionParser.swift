/// What an expression means, as a tree.
indirect enum ExpressionTree: Sendable, Equatable {
    case empty, atStart, atEnd
    case byte(ByteSet)
    case group(ExpressionTree, Int?)
    case sequence([ExpressionTree])
    case alternatives([ExpressionTree])
    case repetition(ExpressionTree, min: Int, max: Int?, isGreedy: Bool)
}

/// Reads an expression's text.
struct ExpressionParser {
    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0
    private var isFolding = false
    private(set) var groupCount = 0
    private(set) var groupNames: [String: Int] = [:]

    init(_ text: String) { bytes = Array(text.utf8) }

    mutating func parse() throws(NameExpression.Trouble) -> ExpressionTree {
        if let bad = bytes.firstIndex(where: { $0 < 0x20 || $0 >= 0x7F }) {
            throw .init(description: "character \(bad + 1) is not printable ASCII, of which names are made")
        }
        if bytes.starts(with: "(?i)".utf8) {
            isFolding = true
            index = 4
        }
        let tree = try alternatives()
        guard index == bytes.count else { throw trouble("a ) without its (", at: index) }
        return tree
    }

    private mutating func alternatives() throws(NameExpression.Trouble) -> ExpressionTree {
        var list = [try sequence()]
        while take("|") { list.append(try sequence()) }
        return list.count == 1 ? list[0] : .alternatives(list)
    }

    private mutating func sequence() throws(NameExpression.Trouble) -> ExpressionTree {
        var list: [ExpressionTree] = []
        while let byte = peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") { list.append(try repeated(try atom())) }
        return list.isEmpty ? .empty : list.count == 1 ? list[0] : .sequence(list)
    }

    private mutating func repeated(_ tree: ExpressionTree) throws(NameExpression.Trouble) -> ExpressionTree {
        let start = index
        guard let (min, max) = try quantifier() else { return tree }
        if case .atStart = tree { throw trouble("^ cannot be repeated", at: start) }
        if case .atEnd = tree { throw trouble("$ cannot be repeated", at: start) }
        let isGreedy = !take("?")
        let behind = index
        guard try quantifier() == nil else { throw trouble("one repetition behind another; write a group", at: behind) }
        return .repetition(tree, min: min, max: max, isGreedy: isGreedy)
    }

    private mutating func quantifier() throws(NameExpression.Trouble) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard peek == UInt8(ascii: "{") else { return nil }
        let start = index
        index += 1
        guard let low = number() else {
            index = start  // `{` that begins no repetition stands for itself.
            return nil
        }
        var high: Int? = low
        if take(",") { high = number() }
        guard take("}") else {
            index = start
            return nil
        }
        guard low <= NameExpression.repeatMax, (high ?? 0) <= NameExpression.repeatMax, low <= high ?? low else {
            throw trouble("a repetition is {n}, {n,} or {n,m} with n up to m up to \(NameExpression.repeatMax)", at: start)
        }
        return (low, high)
    }

    private mutating func number() -> Int? {
        let start = index
        var value = 0
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 100_000)
            index += 1
        }
        return index == start ? nil : value
    }

    private mutating func atom() throws(NameExpression.Trouble) -> ExpressionTree {
        let start = index
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "("): return try group(start)
        case UInt8(ascii: "["): return .byte(fold(try set(start)))
        case UInt8(ascii: "."): return .byte(.any)
        case UInt8(ascii: "^"): return .atStart
        case UInt8(ascii: "$"): return .atEnd
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"):
            throw trouble("nothing stands before this that could be repeated; write \\ before it to mean the character", at: start)
        case UInt8(ascii: "\\"):
            if take("A") { return .atStart }
            if take("z") { return .atEnd }
            return .byte(fold(try escape(start)))
        default: return .byte(fold(ByteSet(byte...byte)))
        }
    }

    private mutating func group(_ start: Int) throws(NameExpression.Trouble) -> ExpressionTree {
        var number: Int?
        if take("?") {
            if !take(":") {
                guard take("P<") || take("<"), let name = groupName() else {
                    throw trouble(
                        "of the groups that begin with (? there are (?:…) and (?<name>…), and (?i) at the beginning; look-around is not "
                            + "possible", at: start)
                }
                number = groupCount + 1
                guard groupNames.updateValue(groupCount + 1, forKey: name) == nil else {
                    throw trouble("a group is called `\(name)` already", at: start)
                }
            }
        } else {
            number = groupCount + 1
        }
        if number != nil {
            groupCount += 1
            guard groupCount <= NameExpression.groupsMax else { throw trouble("more than \(NameExpression.groupsMax) groups", at: start) }
        }
        depth += 1
        guard depth <= NameExpression.depthMax else {
            throw trouble("more than \(NameExpression.depthMax) groups within groups", at: start)
        }
        let tree = try alternatives()
        depth -= 1
        guard take(")") else { throw trouble("a ( without its )", at: start) }
        return .group(tree, number)
    }

    private mutating func groupName() -> String? {
        let start = index
        while let byte = peek, ByteSet.word.contains(byte) { index += 1 }
        let name = bytes[start..<index]
        guard let first = name.first, !ByteSet.digits.contains(first), take(">") else { return nil }
        return String(decoding: name, as: UTF8.self)
    }

    private mutating func set(_ start: Int) throws(NameExpression.Trouble) -> ByteSet {
        var set = ByteSet()
        let isInverted = take("^")
        var isFirst = true
        while true {
            guard let byte = peek else { throw trouble("a [ without its ]", at: start) }
            let place = index
            index += 1
            if byte == UInt8(ascii: "]"), !isFirst { break }
            isFirst = false
            if byte == UInt8(ascii: "["), peek == UInt8(ascii: ":") {
                throw trouble("classes such as [:alpha:] are not known; write a-zA-Z", at: place)
            }
            if byte == UInt8(ascii: "\\") {
                let several = try escape(place)
                guard let one = Self.single(several) else {
                    set.formUnion(several)
                    continue
                }
                set.formUnion(try range(from: one, at: place))
            } else {
                set.formUnion(try range(from: byte, at: place))
            }
        }
        return isInverted ? fold(set).inverted : set
    }

    /// `a-z` from its first character on, or that character alone.
    private mutating func range(from low: UInt8, at place: Int) throws(NameExpression.Trouble) -> ByteSet {
        guard peek == UInt8(ascii: "-"), index + 1 < bytes.count, bytes[index + 1] != UInt8(ascii: "]") else { return ByteSet(low...low) }
        index += 1
        var high = bytes[index]
        index += 1
        if high == UInt8(ascii: "\\") {
            guard let one = Self.single(try escape(place)) else { throw trouble("a range ends with one character", at: place) }
            high = one
        }
        guard low <= high else { throw trouble("the range goes backwards", at: place) }
        return ByteSet(low...high)
    }

    private static func single(_ set: ByteSet) -> UInt8? {
        let bytes = (UInt8.min...UInt8.max).filter(set.contains)
        return bytes.count == 1 ? bytes[0] : nil
    }

    /// What stands behind `\`.
    private mutating func escape(_ start: Int) throws(NameExpression.Trouble) -> ByteSet {
        guard let byte = peek else { throw trouble("nothing stands behind \\", at: start) }
        index += 1
        switch byte {
        case UInt8(ascii: "d"): return .digits
        case UInt8(ascii: "D"): return ByteSet.digits.inverted
        case UInt8(ascii: "w"): return .word
        case UInt8(ascii: "W"): return ByteSet.word.inverted
        case UInt8(ascii: "s"): return .blanks
        case UInt8(ascii: "S"): return ByteSet.blanks.inverted
        case UInt8(ascii: "1")...UInt8(ascii: "9"): throw trouble("references back to a group are not possible", at: start)
        default:
            guard !ByteSet.word.contains(byte) || byte == UInt8(ascii: "_") else {
                throw trouble("\\\(Character(Unicode.Scalar(byte))) is not known; there are \\d \\w \\s \\D \\W \\S \\A \\z", at: start)
            }
            return ByteSet(byte...byte)
        }
    }

    private func fold(_ set: ByteSet) -> ByteSet { isFolding ? set.folded : set }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ text: String) -> Bool {
        guard bytes[index...].starts(with: text.utf8) else { return false }
        index += text.utf8.count
        return true
    }

    private func trouble(_ words: String, at place: Int) -> NameExpression.Trouble {
        .init(description: "\(words) (at character \(place + 1) of the expression)")
    }
}

/// Makes steps of a tree.
struct ExpressionCompiler {
    private(set) var steps: [NameExpression.Step] = []

    mutating func add(_ step: NameExpression.Step) throws(NameExpression.Trouble) {
        guard steps.count < NameExpression.stepsMax else {
            throw .init(description: "it becomes more than \(NameExpression.stepsMax) steps; repeat less of it")
        }
        steps.append(step)
    }

    /// Parts of the tree that were looked at: one that makes no steps, repeated within repetitions, would take for ever.
    private var visits = 0

    mutating func emit(_ tree: ExpressionTree) throws(NameExpression.Trouble) {
        visits += 1
        guard visits <= 16 * NameExpression.stepsMax else { throw .init(description: "it repeats too much; repeat less of it") }
        switch tree {
        case .empty: break
        case .atStart: try add(.atStart)
        case .atEnd: try add(.atEnd)
        case .byte(let set): try add(.byte(set))
        case .group(let inner, nil): try emit(inner)
        case .group(let inner, let number?):
            try add(.save(2 * number))
            try emit(inner)
            try add(.save(2 * number + 1))
        case .sequence(let list): for inner in list { try emit(inner) }
        case .alternatives(let list): try alternatives(list[...])
        case .repetition(let inner, let min, let max, let isGreedy): try repetition(inner, min, max, isGreedy)
        }
    }

    private mutating func alternatives(_ list: ArraySlice<ExpressionTree>) throws(NameExpression.Trouble) {
        var ends: [Int] = []
        for (offset, inner) in list.enumerated() {
            guard offset + 1 < list.count else {
                try emit(inner)
                break
            }
            let split = steps.count
            try add(.split(split + 1, 0))
            try emit(inner)
            ends.append(steps.count)
            try add(.jump(0))
            steps[split] = .split(split + 1, steps.count)
        }
        for end in ends { steps[end] = .jump(steps.count) }
    }

    private mutating func repetition(_ inner: ExpressionTree, _ min: Int, _ max: Int?, _ isGreedy: Bool) throws(NameExpression.Trouble) {
        for _ in 0..<min { try emit(inner) }
        guard let max else {
            let split = steps.count
            try add(.split(0, 0))
            try emit(inner)
            try add(.jump(split))
            steps[split] = isGreedy ? .split(split + 1, steps.count) : .split(steps.count, split + 1)
            return
        }
        var splits: [Int] = []
        for _ in min..<max {
            splits.append(steps.count)
            try add(.split(0, 0))
            try emit(inner)
        }
        for split in splits { steps[split] = isGreedy ? .split(split + 1, steps.count) : .split(steps.count, split + 1) }
    }
}
