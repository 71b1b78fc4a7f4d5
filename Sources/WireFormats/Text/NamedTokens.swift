/// A set whose members have names, which stand in lists of headers and descriptions.
protocol NamedTokens: OptionSet where Element == Self {
    /// Each member and its name, in the order in which lists have them.
    static var names: [(Self, String)] { get }
}

extension NamedTokens {
    /// Takes the member of that name in, in whatever case it is written; a name that nobody has changes nothing.
    mutating func insert(named word: ArraySlice<UInt8>) {
        for (member, name) in Self.names where ASCII.equalIgnoringCase(word, name) { insert(member) }
    }

    /// The names of those that are in it.
    func text(separator: String) -> String { Self.names.filter { contains($0.0) }.map(\.1).joined(separator: separator) }
}
