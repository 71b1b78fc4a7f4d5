import WireFormats

extension WMSPClient {
    /// What can be chosen.
    package struct Settings: Sendable {
        /// What is pulled.
        package var url: WMSPSourceURL
        /// Who asks: `NSServer` for a relay, `WMCacheProxy` for a cache.
        package var userAgent = "NSServer/9.0.0.3171"
        /// `xClientGUID`, the same for all requests of a session.
        package var guid = "{00000000-0000-0000-0000-000000000000}"
        /// How long an answer's head may take, and the header in its body.
        package var answerMilliseconds: UInt64 = 10_000
        /// How long a Describe's body may stay open behind the header before it is held to be no Play.
        package var tailMilliseconds: UInt64 = 3_000
        /// The URLs that redirections led here from, the first one first.
        package var trail: [WMSPSourceURL] = []
        /// The value of `Via`; nil for none.
        package var via: String?
        /// A play that broke off and is to go on: its logs say so.
        package var isReconnecting = false
        /// Asks whether requests may be pipelined: everything over one connection. The owner of the connections must be able to have both.
        package var offersPipelining = false
        /// Goes on with the next entry of a playlist when that is told of; false: the server is to wait then, and whoever owns the client asks
        /// for another play.
        package var followsEntries = true
        /// What broke off, and is to be gone on with. If the server knows nothing of it any more it begins with Describe, as without.
        package var continuation: Continuation?
        /// The longest `client-lag` that is told: so long the server may be silent at the end of an entry.
        package var lagMillisecondsMax: UInt32 = 15_000
        /// `BurstBW` and `BurstDuration`: so much may come faster than it is played; nil: at its own pace.
        package var burst: WMSPPlay.FastStart?
        /// What it is for.
        package var errand = Errand.media
        /// On whose behalf it is asked: that player's `User-Agent` and the method that it asked with; nil: nobody's.
        package var player: (agent: String, verb: String)?
        /// `Max-Forwards`; nil: none is sent.
        package var maxForwards: Int?
        /// The player's `Authorization`, passed on where it fits (``PassedAuthorization``) and the URL has no credentials.
        package var authorization: String?
        /// A fresh unguessable word, for Digest.
        package var clientNonce: @Sendable () -> String
        /// Seconds since 1970, for logs.
        package var unixSeconds: @Sendable () -> Int64 = { 0 }

        /// Settings for a source.
        package init(url: WMSPSourceURL, clientNonce: @escaping @Sendable () -> String) {
            self.url = url
            self.clientNonce = clientNonce
        }
    }

    /// What a client is for.
    package enum Errand: Sendable, Equatable {
        /// Describe, and Play.
        case media
        /// GetContentInfo; where the server does not know that, Describe. ``terms`` and ``features`` then say what came of it, behind
        /// ``Action/left``, or behind ``Action/described(header:_:)`` where it was Describe.
        case contentInfo
        /// SendEvent without a session; taken with ``Action/left``.
        case event(RemoteEvent)
    }

    /// What of the media may come faster than it is played.
    package struct Haste: Sendable, Equatable {
        /// `BurstBW` and `BurstDuration`: for a relay's own needs.
        package var burst: WMSPPlay.FastStart?
        /// `AccelBW` and `AccelDuration`: a player's wish.
        package var acceleration: WMSPPlay.FastStart?
        /// `Speed`, in thousandths: a factor on all of it, where the server offers that.
        package var speedThousandths: UInt32?

        /// Nothing comes faster, unless told.
        package init(
            burst: WMSPPlay.FastStart? = nil, acceleration: WMSPPlay.FastStart? = nil, speedThousandths: UInt32? = nil
        ) {
            self.burst = burst
            self.acceleration = acceleration
            self.speedThousandths = speedThousandths
        }
    }
}
