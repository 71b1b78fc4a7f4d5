import WireFormats

/// What the server knows of one client: the state that its `client-id` stands for ([MS-WMSP] 3.2.1). It outlives connections.
struct WMSPServerSession: Sendable {
    /// Where it stands.
    enum State: Sendable { case idle, streaming, waiting }

    /// An answer that is owed on the connection of the data.
    struct Owed: Sendable {
        let bytes: [UInt8]
        let closes: Bool
    }

    /// The two requests that find out about pipelining.
    struct PipelineTest: Sendable {
        let connection: UInt64
        let deadline: UInt64
        var isRunning = true
    }

    let id: UInt32
    let address: String
    var guid: String?
    var dialect: WMSPDialect
    var state = State.idle
    /// The connection that carries the data; nil while no body is open.
    var connection: UInt64?
    /// The body is chunked, so that it can be ended without the connection.
    var isChunked = false
    /// What the client can do, as it last said.
    var features: WMSPSupported = [.prediction, .streamSwitch]
    var incarnation: UInt8 = 0
    var content: WMSPContent?
    /// The connection of the Describe that told it last; nil: it was played at once.
    var describedOn: UInt64?
    /// What that content was asked for as: whoever has the session may read it.
    var path = ""
    var selection = WMSPSelection()
    var owed: [Owed] = []
    var pipelineTest: PipelineTest?
    /// Streams were asked for in this entry: by Play, SelectStream or PlayNextEntry.
    var isConfirmed = false
    /// When streams were last selected.
    var selectedAt: UInt64?
    /// Bits per second of its link, as it said.
    var linkBitsPerSecond: UInt32?
    /// What the client said it lags behind, for the next change of entries.
    var lagMilliseconds: UInt64 = 0
    var idleSince: UInt64

    init(id: UInt32, address: String, request: WMSPRequest, now: UInt64) {
        self.id = id
        self.address = address
        guid = request.guid
        dialect = request.dialect
        idleSince = now
    }

    /// Whether a request that names the session may be of its owner.
    func belongs(to address: String, guid: String?) -> Bool {
        address == self.address || guid != nil && guid == self.guid
    }

    /// Whether a Play may take it over from the connection that has it.
    func yields(to address: String, guid: String?) -> Bool {
        address == self.address && (guid == nil || self.guid == nil || guid == self.guid)
    }

    /// A request came: its client may have become another, or say what it can.
    mutating func seen(_ request: WMSPRequest, now: UInt64) {
        dialect = request.dialect
        if guid == nil { guid = request.guid }
        if let supported = request.supported { features = supported }
        if let lag = request.pragma.number("client-lag") { lagMilliseconds = UInt64(lag) }
        if let link = request.pragma.number("LinkBW") { linkBitsPerSecond = link }
        idleSince = now
    }

    /// The bytes as they go into the body that is open.
    func coded(_ bytes: [UInt8]) -> [UInt8] { isChunked ? ChunkedCoding.chunk(bytes) : bytes }

    /// Streams of the next entry are chosen for the client, and sent without its asking, if it said what it wants of the one before
    /// ([MS-WMSP] 3.2.4.2). Clients before version 9 never ask.
    var isPredicted: Bool { features.contains(.prediction) && isConfirmed || !dialect.takesStreamChanges }

    /// Changes the selection by the list of a request; without one all stays as it is, in a Play all streams are wanted.
    mutating func select(by request: WMSPRequest, isComplete: Bool) {
        guard let header = content?.header(for: dialect) else { return }
        let known = header.streamNumbers
        let list = request.pragma["stream-switch-entry"].map {
            StreamSwitchEntry.parse($0, streams: known.numbers.map(UInt16.init), base: dialect.streamNumbers)
        }
        guard let list, !list.isEmpty else {
            if isComplete { selection = WMSPSelection(whole: known) }
            return
        }
        if isComplete { selection = WMSPSelection() }
        selection.apply(list, known: known)
    }
}
