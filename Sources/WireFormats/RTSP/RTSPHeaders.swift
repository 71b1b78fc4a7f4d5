/// One header line.
package struct RTSPHeaderField: Sendable, Hashable {
    /// The name as it was spelled; compare with ``ASCII/equalIgnoringCase(_:_:)``.
    package var name: String
    /// The value without blanks at its ends.
    package var value: String

    /// A header line.
    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// The header lines of a message, in their order. Names are compared without regard to case and may occur several times
/// (`WWW-Authenticate` does). A message has few lines, so a plain search beats a dictionary.
package struct RTSPHeaders: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    /// The lines in order.
    package private(set) var fields: [RTSPHeaderField] = []

    /// No lines.
    package init() {}

    /// Lines in the order given.
    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { RTSPHeaderField(name: $0, value: $1) }
    }

    /// How many lines there are.
    package var count: Int { fields.count }
    /// Whether there are none.
    package var isEmpty: Bool { fields.isEmpty }

    /// The first value of a name. Setting replaces every line of that name by one (in the place of the first); nil removes them.
    package subscript(name: String) -> String? {
        get {
            for field in fields where ASCII.equalIgnoringCase(field.name, name) { return field.value }
            return nil
        }
        set {
            guard let newValue else {
                remove(name)
                return
            }
            guard let first = fields.firstIndex(where: { ASCII.equalIgnoringCase($0.name, name) }) else {
                add(name, newValue)
                return
            }
            fields[first].value = newValue
            for index in fields.indices.reversed() where index > first && ASCII.equalIgnoringCase(fields[index].name, name) {
                fields.remove(at: index)
            }
        }
    }

    /// Every value of a name, in order.
    package func values(named name: String) -> [String] {
        fields.compactMap { ASCII.equalIgnoringCase($0.name, name) ? $0.value : nil }
    }

    /// Whether a name occurs.
    package func contains(_ name: String) -> Bool { self[name] != nil }

    /// Adds a line behind the others.
    package mutating func add(_ name: String, _ value: String) {
        fields.append(RTSPHeaderField(name: name, value: value))
    }

    /// Removes every line of a name.
    package mutating func remove(_ name: String) {
        fields.removeAll { ASCII.equalIgnoringCase($0.name, name) }
    }

    /// Goes on with the last line's value: a folded line (RFC 2326 section 4, by way of RFC 2068 section 2.2).
    mutating func appendToLast(_ text: String) {
        guard let last = fields.indices.last else { return }
        if !fields[last].value.isEmpty { fields[last].value += " " }
        fields[last].value += text
    }

    /// Appends all lines but `Content-Length`, which the message writes from its body.
    func write(to bytes: inout [UInt8]) {
        for field in fields where !ASCII.equalIgnoringCase(field.name, "Content-Length") {
            bytes.append(line: field.name)
            bytes.append(ASCII.colon)
            bytes.append(ASCII.space)
            bytes.append(line: field.value)
            bytes.append(ASCII.carriageReturn)
            bytes.append(ASCII.lineFeed)
        }
    }

    /// Takes a line of a message's head, without its end: a header, or the rest of the one before (a folded line).
    mutating func add(line: ArraySlice<UInt8>, number: Int, countMax: Int) throws(RTSPParseError) {
        if let first = line.first, ASCII.isBlank(first) {
            guard !isEmpty else { throw .foldedLineFirst }
            if line.contains(where: ASCII.isControl) { throw .malformedHeader(RTSPFirstLine.excerpt(line), line: number) }
            appendToLast(line.trimmed.text)
            return
        }
        guard count < countMax else { throw .tooManyHeaders(countMax: countMax) }
        let (name, value) = line.split(atFirst: ASCII.colon)
        let trimmedName = name.trimmed
        guard let value, !trimmedName.isEmpty, trimmedName.allSatisfy(ASCII.isToken), !value.contains(where: ASCII.isControl) else {
            throw .malformedHeader(RTSPFirstLine.excerpt(line), line: number)
        }
        add(trimmedName.text, value.trimmed.text)
    }
}
