// The headers that need no type of their own.

extension RTSPHeaders {
    /// `CSeq` without blanks (Longse sends some behind it), as it must be echoed; nil when absent or empty.
    package var cseq: String? {
        guard let value = self["CSeq"], !value.isEmpty else { return nil }
        return value
    }

    /// `CSeq` as a number; nil when absent or none.
    package var cseqNumber: UInt32? {
        cseq.flatMap { ASCII.decimal($0.byteSlice, max: UInt64(UInt32.max)) }.map { UInt32(truncatingIfNeeded: $0) }
    }

    /// `Session`; the first that has an identifier.
    package var session: SessionHeader? {
        for field in fields where ASCII.equalIgnoringCase(field.name, "Session") {
            if let session = SessionHeader(field.value) { return session }
        }
        return nil
    }

    /// The methods of `Public` (every line of it); nil when there is none.
    package var publicMethods: [RTSPMethod]? { methods(named: "Public") }

    /// The methods of `Allow`; nil when there is none.
    package var allowedMethods: [RTSPMethod]? { methods(named: "Allow") }

    /// The option tags of `Require` and `Proxy-Require`, in order.
    package var requiredOptions: [String] { list(named: "Require") + list(named: "Proxy-Require") }

    /// The option tags of `Unsupported`.
    package var unsupportedOptions: [String] { list(named: "Unsupported") }

    /// The base that relative control URLs stand against: `Content-Base`, else `Content-Location` (RFC 2326 section C.1.1);
    /// nil when neither says anything.
    package var contentBase: String? {
        for name in ["Content-Base", "Content-Location"] {
            if let value = self[name], !value.isEmpty { return value }
        }
        return nil
    }

    /// `Content-Type` without parameters, in small letters.
    package var contentType: String? {
        self["Content-Type"].map { $0.byteSlice.split(atFirst: ASCII.semicolon).0.trimmed.lowercasedText }
    }

    /// `Retry-After` in seconds, at most a day; nil when absent or given as a date.
    package var retryAfterSeconds: UInt32? {
        guard let value = self["Retry-After"]?.byteSlice.split(atFirst: ASCII.semicolon).0.trimmed, !value.isEmpty else { return nil }
        guard value.allSatisfy(ASCII.isDigit) else { return nil }
        return UInt32(min(ASCII.decimal(value, max: 86_400) ?? 86_400, 86_400))
    }

    /// `Scale`, a finite number; nil when absent or none.
    package var scale: Double? { self["Scale"].flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil } }

    /// `Speed`, finite and above 0; nil when absent or none.
    package var speed: Double? { self["Speed"].flatMap(Double.init).flatMap { $0.isFinite && $0 > 0 ? $0 : nil } }

    /// The elements of a comma-separated header, over all of its lines.
    package func list(named name: String) -> [String] {
        values(named: name).flatMap { value in
            value.byteSlice.split(separator: ASCII.comma).map(\.trimmed).filter { !$0.isEmpty }.map(\.text)
        }
    }

    private func methods(named name: String) -> [RTSPMethod]? {
        guard contains(name) else { return nil }
        // Some servers separate by blanks only.
        return list(named: name).flatMap { $0.utf8.split(whereSeparator: ASCII.isBlank) }
            .map { RTSPMethod(String(decoding: Array($0), as: UTF8.self).uppercased()) }
    }
}

/// `Public` and `Allow`.
package enum MethodListHeader {
    /// The header's value.
    package static func text(_ methods: [RTSPMethod]) -> String { methods.map(\.name).joined(separator: ", ") }
}
