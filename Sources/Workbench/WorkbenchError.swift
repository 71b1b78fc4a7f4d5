/// Why a measurement could not be made, in a sentence for the user.
package struct WorkbenchError: Error, Equatable, CustomStringConvertible {
    /// What kind of trouble it is.
    package enum Kind: Equatable, Sendable {
        /// Something failed while measuring.
        case failure
        /// The user asked for something that cannot be.
        case usage
        /// The server does not offer this transport; another may do.
        case transportRefused
    }

    /// What went wrong, where, and what to do.
    package let description: String
    /// What kind of trouble it is.
    package let kind: Kind

    /// A failure, unless another kind is named.
    package init(_ description: String, kind: Kind = .failure) {
        self.description = description
        self.kind = kind
    }

    /// An option's value that cannot be.
    package static func usage(_ description: String) -> WorkbenchError { WorkbenchError(description, kind: .usage) }
}
