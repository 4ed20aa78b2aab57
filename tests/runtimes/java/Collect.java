import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Allocates many times the heap on several threads; then more than fits. */
public final class Collect {
    public static void main(String[] arguments) throws Exception {
        Map<Integer, byte[]> live = new HashMap<>();
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 3; t++) {
            int number = t;
            Thread thread = new Thread(() -> {
                for (int n = 0; n < 4_000; n++) {
                    byte[] block = new byte[64 << 10];
                    block[n] = (byte) n;
                    synchronized (live) { live.put(n % 300 * 3 + number, block); }
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
        int sum = 0;
        for (var entry : live.entrySet()) for (byte value : entry.getValue()) sum += value;
        System.out.println("live " + live.size() + " sum " + sum);
        var weak = new WeakReference<>(new Object());
        System.gc();
        System.out.println("weak " + (weak.get() == null));
        long collections = ManagementFactory.getGarbageCollectorMXBeans().stream().mapToLong(bean -> bean.getCollectionCount()).sum();
        System.out.println("collected " + (collections > 5));
        System.out.println("heap within the limit " + (Runtime.getRuntime().maxMemory() <= 512L << 20));
        List<long[]> hoard = new ArrayList<>();
        try {
            for (;;) hoard.add(new long[1 << 20]);
        } catch (OutOfMemoryError error) {
            hoard = null;
            System.out.println("out of memory is an error");
        }
        long[] again = new long[1 << 20];
        System.out.println("alive " + again.length);
    }
}
