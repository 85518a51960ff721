package whopchat

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.util.concurrent.Executors
import java.util.concurrent.ScheduledExecutorService
import java.util.concurrent.ThreadFactory
import java.util.concurrent.TimeUnit

/** What the JVM and Android have: `HttpURLConnection`, and threads that do not keep a process alive. */
class JvmPlatform : Platform {
    private val threads = ThreadFactory { work -> Thread(work, "whop-chat").apply { isDaemon = true } }
    private val timers: ScheduledExecutorService = Executors.newSingleThreadScheduledExecutor(threads)
    private val requests = Executors.newCachedThreadPool(threads)

    override fun now() = System.currentTimeMillis()

    override fun random() = Math.random()

    override fun later(ms: Long, run: () -> Unit): Cancellable {
        val timer = timers.schedule(run, ms, TimeUnit.MILLISECONDS)
        return object : Cancellable {
            override fun cancel() {
                timer.cancel(false)
            }
        }
    }

    override fun send(method: String, url: String, headers: Map<String, String>, body: String?, done: (HttpAnswer?) -> Unit): Cancellable {
        val connection = URL(url).openConnection() as HttpURLConnection
        requests.execute { done(answer(connection, method, headers, body)) }
        return object : Cancellable {
            override fun cancel() {
                // Closing a socket is network work, which Android forbids on the main thread.
                requests.execute { connection.disconnect() }
            }
        }
    }

    private fun answer(
        connection: HttpURLConnection, method: String, headers: Map<String, String>, body: String?
    ): HttpAnswer? = try {
        connection.requestMethod = method
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        headers.forEach(connection::setRequestProperty)
        if (method == "POST") {
            connection.doOutput = true
            connection.outputStream.use { it.write((body ?: "").toByteArray()) }
        }
        val status = connection.responseCode
        val stream = if (status < 400) connection.inputStream else connection.errorStream
        val text = stream?.use { String(it.readBytes()) } ?: ""
        HttpAnswer(status, connection.getHeaderField("Retry-After"), connection.getHeaderField("Date"), text)
    } catch (error: IOException) {
        null
    } finally {
        connection.disconnect()
    }
}
