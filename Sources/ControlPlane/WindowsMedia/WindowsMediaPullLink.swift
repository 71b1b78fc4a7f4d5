import WireFormats

/// One attempt to have live Windows Media from a server, over whatever it comes. Belongs to the event loop; tells a ``WindowsMediaPullSessionOwner``
/// what comes of it.
protocol WindowsMediaPullLink: AnyObject {
    /// What it is doing, in a few words.
    var words: String { get }
    /// Where what played could go on.
    var resumption: WindowsMediaPullSession.Resumption? { get }
    /// The server has answered that it does not play from there, or not at all.
    var wasRefused: Bool { get }
    /// The server has answered, whatever, and it did not work all the same.
    var wasAnswered: Bool { get }
    /// The server did not do as it had agreed to: over one connection for everything it had better not be asked again.
    var pipeliningFailed: Bool { get }
    /// What the server was not told because too much waited to be.
    var feedbackDropped: Int { get }
    /// Begins.
    func dial()
    /// Tells what a player of ours did.
    func send(_ event: RemoteEvent)
    /// Ends it; its owner hears no more of it. The server is told how it went, and then `done` is called, soon in any case.
    func leave(_ done: @escaping () -> Void)
}

extension WindowsMediaPullSession: WindowsMediaPullLink {}
