/// An element of a playlist's markup.
struct MarkupElement {
    /// As it is compared: in ASX in small letters.
    var name: String
    var attributes: [Attribute] = []
    var children: [MarkupElement] = []
    /// What stands in it that is no element, blanks at the ends taken off.
    var text = ""
    var line: Int

    struct Attribute {
        var name: String
        var value: String
    }

    /// The value of an attribute.
    func value(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
}

/// Reads the markup of playlists: of XML what they use.
///
/// A document that is `<asx>` is read as players read it, for much of what calls itself ASX is no XML: letters of either case are the same, `&`
/// stands for itself where nothing else can be meant, values need no quotes, and what is not closed is closed by what is around it. Any other
/// is XML. In both there are no entities but the five and numbers, and a DOCTYPE is refused: nothing in a file can grow when it is read.
struct MarkupReader {
    private let text: [UInt8]
    private let limits: PlaylistLimits
    private var index = 0
    private var line = 1
    private var isLoose = false
    private var elements = 0

    /// A reader of what ``MarkupText`` decoded.
    private init(_ text: [UInt8], limits: PlaylistLimits) {
        self.text = text
        self.limits = limits
    }

    /// The outermost element with all that is in it.
    static func read(_ text: [UInt8], limits: PlaylistLimits) throws(PlaylistError) -> MarkupElement {
        var reader = MarkupReader(text, limits: limits)
        return try reader.document()
    }

    private mutating func document() throws(PlaylistError) -> MarkupElement {
        // Those that are open, the innermost last.
        var open: [MarkupElement] = []
        var root: MarkupElement?
        while index < text.count {
            guard peek() == Self.less else {
                let words = try characters()
                if let last = open.indices.last {
                    open[last].text += words
                } else if words.utf8.contains(where: { !Self.isBlank($0) }), !(isLoose && root != nil) {
                    throw PlaylistError(line: line, "text stands outside of all elements; a playlist is <smil>…</smil> or <asx>…</asx>")
                }
                continue
            }
            if try skipsOver(into: &open) { continue }
            if peek(1) == ASCII.slash {
                try close(&open, &root)
            } else {
                guard root == nil else { throw PlaylistError(line: line, "something stands behind the end of the playlist") }
                let (element, isClosed) = try tag(depth: open.count)
                open.append(element)
                if isClosed { Self.fold(&open, &root) }
            }
        }
        if isLoose { while !open.isEmpty { Self.fold(&open, &root) } }
        if let last = open.last {
            throw PlaylistError(line: last.line, element: last.name, "it is not closed; write </\(last.name)> where it ends")
        }
        guard let root else { throw PlaylistError(line: nil, "there is no element; a playlist is <smil>…</smil> or <asx>…</asx>") }
        return root
    }

    // MARK: What stands between `<` and `>`

    /// Comments, processing instructions and CDATA.
    private mutating func skipsOver(into open: inout [MarkupElement]) throws(PlaylistError) -> Bool {
        if starts(Self.comment) {
            let start = line
            skip(4)
            guard pass(Self.commentEnd) else { throw PlaylistError(line: start, "a comment is not closed; write --> where it ends") }
            return true
        }
        if starts(Self.data) {
            let start = line
            skip(9)
            let from = index
            guard pass(Self.dataEnd) else { throw PlaylistError(line: start, "CDATA is not closed; write ]]> where it ends") }
            if let last = open.indices.last { open[last].text += text[from..<(index - 3)].text }
            return true
        }
        if peek(1) == UInt8(ascii: "?") {
            let start = line
            guard pass(isLoose ? [Self.greater] : Self.instructionEnd) else {
                throw PlaylistError(line: start, "`<?` is not closed; write ?> where it ends")
            }
            return true
        }
        guard peek(1) == UInt8(ascii: "!") else { return false }
        throw PlaylistError(
            line: line, "a DOCTYPE, or what it would contain, is refused: playlists have no entities of their own; take it out")
    }

    private mutating func tag(depth: Int) throws(PlaylistError) -> (MarkupElement, isClosed: Bool) {
        let start = line
        skip(1)
        var name = try self.name(after: "<", line: start)
        if depth == 0, name.lowercased() == "asx" { isLoose = true }
        if isLoose { name = name.lowercased() }
        elements += 1
        guard elements <= limits.entriesMax else {
            throw PlaylistError(
                line: start, element: name, "there are more than \(limits.entriesMax) elements; split the playlist", limit: "entriesMax")
        }
        guard depth < limits.nestingMax else {
            throw PlaylistError(
                line: start, element: name, "elements are nested deeper than \(limits.nestingMax)", limit: "nestingMax")
        }
        var element = MarkupElement(name: name, line: start)
        while true {
            skipBlanks()
            guard index < text.count else { throw PlaylistError(line: start, element: name, "its `>` is missing") }
            if peek() == Self.greater {
                skip(1)
                return (element, false)
            }
            if peek() == ASCII.slash, peek(1) == Self.greater {
                skip(2)
                return (element, true)
            }
            if isLoose, peek() == Self.less { return (element, false) }
            if isLoose, peek() == ASCII.slash || peek() == ASCII.quote {
                skip(1)
                continue
            }
            try attribute(of: &element)
        }
    }

    private mutating func attribute(of element: inout MarkupElement) throws(PlaylistError) {
        let start = line
        var name = try self.name(after: element.name, line: start)
        if isLoose { name = name.lowercased() }
        skipBlanks()
        guard peek() == ASCII.equals else {
            if isLoose { return }
            throw PlaylistError(line: start, element: element.name, attribute: name, "it has no value; write \(name)=\"…\"")
        }
        skip(1)
        skipBlanks()
        let raw: ArraySlice<UInt8>
        if let quote = peek(), quote == ASCII.quote || quote == UInt8(ascii: "'") {
            skip(1)
            let from = index
            while index < text.count, text[index] != quote {
                if !isLoose, text[index] == Self.less {
                    throw PlaylistError(
                        line: start, element: element.name, attribute: name, "`<` stands in its value (write &lt;), or its quote is missing"
                    )
                }
                skip(1)
            }
            guard index < text.count else {
                throw PlaylistError(line: start, element: element.name, attribute: name, "its closing quote is missing")
            }
            raw = text[from..<index]
            skip(1)
        } else {
            guard isLoose else {
                throw PlaylistError(line: start, element: element.name, attribute: name, "its value needs quotes: \(name)=\"…\"")
            }
            let from = index
            while let byte = peek(), !Self.isBlank(byte), byte != Self.greater, byte != Self.less { skip(1) }
            raw = text[from..<index]
        }
        guard element.attributes.count < limits.attributesMax else {
            throw PlaylistError(
                line: start, element: element.name, attribute: name, "it is one of more than \(limits.attributesMax) attributes",
                limit: "attributesMax")
        }
        guard element.value(name) == nil else {
            if isLoose { return }
            throw PlaylistError(line: start, element: element.name, attribute: name, "it is there twice; leave one out")
        }
        element.attributes.append(.init(name: name, value: try unescaped(raw, line: start)))
    }

    private mutating func close(_ open: inout [MarkupElement], _ root: inout MarkupElement?) throws(PlaylistError) {
        let start = line
        skip(2)
        var name = try self.name(after: "</", line: start)
        if isLoose { name = name.lowercased() }
        skipBlanks()
        guard peek() == Self.greater else { throw PlaylistError(line: start, "`</\(name)` lacks its `>`") }
        skip(1)
        guard let last = open.last else {
            if isLoose { return }
            throw PlaylistError(line: start, "`</\(name)>` closes nothing")
        }
        if isLoose {
            // What was left open within it ends with it. What closes nothing is passed over.
            guard let place = open.lastIndex(where: { $0.name == name }) else { return }
            while open.count > place { Self.fold(&open, &root) }
            return
        }
        guard last.name == name else {
            throw PlaylistError(
                line: start, element: last.name, "`</\(name)>` stands where </\(last.name)> is expected (opened in line \(last.line))")
        }
        Self.fold(&open, &root)
    }

    private static func fold(_ open: inout [MarkupElement], _ root: inout MarkupElement?) {
        guard var done = open.popLast() else { return }
        done.text = Array(done.text.utf8)[...].stripped.text
        if let last = open.indices.last { open[last].children.append(done) } else { root = done }
    }

    // MARK: Characters

    private mutating func characters() throws(PlaylistError) -> String {
        let from = index, start = line
        while index < text.count, text[index] != Self.less { skip(1) }
        return try unescaped(text[from..<index], line: start)
    }

    private mutating func name(after what: String, line: Int) throws(PlaylistError) -> String {
        let from = index
        while let byte = peek(), Self.isName(byte) { skip(1) }
        guard index > from else {
            throw PlaylistError(line: line, "a name is expected behind `\(what)`; where `<` is meant as a character, write &lt;")
        }
        return text[from..<index].text
    }

    private func unescaped(_ raw: ArraySlice<UInt8>, line: Int) throws(PlaylistError) -> String {
        guard raw.contains(Self.ampersand) else { return raw.text }
        var out: [UInt8] = []
        var rest = raw
        while let byte = rest.popFirst() {
            guard byte == Self.ampersand else {
                out.append(byte)
                continue
            }
            let reference = rest.prefix(12).prefix { $0 != ASCII.semicolon }
            if reference.endIndex < rest.endIndex, rest[reference.endIndex] == ASCII.semicolon, let scalar = Self.scalar(reference) {
                out += Array(String(scalar).utf8)
                rest = rest[(reference.endIndex + 1)...]
            } else if isLoose {
                out.append(byte)
            } else {
                throw PlaylistError(
                    line: line, "`&\(PlaylistError.shown(reference.text))` is no character that is known here; write &amp; for a `&`")
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func scalar(_ reference: ArraySlice<UInt8>) -> Unicode.Scalar? {
        switch reference.text {
        case "amp": "&"
        case "lt": "<"
        case "gt": ">"
        case "quot": "\""
        case "apos": "'"
        default:
            if reference.starts(with: "#x".utf8) || reference.starts(with: "#X".utf8) {
                ASCII.hexadecimal(reference.dropFirst(2)).flatMap(Self.allowed)
            } else if reference.first == UInt8(ascii: "#") {
                ASCII.decimal(reference.dropFirst(), max: 0x10_FFFF).flatMap { allowed(UInt32($0)) }
            } else {
                nil
            }
        }
    }

    /// Characters that XML has.
    private static func allowed(_ code: UInt32) -> Unicode.Scalar? {
        code >= 0x20 || code == 9 || code == 10 || code == 13 ? Unicode.Scalar(code) : nil
    }

    private func peek(_ ahead: Int = 0) -> UInt8? { index + ahead < text.count ? text[index + ahead] : nil }

    private func starts(_ word: [UInt8]) -> Bool {
        text.count - index >= word.count && text[index] == word[0] && text[index..<(index + word.count)].elementsEqual(word)
    }

    private mutating func skip(_ count: Int) {
        for _ in 0..<count where index < text.count {
            if text[index] == ASCII.lineFeed { line += 1 }
            index += 1
        }
    }

    private mutating func skipBlanks() { while let byte = peek(), Self.isBlank(byte) { skip(1) } }

    /// Goes behind the next place where this stands; false where it does not, and then everything is passed.
    private mutating func pass(_ end: [UInt8]) -> Bool {
        while index < text.count {
            if starts(end) {
                skip(end.count)
                return true
            }
            skip(1)
        }
        return false
    }

    private static let comment = Array("<!--".utf8)
    private static let commentEnd = Array("-->".utf8)
    private static let data = Array("<![CDATA[".utf8)
    private static let dataEnd = Array("]]>".utf8)
    private static let instructionEnd = Array("?>".utf8)
    private static let less = UInt8(ascii: "<")
    private static let greater = UInt8(ascii: ">")
    private static let ampersand = UInt8(ascii: "&")

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private static func isName(_ byte: UInt8) -> Bool {
        byte >= 0x80 || ASCII.isDigit(byte) || ASCII.lowercased(byte) &- 0x61 < 26 || byte == ASCII.colon || byte == ASCII.dash
            || byte == ASCII.dot || byte == UInt8(ascii: "_")
    }
}

extension ArraySlice<UInt8> {
    /// Without blanks and line ends at both ends.
    fileprivate var stripped: ArraySlice<UInt8> {
        var low = startIndex, high = endIndex
        while low < high, MarkupReader.isBlank(self[low]) { low += 1 }
        while high > low, MarkupReader.isBlank(self[high - 1]) { high -= 1 }
        return self[low..<high]
    }
}
