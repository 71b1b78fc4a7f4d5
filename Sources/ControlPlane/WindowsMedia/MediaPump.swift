import Signalling

/// Sends a file to one player, one way or another. Belongs to the event loop.
protocol MediaPump: AnyObject {
    /// What the player is sent, framed; and whether it would take more.
    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)? { get set }
    var flush: (() -> Bool)? { get set }
    /// Once, and never after ``stop()``.
    var onEnd: ((PumpEnd) -> Void)? { get set }
    /// How late the next packet is; 0 while the player takes what it is sent.
    var lagMilliseconds: Double { get }

    /// Begins, or goes on after ``pause()``.
    func start()
    /// Sends nothing more and says nothing more.
    func stop()
    /// Sends nothing until ``start()``.
    func pause()
    /// The player takes more again.
    func resume()
    /// Other streams from the next packet on.
    func select(_ selection: WMSPSelection)
}

/// How a pump ended by itself.
enum PumpEnd: Equatable {
    /// Everything was sent.
    case done
    /// It came to the beginning, backwards.
    case rewound
    /// The file cannot be read any more, in words.
    case failed(String)
}
