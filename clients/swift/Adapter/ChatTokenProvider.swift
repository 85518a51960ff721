import WhopChatAuth
import WhopElements

/// The token provider of Whop's iOS SDK: `await WhopSDK.configure(tokenProvider: ChatTokenProvider(tokens))`.
///
/// Whop's examples do not throw, and answer an empty token on failure. The declaration of `WhopTokenProvider` is not
/// public, so this is their shape. After a 401 the client refreshes the Cognito token.
final class ChatTokenProvider: WhopTokenProvider {
    private let tokens: ChatTokens
    private let onError: @Sendable (ChatError) -> Void

    init(_ tokens: ChatTokens, onError: @escaping @Sendable (ChatError) -> Void = { _ in }) {
        self.tokens = tokens
        self.onError = onError
    }

    func getToken() async -> WhopTokenResponse {
        do {
            return WhopTokenResponse(accessToken: try await tokens.token().token)
        } catch {
            if let error = error as? ChatError { onError(error) }
            return WhopTokenResponse(accessToken: "")
        }
    }
}
