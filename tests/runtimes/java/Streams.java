import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.RecursiveTask;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Parallel streams and the fork-join pool below them. */
public final class Streams {
    private static final class Fibonacci extends RecursiveTask<Long> {
        private final int n;

        Fibonacci(int n) { this.n = n; }

        @Override protected Long compute() {
            if (n < 12) return n < 2 ? n : new Fibonacci(n - 1).compute() + new Fibonacci(n - 2).compute();
            var left = new Fibonacci(n - 1);
            left.fork();
            return new Fibonacci(n - 2).compute() + left.join();
        }
    }

    public static void main(String[] arguments) {
        System.out.println(LongStream.rangeClosed(1, 2_000_000).parallel().map(n -> n * n % 7).sum());
        System.out.println(IntStream.range(2, 60_000).parallel().filter(n -> IntStream.rangeClosed(2, (int) Math.sqrt(n)).noneMatch(d -> n % d == 0)).count());
        int[] numbers = IntStream.range(0, 1_000_000).map(n -> n * 7919 % 1_000_003).toArray();
        Arrays.parallelSort(numbers);
        System.out.println(numbers[0] + " " + numbers[500_000] + " " + numbers[999_999]);
        Map<Integer, Long> groups = IntStream.range(0, 100_000).parallel().boxed().collect(Collectors.groupingByConcurrent(n -> n % 5, Collectors.counting()));
        System.out.println(groups);
        System.out.println(ForkJoinPool.commonPool().invoke(new Fibonacci(25)));
    }
}
