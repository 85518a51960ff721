import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The device's clock, and `URLSession` without cookies, cache and redirects.
public final class URLSessionPlatform: NSObject, Platform, URLSessionTaskDelegate, @unchecked Sendable {
    private lazy var session = URLSession(configuration: .ephemeral, delegate: self, delegateQueue: nil)

    public override init() {
        super.init()
        _ = session
    }

    public func now() -> Date {
        Date()
    }

    public func random() -> Double {
        Double.random(in: 0..<1)
    }

    public func sleep(seconds: TimeInterval) async throws {
        try await Task.sleep(nanoseconds: UInt64(max(0, seconds) * 1_000_000_000))
    }

    public func send(_ request: URLRequest) async throws -> HTTPAnswer {
        let (body, response) = try await session.data(for: request)
        guard let response = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        return HTTPAnswer(
            status: response.statusCode,
            retryAfter: response.value(forHTTPHeaderField: "Retry-After"),
            date: response.value(forHTTPHeaderField: "Date"),
            body: body
        )
    }

    public func urlSession(
        _ session: URLSession,
        task: URLSessionTask,
        willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest,
        completionHandler: @escaping (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }
}
