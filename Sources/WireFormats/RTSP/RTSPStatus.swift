/// A status of a response: a code and the reason in words (RFC 2326 section 7.1.1). Two statuses are equal when their codes are.
package struct RTSPStatus: Sendable, Hashable, CustomStringConvertible {
    /// Three digits, 100–999.
    package let code: UInt16
    /// The reason phrase. For people only: programs go by the code.
    package let reason: String

    /// A status with its own words; a code outside 100–999 becomes 500.
    package init(code: UInt16, reason: String) {
        self.code = (100...999).contains(code) ? code : 500
        self.reason = reason
    }

    /// The standard's status of that code, or one without words.
    package init(code: UInt16) {
        self = Self.standard.first { $0.code == code } ?? RTSPStatus(code: code, reason: "")
    }

    package static func == (a: RTSPStatus, b: RTSPStatus) -> Bool { a.code == b.code }
    package func hash(into hasher: inout Hasher) { hasher.combine(code) }

    /// 200–299.
    package var isSuccess: Bool { code / 100 == 2 }
    /// 300–399.
    package var isRedirection: Bool { code / 100 == 3 }

    /// `404 Not Found`.
    package var description: String { "\(code) \(reason)" }

    // RFC 2326 section 7.1.1.
    package static let `continue` = RTSPStatus(code: 100, reason: "Continue")
    package static let ok = RTSPStatus(code: 200, reason: "OK")
    package static let created = RTSPStatus(code: 201, reason: "Created")
    package static let lowOnStorageSpace = RTSPStatus(code: 250, reason: "Low on Storage Space")
    package static let multipleChoices = RTSPStatus(code: 300, reason: "Multiple Choices")
    package static let movedPermanently = RTSPStatus(code: 301, reason: "Moved Permanently")
    package static let movedTemporarily = RTSPStatus(code: 302, reason: "Moved Temporarily")
    package static let seeOther = RTSPStatus(code: 303, reason: "See Other")
    package static let notModified = RTSPStatus(code: 304, reason: "Not Modified")
    package static let useProxy = RTSPStatus(code: 305, reason: "Use Proxy")
    package static let badRequest = RTSPStatus(code: 400, reason: "Bad Request")
    package static let unauthorized = RTSPStatus(code: 401, reason: "Unauthorized")
    package static let paymentRequired = RTSPStatus(code: 402, reason: "Payment Required")
    package static let forbidden = RTSPStatus(code: 403, reason: "Forbidden")
    package static let notFound = RTSPStatus(code: 404, reason: "Not Found")
    package static let methodNotAllowed = RTSPStatus(code: 405, reason: "Method Not Allowed")
    package static let notAcceptable = RTSPStatus(code: 406, reason: "Not Acceptable")
    package static let proxyAuthenticationRequired = RTSPStatus(code: 407, reason: "Proxy Authentication Required")
    package static let requestTimeout = RTSPStatus(code: 408, reason: "Request Time-out")
    package static let gone = RTSPStatus(code: 410, reason: "Gone")
    package static let lengthRequired = RTSPStatus(code: 411, reason: "Length Required")
    package static let preconditionFailed = RTSPStatus(code: 412, reason: "Precondition Failed")
    package static let requestEntityTooLarge = RTSPStatus(code: 413, reason: "Request Entity Too Large")
    package static let requestURITooLarge = RTSPStatus(code: 414, reason: "Request-URI Too Large")
    package static let unsupportedMediaType = RTSPStatus(code: 415, reason: "Unsupported Media Type")
    package static let parameterNotUnderstood = RTSPStatus(code: 451, reason: "Parameter Not Understood")
    package static let conferenceNotFound = RTSPStatus(code: 452, reason: "Conference Not Found")
    package static let notEnoughBandwidth = RTSPStatus(code: 453, reason: "Not Enough Bandwidth")
    package static let sessionNotFound = RTSPStatus(code: 454, reason: "Session Not Found")
    package static let methodNotValidInThisState = RTSPStatus(code: 455, reason: "Method Not Valid in This State")
    package static let headerFieldNotValidForResource = RTSPStatus(code: 456, reason: "Header Field Not Valid for Resource")
    package static let invalidRange = RTSPStatus(code: 457, reason: "Invalid Range")
    package static let parameterIsReadOnly = RTSPStatus(code: 458, reason: "Parameter Is Read-Only")
    package static let aggregateOperationNotAllowed = RTSPStatus(code: 459, reason: "Aggregate Operation Not Allowed")
    package static let onlyAggregateOperationAllowed = RTSPStatus(code: 460, reason: "Only Aggregate Operation Allowed")
    package static let unsupportedTransport = RTSPStatus(code: 461, reason: "Unsupported Transport")
    package static let destinationUnreachable = RTSPStatus(code: 462, reason: "Destination Unreachable")
    package static let internalServerError = RTSPStatus(code: 500, reason: "Internal Server Error")
    package static let notImplemented = RTSPStatus(code: 501, reason: "Not Implemented")
    package static let badGateway = RTSPStatus(code: 502, reason: "Bad Gateway")
    package static let serviceUnavailable = RTSPStatus(code: 503, reason: "Service Unavailable")
    package static let gatewayTimeout = RTSPStatus(code: 504, reason: "Gateway Time-out")
    package static let rtspVersionNotSupported = RTSPStatus(code: 505, reason: "RTSP Version Not Supported")
    /// Of HTTP (RFC 7725): RTSP means something else by that number.
    package static let unavailableForLegalReasons = RTSPStatus(code: 451, reason: "Unavailable For Legal Reasons")
    /// Of HTTP (RFC 5842): RTSP has none for a server that would ask itself.
    package static let loopDetected = RTSPStatus(code: 508, reason: "Loop Detected")
    package static let optionNotSupported = RTSPStatus(code: 551, reason: "Option not supported")

    /// Every status of RFC 2326.
    package static let standard: [RTSPStatus] = [
        .`continue`, .ok, .created, .lowOnStorageSpace, .multipleChoices, .movedPermanently, .movedTemporarily, .seeOther,
        .notModified, .useProxy, .badRequest, .unauthorized, .paymentRequired, .forbidden, .notFound, .methodNotAllowed,
        .notAcceptable, .proxyAuthenticationRequired, .requestTimeout, .gone, .lengthRequired, .preconditionFailed,
        .requestEntityTooLarge, .requestURITooLarge, .unsupportedMediaType, .parameterNotUnderstood, .conferenceNotFound,
        .notEnoughBandwidth, .sessionNotFound, .methodNotValidInThisState, .headerFieldNotValidForResource, .invalidRange,
        .parameterIsReadOnly, .aggregateOperationNotAllowed, .onlyAggregateOperationAllowed, .unsupportedTransport,
        .destinationUnreachable, .internalServerError, .notImplemented, .badGateway, .serviceUnavailable, .gatewayTimeout,
        .rtspVersionNotSupported, .optionNotSupported,
    ]
}
