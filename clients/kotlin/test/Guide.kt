package whopchat

// The lines of docs/clients.md, so that they compile. Never run.
@Suppress("unused", "UNUSED_PARAMETER")
private class Guide(apiUrl: String, userId: String) {
    private fun cognitoAccessToken(forceRefresh: Boolean, done: (Result<String?>) -> Unit) = Unit
    private fun show(token: String) = Unit
    private fun fallback(show: String) = Unit

    val tokens = ChatTokens(apiUrl, userId, { forceRefresh, done ->
        cognitoAccessToken(forceRefresh) { done(it) }
    })
    val call = tokens.token { result ->
        result.fold({ show(it.token) }, { error -> if (error is ChatException) fallback(error.show) })
    }

    fun signOut() {
        // when the screen is left
        call.cancel()

        // on sign-out
        tokens.close()
    }
}
