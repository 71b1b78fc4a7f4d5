import NIOCore
import Signalling
import WireFormats

/// Brings packets of a ``WindowsMediaFile`` that are not all here. Belongs to the event loop.
///
/// Answers come once for each call, maybe before it returns, and never after ``left(_:)`` of the reader that they are for.
protocol PacketSupply: AnyObject {
    /// Where a Play of these streams at that position begins: whoever is not whole asks the origin.
    func locate(
        _ position: WMSPPosition, streams: ASFStreamSet,
        _ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void)
    /// Sees to it that packets can be read. Answers when the first of them is here, with how many of them are from there on: a part of
    /// `range` that begins where it does. Empty: the content ends before it. What is answered can be read until the reader wants what is
    /// behind it.
    func want(_ range: Range<UInt32>, for reader: SupplyReader, _ done: @escaping (Result<Range<UInt32>, WindowsMediaFile.Trouble>) -> Void)
    /// What was answered cannot be read after all: it is not here any more. To be wanted again.
    func lost(_ range: Range<UInt32>)
    /// A reader wants no more; one that never wanted anything may leave, too.
    func left(_ reader: SupplyReader)
}

/// Somebody who takes packets from one place on: known by what it is alone.
final class SupplyReader {}

/// Where the bytes of a ``WindowsMediaFile`` lie. Reading blocks: not on the event loop.
protocol PacketStorage: AnyObject, Sendable {
    /// Bytes of the file from `offset` on, fewer only where there are no more: at its end, or at what is not here.
    func read(at offset: Int64, count: Int) throws(WindowsMediaFile.Trouble) -> [UInt8]
    /// Where the kernel could read them: a descriptor in which each byte lies at its offset in the file, open as long as this lives. Nil where
    /// there is none, or where nobody may read past ``read(at:count:)`` yet.
    var descriptor: CInt? { get }
}

/// A file on a disk of this machine.
final class LocalStorage: PacketStorage {
    let name: String
    let descriptor: CInt?
    private let own: CInt

    /// Takes the descriptor for itself.
    init(name: String, descriptor: CInt) {
        self.name = name
        self.descriptor = descriptor
        own = descriptor
    }

    deinit { WindowsMediaFile.close(own) }

    func read(at offset: Int64, count: Int) throws(WindowsMediaFile.Trouble) -> [UInt8] {
        try WindowsMediaFile.read(name, own, at: offset, count: count)
    }
}
