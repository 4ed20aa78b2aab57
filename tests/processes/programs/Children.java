import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** ProcessBuilder: output, input, ends, and many at once. */
public class Children {
    public static void main(String[] arguments) throws Exception {
        Process shell = new ProcessBuilder("sh", "-c", "echo java | cat; echo error >&2; exit 3")
            .redirectErrorStream(true).start();
        System.out.print(new String(shell.getInputStream().readAllBytes()));
        System.out.println(shell.waitFor());

        ProcessBuilder builder = new ProcessBuilder("sh", "-c", "pwd; echo $A; wc -c");
        builder.directory(new File("/tmp")).environment().put("A", "b");
        Process counter = builder.start();
        try (OutputStream input = counter.getOutputStream()) {
            input.write(new byte[300_000]);
        }
        System.out.print(new String(counter.getInputStream().readAllBytes()));
        System.out.println(counter.waitFor());

        Process sleep = new ProcessBuilder("sleep", "100").start();
        System.out.println(sleep.waitFor(50, TimeUnit.MILLISECONDS) + " " + sleep.isAlive());
        sleep.destroy();
        System.out.println(sleep.waitFor());
        sleep = new ProcessBuilder("sleep", "100").start();
        sleep.destroyForcibly();
        System.out.println(sleep.waitFor());

        try {
            new ProcessBuilder("/nothing").start();
        } catch (IOException error) {
            System.out.println(error.getMessage());
        }

        List<Process> many = new ArrayList<>();
        for (int n = 0; n < 12; n++) {
            many.add(new ProcessBuilder("sh", "-c", "exit " + n).start());
        }
        int sum = 0;
        for (Process one : many) {
            sum += one.waitFor();
        }
        System.out.println(sum);
        System.out.println(ProcessBuilder.startPipeline(List.of(
            new ProcessBuilder("echo", "a pipeline"), new ProcessBuilder("cat")
        )).get(1).inputReader().readLine());
    }
}
