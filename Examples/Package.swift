// swift-tools-version: 6.2
import PackageDescription

// Servers that embed the fast path, and one that embeds the whole relay: `swift build --package-path Examples`. In a package of your own, name Weir's address and a version
// instead of the path.
let package = Package(
    name: "weir-examples",
    dependencies: [
        .package(name: "weir", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .executableTarget(
            name: "udp-splitter", dependencies: [.product(name: "FastPath", package: "weir")], path: "udp-splitter"),
        .executableTarget(
            name: "nio-server",
            dependencies: [
                .product(name: "FastPath", package: "weir"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "nio-server"),
        .executableTarget(
            name: "embedded-relay",
            dependencies: [
                .product(name: "WeirRelay", package: "weir"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "embedded-relay"),
    ]
)
