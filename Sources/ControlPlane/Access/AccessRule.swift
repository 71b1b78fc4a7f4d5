import PlaneLink

/// What may be allowed on a path.
package enum AccessRight: String, Sendable, CaseIterable {
    /// DESCRIBE, SETUP, PLAY.
    case read
    /// ANNOUNCE, SETUP, RECORD.
    case publish
    /// SET_PARAMETER that is passed to the source; nobody, unless it is given.
    case control
}

/// Who may do one thing on one path. Empty: nobody.
package struct AccessRule: Sendable, Hashable, CustomStringConvertible {
    /// One part of it.
    package enum Grant: Sendable, Hashable {
        /// Everybody, without a password.
        case any
        /// Every user who logs in.
        case users
        /// The user of that name.
        case user(String)
        /// Whoever comes from there, without a password.
        case network(NetworkPrefix)
    }

    /// Each alone suffices.
    package let grants: [Grant]

    /// Everybody.
    package static let any = AccessRule(grants: [.any])
    /// Whoever logs in.
    package static let users = AccessRule(grants: [.users])

    /// Words that are not users' names.
    static let words = ["any", "users", "nobody"]

    /// A rule of grants.
    init(grants: [Grant]) { self.grants = grants }

    /// Reads `any`, `users`, `nobody`, or names of users, addresses and networks, separated by commas.
    init(parsing text: String) throws(ValueProblem) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { String($0).trimmedBlanks }
        if parts == ["nobody"] {
            self.init(grants: [])
            return
        }
        var grants: [Grant] = []
        for part in parts {
            switch part {
            case "": throw ValueProblem("`\(text)` names nobody; write any, users, nobody, users' names or networks, separated by commas")
            case "nobody": throw ValueProblem("`nobody` stands alone")
            case "any": grants.append(.any)
            case "users": grants.append(.users)
            default:
                if part.contains("/") || part.contains(":") || HostAddress(numeric: part) != nil {
                    grants.append(.network(try NetworkPrefix(parsing: part)))
                } else {
                    if let problem = UserSettings.problem(ofName: part) { throw ValueProblem("`\(part)`: \(problem)") }
                    grants.append(.user(part))
                }
            }
        }
        self.init(grants: grants)
    }

    /// Whether whoever comes from there needs no password.
    func allowsWithoutPassword(_ host: HostAddress) -> Bool {
        grants.contains { grant in
            switch grant {
            case .any: true
            case .network(let network): network.contains(host)
            case .users, .user: false
            }
        }
    }

    /// Whether a user who logged in may.
    func allows(user: String) -> Bool {
        grants.contains { grant in
            switch grant {
            case .any, .users: true
            case .user(let name): name == user
            case .network: false
            }
        }
    }

    /// The users that it names.
    var usersNamed: [String] {
        grants.compactMap { grant in if case .user(let name) = grant { name } else { nil } }
    }

    /// As it may be written.
    package var description: String {
        if grants.isEmpty { return "nobody" }
        return grants.map { grant in
            switch grant {
            case .any: "any"
            case .users: "users"
            case .user(let name): name
            case .network(let network): network.description
            }
        }.joined(separator: ", ")
    }
}
