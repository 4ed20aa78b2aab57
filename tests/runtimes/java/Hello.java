/** The least that a virtual machine does, and what it sees of the machine. */
public final class Hello {
    public static void main(String[] arguments) {
        System.out.println("hello from the kiln, " + String.join(" ", arguments));
        System.out.println(System.getProperty("os.name") + " " + System.getProperty("os.arch"));
        System.out.println(Runtime.version().feature() + " " + Thread.currentThread().getName());
        try {
            Object nothing = arguments.length > 100 ? "" : null;
            nothing.hashCode();
        } catch (NullPointerException error) {
            System.out.println("null is an exception");
        }
        try {
            deepen(0);
        } catch (StackOverflowError error) {
            System.out.println("too deep is an error");
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutdown hook")));
        System.exit(arguments.length);
    }

    private static int deepen(int depth) {
        return depth < 0 ? 0 : 1 + deepen(depth + 1);
    }
}
