/// Why a text is no session description at all. Smaller faults are ``SDPWarning``s.
package enum SDPError: Error, Hashable, CustomStringConvertible {
    /// Above ``SessionDescription/bytesMax``.
    case tooLong(bytes: Int, bytesMax: Int)
    /// Above ``SessionDescription/lineCountMax``.
    case tooManyLines(countMax: Int)
    /// Above ``SessionDescription/mediaCountMax``.
    case tooManyMedia(countMax: Int)
    /// Not one line of the form `<letter>=<value>`.
    case noLines

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .tooLong(let bytes, let max): "a session description of \(bytes) bytes is longer than \(max)"
        case .tooManyLines(let max): "a session description of more than \(max) lines"
        case .tooManyMedia(let max): "a session description of more than \(max) media"
        case .noLines: "not a session description: no line of the form 'v=0'"
        }
    }
}

/// A fault of a session description that was read all the same, as cameras make them.
package struct SDPWarning: Sendable, Hashable, CustomStringConvertible {
    /// What kind of fault.
    package enum Fault: Sendable, Hashable {
        /// A line without `<letter>=`; it is dropped.
        case notALine
        /// No `v=`, `o=`, `s=` or `t=` line; the letter.
        case missing(Character)
        /// A second line where one is allowed; the letter. The first counts, both are kept.
        case repeated(Character)
        /// `c=` or `t=` that is not of its form; the letter. The line is kept and not used.
        case malformed(Character)
        /// `m=` that is not of its form; what could be read is used.
        case malformedMedia
        /// `a=rtpmap` that is not of its form; it is not used.
        case malformedFormatMap
        /// `a=fmtp` without parameters.
        case emptyFormatParameters
        /// `a=fmtp` of a payload type that stands in another media block; it is used there.
        case misplacedFormatParameters(payloadType: UInt8)
        /// An Opus clock other than 48,000, taken as 48,000 (RFC 7587 section 4.1).
        case wrongClockRate(UInt32)
        /// A dynamic payload type without `a=rtpmap`.
        case noFormatMap(payloadType: UInt8)
        /// Every media is marked as a back channel (`a=sendonly`); the mark is ignored.
        case onlyBackChannels
    }

    /// The kind.
    package var fault: Fault
    /// The number of the line, the first being 1; 0 when it concerns no single line.
    package var line: Int

    /// In words.
    package var description: String {
        let place = line == 0 ? "" : "line \(line): "
        return switch fault {
        case .notALine: "\(place)not of the form '<letter>=<value>'"
        case .missing(let type): "no '\(type)=' line"
        case .repeated(let type): "\(place)a second '\(type)=' line"
        case .malformed(let type): "\(place)'\(type)=' is not of its form"
        case .malformedMedia: "\(place)'m=' is not of the form 'm=<media> <port> <protocol> <formats>'"
        case .malformedFormatMap: "\(place)'a=rtpmap' is not of the form 'a=rtpmap:<type> <encoding>/<clock>'"
        case .emptyFormatParameters: "\(place)'a=fmtp' has no parameters"
        case .misplacedFormatParameters(let type): "\(place)'a=fmtp:\(type)' stands under another media"
        case .wrongClockRate(let rate): "\(place)Opus with a clock of \(rate) is taken as 48000"
        case .noFormatMap(let type): "\(place)payload type \(type) has no 'a=rtpmap'"
        case .onlyBackChannels: "every media is marked 'a=sendonly'; the mark is ignored"
        }
    }
}
