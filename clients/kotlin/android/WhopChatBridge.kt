package whopchat.android

import android.net.Uri
import android.webkit.WebView
import androidx.webkit.JavaScriptReplyProxy
import androidx.webkit.WebMessageCompat
import androidx.webkit.WebViewCompat
import java.util.concurrent.CancellationException
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlin.coroutines.resumeWithException
import org.json.JSONObject
import whopchat.Cancellable
import whopchat.ChatException
import whopchat.ChatToken
import whopchat.ChatTokens

// Not compiled and not run: it needs the Android SDK, androidx.webkit and kotlinx-coroutines. See ../README.md.

/** A token for a coroutine. Cancelling the coroutine gives the call up. */
suspend fun ChatTokens.await(): ChatToken = suspendCancellableCoroutine { waiting ->
    val call = token { result -> result.fold({ waiting.resumeWith(Result.success(it)) }, waiting::resumeWithException) }
    waiting.invokeOnCancellation { call.cancel() }
}

/**
 * Hands tokens to the page in [view] that shows Whop's web chat. Only pages of [origin] can ask, such as
 * `https://app.example.com`. The page's side is `bridge.js` in this folder. The page never sees the Cognito token.
 *
 * Attach it before the page is loaded. On sign-out call [detach] and `tokens.close()`, and drop the page.
 */
class WhopChatBridge(private val view: WebView, origin: String, private val tokens: ChatTokens) {
    private val calls = HashMap<String, Cancellable>()

    init {
        WebViewCompat.addWebMessageListener(view, NAME, setOf(origin)) { _, message, _: Uri, isMainFrame, reply ->
            if (isMainFrame) received(message, reply)
        }
    }

    fun detach() {
        WebViewCompat.removeWebMessageListener(view, NAME)
        calls.values.forEach(Cancellable::cancel)
        calls.clear()
    }

    private fun received(message: WebMessageCompat, reply: JavaScriptReplyProxy) {
        val asked = JSONObject(message.data ?: return)
        val id = asked.getString("id")
        if (asked.has("abort")) {
            calls.remove(id)?.cancel()
            return
        }
        calls[id] = tokens.token { result -> view.post { answer(id, result, reply) } }
    }

    private fun answer(id: String, result: Result<ChatToken>, reply: JavaScriptReplyProxy) {
        calls.remove(id)
        val answer = JSONObject().put("id", id)
        result.fold({ answer.put("token", it.token) }, { error ->
            if (error is CancellationException) return
            answer.put("kind", (error as? ChatException)?.kind ?: "broken").put("show", (error as? ChatException)?.show ?: "unavailable")
        })
        reply.postMessage(answer.toString())
    }

    private companion object {
        const val NAME = "whopChat"
    }
}
