import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/** Monitors, locks, queues, executors, interrupts, parking, timed waits. */
public final class Threads {
    private static long guarded;
    private static boolean ready;
    private static volatile boolean spinning = true;

    private interface Body {
        void run(int number) throws Exception;
    }

    private static void all(int count, Body body) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            int number = n;
            Thread thread = new Thread(() -> {
                try {
                    body.run(number);
                } catch (Exception error) {
                    error.printStackTrace();
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
    }

    public static void main(String[] arguments) throws Exception {
        Object monitor = new Object();
        all(8, number -> {
            for (int n = 0; n < 50_000; n++) synchronized (monitor) { guarded++; }
        });
        System.out.println("monitor " + guarded);

        ReentrantLock lock = new ReentrantLock(true);
        long[] count = {0};
        all(4, number -> {
            for (int n = 0; n < 1_000; n++) {
                lock.lock();
                try { count[0]++; } finally { lock.unlock(); }
            }
        });
        System.out.println("fair lock " + count[0]);

        Thread waiter = new Thread(() -> {
            synchronized (monitor) {
                while (!ready) {
                    try { monitor.wait(); } catch (InterruptedException error) { return; }
                }
            }
        });
        waiter.start();
        synchronized (monitor) { ready = true; monitor.notifyAll(); }
        waiter.join();
        System.out.println("wait and notify");

        ArrayBlockingQueue<Integer> queue = new ArrayBlockingQueue<>(4);
        AtomicLong sum = new AtomicLong();
        Thread producer = new Thread(() -> {
            try { for (int n = 0; n <= 10_000; n++) queue.put(n == 10_000 ? -1 : n); } catch (InterruptedException error) { }
        });
        producer.start();
        for (int n; (n = queue.take()) >= 0; ) sum.addAndGet(n);
        System.out.println("queue " + sum);

        CyclicBarrier barrier = new CyclicBarrier(6);
        AtomicLong rounds = new AtomicLong();
        all(6, number -> { for (int n = 0; n < 100; n++) { barrier.await(); rounds.incrementAndGet(); } });
        System.out.println("barrier " + rounds);

        var pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> results = new ArrayList<>();
        for (int n = 0; n < 50; n++) {
            long number = n;
            results.add(pool.submit(() -> { long s = 0; for (int i = 0; i < 20_000; i++) s += i % (number + 1); return s; }));
        }
        long total = 0;
        for (Future<Long> result : results) total += result.get();
        pool.shutdown();
        System.out.println("executor " + total + " " + pool.awaitTermination(60, TimeUnit.SECONDS));

        System.out.println("future " + CompletableFuture.supplyAsync(() -> 20).thenCombineAsync(CompletableFuture.supplyAsync(() -> 22), Integer::sum).get());

        var scheduler = Executors.newScheduledThreadPool(2);
        CountDownLatch ticks = new CountDownLatch(10);
        scheduler.scheduleAtFixedRate(ticks::countDown, 1, 2, TimeUnit.MILLISECONDS);
        System.out.println("scheduled " + ticks.await(60, TimeUnit.SECONDS));
        scheduler.shutdownNow();

        Thread sleeper = new Thread(() -> {
            try { Thread.sleep(1_000_000); } catch (InterruptedException error) { System.out.println("interrupted"); }
        });
        sleeper.start();
        sleeper.interrupt();
        sleeper.join();

        Thread parked = new Thread(LockSupport::park);
        parked.start();
        LockSupport.unpark(parked);
        parked.join();
        long start = System.nanoTime();
        LockSupport.parkNanos(20_000_000);
        Thread.sleep(20);
        System.out.println("slept " + (System.nanoTime() - start >= 20_000_000));

        // A loop without calls must still come to its safepoint.
        Thread spinner = new Thread(() -> { long n = 0; while (spinning) n++; });
        spinner.start();
        Thread.sleep(50);
        System.gc();
        spinning = false;
        spinner.join();
        System.out.println("spinner ended");

        AtomicLong many = new AtomicLong();
        all(300, number -> { Thread.sleep(20); many.incrementAndGet(); });
        System.out.println("many " + many);
        System.out.println("dump " + (Thread.getAllStackTraces().size() > 3));
    }
}
