/// A user's name and password.
package struct Credentials: Sendable, Equatable {
    /// The name, as the user wrote it (percent-encoding removed).
    package let user: String
    /// The password, likewise.
    package let password: String

    /// A name and its password.
    package init(user: String, password: String) {
        self.user = user
        self.password = password
    }
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible {
    /// The user's name alone, so that no log line can carry a password.
    package var description: String { "\(user):…" }
    /// As ``description``.
    package var debugDescription: String { description }
}
