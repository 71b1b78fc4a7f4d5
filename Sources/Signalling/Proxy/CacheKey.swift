import WireFormats

/// Under what content is kept: ``CanonicalURL/url`` names the object in the store, and is what its origin is asked for.
///
/// One object for all players of a place, whichever protocol they speak themselves. Two for what came over HTTP and over RTSP: they are two
/// services at two ports, which may belong to two people, and their entity tags and directives do not compare. Who names `mms://` is served out
/// of either.
package typealias CacheKey = CanonicalURL
