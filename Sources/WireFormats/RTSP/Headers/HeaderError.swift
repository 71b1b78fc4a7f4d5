/// Why a header's value cannot be used. The message goes into the answer's words or the log.
package enum RTSPHeaderError: Error, Hashable, CustomStringConvertible {
    /// Nothing where something must be.
    case empty(header: String)
    /// More elements than are looked at.
    case tooMany(header: String, countMax: Int)
    /// A parameter whose value is not of its form.
    case malformed(header: String, parameter: String, value: String)
    /// A number outside of what it can be.
    case outOfRange(header: String, parameter: String, value: String, max: UInt64)
    /// A form of the header that the standard does not know; for `Range` its unit.
    case unknownForm(header: String, value: String)

    /// What was wrong, in words.
    package var description: String {
        switch self {
        case .empty(let header): "\(header) is empty"
        case .tooMany(let header, let max): "\(header) has more than \(max) elements"
        case .malformed(let header, let parameter, let value): "\(header): \(parameter) cannot be '\(value)'"
        case .outOfRange(let header, let parameter, let value, let max): "\(header): \(parameter) '\(value)' is not within 0 to \(max)"
        case .unknownForm(let header, let value): "\(header): '\(value)' is of no known form"
        }
    }
}
