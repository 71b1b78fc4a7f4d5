/// Writes the chunked coding (RFC 7230 section 4.1).
package enum ChunkedCoding {
    /// The last chunk, without trailers.
    package static let end: [UInt8] = Array("0\r\n\r\n".utf8)

    /// What stands before a chunk of so many bytes, at least 1; CR LF stands behind it.
    package static func head(bytes: Int) -> [UInt8] { Array((String(max(bytes, 1), radix: 16) + "\r\n").utf8) }

    /// The bytes as one chunk; nothing for no bytes, because an empty chunk would be the last.
    package static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        bytes.isEmpty ? [] : head(bytes: bytes.count) + bytes + [ASCII.carriageReturn, ASCII.lineFeed]
    }
}

/// Takes the chunked coding of a body apart, however it was cut. It keeps no byte of the body.
package struct ChunkedDecoder: Sendable {
    /// What is wrong with the coding. Nothing behind it can be read.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// No hexadecimal number where a chunk begins: the byte that stands there, and where in the coded body.
        case malformedSize(byte: UInt8, at: UInt64)
        /// A size above ``ChunkedDecoder/chunkBytesMax``.
        case chunkTooLarge(at: UInt64)
        /// An extension above ``ChunkedDecoder/extensionBytesMax``, or trailers above ``ChunkedDecoder/trailerBytesMax``.
        case tooMuchBeside(bytesMax: Int, at: UInt64)
        /// A chunk that does not end with a line end.
        case endMissing(byte: UInt8, at: UInt64)

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .malformedSize(let byte, let at): "byte \(at) of the chunked body, \(hexText(byte)), is no digit of a chunk's size"
            case .chunkTooLarge(let at): "the chunk before byte \(at) is said to be larger than \(ChunkedDecoder.chunkBytesMax) bytes"
            case .tooMuchBeside(let max, let at): "before byte \(at) of the chunked body stand more than \(max) bytes that are no body"
            case .endMissing(let byte, let at): "byte \(at) of the chunked body, \(hexText(byte)), stands where a chunk must end"
            }
        }
    }

    private enum Phase: Hashable {
        case size(digits: Int)
        case pastSize
        case bytes
        case afterBytes, afterReturn
        case trailers(lineBytes: Int)
        case ended
    }

    /// The largest chunk.
    package static let chunkBytesMax: UInt64 = 1 << 31
    /// What may stand behind a chunk's size.
    package static let extensionBytesMax = 256
    /// What may stand behind the last chunk.
    package static let trailerBytesMax = 4_096

    private var phase = Phase.size(digits: 0)
    private var remaining: UInt64 = 0
    private var besides = 0
    /// Bytes of coding taken so far.
    package private(set) var bytesTaken: UInt64 = 0

    /// At the beginning of a body.
    package init() {}

    /// The last chunk and its trailers were read: what follows is another message.
    package var isEnded: Bool { phase == .ended }

    /// Decodes the next bytes. Gives what of the body is in them, and how many of them were taken: all, unless the body ended.
    package mutating func decode(_ coded: ArraySlice<UInt8>) throws(Trouble) -> (body: [UInt8], taken: Int) {
        var body: [UInt8] = []
        var index = coded.startIndex
        while index < coded.endIndex, phase != .ended {
            if phase == .bytes {
                let count = Int(min(remaining, UInt64(coded.endIndex - index)))
                body.append(contentsOf: coded[index..<(index + count)])
                index += count
                bytesTaken &+= UInt64(count)
                remaining -= UInt64(count)
                if remaining == 0 { phase = .afterBytes }
                continue
            }
            try take(coded[index])
            index += 1
            bytesTaken &+= 1
        }
        return (body, index - coded.startIndex)
    }

    private mutating func take(_ byte: UInt8) throws(Trouble) {
        switch phase {
        case .size(let digits):
            if let digit = ASCII.hexValue(byte) {
                remaining = remaining << 4 | UInt64(digit)
                guard remaining <= Self.chunkBytesMax, digits < 16 else { throw .chunkTooLarge(at: bytesTaken) }
                phase = .size(digits: digits + 1)
            } else if digits > 0, byte == ASCII.lineFeed {
                endSize()
            } else if digits > 0, byte == ASCII.carriageReturn || byte == ASCII.semicolon || ASCII.isBlank(byte) {
                phase = .pastSize
            } else {
                throw .malformedSize(byte: byte, at: bytesTaken)
            }
        case .pastSize:
            if byte == ASCII.lineFeed {
                endSize()
            } else {
                besides += 1
                guard besides <= Self.extensionBytesMax else { throw .tooMuchBeside(bytesMax: Self.extensionBytesMax, at: bytesTaken) }
            }
        case .afterBytes:
            switch byte {
            case ASCII.carriageReturn: phase = .afterReturn
            case ASCII.lineFeed: phase = .size(digits: 0)
            default: throw .endMissing(byte: byte, at: bytesTaken)
            }
        case .afterReturn:
            guard byte == ASCII.lineFeed else { throw .endMissing(byte: byte, at: bytesTaken) }
            phase = .size(digits: 0)
        case .trailers(let lineBytes):
            besides += 1
            guard besides <= Self.trailerBytesMax else { throw .tooMuchBeside(bytesMax: Self.trailerBytesMax, at: bytesTaken) }
            if byte == ASCII.lineFeed {
                phase = lineBytes == 0 ? .ended : .trailers(lineBytes: 0)
            } else if byte != ASCII.carriageReturn {
                phase = .trailers(lineBytes: lineBytes + 1)
            }
        case .bytes, .ended: break
        }
    }

    private mutating func endSize() {
        besides = 0
        phase = remaining == 0 ? .trailers(lineBytes: 0) : .bytes
    }
}

/// `0x2F`.
func hexText(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return byte < 16 ? "0x0\(digits)" : "0x\(digits)"
}
