/// The methods of RTSP 1.0 (RFC 2326 section 10), and two of LIVE555's. Method names are case-sensitive.
package enum RTSPMethod: Sendable, Hashable, CustomStringConvertible {
    case options, describe, announce, setup, play, pause, record, teardown, getParameter, setParameter, redirect
    /// LIVE555's: a back end asks a proxy to serve its stream, or no longer to.
    case register, deregister
    /// A method that is none of these, such as `GET` of the HTTP tunnel.
    case other(String)

    /// The methods of RFC 2326.
    package static let all: [RTSPMethod] = [
        .options, .describe, .announce, .setup, .play, .pause, .record, .teardown, .getParameter, .setParameter, .redirect,
    ]

    /// The method of that name.
    package init(_ name: String) {
        switch name {
        case "OPTIONS": self = .options
        case "DESCRIBE": self = .describe
        case "ANNOUNCE": self = .announce
        case "SETUP": self = .setup
        case "PLAY": self = .play
        case "PAUSE": self = .pause
        case "RECORD": self = .record
        case "TEARDOWN": self = .teardown
        case "GET_PARAMETER": self = .getParameter
        case "SET_PARAMETER": self = .setParameter
        case "REDIRECT": self = .redirect
        case "REGISTER": self = .register
        case "DEREGISTER": self = .deregister
        default: self = .other(name)
        }
    }

    /// The name as it goes over the wire.
    package var name: String {
        switch self {
        case .options: "OPTIONS"
        case .describe: "DESCRIBE"
        case .announce: "ANNOUNCE"
        case .setup: "SETUP"
        case .play: "PLAY"
        case .pause: "PAUSE"
        case .record: "RECORD"
        case .teardown: "TEARDOWN"
        case .getParameter: "GET_PARAMETER"
        case .setParameter: "SET_PARAMETER"
        case .redirect: "REDIRECT"
        case .register: "REGISTER"
        case .deregister: "DEREGISTER"
        case .other(let name): name
        }
    }

    /// The name as it goes over the wire.
    package var description: String { name }
}
