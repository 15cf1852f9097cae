import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A runtime of its own: asks for events on the Runtime API and answers each after having used what a
 * JVM uses: threads, a garbage collector that has something to do, files, a socket, another process.
 *
 * Built with `javac --release 17 -g:none`; the class file is kept beside it, because a test machine
 * has no compiler.
 */
public final class Bootstrap implements Runnable {
    private static final int THREADS = 8;
    private final AtomicLong sum = new AtomicLong();

    public void run() {
        byte[][] kept = new byte[64][];
        for (int round = 0; round < 4000; round++) {
            kept[round % kept.length] = new byte[16 * 1024];
            sum.addAndGet(kept[round % kept.length].length);
        }
    }

    private static String answer(String event) throws Exception {
        Bootstrap work = new Bootstrap();
        Thread[] threads = new Thread[THREADS];
        for (int number = 0; number < THREADS; number++) {
            threads[number] = new Thread(work);
            threads[number].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.gc();
        long collections = 0;
        String collector = "";
        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) {
            collections += Math.max(0, bean.getCollectionCount());
            collector += bean.getName() + ";";
        }
        Path file = Files.createTempFile(Path.of("/tmp"), "jvm", ".txt");
        Files.writeString(file, event);
        String read = Files.readString(file);
        Process echo = new ProcessBuilder("/bin/echo", "child").start();
        String child = new String(echo.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
        return "{\"event\":" + read + ",\"sum\":" + work.sum.get() + ",\"collections\":" + collections
                + ",\"collector\":\"" + collector + "\",\"child\":\"" + child + "\",\"exit\":"
                + echo.waitFor() + "}";
    }

    /** One request over one connection: the head and the body of the answer. */
    private static String[] call(String api, String request, String body) throws Exception {
        String[] address = api.split(":");
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            String head = request + " HTTP/1.1\r\nhost: " + api + "\r\nconnection: close\r\ncontent-length: "
                    + bytes.length + "\r\n\r\n";
            socket.getOutputStream().write(head.getBytes(StandardCharsets.UTF_8));
            socket.getOutputStream().write(bytes);
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            InputStream in = socket.getInputStream();
            in.transferTo(all);
            return all.toString(StandardCharsets.UTF_8).split("\r\n\r\n", 2);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String api = System.getenv("AWS_LAMBDA_RUNTIME_API");
        String path = "/2018-06-01/runtime/invocation/";
        while (true) {
            String[] next = call(api, "GET " + path + "next", "");
            String id = "";
            for (String line : next[0].split("\r\n")) {
                if (line.toLowerCase().startsWith("lambda-runtime-aws-request-id:")) {
                    id = line.substring(line.indexOf(':') + 1).trim();
                }
            }
            call(api, "POST " + path + id + "/response", answer(next[1]));
        }
    }
}
