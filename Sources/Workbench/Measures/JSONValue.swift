/// A JSON value (RFC 8259); members keep their order, so that a line reads the same from run to run.
package indirect enum JSONValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// Written with at most four digits after the point; not a number and infinity become `null`.
    case number(Double)
    case text(String)
    case array([JSONValue])
    case object([JSONMember])

    /// One member of an object.
    package struct JSONMember: Equatable, Sendable {
        /// Its name.
        package let name: String
        /// Its value.
        package let value: JSONValue
    }

    /// An object with these members in this order.
    package static func members(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(members.map { JSONMember(name: $0.key, value: $0.value) })
    }

    /// `null` for nil.
    package static func optional(_ value: Double?) -> JSONValue { value.map(JSONValue.number) ?? .null }
    /// A count; `UInt64` values above `Int64.max` are written as that.
    package static func count(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }

    /// The value on one line, without spaces.
    package var line: String {
        var text = ""
        write(to: &text)
        return text
    }

    /// The member of an object with this name.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// An object for people: a line per member, nested ones on one line.
    package var table: String {
        guard case .object(let members) = self else { return line }
        let width = members.reduce(0) { max($0, $1.name.count) }
        return members.map { member in
            member.name + String(repeating: " ", count: width - member.name.count + 2) + member.value.words
        }.joined(separator: "\n")
    }

    private var words: String {
        switch self {
        case .null: "–"
        case .text(let value): value
        case .object(let members): members.map { "\($0.name) \($0.value.words)" }.joined(separator: ", ")
        case .boolean, .integer, .number, .array: line
        }
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .boolean(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.isFinite ? Self.decimal(value) : "null"
        case .text(let value): Self.writeText(value, to: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { text += "," }
                Self.writeText(member.name, to: &text)
                text += ":"
                member.value.write(to: &text)
            }
            text += "}"
        }
    }

    private static func decimal(_ value: Double) -> String {
        guard abs(value) < 1e11 else { return String(value) }
        return String((value * 10_000).rounded() / 10_000)
    }

    private static func writeText(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
