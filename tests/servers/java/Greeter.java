import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/**
 * com.sun.net.httpserver with a pool of threads, and a thread that sends datagrams back;
 * a shutdown hook tells of the end.
 */
public class Greeter {
    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(80), 1024);
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            String text = body.length == 0
                    ? "java answers\n"
                    : new String(body, StandardCharsets.UTF_8).toUpperCase();
            byte[] answer = text.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(4));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(0);
            System.out.println("ended");
        }));
        DatagramSocket datagrams = new DatagramSocket(7);
        Thread echo = new Thread(() -> {
            DatagramPacket packet = new DatagramPacket(new byte[65536], 65536);
            try {
                while (true) {
                    packet.setLength(65536);
                    datagrams.receive(packet);
                    datagrams.send(packet);
                }
            } catch (IOException e) {
                throw new RuntimeException(e);
            }
        });
        echo.setDaemon(true);
        echo.start();
        server.start();
        System.out.println("ready");
    }
}
