/// One line of a session description, `<type>=<value>` (RFC 8866 section 5). The value is kept as bytes, since it need not be
/// UTF-8 (`s=` of some cameras is not) and must come out as it went in.
package struct SDPLine: Sendable, Hashable {
    /// The letter.
    package var type: Character { Character(Unicode.Scalar(typeByte)) }
    /// The letter as a byte.
    package var typeByte: UInt8
    /// What stands behind `=`, blanks at its ends included.
    package var bytes: [UInt8]

    /// A line of an ASCII letter and text.
    package init(_ type: Unicode.Scalar, _ value: String) {
        precondition(type.isASCII)
        typeByte = UInt8(ascii: type)
        bytes = []
        bytes.append(line: value)
    }

    init(typeByte: UInt8, bytes: [UInt8]) {
        self.typeByte = typeByte
        self.bytes = bytes
    }

    /// The value without blanks at its ends, as text.
    package var value: String { bytes[...].trimmed.text }

    /// Whether the line is of that type.
    package func isType(_ type: Unicode.Scalar) -> Bool { type.isASCII && typeByte == UInt8(ascii: type) }

    /// The name of an `a=` line, before any colon and without blanks; nil for other lines.
    package var attributeName: String? {
        isType("a") ? bytes[...].split(atFirst: ASCII.colon).0.trimmed.text : nil
    }

    /// Whether the line is the attribute of that name (any case).
    package func isAttribute(_ name: String) -> Bool {
        isType("a") && ASCII.equalIgnoringCase(bytes[...].split(atFirst: ASCII.colon).0.trimmed, name)
    }

    /// What stands behind the colon of an `a=` or `b=` line, without blanks at its ends; nil when there is no colon.
    package var colonValue: String? { bytes[...].split(atFirst: ASCII.colon).1?.trimmed.text }

    /// An attribute line: `a=name:value`, or `a=name` without a value.
    package static func attribute(_ name: String, _ value: String? = nil) -> SDPLine {
        SDPLine("a", value.map { "\(name):\($0)" } ?? name)
    }
}

extension [SDPLine] {
    /// The first attribute of that name, its value without blanks; "" for one without a value, nil when there is none.
    package func attribute(_ name: String) -> String? {
        first { $0.isAttribute(name) }.map { $0.colonValue ?? "" }
    }

    /// The values of every attribute of that name, in order.
    package func attributes(_ name: String) -> [String] {
        compactMap { $0.isAttribute(name) ? $0.colonValue ?? "" : nil }
    }

    /// The value of the first line of that type.
    package func first(_ type: Unicode.Scalar) -> String? { first { $0.isType(type) }?.value }

    /// `b=<modifier>:<number>`, in the modifier's unit: kbit/s for `AS`, bit/s for `TIAS`, `RS` and `RR`.
    package func bandwidth(_ modifier: String) -> UInt64? {
        for line in self where line.isType("b") {
            let (name, value) = line.bytes[...].split(atFirst: ASCII.colon)
            if ASCII.equalIgnoringCase(name.trimmed, modifier), let value { return ASCII.decimal(value.trimmed, max: .max) }
        }
        return nil
    }
}
