/// A content description list ([MS-WMSP] 2.2.4): names and values of text, each with its length in bytes in front.
package struct ContentDescription: Sendable, Hashable {
    /// A type of value, by its number; the value is text whatever the type.
    package enum ValueType: UInt8, Sendable, Hashable, CaseIterable {
        case i2 = 2
        case i4 = 3
        case cy = 6
        case bstr = 8
        case error = 10
        case bool = 11
        case i1 = 16
        case ui1 = 17
        case ui2 = 18
        case ui4 = 19
        case int = 22
        case uint = 23
        case lpwstr = 31
    }

    /// One name and its value.
    package struct Item: Sendable, Hashable {
        package var name: String
        package var type: ValueType
        package var value: String

        /// A name and its value.
        package init(_ name: String, _ type: ValueType, _ value: String) {
            self.name = name
            self.type = type
            self.value = value
        }
    }

    /// Why bytes are no such list.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// Something else stands where a number or a comma must, at that byte.
        case malformed(at: Int)
        /// A length that reaches beyond the end, at that byte.
        case tooLong(UInt64, at: Int)
        /// More items than ``ContentDescription/itemsMax`` together.
        case tooManyItems

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .malformed(let at): "byte \(at) of the content description is neither the number nor the comma that must stand there"
            case .tooLong(let length, let at): "the length \(length) at byte \(at) of the content description reaches beyond its end"
            case .tooManyItems: "there are more than \(ContentDescription.itemsMax) items in the content description"
            }
        }
    }

    /// How many items the lists of one text may have together.
    package static let itemsMax = 1_024

    /// In their order.
    package var items: [Item]

    /// A list of these items.
    package init(_ items: [Item] = []) { self.items = items }

    /// The list that `$M` carries: the language (empty: any) stands first.
    package init(language: String, _ items: [Item]) { self.items = [Item("language", .lpwstr, language)] + items }

    /// The first value of a name.
    package subscript(name: String) -> String? { items.first { ASCII.equalIgnoringCase($0.name, name) }?.value }

    /// As it goes over the wire, CR LF at its end.
    package func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        for item in items {
            if !bytes.isEmpty { bytes.append(ASCII.comma) }
            bytes += Array("\(item.name.utf8.count),\(item.name),\(item.type.rawValue),\(item.value.utf8.count),\(item.value)".utf8)
        }
        return bytes + [ASCII.carriageReturn, ASCII.lineFeed]
    }

    /// The lists that stand one behind the other. A CR LF at the very end may be missing; an item of an unknown type is left out.
    package static func parse(_ bytes: ArraySlice<UInt8>) throws(Trouble) -> [ContentDescription] {
        var lists: [ContentDescription] = []
        var current: [Item] = []
        var index = bytes.startIndex
        var count = 0
        while index < bytes.endIndex {
            if current.isEmpty, ASCII.isLineEnd(bytes[index]) {
                // The end of a list without items, or of one whose items were all unknown.
                index += 1
                continue
            }
            let name = try counted(bytes, &index)
            try comma(bytes, &index)
            let type = try number(bytes, &index)
            try comma(bytes, &index)
            let value = try counted(bytes, &index)
            count += 1
            guard count <= itemsMax else { throw .tooManyItems }
            if let type = UInt8(exactly: type).flatMap(ValueType.init(rawValue:)) { current.append(Item(name.text, type, value.text)) }
            guard index < bytes.endIndex else { break }
            if bytes[index] == ASCII.comma {
                index += 1
                guard index < bytes.endIndex else { throw .malformed(at: index - bytes.startIndex) }
                continue
            }
            if bytes[index] == ASCII.carriageReturn { index += 1 }
            guard index < bytes.endIndex, bytes[index] == ASCII.lineFeed else { throw .malformed(at: index - bytes.startIndex) }
            index += 1
            if !current.isEmpty { lists.append(ContentDescription(current)) }
            current = []
        }
        if !current.isEmpty { lists.append(ContentDescription(current)) }
        return lists
    }

    private static func number(_ bytes: ArraySlice<UInt8>, _ index: inout Int) throws(Trouble) -> UInt64 {
        let digits = bytes[index...].prefix { ASCII.isDigit($0) }
        guard !digits.isEmpty else { throw .malformed(at: index - bytes.startIndex) }
        guard let value = ASCII.decimal(digits, max: UInt64(UInt32.max)) else { throw .tooLong(.max, at: index - bytes.startIndex) }
        index = digits.endIndex
        return value
    }

    private static func comma(_ bytes: ArraySlice<UInt8>, _ index: inout Int) throws(Trouble) {
        guard index < bytes.endIndex, bytes[index] == ASCII.comma else { throw .malformed(at: index - bytes.startIndex) }
        index += 1
    }

    private static func counted(_ bytes: ArraySlice<UInt8>, _ index: inout Int) throws(Trouble) -> ArraySlice<UInt8> {
        let at = index - bytes.startIndex
        let length = try number(bytes, &index)
        try comma(bytes, &index)
        guard let count = Int(exactly: length), count <= bytes.endIndex - index else { throw .tooLong(length, at: at) }
        defer { index += count }
        return bytes[index..<(index + count)]
    }
}
