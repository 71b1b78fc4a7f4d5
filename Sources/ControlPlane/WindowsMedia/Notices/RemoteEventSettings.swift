import Signalling
import WireFormats

extension PathSettings {
    /// The key of a path that says what relays are to tell of plays of it.
    static let remoteEventFields: [Field<PathSettings>] = [
        Field(
            key: "remote-events",
            set: { (path, text) throws(ValueProblem) in
                var events: MSRTSPCacheControl.Events = []
                for word in text == "none" ? [] : text.split(separator: ",", omittingEmptySubsequences: false) {
                    switch String(word).trimmedBlanks {
                    case "open": events.insert(.open)
                    case "close": events.insert(.close)
                    case "log": events.insert(.log)
                    default: throw ValueProblem("`\(word)` is none of open, close and log; write some of them with commas between, or none")
                    }
                }
                path.remoteEvents = events
            }, isList: true)
    ]

    /// Facts as relays are told of them: with what is wanted to be heard of plays.
    func subscribing(_ facts: WMSPContent) -> WMSPContent {
        guard let remoteEvents, !remoteEvents.isEmpty else { return facts }
        var facts = facts
        facts.cacheControl += "\(facts.cacheControl.isEmpty ? "" : ", ")\(remoteEvents.directive)"
        return facts
    }
}
