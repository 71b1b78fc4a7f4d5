/// The `Session` header (RFC 2326 section 12.37): `12345678;timeout=60`.
package struct SessionHeader: Sendable, Hashable {
    /// The session identifier, never empty. Opaque: any characters but `;`, since some servers use dashes, `%` and more.
    package var id: String
    /// Seconds after which the server forgets the session when it hears nothing; nil when not said (the standard then means 60).
    package var timeoutSeconds: UInt32?

    /// A session.
    package init(id: String, timeoutSeconds: UInt32? = nil) {
        self.id = id
        self.timeoutSeconds = timeoutSeconds
    }

    /// The header's value taken apart; nil without an identifier. A timeout that is no number, or 0, is as none.
    package init?(_ value: String) {
        let parts = value.byteSlice.split(separator: ASCII.semicolon, omittingEmptySubsequences: false)
        guard let id = parts.first?.trimmed, !id.isEmpty else { return nil }
        self.id = id.text
        for part in parts.dropFirst() {
            let (key, value) = part.split(atFirst: ASCII.equals)
            guard let value, ASCII.equalIgnoringCase(key.trimmed, "timeout") else { continue }
            timeoutSeconds = ASCII.decimal(value.trimmed.unquoted.trimmed, max: UInt64(UInt32.max)).flatMap { $0 == 0 ? nil : UInt32($0) }
        }
    }

    /// The header's value.
    package var text: String { timeoutSeconds.map { "\(id);timeout=\($0)" } ?? id }
}
