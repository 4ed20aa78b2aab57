import java.util.HashMap;
import java.util.Map;

/** Two threads that compute, and allocate so that the collector has work: Parallel ROUNDS. */
public final class Parallel {
    private record Node(Node left, Node right) {
        int count() { return left == null ? 1 : 1 + left.count() + right.count(); }
    }

    private static Node tree(int depth) {
        return depth == 0 ? new Node(null, null) : new Node(tree(depth - 1), tree(depth - 1));
    }

    private static long work(int rounds) {
        long result = 0;
        for (int round = 0; round < rounds; round++) {
            boolean[] composite = new boolean[1 << 20];
            for (int i = 2; i < composite.length; i++) {
                if (composite[i]) continue;
                result++;
                for (long j = (long) i * i; j < composite.length; j += i) composite[(int) j] = true;
            }
            Map<String, Integer> words = new HashMap<>();
            for (int n = 0; n < 50_000; n++) words.merge(Integer.toString(n * 7919 % 5003), 1, Integer::sum);
            result += words.keySet().stream().sorted().findFirst().get().length() + tree(15).count();
        }
        return result;
    }

    public static void main(String[] arguments) throws InterruptedException {
        int rounds = Integer.parseInt(arguments[0]);
        long start = System.nanoTime();
        long[] results = new long[2];
        Thread other = new Thread(() -> results[1] = work(rounds));
        other.start();
        results[0] = work(rounds);
        other.join();
        if (results[0] != results[1]) throw new AssertionError();
        System.out.println("java " + (System.nanoTime() - start));
    }
}
