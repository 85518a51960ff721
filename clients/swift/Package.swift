// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "WhopChatAuth",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "WhopChatAuth", targets: ["WhopChatAuth"])],
    targets: [
        .target(name: "WhopChatAuth"),
        .executableTarget(name: "Cases", dependencies: ["WhopChatAuth"]),
    ]
)
