package whopchat

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit

/** What the virtual clock cannot show: requests of [JvmPlatform] to a server on this machine. */
internal val networkChecks = listOf<Pair<String, () -> Unit>>(
    "network a request and its answer" to {
        served({ exchange ->
            val asked = exchange.requestMethod + " " + exchange.requestHeaders.getFirst("Authorization") + String(exchange.requestBody.readBytes())
            exchange.responseHeaders.add("Retry-After", "2")
            exchange.sendResponseHeaders(503, 0)
            exchange.responseBody.use { it.write(asked.toByteArray()) }
        }) { url ->
            val answer = CompletableFuture<HttpAnswer?>()
            JvmPlatform().send("POST", url, mapOf("Authorization" to "Bearer c1"), "{}") { answer.complete(it) }
            val got = answer.get(20, TimeUnit.SECONDS)!!
            check(got.status == 503 && got.retryAfter == "2" && got.date != null && got.body == "POST Bearer c1{}") { got.body }
        }
    },
    "network a request without a body" to {
        served({ exchange ->
            exchange.sendResponseHeaders(200, 0)
            exchange.responseBody.use { it.write(exchange.requestMethod.toByteArray()) }
        }) { url ->
            val answer = CompletableFuture<HttpAnswer?>()
            JvmPlatform().send("DELETE", url, emptyMap(), null) { answer.complete(it) }
            check(answer.get(20, TimeUnit.SECONDS)!!.body == "DELETE")
        }
    },
    "network no redirect is followed" to {
        served({ exchange ->
            exchange.responseHeaders.add("Location", "/elsewhere")
            exchange.sendResponseHeaders(307, -1)
        }) { url ->
            val answer = CompletableFuture<HttpAnswer?>()
            JvmPlatform().send("POST", url, emptyMap(), null) { answer.complete(it) }
            check(answer.get(20, TimeUnit.SECONDS)!!.status == 307)
        }
    },
    "network a cancellation stops the call" to {
        val arrived = CompletableFuture<Unit>()
        val release = CompletableFuture<Unit>()
        served({ exchange ->
            arrived.complete(Unit)
            release.get()
            exchange.close()
        }) { url ->
            val answer = CompletableFuture<HttpAnswer?>()
            val call = JvmPlatform().send("POST", url, emptyMap(), null) { answer.complete(it) }
            arrived.get(20, TimeUnit.SECONDS)
            call.cancel()
            try {
                check(answer.get(20, TimeUnit.SECONDS) == null) { "a call that was cancelled has an answer" }
            } finally {
                release.complete(Unit)
            }
        }
    }
)

private fun served(answer: (HttpExchange) -> Unit, use: (String) -> Unit) {
    val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
    server.createContext("/") { answer(it) }
    server.start()
    try {
        use("http://127.0.0.1:${server.address.port}/chat/token")
    } finally {
        server.stop(0)
    }
}
